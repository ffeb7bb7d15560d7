"""What zoo-sample tells of how much a sample repeats of what its model has learnt from."""

from types import SimpleNamespace

import numpy as np
import pytest

from sample import by_heart as module
from sample.by_heart import by_heart, pieces_of, symbols
from sample.options import Options
from train.data.source import open_source
from zoo.codecs import Notes, write_midi

RNG = np.random.default_rng(0)


def run_of(spec):
    codec = open_source(spec).codec
    return SimpleNamespace(codec=codec, data={"spec": spec})


@pytest.fixture
def text(tmp_path):
    letters = "".join(RNG.choice([*"abcdefgh "], 2000))
    (tmp_path / "text.txt").write_text(letters)
    return letters, run_of(f"text:{tmp_path / 'text.txt'}")


def test_text_that_was_learnt_is_known_and_new_text_is_not(text, capsys):
    letters, run = text
    new = "".join(RNG.choice([*"ABCD"], 100))
    told = by_heart(run, Options(), [letters[300:400], new])
    assert told["by_heart"][0] == {"longest": 100, "share_4": 1, "share_8": 1, "share_16": 1, "share_32": 1}
    assert told["by_heart"][1]["longest"] == 0 and told["by_heart"][1]["share_4"] == 0
    assert 3 <= told["held_out"]["longest"] < 10  # the last tenth, of the same letters by chance
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("sample 0, 100 characters: by heart 100 in a row; of all stretches 100 % of 4")
    assert lines[2].startswith("held-out characters, as many: by heart")


def test_what_a_sample_goes_on_from_is_not_counted(text):
    letters, run = text
    prompts = [letters[500:600], letters[700:800]]
    samples = [prompt + end for prompt in prompts for end in ("XXXXXXXX", "YYYYYYYY")]
    found = by_heart(run, Options(), samples, prompts)["by_heart"]
    assert [one["longest"] for one in found] == [0] * 4
    other = by_heart(run, Options(), ["Z" + prompts[0]], prompts[:1])["by_heart"]
    assert other[0]["longest"] == 100  # it does not begin with the prompt


def song(pitches, shift=0, start=0.0):
    times = start + 0.5 * np.arange(len(pitches))
    return Notes(times, times + 0.5, np.asarray(pitches) + shift)


def test_a_melody_is_known_in_any_key_and_from_any_time(tmp_path):
    melody, other = RNG.integers(55, 70, (2, 40))
    for number, pitches in enumerate([melody, *RNG.integers(55, 70, (12, 40))]):
        write_midi(song(pitches), tmp_path / f"{number}.mid")
    run = run_of(f"midi:{tmp_path}?codec=performance")
    np.testing.assert_array_equal(symbols(song(melody)), symbols(song(melody, shift=5, start=3.0)))
    heard = {tuple(piece.tolist()) for piece in pieces_of(run, "train")}
    assert tuple(symbols(song(melody)).tolist()) in heard, "the split holds the melody out: write others"
    moved, new = by_heart(run, Options(), [song(melody[8:30], shift=-3), song(other)])["by_heart"]
    assert moved["longest"] == 21 and moved["share_16"] == 1
    assert new["longest"] < 8 and "share_32" in new


def test_what_takes_minutes_is_read_only_when_asked_for(text, tmp_path, monkeypatch, capsys):
    letters, run = text
    assert by_heart(run, Options(by_heart=False), [letters]) == {}
    assert by_heart(SimpleNamespace(codec=None, data={"spec": "beats"}), Options(), [letters]) == {}
    for number in range(3):
        write_midi(song([60, 62, 64]), tmp_path / f"{number}.mid")
    many = run_of(f"midi:{tmp_path}?codec=performance")
    monkeypatch.setattr(module, "QUICK", 2)
    assert by_heart(many, Options(), [song([60, 62, 64])]) == {}
    assert by_heart(many, Options(by_heart=True), [song([60, 62, 64])])["by_heart"][0]["longest"] == 2
    gone = SimpleNamespace(codec=many.codec, data={"spec": f"midi:{tmp_path / 'gone'}"})
    capsys.readouterr()
    assert by_heart(gone, Options(), [song([60, 62])]) == {}
    assert "no such folder" in capsys.readouterr().err
