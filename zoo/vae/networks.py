"""Encoders and decoders of the VAEs: dense ones and convolutional ones behind the same two signatures.

An encoder maps pictures [B, H, W, C] to the mean and the log variance of q(z | x), each [B, Z], or, where it is
``sure``, to z itself; a decoder maps latents [B, Z] to what the likelihood takes, [B, H, W, C].
"""

import math
from typing import Any

import flax.linen as nn

from zoo.losses import wide
from zoo.model import Array
from zoo.nn.conv import Conv, ConvTranspose


class DenseEncoder(nn.Module):
    """One hidden layer: the 784-400-40 of the likelihood papers."""

    latent_size: int
    width: int
    dtype: Any
    sure: bool = False

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array] | Array:
        x = nn.relu(nn.Dense(self.width, dtype=self.dtype)(x.reshape(len(x), -1)))
        return _posterior(x, self.latent_size, self.dtype, self.sure)


class DenseDecoder(nn.Module):
    """One hidden layer."""

    image_size: int
    channels: int
    width: int
    dtype: Any

    @nn.compact
    def __call__(self, z: Array) -> Array:
        x = nn.relu(nn.Dense(self.width, dtype=self.dtype)(z))
        x = nn.Dense(self.image_size * self.image_size * self.channels, dtype=self.dtype)(x)
        return wide(x).reshape(-1, self.image_size, self.image_size, self.channels)


class ConvEncoder(nn.Module):
    """Half the size a layer, down to 4 x 4."""

    image_size: int
    latent_size: int
    width: int
    dtype: Any
    sure: bool = False

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array] | Array:
        for features in _widths(self.image_size, self.width):
            x = nn.silu(Conv(features, kernel_size=4, stride=2, dtype=self.dtype)(x))
        x = nn.silu(nn.Dense(8 * self.width, dtype=self.dtype)(x.reshape(len(x), -1)))
        return _posterior(x, self.latent_size, self.dtype, self.sure)


class ConvDecoder(nn.Module):
    """From 4 x 4, twice the size a layer."""

    image_size: int
    channels: int
    width: int
    dtype: Any

    @nn.compact
    def __call__(self, z: Array) -> Array:
        *inner, first = _widths(self.image_size, self.width)
        x = nn.silu(nn.Dense(8 * self.width, dtype=self.dtype)(z))
        x = nn.silu(nn.Dense(8 * self.width, dtype=self.dtype)(x))
        x = nn.silu(nn.Dense(4 * 4 * first, dtype=self.dtype)(x)).reshape(-1, 4, 4, first)
        for features in reversed(inner):
            x = nn.silu(ConvTranspose(features, kernel_size=4, stride=2, dtype=self.dtype)(x))
        return wide(ConvTranspose(self.channels, kernel_size=4, stride=2, dtype=self.dtype)(x))


def _posterior(x: Array, latent_size: int, dtype: Any, sure: bool) -> tuple[Array, Array] | Array:
    """Starts at the prior, so that the first latents are of the size that the decoder will see in samples."""
    mean = nn.Dense(latent_size, dtype=dtype, name="mean")(x)
    if sure:
        return wide(mean)
    log_variance = nn.Dense(latent_size, dtype=dtype, name="log_variance", kernel_init=nn.initializers.zeros)(x)
    return wide(mean), wide(log_variance)


def _widths(image_size: int, width: int) -> list[int]:
    """Channels from half the image's size down to 4 x 4."""
    return [width * min(2**level, 8) for level in range(int(math.log2(image_size)) - 2)]
