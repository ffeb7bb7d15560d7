"""A painter's run: its picture, and its strokes as lines."""

import re

import numpy as np
from running import untrained

from sample.__main__ import main
from train.__main__ import main as zoo_train
from zoo.codecs.images import read_png, write_png


def test_a_painting_is_written_as_a_picture_and_as_strokes(tmp_path, capsys):
    write_png(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8), tmp_path / "photo.png")
    run = tmp_path / "run"
    words = ["painter", "--data", f"picture:{tmp_path}/photo.png?size=32", "--steps", "1", "--model.count", "7"]
    with untrained():
        assert zoo_train([*words, "--out", str(run)]) == 0
    for suffix in (".png", ".svg"):
        assert main([str(run), "-n", "1", "--out", str(tmp_path / f"a{suffix}")]) == 0
    pixels, meta = read_png(tmp_path / "a.png")
    assert meta["model"] == "painter" and pixels.shape[:2] == (24 + 4, 32 + 4)
    text = (tmp_path / "a.svg").read_text()
    assert text.count("<path ") == 7 and text.count("stroke-opacity") == 7
    _, _, width, height = map(float, re.search(r'viewBox="([^"]*)"', text)[1].split())
    assert abs(width / height - 32 / 24) < 1e-3
