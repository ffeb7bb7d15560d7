"""The picture that is learnt, and what becomes of colours."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from zoo.gan.residual import halved
from zoo.model import Array
from zoo.nn.filters import smooth

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue (ITU-R BT.601)
TINY = 1e-8
FAINT = 1e-4  # added to variances of colours


def blank(height: int, width: int, levels: int) -> dict[str, Array]:
    """A picture as a sum of ``levels`` pictures, each half as large as the one before (Burt & Adelson 1983): what a
    gradient does to the small ones it does to whole regions, so that coarse things come first and need no schedule
    (Mordvintsev et al. 2018, "Differentiable Image Parameterizations")."""
    size = lambda side, level: max(-(-side // 2**level), 1)
    return {f"level{level}": jnp.zeros((size(height, level), size(width, level), 3)) for level in range(levels)}


def painted(levels: Mapping[str, Array]) -> Array:
    """Their sum [H, W, 3], the small ones enlarged."""
    names = sorted(levels, reverse=True)
    picture = levels[names[0]]
    for name in names[1:]:
        picture = enlarged(picture, levels[name].shape[0], levels[name].shape[1]) + levels[name]
    return picture


def enlarged(x: Array, height: int, width: int) -> Array:
    """[H, W, C] -> [height, width, C], up to twice as large: pixels doubled, then their borders softened. Sums of
    shifted pictures, which keep their precision where products have less."""
    return softened(jnp.repeat(jnp.repeat(x, 2, axis=0), 2, axis=1)[None, :height, :width])[0]


def softened(x: Array) -> Array:
    """[B, H, W, C], each pixel mixed with its neighbours, two parts to one."""
    return smooth(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge"), (1, 2, 1), pads=(0, 0))


def half(images: Array) -> Array:
    """[B, H, W, C] -> [B, H // 2, W // 2, C], softened first; an odd last row or column is left out."""
    height, width = (side // 2 * 2 for side in images.shape[1:3])
    return halved(softened(images[:, :height, :width]))


def with_colours_of(style: Array, content: Array) -> Array:
    """``style`` [..., h, w, 3] with the mean and the covariance of the colours of ``content`` [..., H, W, 3] (Gatys et
    al. 2016, arXiv:1606.05897, section 4.1, by square roots of matrices; CORAL's map)."""
    colours = lambda x: x.reshape(*x.shape[:-3], -1, 3)
    mean = lambda x: jnp.mean(x, axis=-2, keepdims=True)
    ours, theirs = colours(style), colours(content)
    faint = FAINT * jnp.eye(3).reshape(*[1] * (style.ndim - 3), 3, 3)
    spread = lambda x: jnp.einsum("...pc,...pd->...cd", x - mean(x), x - mean(x)) / x.shape[-2] + faint
    narrow, wide = root(spread(ours), -0.5), root(spread(theirs), 0.5)
    found = jnp.einsum("...pc,...cd,...de->...pe", ours - mean(ours), narrow, wide) + mean(theirs)
    return found.reshape(style.shape)


def root(matrix: Array, power: float) -> Array:
    """A power of symmetric matrices [..., N, N]."""
    values, vectors = jnp.linalg.eigh(matrix)
    return jnp.einsum("...ij,...j,...kj->...ik", vectors, jnp.maximum(values, TINY) ** power, vectors)


def brightness_of(picture: Array, colours: Array) -> Array:
    """The brightness of one picture [..., 3] with the colours of another (Gatys et al. 2016, section 4.2)."""
    luma = lambda x: jnp.sum(x * LUMA.reshape(*[1] * (x.ndim - 1), 3), axis=-1, keepdims=True)
    return colours + luma(picture) - luma(colours)  # what is added to all three changes no difference of colours


def roughness(picture: Array) -> Array:
    """[...], the mean squared difference of neighbouring pixels of [..., H, W, 3] (Rudin et al. 1992, squared)."""
    across, down = jnp.diff(picture, axis=-2), jnp.diff(picture, axis=-3)
    mean = lambda apart: jnp.mean(jnp.square(apart), axis=(-3, -2, -1))
    return mean(across) + mean(down)
