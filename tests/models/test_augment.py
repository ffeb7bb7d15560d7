"""Augmentations: nothing at probability 0, exact moves where they are exact, statistics at p, and ADA's steering."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted

from zoo.gan import augment as a
from zoo.gan.stylegan2 import StyleGAN2

KEY = jax.random.key(0)


def pictures(n=4, side=6, channels=3):
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (n, side, side, channels)), jnp.float32)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_probability_zero_changes_nothing(channels):
    x = pictures(channels=channels)
    augment = jax.jit(a.augment)
    np.testing.assert_allclose(augment(x, 0.0, KEY), x, atol=1e-5)
    assert np.abs(augment(x, 1.0, KEY) - x).max() > 0.1


def test_half_of_the_pictures_at_half_the_probability():
    maps = jax.jit(lambda key: a.colours(key, 0.5, 4000, hue=False))(KEY)
    brightened = np.abs(maps[:, :3, 3]).max(1) > 0
    assert np.mean(brightened) == pytest.approx(0.5, abs=0.03)
    moved = jax.jit(lambda key: a.affine(key, 0.1, 4000, (32, 32)))(KEY)
    still = np.abs(moved - np.eye(3)[None]).max((1, 2)) < 1e-6
    # Half of the flips and a quarter of the quarter turns are none.
    assert np.mean(still) == pytest.approx(0.9**5 * 0.95 * 0.925, abs=0.03)


resampled = jax.jit(a.resampled)


@pytest.mark.parametrize(
    ("step", "want"),
    [
        (lambda: a._scaling(-jnp.ones(4), jnp.ones(4)), lambda x: x[:, :, ::-1]),
        (lambda: a._turn(jnp.full(4, jnp.pi / 2)), lambda x: np.rot90(x, 1, axes=(1, 2))),
        (lambda: a._shift(jnp.tile(jnp.array([1.0, 0.0]), (4, 1))), lambda x: x[:, :, [0, 0, 1, 2, 3, 4]]),
        (lambda: a._shift(jnp.tile(jnp.array([0.0, -2.0]), (4, 1))), lambda x: x[:, [2, 3, 4, 5, 5, 4]]),
    ],
)
def test_exact_moves(step, want):
    x = pictures()
    np.testing.assert_allclose(resampled(x, step()), want(np.asarray(x)), atol=1e-5)


def test_a_turn_of_the_hue_keeps_greys_and_lengths():
    maps = a._around_luma(jnp.array([0.0, 2 * np.pi / 3]))
    np.testing.assert_allclose(maps[0], np.eye(4), atol=1e-6)
    np.testing.assert_allclose(maps[1][:3, :3] @ np.array([1.0, 0.0, 0.0]), [0, 1, 0], atol=1e-6)  # red to green
    np.testing.assert_allclose(maps[1] @ np.ones(4), np.ones(4), atol=1e-6)


def test_gradients_flow_through():
    x = pictures()
    grad = jax.jit(jax.grad(lambda x: jnp.sum(jnp.square(a.augment(x, 0.8, KEY)))))(x)
    assert np.isfinite(grad).all() and (np.abs(grad).reshape(4, -1).max(1) > 0).all()


def ada(**fields):
    sizes = {"image_size": 8, "latent_size": 4, "base": 32, "widest": 4, "ada_target": 0.6, "ada_images": 64}
    return StyleGAN2(**sizes | fields)


def test_the_probability_follows_the_signs():
    """Four steps of 4 pictures move it by 16 / 64: up where the critic is sure of the data, else down."""
    model = ada()
    _, extra = initialised(model)
    batch = {"image": pictures(side=8)}
    run = jax.jit(model.phases[0].loss)
    sure, unsure = initialised(model)[0], initialised(model)[0]
    sure["critic"]["EqualDense_1"]["bias"] += 100.0
    unsure["critic"]["EqualDense_1"]["bias"] -= 200.0
    seen = []
    for step in range(12):
        _, (extra, metrics) = run(sure if step < 8 else unsure, extra, batch, KEY, jnp.int32(step))
        seen.append(float(metrics["augment"]))
    assert seen == pytest.approx([0, 0, 0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.25])
    assert float(extra["augment"]["signs"]) == 0


def test_only_training_is_augmented():
    model = ada()
    params, extra = initialised(model)
    batch = {"image": pictures(side=8)}
    always = {**extra, "augment": {"probability": jnp.ones(()), "signs": jnp.zeros(())}}
    judge = jitted(model, "judge", "train")
    answers = {
        train: [judge(params, e, batch["image"], batch, KEY, train=train)[0] for e in (extra, always)]
        for train in (True, False)
    }
    np.testing.assert_array_equal(*answers[False])
    assert np.abs(np.diff(answers[True], axis=0)).max() > 1e-4


def test_pictures_are_read_one_by_one():
    """A gather that counts pictures among what it looks up would have every device ask all others for theirs."""
    traced = str(jax.make_jaxpr(a.resampled)(jnp.zeros((4, 8, 8, 3)), jnp.zeros((4, 3, 3))))
    assert traced.count("operand_batching_dims=(0,)") == traced.count("GatherDimensionNumbers(") == 4
