"""zoo-train and zoo-sample of words and pictures."""

from dataclasses import dataclass
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from running import untrained
from tiny import tiny

from sample.__main__ import main
from sample.captioned import write_captioned
from sample.options import Options, Target
from sample.translation import words_of
from train.__main__ import main as zoo_train
from zoo.codecs.film import read_film, write_gif
from zoo.codecs.images import ImageCodec, read_png, write_png

SHAPE = (
    "--model.codes 16 --model.code-size 4 --model.picture-width 8 --model.residual-width 4 --model.width 16 "
    "--model.heads 2 --model.layers 1 --model.tower-layers 1 --model.tower-width 8"
)
BUDGET = "--steps 1 --batch-size 8 --dispatch 1 --log-every 1 --save-every 1"
SIDE = 8


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of a user's own pictures and captions, "run", and a picture."""
    folder = tmp_path_factory.mktemp("worded")
    images = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE, 3), np.uint8)
    texts = ["a blue star", "an orange moon on a dark ground", "a red ring", "une étoile, deux lunes"] * 10
    np.savez(folder / "mine.npz", image=images, caption=np.array(texts))
    with untrained():
        data = f"npz:{folder}/mine.npz"
        assert (
            zoo_train(["text-to-image", "--data", data, *f"{SHAPE} {BUDGET}".split(), "--out", str(folder / "run")])
            == 0
        )
    write_png(images[0], folder / "a.png")
    write_png(images[0][:1, :1], folder / "dot.png")
    return folder


def drawn(capsys, *words):
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_row_for_each_caption(runs, tmp_path, capsys):
    words = ["--caption", "a blue star", "an orange moon on a dark ground", "--candidates", "2"]
    capsys.readouterr()
    (path,) = drawn(capsys, runs / "run", *words, "-n", "3", "--out", tmp_path / "a.png")
    pixels, meta = read_png(path)
    assert pixels.shape == (2 * (SIDE + 2) + 2, 3 * (SIDE + 2) + 2, 3)
    assert meta["captions"] == ["a blue star", "an orange moon on a dark ground"] and meta["model"] == "text-to-image"
    files = drawn(capsys, runs / "run", *words, "-n", "3", "--images", "--out", tmp_path)
    assert len(files) == 6
    single, meta = read_png(files[4])
    assert meta["caption"] == "an orange moon on a dark ground" and meta["sample"] == 4
    np.testing.assert_array_equal(single, pixels[12 : 12 + SIDE, 12 : 12 + SIDE])
    (alone,) = drawn(capsys, runs / "run", "-n", "4", "--out", tmp_path / "b.png")
    assert read_png(alone)[0].shape == (2 * (SIDE + 2) + 2, 2 * (SIDE + 2) + 2, 3)


@dataclass(frozen=True)
class Literal:
    """A model whose pictures are as bright as the number of their first word."""

    def batch_spec(self, size):
        return {"caption": None}

    def sample(self, params, extra, key, n, *, caption, guidance, candidates):
        return jnp.broadcast_to(caption[:, 0, None, None, None] / 127.5 - 1, (n, 2, 2, 1))


def test_every_picture_has_its_own_caption(tmp_path):
    data = {"captions": {"words": ["", "sun", "moon"], "longest": 1}}
    run = SimpleNamespace(model=Literal(), params={}, extra={}, data=data, codec=ImageCodec(channels=1))
    options = Options(caption=("moon", "sun"), n=3)
    (path,) = write_captioned(run, options, Target(tmp_path / "a", (".png",)), {})
    pixels = read_png(path)[0][..., 0]
    assert all((pixels[2:4, at : at + 2] == 2).all() and (pixels[6:8, at : at + 2] == 1).all() for at in (2, 6, 10))


def test_a_strength_is_passed_on():
    data = {"captions": {"words": ["", "sun", "moon"], "longest": 4}}
    run = SimpleNamespace(model=tiny("text-to-image"), data=data, config=SimpleNamespace(name="text-to-image"))
    for told, meant in (({}, 1.0), ({"strength": 1.0}, 1.0), ({"strength": 0.3}, 0.3)):
        found = words_of(run, Options(translate="a.png", caption=("moon",), **told))
        assert found["strength"] == meant and found["caption"].tolist() == [[2, 0, 0, 0]]


def test_pictures_and_films_become_what_words_say(runs, tmp_path, capsys):
    capsys.readouterr()
    said = ["--caption", "a red ring", "--out"]
    (path,) = drawn(capsys, runs / "run", "--translate", runs / "a.png", *said, tmp_path / "b.png")
    pixels, _ = read_png(path)
    source, became = np.split(pixels[2:], 2)
    np.testing.assert_array_equal(source[:SIDE, 2 : 2 + SIDE], read_png(runs / "a.png")[0])
    assert not np.array_equal(source, became)
    write_gif(np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), np.uint8), tmp_path / "c.gif", fps=10)
    (path,) = drawn(capsys, runs / "run", "--translate", tmp_path / "c.gif", "--keep-size", *said, tmp_path / "d.gif")
    assert read_film(path).frames.shape == (2, 12, 16, 3)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--caption", ""], "holds no word"),
        (["--caption", "a bleu star"], "'bleu' is no word of the training's captions; did you mean blue"),
        (["--caption", "a " * 9], "of 9 words; the longest here has 7"),
        (["--candidates", "3"], "add --caption TEXT"),
        (["--caption", "a star", "--candidates", "0"], "at least 1"),
        (["--guidance", "2"], "--caption"),
        (["--caption", "a star", "--interpolate", "3"], "leave out --interpolate"),
        (["--caption", "a star", "--out", "x.gif"], ".png"),
        (["--translate", "{0}/a.png"], "goes by words: add --caption TEXT"),
        (["--translate", "{0}/a.png", "--caption", "a star", "a moon"], "there should be one"),
        (["--translate", "{0}/a.png", "--caption", "a star", "--candidates", "3"], "is for new pictures"),
        (["--translate", "{0}/dot.png", "--caption", "a star", "--keep-size", "--out", "{0}/"], "the towers see 8 x 8"),
    ],
)
def test_faults_are_one_line(runs, tmp_path, capsys, words, reason):
    capsys.readouterr()
    out = [] if "--out" in words else ["--out", str(tmp_path / "x.png")]
    assert main([str(runs / "run"), *[word.format(runs) for word in words], *out]) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_other_models_know_no_words(tmp_path, capsys):
    with untrained():
        small = "--data art?size=8 --model.width 16 --model.latent-size 4"
        assert zoo_train(["vae", *f"{small} {BUDGET}".split(), "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main([str(tmp_path / "run"), "--caption", "a star"]) == 2
    assert "vae has learnt no words; text-to-image has" in capsys.readouterr().err
    assert zoo_train(["text-to-image", "--data", "art?size=8", "--out", str(tmp_path / "other")]) == 2
    assert "text-to-image learns from caption and image; art?size=8 gives image and label" in capsys.readouterr().err
