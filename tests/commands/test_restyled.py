"""zoo-sample --translate of music, on an untrained midi-style; and classes by name."""

from pathlib import Path

import numpy as np
import pytest
from running import untrained

from sample.__main__ import main
from train.__main__ import main as zoo_train
from zoo.codecs import Notes, read_midi, write_midi
from zoo.codecs.images import read_png


def tune(seed: int, notes: int = 30, **fields) -> Notes:
    start = np.arange(notes) * 0.4
    return Notes(
        start, start + 0.4, np.random.default_rng(seed).integers(50, 80, notes), tempo=((0.0, 75.0),), **fields
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The runs ``styles``, of jigs and airs, and ``roll``, which knows none; ``mine``, a folder of two files."""
    folder = tmp_path_factory.mktemp("styles")
    for name, count in (("jigs", 10), ("airs", 12), ("mine", 2)):
        (folder / name).mkdir()
        for i in range(count):
            write_midi(tune(10 * count + i, 30 + 10 * i), folder / name / f"{i}.mid")
    write_midi(tune(0, 0), folder / "empty.mid")
    write_midi(tune(0, drum=np.array(True)), folder / "drums.mid")
    shape = "--model.length 16 --model.latent-size 4 --model.encoder-width 8 --model.width 8 --model.critic-width 4"
    budget = "--steps 1 --batch-size 8 --dispatch 1 --save-every 1"
    for words in (
        f"midi-style --data styles:{folder}/jigs,{folder}/airs {shape} {budget} --out {folder}/styles",
        f"gru-roll --data midi:{folder}/jigs?codec=roll --model.width 8 {budget} --out {folder}/roll",
    ):
        with untrained():
            assert zoo_train(words.split()) == 0
    return folder


def drawn(capsys, *words: object) -> list[Path]:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return [Path(line) for line in capsys.readouterr().out.splitlines()]


def test_a_piece_in_another_style(runs, tmp_path, capsys):
    words = runs / "styles", "--translate", runs / "mine" / "1.mid", "--label"
    files = drawn(capsys, *words, "airs", "--out", f"{tmp_path}/a/")
    assert [file.suffix for file in files] == [".mid", ".wav", ".png"]
    notes, source = read_midi(files[0]), read_midi(runs / "mine" / "1.mid")
    assert notes.tempo[0][1] == pytest.approx(75, rel=1e-3)
    assert 0 < notes.duration <= source.duration + 0.21  # to the next sixteenth
    meta = read_png(files[2])[1]
    assert meta["sources"] == ["1.mid"] and meta["options"]["label"] == "airs" and meta["model"] == "midi-style"
    (by_number,) = drawn(capsys, *words, 1, "--out", tmp_path / "b.mid")
    (other,) = drawn(capsys, *words, "jigs", "--out", tmp_path / "c.mid")
    pitches = lambda file: read_midi(file).sorted().pitch.tolist()
    assert pitches(by_number) == pitches(files[0]) != pitches(other)


def test_a_folder_is_a_piece_each(runs, tmp_path, capsys):
    words = runs / "styles", "--translate", runs / "mine", "--label", "airs"
    both = drawn(capsys, *words, "--out", f"{tmp_path}/a/")
    assert len(both) == 6
    (one,) = drawn(capsys, *words, "-n", 1, "--out", tmp_path / "one.mid")
    assert read_midi(one).sorted().pitch.tolist() == read_midi(both[0]).sorted().pitch.tolist()
    assert len(drawn(capsys, runs / "styles", "-n", 1, "--out", f"{tmp_path}/b/")) == 3  # without a file of one's own


FAULTS = {
    "a strange style": ("styles --translate mine/0.mid --label reels", "knows classes 0 to 1: jigs, airs"),
    "a number too many": ("styles --translate mine/0.mid --label 2", "knows classes 0 to 1: jigs, airs"),
    "no style": ("styles --translate mine/0.mid", "of jigs, airs: add --label NAME"),
    "no file": ("styles --label airs", "add --translate FILE.mid"),
    "an empty file": ("styles --translate empty.mid --label airs", "empty.mid: holds no notes"),
    "drums alone": ("styles --translate drums.mid --label airs", "drums.mid: holds no music"),
    "a file that is not there": ("styles --translate none.mid --label airs", "no such file or folder"),
    "a folder without MIDI": ("styles --translate styles --label airs", "no .kar, .mid, .midi, .smf in this folder"),
    "a model without styles": ("roll --translate mine/0.mid --label airs", "gru-roll has learnt no styles"),
    "a primer": ("styles --translate mine/0.mid --label 1 --primer mine/1.mid", "takes its files and nothing else"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_exit_code_2(runs, capsys, monkeypatch, fault):
    monkeypatch.chdir(runs)
    words, reason = FAULTS[fault]
    capsys.readouterr()
    assert main(words.split()) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1 and reason in output.err


def test_a_training_s_faults(runs, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    for data, reason in (
        (f"styles:{runs}/jigs", "one style"),
        (f"styles:{runs}/jigs,{tmp_path}/empty", "no MIDI file with music in"),
        (f"midi:{runs}/jigs?codec=roll", "midi-style learns from roll and length and label"),
    ):
        capsys.readouterr()
        assert zoo_train(["midi-style", "--data", data, "--out", str(tmp_path / "run")]) == 2
        error = capsys.readouterr().err
        assert reason in error and error.count("\n") == 1
