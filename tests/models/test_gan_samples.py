"""What zoo-sample asks of GANs: a class, a truncation, a picture of points."""

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from tiny import initialised, jitted, random_like, tiny

from sample.options import Options, Target, check
from sample.pictures import draw, write_pictures
from zoo.codecs.images import ImageCodec, read_png
from zoo.codecs.points import PointCodec
from zoo.errors import UserError


def run_of(name):
    """What `sample.restore.open_run` gives, of a model that has learnt nothing."""
    model = tiny(name)
    params, extra = initialised(model)
    codec = PointCodec(extent=2.0) if name == "gan2d" else ImageCodec(channels=3)
    about = {"config": SimpleNamespace(name=name), "data": {}, "codec": codec}
    return SimpleNamespace(model=model, params=random_like(params, scale=0.3), extra=extra, **about)


def test_a_class_is_drawn_when_it_is_named():
    run = run_of("cgan")
    named = [draw(run, 0, 3, Options(label=label)) for label in range(3)]
    assert np.abs(named[0] - named[1]).max() > 1e-3
    latent = run.model.latents(jax.random.key(0), 3, label=2)
    np.testing.assert_allclose(named[2], jitted(run.model, "render")(run.params, run.extra, latent), atol=1e-5)


def test_truncation_leaves_less_variety():
    run = run_of("stylegan2")
    spread = [float(np.std(draw(run, 0, 4, Options(truncation=psi)), axis=0).mean()) for psi in (0.0, 0.5, 1.0)]
    assert spread[0] < 1e-6 < spread[1] < spread[2]


def test_points_become_one_picture(tmp_path):
    (file,) = write_pictures(run_of("gan2d"), Options(n=50), Target(tmp_path / "points", None), {"step": 1})
    pixels, meta = read_png(file)
    assert file == Path(tmp_path / "points.png") and meta["step"] == 1
    assert (pixels > 100).any()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("cgan", Options(label=3), "classes 0 to 2"),
        ("cgan", Options(truncation=0.5), "knows no truncation"),
        ("gan2d", Options(label=0), "knows no label"),
    ],
)
def test_what_a_model_cannot_do_is_one_line(name, options, said):
    with pytest.raises(UserError, match=said):
        draw(run_of(name), 0, 2, options)


def test_options_of_other_media_are_one_line():
    for options in (Options(interpolate=3), Options(prompt=("a",))):
        with pytest.raises(UserError, match="gan2d draws points"):
            check(options, "points", "gan2d")
    with pytest.raises(UserError, match="for pictures and music; gpt writes text"):
        check(Options(label=1), "text", "gpt")
    check(Options(n=100), "points", "gan2d")
