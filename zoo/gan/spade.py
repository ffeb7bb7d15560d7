"""SPADE: Park, Liu, Wang & Zhu 2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization"
(arXiv:1903.07291)."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from zoo.gan.residual import enlarged
from zoo.gan.translators import NORMAL
from zoo.losses import wide
from zoo.model import Array
from zoo.nn import compute_dtype
from zoo.nn.batch_norm import BatchNorm
from zoo.nn.conv import Conv

WIDEST = 16  # times the width at the picture's own size


class SpatialNorm(nn.Module):
    """x [B, H, W, C] normalised, by gains around 1 and biases that two layers read off a map, pixel by pixel (equations
    1 to 3). What a norm takes away, the map so gives back: a uniform map is not washed out."""

    hidden: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, plan: Array, *, train: bool) -> Array:
        norm = BatchNorm(use_running_average=not train, momentum=0.9, use_scale=False, use_bias=False, dtype=self.dtype)
        layer = partial(Conv, kernel_init=NORMAL, dtype=self.dtype)
        read = nn.relu(layer(self.hidden, name="read")(nearest(plan, x.shape[1])))
        gain, bias = (layer(x.shape[-1], name=name)(read) for name in ("gain", "bias"))
        return norm(x) * (1 + gain) + bias


class SpatialBlock(nn.Module):
    """[B, H, W, C] and a map -> [B, H, W, features] (figure 4)."""

    features: int
    hidden: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, plan: Array, *, train: bool) -> Array:
        norm = lambda x: SpatialNorm(self.hidden, self.dtype)(x, plan, train=train)
        layer = partial(Conv, kernel_init=NORMAL, dtype=self.dtype)
        y = layer(min(x.shape[-1], self.features))(nn.leaky_relu(norm(x), 0.2))
        y = layer(self.features)(nn.leaky_relu(norm(y), 0.2))
        if x.shape[-1] == self.features:
            return x + y
        return y + layer(self.features, kernel_size=1, use_bias=False, name="skip")(norm(x))


class SpatialGenerator(nn.Module):
    """A map [B, H, W, K] -> [B, H, W, channels] in [-1, 1]: from the map halved ``levels`` times, two blocks behind the
    first doubling and one behind each other, with the map in every norm (figure 4 and appendix A)."""

    channels: int
    width: int
    levels: int
    dtype: str

    @nn.compact
    def __call__(self, plan: Array, key: Array, *, train: bool) -> Array:
        del key
        dtype, levels = compute_dtype(self.dtype), self.levels
        widths = [self.width * min(2**level, WIDEST) for level in range(levels)]
        block = lambda features, x: SpatialBlock(features, 2 * self.width, dtype)(x, plan, train=train)
        x = Conv(widths[-1], kernel_init=NORMAL, dtype=dtype)(nearest(plan, plan.shape[1] >> levels))
        x = block(widths[-1], x)
        for level in reversed(range(levels)):
            x = enlarged(x)
            x = block(widths[-1], x) if level == levels - 1 else x
            x = block(widths[level], x)
        return jnp.tanh(wide(Conv(self.channels, kernel_init=NORMAL, dtype=dtype)(nn.leaky_relu(x, 0.2))))


def nearest(x: Array, height: int) -> Array:
    """[B, H, W, K] -> [B, height, W height / H, K], for heights that divide H: the first pixel of each square, so that
    a map of labels stays one."""
    every = x.shape[1] // height
    return x[:, ::every, ::every]
