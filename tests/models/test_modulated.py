"""Modulation by scaling inputs and outputs against a kernel of its own for every picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from zoo.nn.equal import EqualConv, EqualDense, activate
from zoo.nn.modulated import TAPS, modulated_conv2d

LAYOUT = ("NHWC", "HWIO", "NHWC")


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def one_by_one(x, kernel, style, *, demodulate, up):
    """Karras et al. 2020, equations 1 and 3, on the kernel itself; every picture is convolved alone."""
    pictures = []
    for picture, scales in zip(x, style, strict=True):
        own = kernel * scales[None, None, :, None]
        if demodulate:
            own = own / jnp.sqrt(jnp.sum(own**2, axis=(0, 1, 2), keepdims=True) + 1e-8)
        if not up:
            pictures.append(lax.conv_general_dilated(picture[None], own, (1, 1), "SAME", dimension_numbers=LAYOUT)[0])
            continue
        y = lax.conv_general_dilated(
            picture[None], own[::-1, ::-1], (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2), dimension_numbers=LAYOUT
        )
        taps = np.outer(TAPS, TAPS) / np.sum(TAPS) ** 2 * 4
        apart = jnp.moveaxis(y, -1, 0)[:, 0, :, :, None]
        low = lax.conv_general_dilated(
            apart, jnp.asarray(taps, jnp.float32)[:, :, None, None], (1, 1), [(1, 1)] * 2, dimension_numbers=LAYOUT
        )
        pictures.append(jnp.moveaxis(low[..., 0], 0, -1))
    return jnp.stack(pictures)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulation_is_a_kernel_for_every_picture(demodulate, up):
    x, kernel, style = normal(0, 3, 5, 4, 6), normal(1, 3, 3, 6, 7), normal(2, 3, 6)

    def answers(form, *given):
        f = lambda *args: form(*args, demodulate=demodulate, up=up)
        return f(*given), jax.grad(lambda *args: jnp.sum(jnp.sin(f(*args))), (0, 1, 2))(*given)

    both = jax.jit(lambda *given: (answers(modulated_conv2d, *given), answers(one_by_one, *given)))
    ours, theirs = both(x, kernel, style)
    assert ours[0].shape == ((3, 10, 8, 7) if up else (3, 5, 4, 7))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4, rtol=1e-3), ours, theirs)


def test_demodulation_forgets_the_size_of_style_and_kernel():
    x, kernel, style = normal(0, 2, 4, 4, 16), normal(1, 3, 3, 16, 64), normal(2, 2, 16)
    modulated = jax.jit(modulated_conv2d)
    plain = np.asarray(modulated(x, kernel, style))
    np.testing.assert_allclose(modulated(x, 7 * kernel, 3 * style), plain, rtol=1e-4, atol=1e-4)
    assert float(np.std(plain[:, 1:3, 1:3])) == pytest.approx(1, abs=0.2)


def test_equalised_layers_keep_the_variance_and_learn_at_their_rate():
    x = normal(0, 512, 64)
    for rate in (1.0, 0.01):
        layer = EqualDense(256, rate=rate, bias=0.5)
        y, params = jax.jit(layer.init_with_output)(jax.random.key(0), x)
        assert np.std(y) == pytest.approx(1, rel=0.05) and np.mean(y) == pytest.approx(0.5, abs=0.05)
        moved = jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(1), params)  # one and the same step of Adam
        apply = jax.jit(layer.apply)
        change = np.subtract(*(apply(at, np.ones((1, 64), np.float32)) for at in (moved, params)))
        np.testing.assert_allclose(change, rate * (8 + 1), rtol=1e-3)
    y, _ = jax.jit(EqualConv(32).init_with_output)(jax.random.key(1), normal(3, 4, 8, 8, 16))
    assert np.std(y[:, 1:-1, 1:-1]) == pytest.approx(1, rel=0.1)
    assert float(jnp.mean(jnp.square(activate(x)))) == pytest.approx(1.04, rel=0.05)
