"""The gallery: every piece is of a preset, a run becomes a picture once, and the README shows it."""

import numpy as np
import pytest
from running import untrained

from benchmarks.readme import gallery_page, gallery_table
from sample import gallery
from train.cli import parse
from zoo.catalog import CATALOG
from zoo.codecs.images import read_png, write_png


def test_every_piece_is_one_that_the_commands_take():
    larger = {
        "wgan-gp-256", "pix2pix-256", "cyclegan-256", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "music-vae-trio",
        "vit",
    }  # fmt: skip
    assert set(gallery.PIECES) | larger == set(CATALOG)
    for name, piece in gallery.PIECES.items():
        config, _ = parse([name, *f"{gallery.COMMON} {piece.train}".split()])
        assert config.options.steps and config.options.steps >= 500


def test_a_run_becomes_a_picture_once(tmp_path, monkeypatch, capsys):
    words = "--data art --steps 2 --batch-size 8 --model.image-size 16 --model.width 4 --model.latent-size 4"
    monkeypatch.setattr(gallery, "PIECES", {"dcgan": gallery.Piece(train=words, sample="-n 4")})
    monkeypatch.setattr(gallery, "COMMON", "--dispatch 1 --log-every 1 --save-every 100 --sample-every 100")
    places = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    with untrained():
        assert gallery.main(places) == 0
    told = read_png(tmp_path / "out" / "dcgan.png")[1]
    assert told["model"] == "dcgan" and told["step"] == 2
    capsys.readouterr()
    assert gallery.main(places) == 0 and capsys.readouterr().out == ""  # it is there already
    assert gallery.main(["dcgam", *places]) == 2
    assert "did you mean dcgan" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path):
    for name in ("vae", "dcgan"):
        write_png(np.zeros((4, 4, 3), np.uint8), tmp_path / f"{name}.png", meta={"step": 7})
    (tmp_path / "ctrl.txt").write_text("a line\n" * 20)
    return tmp_path


def test_the_gallery_s_table(folder):
    table = gallery_table(folder)
    assert table.index("dcgan.png") < table.index("vae.png") and table.count("<tr>") == 1
    assert 'alt="what vae makes after 7 steps"' in table
    assert table.count("a line") == 8 and "`ctrl` writes:" in table


def test_the_gallery_s_page(folder):
    page = gallery_page(folder)
    assert page.index("](gallery/dcgan.png)") < page.index("](gallery/vae.png)") and page.count("a line") == 20
    assert "zoo-train vae --data art --batch-size 32" in page and page.count("## ") == 3
