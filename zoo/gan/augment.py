"""Augmentations that do not leak: what a critic sees of data and of samples is turned, moved, stretched and recoloured
with probability p, so that it cannot learn few pictures by heart (Karras et al. 2020, arXiv:2006.06676, appendix B).

Flips, quarter turns, shifts, scales, turns, stretches; brightness, contrast, inverted luma, hue, saturation: the
paper's first two groups with its ranges. All geometry is one affine map a picture, sampled bilinearly at the picture's
own size, where the authors' code samples finer; what lies outside is mirrored.
"""

from collections.abc import Callable, Iterator
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
FARTHEST = 0.125  # of whole shifts, and the deviation of others, in widths of a picture
SCALE, STRETCH, BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.2, 0.2, 0.5, 1.0  # deviations; of factors, in powers of 2
LUMA = np.array([1.0, 1.0, 1.0, 0.0], np.float32) / np.sqrt(np.float32(3))


def augment(x: Array, p: Array, key: Array) -> Array:
    """x [B, H, W, C] in [-1, 1] -> the same shape; each augmentation befalls a picture with probability p []. Smooth in
    x. Beyond three channels, those of the colour are the first three."""
    geometry, colour = jax.random.split(key)
    x = resampled(x, affine(geometry, p, len(x), (x.shape[1], x.shape[2])))
    return recoloured(x, colours(colour, p, len(x), hue=x.shape[-1] > 1))


def affine(key: Array, p: Array, n: int, sides: tuple[int, int]) -> Array:
    """[n, 3, 3]: where in the picture each pixel of the result comes from, (column, row, 1) from the centre."""
    keys = iter(jax.random.split(key, 16))
    draw = lambda values, neutral, p=p: _gated(next(keys), p, values, neutral)
    normal, uniform = (lambda *shape: jax.random.normal(next(keys), (n, *shape), jnp.float32)), _uniform(keys, n)
    height, width = sides
    size = jnp.array([width, height], jnp.float32)
    half = 1 - jnp.sqrt(jnp.maximum(1 - p, 0))  # a turn before stretching or after it: p in all
    flip = draw(jnp.sign(uniform()), 1.0)
    quarters = draw(jnp.floor(2 * (uniform() + 1)), 0.0)
    whole = draw(jnp.round(FARTHEST * uniform(2) * size[None]), 0.0)
    scale = draw(jnp.exp2(SCALE * normal()), 1.0)
    before = draw(jnp.pi * uniform(), 0.0, half)
    stretch = draw(jnp.exp2(STRETCH * normal()), 1.0)
    after = draw(jnp.pi * uniform(), 0.0, half)
    rest = draw(FARTHEST * normal(2) * size[None], 0.0)
    steps = [
        _scaling(flip, jnp.ones(n)),
        _turn(quarters * (jnp.pi / 2)),
        _shift(whole),
        _scaling(1 / scale, 1 / scale),
        _turn(before),
        _scaling(1 / stretch, stretch),
        _turn(after),
        _shift(rest),
    ]
    return reduce(_product, steps)


def colours(key: Array, p: Array, n: int, *, hue: bool) -> Array:
    """[n, 4, 4]: the map of (red, green, blue, 1). Without ``hue`` only what grey pictures have is changed."""
    keys = iter(jax.random.split(key, 16))
    draw = lambda values, neutral: _gated(next(keys), p, values, neutral)
    normal, uniform = (lambda *shape: jax.random.normal(next(keys), (n, *shape), jnp.float32)), _uniform(keys, n)
    eye, luma = jnp.eye(4)[None], jnp.asarray(np.outer(LUMA, LUMA))[None]
    bright = draw(BRIGHTNESS * normal(), 0.0)
    contrast = draw(jnp.exp2(CONTRAST * normal()), 1.0)
    inverted = draw((uniform() > 0).astype(jnp.float32), 0.0)
    colour = jnp.array([1.0, 1.0, 1.0, 0.0])
    lifted = eye + bright[:, None, None] * (colour[:, None] * jnp.array([0.0, 0.0, 0.0, 1.0])[None])[None]
    stretched = eye + (contrast[:, None, None] - 1) * jnp.diag(colour)[None]
    steps = [eye - 2 * luma * inverted[:, None, None], stretched, lifted]
    if hue:
        angle = draw(jnp.pi * uniform(), 0.0)
        vivid = draw(jnp.exp2(SATURATION * normal()), 1.0)
        steps = [luma + (eye - luma) * vivid[:, None, None], _around_luma(angle), *steps]
    return reduce(_product, steps)


def resampled(x: Array, maps: Array) -> Array:
    """x [B, H, W, C] by maps [B, 3, 3] as `affine` gives them, bilinearly."""
    height, width = x.shape[1:3]
    centre = jnp.array([(width - 1) / 2, (height - 1) / 2], jnp.float32)
    rows, columns = jnp.meshgrid(jnp.arange(height) - centre[1], jnp.arange(width) - centre[0], indexing="ij")
    places = jnp.stack([columns, rows, jnp.ones_like(rows)], axis=-1)
    source = jnp.sum(maps[:, None, None, :2] * places[None, :, :, None], axis=-1) + centre[None, None, None]
    source = jnp.stack([_mirrored(source[..., 0], width), _mirrored(source[..., 1], height)], axis=-1)
    first = jnp.clip(jnp.floor(source), 0, jnp.array([width - 2, height - 2])[None, None, None])
    share = (source - first)[..., None].astype(x.dtype)
    column, row = first[..., 0].astype(jnp.int32), first[..., 1].astype(jnp.int32)
    # Picture by picture, so that on several devices each reads its own.
    at = lambda i, j: jax.vmap(lambda picture, row, column: picture[row, column])(x, row + i, column + j)
    right, down = share[..., 0, :], share[..., 1, :]
    upper, lower = (at(i, 0) * (1 - right) + at(i, 1) * right for i in range(2))
    return upper * (1 - down) + lower * down


def recoloured(x: Array, maps: Array) -> Array:
    """x [B, H, W, C] by maps [B, 4, 4] as `colours` gives them; of a grey picture, their mean."""
    maps = maps.astype(x.dtype)
    if x.shape[-1] < 3:
        mean = jnp.mean(maps[:, :3], axis=1)
        return x * jnp.sum(mean[:, :3], axis=1)[:, None, None, None] + mean[:, 3][:, None, None, None]
    colour = jnp.sum(maps[:, None, None, :3, :3] * x[..., None, :3], axis=-1) + maps[:, None, None, :3, 3]
    return jnp.concatenate([colour, x[..., 3:]], axis=-1)


def _gated(key: Array, p: Array, values: Array, neutral: float) -> Array:
    """``values`` [n, ...] for the share p of the pictures, ``neutral`` for the others."""
    chosen = jax.random.uniform(key, (len(values),)) < p
    return jnp.where(chosen.reshape(-1, *[1] * (values.ndim - 1)), values, neutral)


def _uniform(keys: Iterator[Array], n: int) -> Callable[..., Array]:
    """Draws [n, ...] in [-1, 1)."""
    return lambda *shape: jax.random.uniform(next(keys), (n, *shape), jnp.float32, -1, 1)


def _product(a: Array, b: Array) -> Array:
    """[n, k, k] times [n, k, k], in the precision that they have."""
    return jnp.sum(a[..., :, :, None] * b[..., None, :, :], axis=-2)


def _mirrored(place: Array, side: int) -> Array:
    """A coordinate brought into [0, side - 1], as in a picture whose neighbours are its mirror images."""
    period = jnp.mod(place + 0.5, 2 * side)
    return jnp.clip(jnp.where(period < side, period, 2 * side - period) - 0.5, 0, side - 1)


def _rows(*rows: tuple[Array, ...]) -> Array:
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _scaling(x: Array, y: Array) -> Array:
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    return _rows((x, zero, zero), (zero, y, zero), (zero, zero, one))


def _turn(angle: Array) -> Array:
    sin, cos, zero, one = jnp.sin(angle), jnp.cos(angle), jnp.zeros_like(angle), jnp.ones_like(angle)
    return _rows((cos, -sin, zero), (sin, cos, zero), (zero, zero, one))


def _shift(by: Array) -> Array:
    zero, one = jnp.zeros_like(by[:, 0]), jnp.ones_like(by[:, 0])
    return _rows((one, zero, -by[:, 0]), (zero, one, -by[:, 1]), (zero, zero, one))


def _around_luma(angle: Array) -> Array:
    """The turn of the colours about the axis of greys (Rodrigues)."""
    x, y, z = LUMA[:3]
    cross = np.array([[0, -z, y, 0], [z, 0, -x, 0], [-y, x, 0, 0], [0, 0, 0, 0]], np.float32)
    apart, along = np.diag([1, 1, 1, 0]).astype(np.float32) - np.outer(LUMA, LUMA), np.outer(LUMA, LUMA)
    still = along + np.diag([0, 0, 0, 1]).astype(np.float32)
    cos, sin = jnp.cos(angle)[:, None, None], jnp.sin(angle)[:, None, None]
    return jnp.asarray(still)[None] + cos * jnp.asarray(apart)[None] + sin * jnp.asarray(cross)[None]
