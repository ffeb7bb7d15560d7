"""zoo-train and zoo-sample of voxels, films and sounds: data that need no file, and every form of what comes out."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from running import untrained

from sample.__main__ import main
from sample.grooves import groove_of
from train.__main__ import main as zoo_train
from zoo.codecs import Notes, read_midi, write_midi
from zoo.codecs.drums import DrumGrid
from zoo.codecs.film import read_film
from zoo.codecs.images import read_png
from zoo.codecs.vox import read_vox
from zoo.codecs.waves import read_wav
from zoo.errors import UserError

WORDS = {
    "voxgan": "--data solids?size=8 --model.width 2 --model.latent-size 4",
    "wavegan": "--data plucks?rate=4000 --model.length 256 --model.width 2 --model.latent-size 4",
    "groovae": "--model.length 16 --model.latent-size 4 --model.encoder-width 4 --model.width 4 --model.hears score",
    "mocogan": "--data bounce?size=16 --model.image-size 16 --model.length 8 --model.width 2",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a run of each model."""
    folder = tmp_path_factory.mktemp("runs")
    budget = "--steps 1 --batch-size 8 --dispatch 1 --log-every 1 --save-every 1"
    for name, words in WORDS.items():
        with untrained():
            assert zoo_train([name, *words.split(), *budget.split(), "--out", str(folder / name)]) == 0
    return folder


def drawn(capsys, *words: object) -> list[Path]:
    """Runs the command; the files it says it wrote, in order."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert all(path.is_file() for path in paths)
    return paths


def test_previews_are_written(runs):
    names = {name: {path.suffix for path in (runs / name / "samples").glob("step_*")} for name in WORDS}
    assert names == {"voxgan": {".png"}, "wavegan": {".png", ".wav"}, "mocogan": {".gif"}, "groovae": {".mid"}}


def test_drums(runs, tmp_path, capsys):
    """A score is played with its own hits, in its own tempo; taps and grooves are in test_drums_of_each_kind."""
    at = np.array([0.0, 0.5, 1.0, 1.25, 2.0, 2.5, 3.0, 4.5])  # of a machine, at 96 quarter notes a minute
    score = Notes(at * 0.625, at * 0.625 + 0.1, np.array([36, 42, 38, 42, 36, 42, 38, 49]), np.array(100),
                  drum=np.array(True), tempo=((0.0, 96.0),))  # fmt: skip
    write_midi(score, tmp_path / "score.mid")
    words = ["--play", tmp_path / "score.mid", "-n", 2, "--out", tmp_path / "a.mid"]
    first, second = map(read_midi, drawn(capsys, runs / "groovae", *words))
    for played in (first, second):
        assert played.drum.all() and list(played.tempo) == [(0.0, 96.0)]
        strokes = lambda notes: sorted(zip(np.rint(notes.quarters(notes.start) * 4), notes.pitch, strict=True))
        assert strokes(played) == strokes(score)
    assert np.any(first.velocity != second.velocity) and np.any(first.velocity != 100)
    words = ["--interpolate", 3, "--primer", *[tmp_path / "score.mid"] * 2, "--out", tmp_path / "b.mid"]
    (way,) = drawn(capsys, runs / "groovae", *words)
    assert read_midi(way).drum.all()
    assert len(drawn(capsys, runs / "groovae", "-n", 1, "--out", f"{tmp_path}/c/")) == 3


def test_drums_of_each_kind(tmp_path):
    at = np.arange(6) * 0.5
    write_midi(Notes(at, at + 0.1, np.array([60, 62, 64, 65, 67, 69])), tmp_path / "taps.mid")
    model = SimpleNamespace(length=16, hears="taps")
    taps = groove_of(model, DrumGrid(), tmp_path / "taps.mid")
    np.testing.assert_array_equal(np.argwhere(taps[:, :9]), [[4 * step, 0] for step in range(6)])
    with pytest.raises(UserError, match="holds no drums"):
        groove_of(SimpleNamespace(length=16, hears="groove"), DrumGrid(), tmp_path / "taps.mid")


def test_voxels(runs, tmp_path, capsys):
    sheet, film = drawn(capsys, runs / "voxgan", "-n", 2, "--out", f"{tmp_path}/")
    assert (sheet.suffix, film.suffix) == (".png", ".gif") and read_png(sheet)[1]["model"] == "voxgan"
    (turned,) = drawn(capsys, runs / "voxgan", "-n", 1, "--frames", 4, "--out", tmp_path / "a.gif")
    assert len(read_film(turned).frames) == 4
    (walk,) = drawn(capsys, runs / "voxgan", "--interpolate", 2, "--frames", 3, "--out", tmp_path / "b.gif")
    assert len(read_film(walk).frames) == 3
    (arrays,) = drawn(capsys, runs / "voxgan", "-n", 3, "--out", tmp_path / "a.npz")
    with np.load(arrays) as found:
        voxels = found["voxel"]
    assert voxels.shape == (3, 8, 8, 8, 4)
    files = drawn(capsys, runs / "voxgan", "-n", 3, "--out", tmp_path / "a.vox")
    assert [path.name for path in files] == ["a_0.vox", "a_1.vox", "a_2.vox"]
    np.testing.assert_array_equal([read_vox(path)[0][..., 3] for path in files], voxels[..., 3])


def test_sounds(runs, tmp_path, capsys):
    *files, sheet = drawn(capsys, runs / "wavegan", "-n", 2, "--out", f"{tmp_path}/")
    sounds = [read_wav(path) for path in files]
    assert [rate for _, rate in sounds] == [4000, 4000] and all(len(sound) == 256 for sound, _ in sounds)
    assert sheet.suffix == ".png" and read_png(sheet)[1]["seed"] == 0
    (arrays,) = drawn(capsys, runs / "wavegan", "-n", 2, "--out", tmp_path / "a.npz")
    with np.load(arrays) as found:
        np.testing.assert_array_equal(found["wave"], [np.rint(sound[:, 0] * 32767) for sound, _ in sounds])
    (walk,) = drawn(capsys, runs / "wavegan", "--interpolate", 3, "--out", tmp_path / "walk.wav")
    assert len(read_wav(walk)[0]) == 3 * 256


def test_films(runs, tmp_path, capsys):
    one, other = drawn(capsys, runs / "mocogan", "-n", 4, "--out", f"{tmp_path}/")
    assert {one.suffix, other.suffix} == {".gif", ".mp4"}
    assert read_film(one).frames.shape == (8, 2 * 18 + 2, 2 * 18 + 2, 3) and read_film(one).fps == 12
    (sheet,) = drawn(capsys, runs / "mocogan", "-n", 2, "--frames", 5, "--out", tmp_path / "a.png")
    assert read_png(sheet)[0].shape == (2 * 18 + 2, 5 * 18 + 2, 3)
    (arrays,) = drawn(capsys, runs / "mocogan", "-n", 3, "--vary", "motion", "--out", tmp_path / "a.npz")
    with np.load(arrays) as found:
        assert found["video"].shape == (3, 8, 16, 16, 3) and found["fps"] == 12


FAULTS = {
    "music of voxels": ("voxgan --out x.mid", ".png, .gif, .mp4, .npz, .vox"),
    "voxels of sounds": ("wavegan --out x.vox", ".wav, .png, .npz"),
    "a sheet in frames": ("voxgan --frames 3 --out x.png", "--frames and --fps are for films"),
    "a picture of a walk": ("voxgan --interpolate 3 --out x.png", "--interpolate makes a film"),
    "frames of sounds": ("wavegan --frames 3", "--frames is for films"),
    "a class of voxels": ("voxgan --label 1", "--label is for pictures"),
    "a walk through films": ("mocogan --interpolate 3", "--interpolate is for pictures, voxels"),
    "varied voxels": ("voxgan --vary motion", "--vary is for videos"),
    "drums of sounds": ("wavegan --play x.mid", "--play is for music"),
    "a prompt for sounds": ("wavegan --prompt hello", "--prompt is for sequences"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_exit_code_2(runs, capsys, fault, monkeypatch, tmp_path):
    words, reason = FAULTS[fault]
    monkeypatch.chdir(tmp_path)
    name, *rest = words.split()
    capsys.readouterr()
    assert main([str(runs / name), *rest]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1 and reason in output.err


def test_a_model_and_data_that_do_not_fit(tmp_path, capsys):
    for words, reason in (
        ("voxgan --data art", "voxgan learns from voxel; art gives image and label"),
        ("groovae --data art", "groovae learns from groove and length; art gives image and label"),
        ("wavegan --data plucks?length=1024 --model.length 100", "length is 100"),
        ("voxgan --data solids?size=8 --model.image-size 24", "image_size is 24"),
        ("mocogan --data bounce --model.length 4", "judges 10 frames at once"),
    ):
        assert zoo_train([*words.split(), "--out", str(tmp_path / "run")]) == 2
        error = capsys.readouterr().err
        assert reason in error and error.count("\n") == 1
