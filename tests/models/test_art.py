"""Algorithmic art: a key is a picture, in range, smooth, the same at any size and in any batch."""

import time
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.algorithmic import art
from zoo.algorithmic.colour import PALETTES, SHADES, from_oklab, palette, ramp, to_oklab

KEYS = jax.random.split(jax.random.key(0), 24)
COLOURS = jnp.asarray(palette(PALETTES["great wave"]))
batched = jax.jit(jax.vmap(partial(art.draw_labelled, size=32)))
ALL = tuple(art.FAMILIES)
everything = jax.jit(jax.vmap(partial(art.draw_labelled, size=32, families=ALL)))
every_branch = jax.jit(jax.vmap(lambda key: art._paint(art.choose(key, ALL), size=32, families=ALL)))


def units(n: int) -> jax.Array:
    return jax.random.uniform(jax.random.key(1), (n, art.DIMENSION))


@cache
def gallery(name: str, size: int) -> np.ndarray:
    paint = jax.jit(lambda units: jax.lax.map(lambda unit: art.paint(name, unit, COLOURS, KEYS[0], size=size), units))
    return np.asarray(paint(units(32)))


def test_a_key_is_a_picture():
    pictures, labels = batched(KEYS)
    assert pictures.shape == (24, 32, 32, 3) and pictures.dtype == jnp.float32 and labels.dtype == jnp.int32
    assert jnp.array_equal(pictures, batched(KEYS)[0])
    flat = np.asarray(pictures).reshape(24, -1)
    apart = np.abs(flat[:, None] - flat[None, :]).mean(-1) + np.eye(24)
    assert apart.min() > 0.02, "two keys gave one picture"


def test_alone_as_in_a_batch():
    pictures, labels = batched(KEYS)
    single = jax.jit(partial(art.draw_labelled, size=32))
    for key, picture, label in zip(KEYS[:4], pictures, labels, strict=False):
        alone, alone_label = single(key)
        np.testing.assert_allclose(alone, picture, atol=1e-5)
        assert alone_label == label == art.label(key)


def test_families_as_asked_for():
    keys = jax.random.split(jax.random.key(2), 300)
    for families in (art.TRAINING, ALL, ("glass", "flow")):
        labels = np.asarray(jax.vmap(partial(art.label, families=families))(keys))
        assert set(labels.tolist()) == set(range(len(families)))
        assert np.bincount(labels).min() > 300 / len(families) / 2
    pictures, labels = everything(KEYS)
    for index in (0, 1):
        choice, name = art.choose(KEYS[index], ALL), ALL[labels[index]]
        painted = jax.jit(partial(art.paint, name, size=32))(*choice[1:])
        np.testing.assert_allclose(painted, pictures[index], atol=1e-5, err_msg=name)


def test_the_form_for_accelerators_draws_the_same_and_is_slower_here():
    def seconds(draw) -> float:
        start = time.perf_counter()
        jax.block_until_ready(draw(KEYS))
        return time.perf_counter() - start

    np.testing.assert_allclose(every_branch(KEYS), everything(KEYS)[0], atol=1e-4)
    taken = [(seconds(everything), seconds(every_branch)) for _ in range(10)]
    own, every = np.min(taken, axis=0)
    assert own < every / 1.5, f"{own * 1000:.1f} ms against {every * 1000:.1f} ms"


@pytest.mark.parametrize("name", art.FAMILIES)
def test_in_range_and_with_contrast(name):
    pictures = gallery(name, 32)
    assert np.isfinite(pictures).all() and np.abs(pictures).max() <= 1
    assert np.quantile(pictures.std(axis=(1, 2)).mean(-1), 0.1) > 0.15, "a tenth of the pictures are nearly empty"
    assert np.abs(pictures - pictures.mean(0)).mean() > 0.15, "the pictures are nearly the same"


@pytest.mark.parametrize("name", art.FAMILIES)
def test_the_same_picture_at_any_size(name):
    small, large = gallery(name, 32), gallery(name, 128)
    large = large.reshape(-1, 32, 4, 32, 4, 3).mean(axis=(2, 4))
    assert np.abs(small - large).mean() < (0.05 if name == "julia" else 0.015)  # of 2; a fractal has detail at any size


@pytest.mark.parametrize("name", art.FAMILIES)
def test_gradients_are_finite_and_reach_the_parameters(name):
    weights = jax.random.normal(jax.random.key(3), (15, 15, 3))  # odd: a pixel lies on the centre, where angles end

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiled in half the time
    @partial(jax.vmap, in_axes=(0, None))
    @partial(jax.grad, argnums=(0, 1))
    def gradients(unit, colours):
        return jnp.sum(weights * art.paint(name, unit, colours, KEYS[0], size=15))

    centred = jnp.full((1, art.DIMENSION), 0.5)
    by_unit, by_colours = gradients(jnp.concatenate([units(12), centred]), COLOURS)
    assert jnp.isfinite(by_unit).all() and jnp.isfinite(by_colours).all()
    assert jnp.abs(by_colours).max() > 1e-2
    assert name == "mosaic" or jnp.abs(by_unit).max() > 1e-2  # all that a mosaic chooses is a whole number


def test_palettes_run_evenly_from_dark_to_light():
    for name, colours in PALETTES.items():
        lightness = to_oklab(np.asarray(palette(colours)[:SHADES], np.float64))[:, 0]
        assert (np.diff(lightness) > 0).all(), name
        assert lightness[-1] - lightness[0] > 0.5, name


def test_oklab_is_the_published_space():
    red, white = np.array([1.0, 0, 0]), np.ones(3)
    np.testing.assert_allclose(to_oklab(red), [0.62796, 0.22486, 0.12585], atol=1e-4)
    np.testing.assert_allclose(to_oklab(white), [1, 0, 0], atol=1e-4)
    colours = np.random.default_rng(0).uniform(size=(50, 3))
    np.testing.assert_allclose(from_oklab(to_oklab(colours)), colours, atol=1e-6)


def test_a_ramp_passes_through_its_shades():
    tones = jnp.linspace(-0.5, 1.5, 2 * 2 * (SHADES - 1) // 2 + 1)[None, :]
    colours = ramp(COLOURS, tones)
    assert colours.shape == (3, *tones.shape)
    np.testing.assert_allclose(colours[:, 0, 0], COLOURS[0], atol=1e-6)
    np.testing.assert_allclose(colours[:, 0, SHADES // 2 : -(SHADES // 2)], COLOURS[:SHADES].T, atol=1e-6)
    np.testing.assert_allclose(colours[:, 0, -1], COLOURS[SHADES - 1], atol=1e-6)


def test_a_picture_may_be_of_any_formula():
    """Of some a key says more than their parameters do."""
    families = "warp", "truchet", "glass", "rule"
    draw = jax.jit(jax.vmap(partial(art.draw_labelled, size=16, families=families)))
    pictures, labels = jax.device_get(draw(KEYS[:24]))
    assert set(labels) == {0, 1, 2, 3} and np.isfinite(pictures).all() and np.abs(pictures).max() <= 1
    assert pictures.std(axis=(1, 2, 3)).min() > 0.02
    choice = art.choose(KEYS[0], families)
    one, other = (
        art.paint("warp", choice.unit, choice.colours, key, size=16) for key in (choice.key, jax.random.key(99))
    )
    assert np.abs(one - other).max() > 0.1
