"""Residual generators and critics, with or without labels.

Blocks with two 3 x 3 convolutions behind normalisation and ReLU, resampling by nearest neighbours and by means, as in
Gulrajani et al. 2017 (arXiv:1704.00028), appendix F; labels as in Miyato & Koyama 2018 (arXiv:1802.05637).
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from zoo.losses import wide
from zoo.model import Array
from zoo.nn import compute_dtype
from zoo.nn.conv import Conv, ConvTranspose

SMALLEST = 4  # pixels a side, where a generator begins and a critic ends
HE = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def widths(image_size: int, width: int, widest: int) -> list[int]:
    """Channels at the image's own size, at half of it, ... at 4 x 4: they double, up to ``widest`` times ``width``."""
    levels = (image_size // SMALLEST).bit_length()
    return [width * min(2**level, widest) for level in range(levels)]


def enlarged(x: Array, times: int = 2) -> Array:
    """[B, H, W, C] -> [B, times * H, times * W, C]: every pixel becomes a square."""
    b, h, w, c = x.shape
    shape = (b, h, times, w, times, c)
    return jnp.broadcast_to(x[:, :, None, :, None], shape).reshape(b, h * times, w * times, c)


def halved(x: Array) -> Array:
    """[B, H, W, C] -> [B, H / 2, W / 2, C]: means of 2 x 2 pixels."""
    b, h, w, c = x.shape
    return jnp.mean(x.reshape(b, h // 2, 2, w // 2, 2, c), axis=(2, 4))


class Norm(nn.Module):
    """Batch normalisation; with ``label`` [B, K] its gain and bias are the label's own (de Vries et al. 2017,
    arXiv:1707.00683), mixed where the label is."""

    dtype: Any

    @nn.compact
    def __call__(self, x: Array, label: Array | None, *, train: bool) -> Array:
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, dtype=self.dtype)
        if label is None:
            return norm()(x)
        x = norm(use_scale=False, use_bias=False)(x)
        of_label = partial(nn.Dense, x.shape[-1], use_bias=False, dtype=self.dtype)
        gain = of_label(kernel_init=nn.initializers.ones, name="gain")(label)
        bias = of_label(kernel_init=nn.initializers.zeros, name="bias")(label)
        return x * gain[:, None, None] + bias[:, None, None]


class UpBlock(nn.Module):
    """[B, H, W, C] -> [B, 2 H, 2 W, features]."""

    features: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, label: Array | None, *, train: bool) -> Array:
        layer = partial(Conv, self.features, kernel_init=HE, dtype=self.dtype)
        y = enlarged(nn.relu(Norm(self.dtype)(x, label, train=train)))
        y = nn.relu(Norm(self.dtype)(layer()(y), label, train=train))
        # A 1 x 1 convolution of a picture of squares is the squares of its result.
        return layer()(y) + enlarged(Conv(self.features, kernel_size=1, dtype=self.dtype, name="skip")(x))


class DownBlock(nn.Module):
    """[B, H, W, C] -> [B, H / 2, W / 2, features]. ``first``: x is a picture, which no ReLU may cut."""

    features: int
    dtype: Any
    layer_norm: bool = False
    first: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        norm = lambda x: nn.GroupNorm(num_groups=1, dtype=self.dtype)(x) if self.layer_norm else x
        layer = partial(Conv, self.features, kernel_init=HE, dtype=self.dtype)
        y = layer()(x if self.first else nn.relu(norm(x)))
        y = layer()(nn.relu(norm(y)))
        return halved(y) + Conv(self.features, kernel_size=1, dtype=self.dtype, name="skip")(halved(x))


class ResidualGenerator(nn.Module):
    """Latents [B, Z], and labels [B, K] where they are given -> pictures [B, H, W, C] in [-1, 1].

    A label enters every normalisation, or, with ``concatenate``, the first layer, beside the latent.
    """

    image_size: int
    channels: int
    width: int
    widest: int
    dtype: str
    concatenate: bool = False

    @nn.compact
    def __call__(self, latent: Array, label: Array | None = None, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        *inner, smallest = widths(self.image_size, self.width, self.widest)
        if label is not None and self.concatenate:
            latent, label = jnp.concatenate([latent, label.astype(latent.dtype)], axis=-1), None
        x = nn.Dense(SMALLEST * SMALLEST * smallest, dtype=dtype)(latent).reshape(-1, SMALLEST, SMALLEST, smallest)
        for features in reversed(inner):
            x = UpBlock(features, dtype)(x, label, train=train)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, dtype=dtype)(x))
        return jnp.tanh(wide(Conv(self.channels, dtype=dtype)(x)))


class ResidualCritic(nn.Module):
    """Pictures [B, H, W, C], and labels [B, K] where they are given -> logits [B]. Nothing mixes the pictures.

    A label is projected on the last features (Miyato & Koyama 2018, equation 3), or, with ``concatenate``, laid beside
    the picture as planes.
    """

    image_size: int
    width: int
    widest: int
    dtype: str
    layer_norm: bool = False
    concatenate: bool = False

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        if label is not None and self.concatenate:
            planes = jnp.broadcast_to(label[:, None, None].astype(x.dtype), (*x.shape[:3], label.shape[-1]))
            x, label = jnp.concatenate([x, planes], axis=-1), None
        _, *inner = widths(self.image_size, self.width, self.widest)
        for index, features in enumerate(inner):
            x = DownBlock(features, dtype, self.layer_norm, first=index == 0)(x)
        x = jnp.sum(wide(nn.relu(x)), axis=(1, 2))
        logits = nn.Dense(1, dtype=dtype)(x)
        if label is not None:
            embedding = nn.Dense(x.shape[-1], use_bias=False, dtype=dtype, name="projection")(label)
            logits = wide(logits) + jnp.sum(wide(embedding) * x, axis=-1, keepdims=True)
        return wide(logits)[:, 0]


class UNetGenerator(nn.Module):
    """Latents [B, Z] -> pictures [B, H, W, C] in [-1, 1], by way of a canvas.

    A dense layer turns the latent into a coarse picture of 8 channels, an eighth of the size; a U-Net (Ronneberger et
    al. 2015, arXiv:1505.04597; strided as in Isola et al. 2017, arXiv:1611.07004) reads it, down to 4 x 4, and paints
    over it, with what each level had seen beside what comes up to it.
    """

    image_size: int
    channels: int
    width: int
    widest: int
    dtype: str
    coarse: int = 8

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        norm = lambda x: nn.BatchNorm(use_running_average=not train, momentum=0.9, dtype=dtype)(x)
        layer = partial(Conv, kernel_size=4, stride=2, use_bias=False, kernel_init=HE, dtype=dtype)
        up = partial(ConvTranspose, kernel_size=4, stride=2, kernel_init=HE, dtype=dtype)
        side, planes = max(self.image_size // self.coarse, 1), 8
        canvas = nn.Dense(side * side * planes, dtype=dtype)(latent).reshape(-1, side, side, planes)
        x, seen = enlarged(canvas, self.image_size // side), []
        _, *inner = widths(self.image_size, self.width, self.widest)
        for features in inner:
            x = nn.leaky_relu(norm(layer(features)(x)), 0.2)
            seen.append(x)
        for features, skip in zip(reversed(inner[:-1]), reversed(seen[:-1]), strict=True):
            x = jnp.concatenate([nn.relu(norm(up(features, use_bias=False)(x))), skip], axis=-1)
        return jnp.tanh(wide(up(self.channels, kernel_init=nn.initializers.lecun_normal())(x)))
