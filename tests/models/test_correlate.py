"""A kernel's gradient as products of matrices, against the convolution's own, through every transformation."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from zoo.nn import correlate as module
from zoo.nn.correlate import LAYOUT, correlate, taps

# (H, W), (K_h, K_w), pads, C_in, C_out
SHAPES = {
    "narrow in": ((7, 6), (3, 3), ((1, 1), (1, 1)), 2, 5),
    "narrow out": ((7, 6), (3, 5), ((1, 1), (2, 2)), 6, 2),
    "as wide": ((5, 5), (2, 2), ((0, 1), (1, 0)), 4, 4),
    "many columns": ((5, 6), (5, 5), ((2, 2), (2, 2)), 3, 4),
    "valid": ((6, 6), (4, 3), ((0, 0), (0, 0)), 3, 5),
    "cropped": ((8, 9), (3, 3), ((-1, 1), (0, -2)), 5, 3),
    "wide borders": ((4, 5), (2, 3), ((3, 2), (4, 3)), 3, 2),
    "one tap": ((4, 4), (1, 1), ((0, 0), (0, 0)), 3, 7),
}


def plain(x, kernel, pads):
    """Cropped first: of pads with ends of both signs XLA:CPU's library reads what is not there."""
    low: Any = [(min(start, 0), min(end, 0), 0) for start, end in pads]
    high = [(max(start, 0), max(end, 0)) for start, end in pads]
    x = lax.pad(x, jnp.float32(0), ((0, 0, 0), *low, (0, 0, 0)))
    return lax.conv_general_dilated(x, kernel, (1, 1), high, dimension_numbers=LAYOUT)


def drawn(shape, members=()):
    sides, kernel, pads, c_in, c_out = SHAPES[shape]
    rng = np.random.default_rng(0)
    draw = lambda *sides: jnp.asarray(rng.normal(size=(*members, *sides)), jnp.float32)
    x, k = draw(6, *sides, c_in), draw(*kernel, c_in, c_out)
    y = draw(6, *(n + sum(pad) - side + 1 for n, pad, side in zip(sides, pads, kernel, strict=True)), c_out)
    return x, k, y, pads


def wanted(x, k, y, pads):
    """The kernel's gradient by the convolution's own rule."""
    return jax.vjp(lambda k: plain(x, k, pads), k)[1](y)[0]


@pytest.mark.parametrize("cache", [module.CACHE, 1, 1500, None], ids=["at once", "one by one", "some", "convolution"])
@pytest.mark.parametrize("shape", SHAPES)
def test_taps_are_the_kernel_s_gradient(shape, cache, monkeypatch):
    x, k, y, pads = drawn(shape)
    form: Any = module._products if cache else module._convolution
    monkeypatch.setattr(module, "CACHE", cache or module.CACHE)
    found = jax.jit(lambda x, y: form(x, y, k.shape[:2], pads))(x, y)
    np.testing.assert_allclose(found, wanted(x, k, y, pads), atol=2e-5)
    np.testing.assert_allclose(jax.jit(partial(correlate, pads=pads))(x, k), plain(x, k, pads), atol=2e-5)
    assert min(x.shape[3], y.shape[3]) <= module.NARROW  # of wide ones see test_conv.py
    through = jax.jit(lambda k: jax.vjp(lambda k: correlate(x, k, pads=pads), k)[1](y)[0])(k)
    np.testing.assert_allclose(through, found, atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_slopes_of_taps(shape):
    """Both transposes, which second derivatives go through, and forward mode."""
    x, k, y, pads = drawn(shape)
    ours = partial(taps, sides=SHAPES[shape][1], pads=pads)
    theirs = lambda x, y: wanted(x, k, y, pads)
    weights = jnp.cos(jnp.arange(k.size, dtype=jnp.float32)).reshape(k.shape)
    grads = lambda f: jax.jit(jax.grad(lambda x, y: jnp.sum(weights * jnp.tanh(f(x, y))), (0, 1)))(x, y)
    for one, other in zip(grads(ours), grads(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    pushed = lambda f: jax.jit(lambda x, y: jax.jvp(f, (x, y), (jnp.sin(x), jnp.cos(y)))[1])(x, y)
    np.testing.assert_allclose(pushed(ours), pushed(theirs), atol=5e-5)


@pytest.mark.parametrize("shape", ["narrow in", "narrow out"])
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0), (3, 4), (1, None), (None, 2)])
def test_members(shape, axes):
    x, _, y, pads = drawn(shape, members=(3,))
    ours = partial(taps, sides=SHAPES[shape][1], pads=pads)
    parts = [part if axis is not None else part[0] for part, axis in zip((x, y), axes, strict=True)]
    moved = [part if axis is None else jnp.moveaxis(part, 0, axis) for part, axis in zip(parts, axes, strict=True)]
    found = jax.jit(jax.vmap(ours, axes))(*moved)
    for member in range(3):
        alone = [part if axis is None else part[member] for part, axis in zip(parts, axes, strict=True)]
        np.testing.assert_allclose(found[member], ours(*alone), atol=2e-5)


def test_sums_are_precise_in_half_precision(monkeypatch):
    """Thousands of terms, added in float32 from part to part."""
    monkeypatch.setattr(module, "CACHE", 1)
    x, y = jnp.ones((64, 15, 15, 2), jnp.bfloat16), jnp.ones((64, 15, 15, 3), jnp.bfloat16)
    found = jax.jit(lambda x, y: module._products(x, y, (1, 1), ((0, 0), (0, 0))))(x, y)
    assert found.dtype == jnp.bfloat16 and float(found[0, 0, 0, 0]) == 64 * 15 * 15
