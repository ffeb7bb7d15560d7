"""Layers with an equalised learning rate: weights are drawn from N(0, 1) and scaled where they are used, so that Adam
moves every layer at the same pace (Karras et al. 2018, arXiv:1710.10196, section 4.1)."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from zoo.nn.conv import Padding, conv2d

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
        return x @ scaled + bias.reshape((1,) * (x.ndim - 1) + (-1,))


class EqualConv(nn.Module):
    """``conv2d`` with equalised weights: [B, H, W, C] -> [B, H', W', features]."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape[-1:], jnp.float32) if self.use_bias else None
        x, kernel, bias = promote_dtype(x, kernel / math.sqrt(math.prod(shape[:3])), bias, dtype=self.dtype)
        y = conv2d(x, kernel, stride=self.stride, padding=self.padding)
        return y if bias is None else y + bias.reshape(1, 1, 1, -1)
