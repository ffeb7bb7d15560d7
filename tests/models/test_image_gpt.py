"""Image GPT: pictures as sequences and back, likelihoods that add up to one, pictures completed."""

import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_like, tiny

from sample.complete import completed
from sample.options import Options
from zoo.codecs.images import ImageCodec, write_png
from zoo.errors import UserError


@pytest.mark.parametrize(("unit", "size", "vocabulary"), [("palette", 16, 27), ("channels", 48, 3)])
def test_pictures_are_sequences_and_back(unit, size, vocabulary):
    model = tiny("image-gpt", unit=unit, levels=3)
    assert (model.context, model.vocabulary) == (size, vocabulary)
    images = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (5, 4, 4, 3)).astype(np.float32)
    row = model.sequence(jnp.asarray(images))
    assert row.shape == (5, size) and row.min() >= 0 and row.max() < vocabulary
    np.testing.assert_array_equal(model.picture(row), images)
    near = model.picture(model.sequence(jnp.asarray(np.clip(images + 0.4, -1, 1))))
    np.testing.assert_array_equal(near, images)  # the nearest level
    pixel = 3 if unit == "channels" else 1  # tokens of a pixel: the second one is right of the first
    moved = images.copy()
    moved[0, 0, 1] = np.where(moved[0, 0, 1] == 0, 1, 0)
    assert np.flatnonzero(model.sequence(jnp.asarray(moved))[0] != row[0]).tolist() == list(range(pixel, 2 * pixel))


def test_all_pictures_together_have_probability_one():
    model = tiny("image-gpt", image_size=2, channels=1, levels=3)
    params = random_like(initialised(model)[0], scale=0.3)
    every = np.array(list(itertools.product([-1.0, 0.0, 1.0], repeat=4)), np.float32).reshape(-1, 2, 2, 1)
    nats = jitted(model, "nats")(params, {"image": every}, None)
    log_p = -np.asarray(nats, np.float64).sum(1)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-5)
    drawn = np.asarray(model.sample(params, {}, jax.random.key(1), 4000))
    found = np.mean(np.all(drawn == every[np.argmax(log_p)], axis=(1, 2, 3)))
    assert found == pytest.approx(np.exp(log_p.max()), abs=0.03)
    total, count = jitted(model, "evaluate")(params, {}, {"image": every}, jax.random.key(0))["nll"]
    assert int(count) == 81 * 4 and float(total) == pytest.approx(-log_p.sum(), rel=1e-4)


def test_the_upper_half_is_kept_and_the_lower_drawn():
    model = tiny("image-gpt")
    params = random_like(initialised(model)[0])
    upper = jnp.asarray(np.random.default_rng(1).choice([-1.0, 1.0], (3, 2, 4, 3)), jnp.float32)
    images = model.sample(params, {}, jax.random.key(2), 3, upper=upper)
    assert images.shape == (3, 4, 4, 3)
    np.testing.assert_array_equal(images[:, :2], upper)
    assert np.any(images[:, 2:] != model.sample(params, {}, jax.random.key(3), 3, upper=upper)[:, 2:])
    with pytest.raises(UserError, match="65536 colours"):
        tiny("image-gpt", levels=64)


def test_the_command_keeps_the_upper_half_of_a_file(tmp_path):
    model = tiny("image-gpt")
    params = random_like(initialised(model)[0])
    pixels = np.random.default_rng(1).choice([0, 255], (4, 4, 3)).astype(np.uint8)
    write_png(pixels, tmp_path / "picture.png")
    run = SimpleNamespace(model=model, params=params, codec=ImageCodec(3), config=SimpleNamespace(name="image-gpt"))
    images = completed(run, Options(complete=str(tmp_path / "picture.png")), 3)
    np.testing.assert_array_equal(run.codec.decode(images)[:, :2], np.stack([pixels[:2]] * 3))
    run.model = tiny("dcgan")
    with pytest.raises(UserError, match="does not draw row by row"):
        completed(run, Options(complete="x.png"), 1)
