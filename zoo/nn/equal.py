"""Layers with an equalised learning rate: weights are drawn from N(0, 1) and scaled where they are used, so that Adam
moves every layer at the same pace (Karras et al. 2018, arXiv:1710.10196, section 4.1)."""

import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from zoo.nn.columns import add_bias
from zoo.nn.conv import Padding, conv2d, conv2d_transpose

Array = jax.Array
SLOPE = 0.2


def activate(x: Array) -> Array:
    """A leaky ReLU that keeps the variance of what is symmetric, nearly."""
    return nn.leaky_relu(x, SLOPE) * math.sqrt(2)


class EqualDense(nn.Module):
    """[..., D] -> [..., features]. ``rate``: the pace of this layer's parameters, relative to the others'."""

    features: int
    rate: float = 1.0
    bias: float = 0.0
    """What the bias begins with."""
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", nn.initializers.normal(1 / self.rate), (x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.constant(self.bias / self.rate), (self.features,), jnp.float32)
        scaled = kernel * (self.rate / math.sqrt(x.shape[-1]))
        x, scaled, bias = promote_dtype(x, scaled, bias * self.rate, dtype=self.dtype)
        return add_bias(x @ scaled, bias)


class EqualConv(nn.Module):
    """``conv2d`` with equalised weights: [B, H, W, C] -> [B, H', W', features]."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    resample: Literal["up", "down"] | None = None
    """Of pictures of twice the size, by nearest neighbours; or means of 2 x 2 pixels of the result; ``stride`` and
    ``padding`` then mean nothing."""
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape[-1:], jnp.float32) if self.use_bias else None
        x, kernel, bias = promote_dtype(x, kernel / math.sqrt(math.prod(shape[:3])), bias, dtype=self.dtype)
        if self.resample is None:
            return add_bias(conv2d(x, kernel, stride=self.stride, padding=self.padding), bias)
        return add_bias((enlarging if self.resample == "up" else halving)(x, kernel), bias)


def enlarging(x: Array, kernel: Array) -> Array:
    """[B, H, W, I], kernel [K, K, I, O] of odd K -> [B, 2 H, 2 W, O]: ``conv2d`` of x whose pixels have become squares
    of four, as one transposed convolution with a kernel of K + 1."""
    return conv2d_transpose(x, _twofold(kernel[::-1, ::-1]), stride=2, padding=kernel.shape[0] // 2)


def halving(x: Array, kernel: Array) -> Array:
    """[B, H, W, I], kernel [K, K, I, O] of odd K -> [B, H / 2, W / 2, O]: means of 2 x 2 pixels of ``conv2d``, as one
    convolution with a kernel of K + 1."""
    return conv2d(x, _twofold(kernel) / 4, stride=2, padding=kernel.shape[0] // 2)


def _twofold(kernel: Array) -> Array:
    """[K, K, I, O] -> [K + 1, K + 1, I, O]: its sum over the places in a square of four."""
    p = jnp.pad(kernel, [(1, 1), (1, 1), (0, 0), (0, 0)])
    return p[1:, 1:] + p[:-1, 1:] + p[1:, :-1] + p[:-1, :-1]
