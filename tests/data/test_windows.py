"""Windows into pieces: where they start, that nothing is lost, and that transposing moves pitches only."""

import jax
import numpy as np
import pytest

from train.data.loader import sweep
from train.data.sequences import alignment, sequence_source
from train.data.source import Source, open_source
from train.data.spec import parse
from train.data.windows import Cut, window_table
from zoo.codecs.performance import Performance
from zoo.codecs.rolls import PianoRoll
from zoo.codecs.text import ByteCodec
from zoo.codecs.voices import HOLD, REST, START, STOP, VoiceGrid
from zoo.errors import UserError

SPEC = parse("docs")


def table_source(pieces: list[np.ndarray], split: str = "train", **cut) -> Source:
    table = window_table(pieces, "tokens", cut=Cut(**cut), split=split)
    return Source("table", None, table.size, {}, table.arrays, table.example)


def everything(source: Source) -> dict[str, np.ndarray]:
    return source.read(np.arange(source.size, dtype=np.int32))


def chorale(quarters: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = np.full((4 * quarters, 4), HOLD)
    grid[::4] = [70, 65, 58, 50] + rng.integers(-3, 3, (quarters, 4))
    return VoiceGrid().from_grid(grid)


def test_training_windows_start_at_every_offset() -> None:
    batch = everything(table_source([np.arange(10), np.arange(100, 104)], length=4))
    assert batch["tokens"][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 100]
    assert np.array_equal(batch["tokens"][6], [6, 7, 8, 9]) and (batch["length"] == 4).all()
    assert batch["tokens"].dtype == batch["length"].dtype == np.int32


def test_short_pieces_are_padded_and_windows_never_cross_pieces() -> None:
    batch = everything(table_source([np.arange(1, 4), np.arange(11, 16)], length=6))
    assert batch["tokens"].tolist() == [[1, 2, 3, 0, 0, 0], [11, 12, 13, 14, 15, 0]]
    assert batch["length"].tolist() == [3, 5]


def test_aligned_windows_reach_the_end() -> None:
    batch = everything(table_source([np.arange(11)], length=6, align=4))
    assert batch["tokens"].tolist() == [[0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9], [8, 9, 10, 0, 0, 0]]
    assert batch["length"].tolist() == [6, 6, 3]


@pytest.mark.parametrize("length", [2, 3, 5, 9, 16, 64])
@pytest.mark.parametrize("align", [1, 4])
def test_held_out_windows_predict_every_token_once(length: int, align: int) -> None:
    pieces = [np.arange(100 * k, 100 * k + n) for k, n in enumerate([17, 1, 2, 33, 8])]
    source = table_source(pieces, "valid", length=length, align=align)
    seen = [row[1:n].tolist() for b in sweep(source, 7) for row, n in zip(b["tokens"], b["length"], strict=True)]
    assert sorted(token for row in seen for token in row) == [t for piece in pieces for t in piece[1:].tolist()]


def test_held_out_windows_keep_the_alignment() -> None:
    batch = everything(table_source([np.arange(50)], "valid", length=11, align=4))
    assert batch["tokens"][:, 0].tolist() == [0, 8, 16, 24, 32, 40, 48]
    assert batch["length"].tolist() == [9] * 6 + [2]


def test_held_out_rolls_hold_every_frame_once() -> None:
    rng = np.random.default_rng(0)
    pieces = [(rng.random((n, 88)) < 0.1).astype(np.uint8) for n in (5, 12, 30, 3)]
    own = {"train": pieces, "valid": pieces[::-1]}
    source = sequence_source(SPEC, PianoRoll(), own, split="valid", length=8)
    frames = [row[:n] for b in sweep(source, 4) for row, n in zip(b["roll"], b["length"], strict=True)]
    assert np.array_equal(np.concatenate(frames), np.concatenate(pieces[::-1]))
    whole = everything(sequence_source(SPEC, PianoRoll(), own, split="valid", length=None))
    assert whole["roll"].shape == (4, 30, 88) and whole["roll"].dtype == np.float32
    assert whole["length"].tolist() == [3, 30, 12, 5] and not whole["roll"][0, 3:].any()


def test_whole_pieces_are_padded_to_the_longest() -> None:
    batch = everything(table_source([np.arange(1, 4), np.arange(1, 8)], length=None, align=4))
    assert batch["tokens"].shape == (2, 7) and batch["length"].tolist() == [3, 7]


def test_a_voice_keeps_its_place_in_every_window() -> None:
    codec = VoiceGrid()
    assert alignment(codec) == 16 and alignment(Performance()) == 1
    pieces = [chorale(quarters, quarters) for quarters in (9, 4, 12)]
    source = sequence_source(SPEC, codec, {"train": pieces, "test": pieces}, split="train", length=33)
    tokens = everything(source)["tokens"]
    for voice, pitch in enumerate([70, 65, 58, 50]):
        column = tokens[:, 1 + voice :: 16]
        struck = column[column < REST]
        assert struck.size and np.abs(struck[struck > 0] - pitch).max() <= 3  # 0 is padding
    assert (tokens[:, 0] == START).sum() == 3 and (tokens == STOP).any()


@pytest.mark.parametrize("codec", [VoiceGrid(), Performance()])
def test_transposition_moves_pitches_and_nothing_else(codec) -> None:
    pieces = [VoiceGrid().transpose(chorale(8, shift), shift) for shift in (0, 1, 3)]
    if isinstance(codec, Performance):
        pieces = [codec.encode(VoiceGrid().decode(piece)) for piece in pieces]
    own = {"train": pieces, "test": pieces}
    plain = sequence_source(SPEC, codec, own, split="train", length=None)
    moved = everything(sequence_source(SPEC, codec, own, split="train", length=None, transpose=2))
    assert len(moved["tokens"]) > plain.size == 3
    wanted = {
        tuple(np.asarray(codec.transpose(row, shift))[:n].tolist())
        for row, n in zip(everything(plain)["tokens"], everything(plain)["length"], strict=True)
        for shift in range(-2, 3)
    }
    got = [tuple(row[:n].tolist()) for row, n in zip(moved["tokens"], moved["length"], strict=True)]
    assert set(got) <= wanted and len(set(got)) == len(got)
    assert moved["tokens"].max() < codec.vocabulary and moved["tokens"].min() >= 0


def test_held_out_music_is_not_transposed() -> None:
    own = {"train": [chorale(8)], "test": [chorale(8)]}
    held = sequence_source(SPEC, VoiceGrid(), own, split="test", length=None, transpose=5)
    train = sequence_source(SPEC, VoiceGrid(), own, split="train", length=None, transpose=5)
    assert held.size == 1 and 1 < train.size <= 11


def test_transposed_rolls_stay_on_the_keyboard() -> None:
    roll = np.zeros((4, 88), np.uint8)
    roll[0, 1] = roll[1, 85] = 1
    own = {"train": [roll], "test": [roll]}
    rolls = everything(sequence_source(SPEC, PianoRoll(), own, split="train", length=None, transpose=5))["roll"]
    assert len(rolls) == 4  # one down, two up, and as it is
    assert [np.argmax(r[0]) for r in rolls] == [0, 1, 2, 3] and [np.argmax(r[1]) for r in rolls] == [84, 85, 86, 87]
    assert (rolls.sum(axis=(1, 2)) == 2).all()


def test_a_text_that_is_shorter_than_a_window() -> None:
    with pytest.raises(UserError, match="10 tokens, less than a window of 65"):
        sequence_source(SPEC, ByteCodec(), {"train": [np.arange(100)]}, split="valid", length=65)
    with pytest.raises(UserError, match="nothing to read"):
        sequence_source(SPEC, ByteCodec(), {"train": [np.zeros(0, int)]}, split="train", length=None)


def test_text_is_cut_as_nanogpt_cuts_it(tmp_path) -> None:
    text = "".join(chr(97 + i % 26) for i in range(1234))
    (tmp_path / "a.txt").write_text(text)
    train, valid = (open_source(f"text:{tmp_path}/a.txt", split, length=17) for split in ("train", "valid"))
    assert train.size == int(0.9 * 1234) - 16
    assert train.arrays["tokens"].dtype == np.uint8
    assert train.codec.decode(train.read(np.array([5], np.int32))["tokens"][0]) == text[5:22]
    first = valid.read(np.array([0], np.int32))["tokens"][0]
    assert valid.codec.decode(first) == text[1110:1127]
    assert train.fields == valid.fields == {"vocabulary": 26, "start": 0}


def test_examples_are_pure_functions_that_jit(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("hello, world\n" * 30)
    source = open_source(f"text:{tmp_path}/a.txt", length=9)
    one = jax.jit(source.example)(source.arrays, 7)
    spec = source.batch_spec(5)
    assert {key: (5, *value.shape) for key, value in one.items()} == {key: value.shape for key, value in spec.items()}
    assert np.array_equal(one["tokens"], source.read(np.array([7], np.int32))["tokens"][0])


def test_the_manual_that_ships_inside_python() -> None:
    source = open_source("docs", length=129)
    text = source.codec.decode(source.read(np.array([1000], np.int32))["tokens"][0])
    assert source.size > 300_000 and source.codec.vocabulary < 200
    assert len(text) == 129 and text.count(" ") > 5
    assert source.codec.alphabet[source.fields["start"]] == "\n"
