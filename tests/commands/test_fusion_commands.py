"""zoo-train and zoo-sample of models of two media, from data that need no file."""

import numpy as np
import pytest
from running import untrained

from sample.__main__ import main
from sample.judged import RIGHT
from train.__main__ import main as zoo_train
from zoo.codecs.images import read_png

WORDS = "--data chimes?frames=16&bands=8&size=8 --model.patch 4 --model.width 8 --model.heads 2 --model.layers 1"
BUDGET = "--steps 1 --batch-size 8 --dispatch 1 --log-every 1 --save-every 1"


@pytest.mark.parametrize("name", ["fusion", pytest.param("tower-invariant", marks=pytest.mark.slow)])
def test_a_run_begins_and_its_samples_are_pictures(name, tmp_path, capsys):
    run = tmp_path / "run"
    with untrained():
        assert zoo_train([name, *WORDS.split(), *BUDGET.split(), "--out", str(run)]) == 0
    capsys.readouterr()
    assert main([str(run), "-n", "6", "--out", str(tmp_path / "a.png")]) == 0
    pixels, meta = read_png(tmp_path / "a.png")
    assert pixels.ndim == 3 and meta["model"] == name
    assert main([str(run), "--held-out", "-n", "5", "--out", str(tmp_path / "b.png")]) == 0
    pixels, meta = read_png(tmp_path / "b.png")
    if name == "fusion":
        right = [said == label for said, label in zip(meta["said"], meta["label"], strict=True)]
        assert pixels.shape == (2 * 72 + 2, 3 * 200 + 2, 3) and len(right) == 5
    else:
        right = [hit < count for count in meta["right"] for hit in range(meta["of"])]
        assert pixels.shape == (5 * 72 + 2, 128 + 8 * 70 + 4, 3) and len(right) == 5 * 8
    green = (pixels == np.array(RIGHT, np.uint8)).all(axis=-1).sum()
    edge = (70 if name == "tower-invariant" else 198) * 70 - (64 if name == "tower-invariant" else 192) * 64
    assert green == sum(right) * edge  # the frames say what the metadata say
    for words, reason in (
        ("--interpolate 3", "has no latent space to walk through"),
        ("--reconstruct x.png", "has no encoder"),
        ("--label 1", "knows no label"),
        ("--out x.wav", ".png"),
    ):
        assert main([str(run), *words.split()]) == 2
        error = capsys.readouterr().err
        assert reason in error and error.count("\n") == 1


def test_data_that_do_not_fit_are_one_line(tmp_path, capsys):
    for words, reason in (
        ("fusion --data art", "fusion learns from spectrum and image and label; art gives image and label"),
        ("tower --data chimes --model.frames 32", "--model.frames 32 does not fit chimes, which has 64"),
        ("fusion --data chimes --model.drop-sound 1.5", "at most 1"),
        ("fusion --data chimes?frames=30", "--model.stride 8"),
    ):
        assert zoo_train([*words.split(), "--out", str(tmp_path / "run")]) == 2
        error = capsys.readouterr().err
        assert reason in error and error.count("\n") == 1
