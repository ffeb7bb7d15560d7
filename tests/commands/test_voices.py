"""Harmonies and bars written anew, by untrained models of three kinds; texts with gaps."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_like, tiny

import zoo
from sample.options import Options
from sample.scores import draw
from sample.voices import arranged, bars, melody_of
from zoo.codecs import Notes, write_midi
from zoo.codecs.text import CharCodec
from zoo.codecs.voices import HOLD, PROGRAMS, REST, START, VoiceGrid
from zoo.errors import UserError
from zoo.music.grid import tokens_of

CODEC = VoiceGrid()


def opened(name, *, codec=CODEC, **fields):
    """A run of an untrained model."""
    model = tiny(name, **fields)
    params, extra = initialised(model)
    return SimpleNamespace(
        model=model, params=random_like(params), extra=extra, codec=codec, config=SimpleNamespace(name=name)
    )


RUNS = {
    "coconet": lambda: opened("coconet", context=32, lowest=36, pitches=46),
    "seq2seq": lambda: opened("seq2seq", context=32),
    "gpt": lambda: opened("gpt", context=64, vocabulary=132, start_token=130),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A melody of 20 sixteenths, and a piece of two bars for four voices."""
    folder = tmp_path_factory.mktemp("files")
    line = np.full((20, 4), REST)
    line[:, 0] = [
        60,
        HOLD,
        HOLD,
        HOLD,
        62,
        HOLD,
        64,
        HOLD,
        65,
        HOLD,
        HOLD,
        HOLD,
        67,
        HOLD,
        REST,
        REST,
        60,
        HOLD,
        60,
        HOLD,
    ]
    grid = np.random.default_rng(0).choice([48, 55, 64, 72, HOLD, HOLD], (32, 4))
    grid[0], grid[-1] = [72, 64, 55, 48], HOLD
    write_midi(CODEC.decode(line.ravel()), folder / "melody.mid")
    write_midi(CODEC.decode(grid.ravel()), folder / "piece.mid")
    return folder, line, CODEC.to_grid(grid.ravel())


@pytest.mark.parametrize("name", RUNS)
def test_the_melody_stays_and_the_others_are_new(files, name):
    folder, line, _ = files
    options = Options(n=2, seed=3, harmonise=str(folder / "melody.mid"))
    run = RUNS[name]()
    grids = [CODEC.to_grid(row) for row in arranged(run, options)]
    for grid in grids:
        np.testing.assert_array_equal(grid[:, 0], line[: len(grid), 0])
        assert len(grid) >= 19 and np.all((grid[:, 1:] < REST).any(axis=0))
    assert not np.array_equal(*grids)
    again = arranged(run, Options(n=1, seed=3, harmonise=options.harmonise))
    np.testing.assert_array_equal(CODEC.to_grid(again[0]), grids[0])  # however many there are


def test_keys_and_guidance_are_heard(files):
    folder, _, _ = files
    harmonise = lambda run, **more: arranged(run, Options(harmonise=str(folder / "melody.mid"), **more))[0]
    for name in ("seq2seq", "gpt"):
        row = harmonise(RUNS[name](), key="F# major", temperature=3.0)
        pitches = CODEC.to_grid(row)[:, 1:]
        assert set((pitches[pitches < REST] % 12).tolist()) <= ({6, 8, 10, 11, 1, 3, 5} if name == "seq2seq" else
            {6, 8, 10, 11, 1, 3, 5, 0, 2, 4, 7})  # fmt: skip
    run = RUNS["seq2seq"]()
    assert not np.array_equal(harmonise(run, greedy=True), harmonise(run, greedy=True, guidance=9.0))


def test_bars_are_written_anew_and_the_rest_sounds_as_before(files):
    folder, _, grid = files
    options = Options(n=1, infill="2", primer=(str(folder / "piece.mid"),), seed=1)
    new = CODEC.to_grid(arranged(RUNS["coconet"](), options)[0])
    np.testing.assert_array_equal(new[:16], grid[:16])
    assert len(new) == 32 and np.mean(new[16:] != grid[16:]) > 0.5
    first = Options(n=1, infill="1", primer=options.primer)
    after = CODEC.to_grid(arranged(RUNS["coconet"](), first)[0])[16:]
    assert np.all((after == grid[16:]) | (grid[16:] == HOLD))  # what was held over the bar line may be struck now
    assert [bars("3-4", 80, 16), bars("5", 70, 16)] == [slice(32, 64), slice(64, 70)]


def test_a_melody_is_the_highest_line():
    start = np.array([0, 0, 0, 0.5, 0.5, 1.0])
    notes = Notes(
        start, np.array([1.0, 0.5, 0.5, 1.0, 1.0, 2.0]), np.array([72, 64, 60, 65, 62, 71]), tempo=((0, 60.0),)
    )
    grid = melody_of(CODEC, notes)
    assert grid[:, 0].tolist() == [72, HOLD, HOLD, HOLD, 71, HOLD, HOLD, HOLD] and np.all(grid[:, 1:] == REST)
    four = Notes([0, 0], [1, 1], [60, 70], program=PROGRAMS[[0, 1]], tempo=((0, 60.0),))
    assert melody_of(CODEC, four)[0, 0] == 60  # voices keep their names


def test_melodies_between_two_melodies(files):
    folder, line, _ = files
    run = opened("music-vae", voices="S", bars=1, conductor=None)
    other = np.where(line == 60, 72, line)
    write_midi(CODEC.decode(other.ravel()), folder / "other.mid")
    ends = str(folder / "melody.mid"), str(folder / "other.mid")
    (row,) = draw(run, Options(interpolate=5, primer=ends))
    assert row.shape == (1 + 5 * 32,) and row[0] == START
    walk = row[1:].reshape(5, 8, 4)
    for end, cells in ((0, line), (-1, other)):
        tokens = tokens_of(jnp.asarray(cells[None, :8]))
        latent = jitted(run.model, "encode")(run.params, {}, tokens)
        again = jitted(run.model, "render")(run.params, {}, latent)
        np.testing.assert_array_equal(walk[end].ravel(), again[0, 1:])
    assert np.all(walk[:, :, 1:] == REST)
    assert np.any(draw(run, Options(interpolate=5, primer=ends, temperature=2.0))[0] != row)
    with pytest.raises(UserError, match="needs the two ends"):
        draw(run, Options(interpolate=5, primer=ends[:1]))


def test_gaps_of_a_text_are_filled():
    codec = CharCodec.of("abcdefghij\n")
    run = opened("bert", codec=codec)
    texts = [codec.decode(row) for row in draw(run, Options(prompt=("ab__ef", "_bcd_")))]
    assert [len(text) for text in texts] == [6, 5]
    assert (
        texts[0].startswith("ab") and texts[0].endswith("ef") and texts[1][1:4] == "bcd" and "_" not in "".join(texts)
    )
    with pytest.raises(UserError, match="reads 16 characters"):
        draw(run, Options(prompt=("a" * 20,)))


FAULTS = [
    ("coconet", {"infill": "9", "primer": ("piece.mid",)}, "write bars such as 3-4; the piece has 2"),
    ("coconet", {"infill": "x", "primer": ("piece.mid",)}, "write bars such as 3-4"),
    ("gpt", {"infill": "1", "primer": ("piece.mid",)}, "cannot look ahead"),
    ("coconet", {"harmonise": "melody.mid", "key": "C"}, "--key and --greedy are for"),
]


@pytest.mark.parametrize(("name", "words", "message"), FAULTS)
def test_a_fault_is_one_line(files, name, words, message):
    folder, _, _ = files
    words = {k: tuple(str(folder / x) for x in v) if k == "primer" else v for k, v in words.items()}
    if "harmonise" in words:
        words["harmonise"] = str(folder / words["harmonise"])
    with pytest.raises(UserError, match=message):
        arranged(RUNS[name](), Options(**words))
    high = opened("coconet", context=32, lowest=70, pitches=8)
    with pytest.raises(UserError, match="knows the MIDI pitches 70 to 77"):
        arranged(high, Options(harmonise=str(folder / "melody.mid")))
    with pytest.raises(UserError, match="has not learnt four voices"):
        arranged(opened("gpt", codec=CharCodec("ab")), Options(harmonise="x"))
    assert zoo.create("coconet").context == 256
