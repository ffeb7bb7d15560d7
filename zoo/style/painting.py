"""The picture that is learnt, and what becomes of colours."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from zoo.model import Array

# sRGB to brightness and two differences of colours (NTSC's YIQ).
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)
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
    for axis in (1, 2):
        edges = [(1, 1) if axis == side else (0, 0) for side in range(4)]
        wider, size = jnp.pad(x, edges, mode="edge"), x.shape[axis]
        before, after = (jax.lax.slice_in_dim(wider, start, start + size, axis=axis) for start in (0, 2))
        x = x / 2 + (before + after) / 4
    return x


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
    ours, theirs = picture @ YIQ.T, colours @ YIQ.T
    return jnp.concatenate([ours[..., :1], theirs[..., 1:]], axis=-1) @ np.linalg.inv(YIQ).T.astype(np.float32)


def roughness(picture: Array) -> Array:
    """Mean squared difference of neighbouring pixels of [..., H, W, 3] (Rudin et al. 1992, squared)."""
    across, down = jnp.diff(picture, axis=-2), jnp.diff(picture, axis=-3)
    return jnp.mean(jnp.square(across)) + jnp.mean(jnp.square(down))
