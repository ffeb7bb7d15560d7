"""python -m train.data: quick help, what show prints, errors of one line with exit code 2."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.data.__main__ import main

ROOT = Path(__file__).parents[2]


def test_help_is_quick() -> None:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "train.data", "--help"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "prepare" in done.stdout and "images:DIR" in done.stdout
    assert time.monotonic() - start < 3  # half a second, on a machine that does nothing else


def test_help_imports_nothing_heavy() -> None:
    program = """
import sys
from train.data.__main__ import main
try: main(["--help"])
except SystemExit: pass
heavy = {"jax", "numpy", "PIL", "grain", "tensorflow_datasets", "music21", "scipy", "rich"} & sys.modules.keys()
sys.exit(", ".join(heavy) or 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(12):
        Image.fromarray(np.full((8, 8, 3), 20 * i, np.uint8)).save(tmp_path / f"{i}.png")
    for i in range(12):
        (tmp_path / f"bad{i}.png").write_text("x")
    assert main(["show", f"images:{tmp_path}"]) == 0
    out = capsys.readouterr().out
    for words in ("train 11, valid 1, test 1", "image float32[8, 8, 3]", "image_size 8, channels 3", "skipped   12"):
        assert words in out
    assert "bad0.png: " in out and "and 2 more" in out


def test_show_what_is_endless(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "art?size=8"]) == 0
    assert "train endless, valid 1,024" in capsys.readouterr().out


def test_show_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("床前明月光\n" * 50)
    assert main(["show", f"text:{tmp_path}/a.txt"]) == 0
    out = capsys.readouterr().out
    assert "vocabulary 6, start 0" in out and "1 in train, 270 positions" in out and out.isascii()


@pytest.mark.parametrize("command", [["show"], ["prepare", "--out", "/nowhere"]])
def test_errors_are_one_line(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "images:/no/such/folder"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: images:/no/such/folder: no such folder: /no/such/folder\n" and not captured.out


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("hello\n" * 50)
    assert main(["prepare", f"text:{tmp_path}/a.txt", "--out", f"{tmp_path}/a.txt"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
