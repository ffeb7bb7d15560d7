"""Resampling by shifted slices and grouped convolution against what lax computes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from zoo.nn import filters
from zoo.nn.grouped import _by_lax, _by_patches, grouped_conv2d

TAPS = [(1.0, 2.0, 1.0), (1.0, 3.0, 3.0, 1.0), (1.0, 1.0), (1.0, 4.0, 6.0, 4.0, 1.0)]


def picture(shape=(2, 6, 8, 3)):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def both(ours, plain):
    """The two compiled together."""
    return jax.jit(lambda *given: (ours(*given), plain(*given)))


def depthwise(x, taps, **how):
    """The separable filter as one convolution of each channel by itself."""
    f = np.array(taps) / sum(taps)
    kernel = jnp.asarray(np.outer(f, f), jnp.float32)[:, :, None, None]
    apart = jnp.moveaxis(x, -1, 1).reshape(-1, *x.shape[1:3], 1)
    layout = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(apart, kernel, dimension_numbers=layout, **how)
    return jnp.moveaxis(y.reshape(x.shape[0], x.shape[3], *y.shape[1:3]), 1, -1)


@pytest.mark.parametrize("taps", TAPS)
def test_downsampling_is_a_strided_convolution(taps):
    x, before = picture(), (len(taps) - 1) // 2
    edges = [(before, max(len(taps) - 2 - before, 0))] * 2
    plain = partial(depthwise, taps=taps, window_strides=(2, 2), padding=edges)
    got, want = both(partial(filters.downsample, taps=taps), plain)(x)
    assert got.shape == (2, 3, 4, 3)
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("taps", TAPS)
def test_upsampling_is_a_convolution_of_a_dilated_picture(taps):
    x, k, before = picture(), len(taps), (len(taps) - 1) // 2
    edges = [(k - 1 - before, before + 1)] * 2
    plain = partial(depthwise, taps=taps, window_strides=(1, 1), padding=edges, lhs_dilation=(2, 2))
    got, want = both(partial(filters.upsample, taps=taps), plain)(x)
    assert got.shape == (2, 12, 16, 3)
    np.testing.assert_allclose(got, 4 * np.asarray(want), atol=1e-6)
    constant = jax.jit(partial(filters.upsample, taps=taps))(jnp.ones((1, 8, 8, 1)))
    np.testing.assert_allclose(np.asarray(constant)[:, 4:-4, 4:-4], 1, atol=1e-6)


@pytest.mark.parametrize("taps", TAPS)
def test_up_is_the_adjoint_of_down(taps):
    x, y = picture(), picture((2, 3, 4, 3))
    products = lambda x, y: (jnp.sum(filters.downsample(x, taps) * y), jnp.sum(x * filters.upsample(y, taps)))
    down, up = jax.jit(products)(x, y)
    np.testing.assert_allclose(4 * down, up, rtol=1e-4)


@pytest.mark.parametrize("taps", TAPS)
def test_smoothing(taps):
    plain = partial(depthwise, taps=taps, window_strides=(1, 1), padding=[(2, 1)] * 2)
    np.testing.assert_allclose(*both(partial(filters.smooth, taps=taps, pads=(2, 1)), plain)(picture()), atol=1e-6)


@pytest.mark.parametrize(("kernel", "groups"), [((3, 3, 2, 12), 4), ((3, 3, 1, 8), 8), ((3, 3, 1, 16), 8)])
def test_grouped_convolution_in_every_form(kernel, groups):
    x, kernel = picture((2, 5, 6, 8)), picture(kernel)

    def answers(form, x, kernel):
        loss = lambda x, kernel: jnp.sum(jnp.sin(form(x, kernel, groups=groups)))
        return form(x, kernel, groups=groups), jax.grad(loss, (0, 1))(x, kernel)

    forms = _by_lax, _by_patches, grouped_conv2d  # the last takes slices where each channel is a group
    want, *others = jax.jit(lambda *given: [answers(form, *given) for form in forms])(x, kernel)
    for other in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), other, want)
