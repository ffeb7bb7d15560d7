"""Textures by patches: the distance, its invariances, and how they grow from coarse to fine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_batch, tiny

from zoo.style.patches import POINTS, SIDE, _round, apart, octaves, octaves_of

KEY = jax.random.key(0)
distance = jax.jit(apart, static_argnums=3)


def pictures(*shape):
    return jax.random.uniform(jax.random.key(1), shape, minval=-1)


def test_flat_pictures_are_as_far_apart_as_their_colours():
    """Along a direction d: |a - b| times what d sums to."""
    found = distance(jnp.full((1, 12, 10, 3), 0.5), jnp.full((2, 9, 11, 3), -0.25), KEY, 50)
    kernel = np.asarray(jax.random.normal(jax.random.split(KEY, 3)[0], (SIDE, SIDE, 3, 50)))
    kernel = kernel / np.sqrt((kernel**2).sum((0, 1, 2)))
    assert float(found) == pytest.approx(0.75 * np.abs(kernel.sum((0, 1, 2))).mean(), rel=1e-4)


def test_what_has_the_same_patches_is_no_distance_away():
    picture = pictures(1, 14, 18, 3)
    laid = jnp.pad(picture, ((0, 0), (0, SIDE - 1), (0, SIDE - 1), (0, 0)), mode="wrap")
    turned = jnp.roll(picture, (5, 7), axis=(1, 2))
    assert float(distance(turned, laid, KEY, 8)) < 1e-6
    assert float(distance(turned, jnp.concatenate([laid, laid]), KEY, 8)) < 0.01  # as often, of more
    shuffled = jax.random.permutation(KEY, picture.reshape(-1, 3)).reshape(picture.shape)
    smooth = octaves(jnp.repeat(jnp.repeat(picture, 2, axis=1), 2, axis=2), 2)[-1]
    assert float(distance(smooth, laid, KEY, 8)) > 0.1 and float(distance(shuffled, laid, KEY, 8)) > 0


def test_of_large_pictures_some_patches_are_looked_at():
    """Which ones follows the key, and no pixel is left out for good: patches overlap."""
    large = pictures(1, 300, 200, 3)
    turned = np.asarray(_round(large, KEY, SIDE))
    assert turned.shape == (1, 306, 206, 3) and not np.array_equal(turned, _round(large, jax.random.key(5), SIDE))
    assert float(distance(large, large, KEY, 8)) != float(distance(large, large, jax.random.key(5), 8))
    slope = jax.grad(lambda x: apart(x, pictures(1, 128, 128, 3), KEY, 8))(large)
    assert POINTS < 300 * 200 and (np.abs(np.asarray(slope)).sum(-1) > 0).mean() > 0.99


@pytest.mark.parametrize(("sides", "count"), [((192, 256), 4), ((23,), 1), ((24,), 1), ((48,), 2), ((512,), 5)])
def test_the_smallest_picture_holds_several_patches(sides, count):
    assert octaves_of(*sides) == count


def test_coarse_pictures_come_first():
    model = tiny("texture", octaves=3, levels=3, grow=8)
    params, extra = initialised(model)
    batch = random_batch(model, 1)
    grown = {0: "level2", 3: "level2", 4: "level1", 8: "level0", 100: "level0"}
    slopes = jax.jit(jax.grad(lambda params, step: model.loss(params, extra, batch, KEY, step)[0]))
    for step, finest in grown.items():
        found = {name for name, slope in slopes(params, jnp.int32(step))["picture"].items() if np.any(slope)}
        assert found == {f"level{n}" for n in range(int(finest[-1]), 3)}, step
    begun = {name for name, level in params["picture"].items() if np.any(level)}
    assert begun == {"level2"}


def test_evaluation_is_of_the_picture_s_own_size():
    model = tiny("texture")
    params, extra = initialised(model)
    batch = random_batch(model, 1)
    found = jitted(model, "evaluate")(params, extra, batch, KEY)
    _, (_, terms) = jitted(model, "loss")(params, model.wanted(params, batch), batch, KEY, jnp.int32(1000))
    assert float(found["style"][0]) == pytest.approx(float(terms["style"]), rel=1e-5)
