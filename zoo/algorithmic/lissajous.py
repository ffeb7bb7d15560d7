"""Lissajous figures: two swings at right angles, drawn again and again while one falls behind the other.

Bowditch 1815; Lissajous 1857: x = sin(a t + phase), y = sin(b t), closed for whole a and b. Copies with phases in even
steps are the sides of a surface that seems to turn. Smooth in all but a and b.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, mix, rotated
from zoo.algorithmic.pen import ACCENT, Lines, drawn

COPIES, PIECES = 9, 448
RATIOS = ((3, 4), (4, 5), (5, 6), (3, 5), (4, 7), (5, 7), (5, 8), (3, 7))


class Lissajous(NamedTuple):
    """What tells one figure from another."""

    ratio: Annotated[Array, Among(tuple(range(len(RATIOS))))]
    """Which of RATIOS a and b are."""
    phase: Annotated[Array, Between(0, pi)]
    """Of the first copy, radians."""
    behind: Annotated[Array, Between(0.25, 0.7)]
    """From the first copy to the last, in half turns of b t."""
    angle: Annotated[Array, Between(-pi / 4, pi / 4)]
    """How the figure is turned, radians."""
    width: Annotated[Array, Between(0.006, 0.016)]
    """Of the lines."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark paper, 1: light."""


def lines(lissajous: Lissajous, key: Array) -> Lines:
    """COPIES closed lines. Nothing in them is random."""
    a, b = jnp.asarray(RATIOS, jnp.float32)[lissajous.ratio.astype(jnp.int32)]
    time = 2 * pi * jnp.arange(PIECES + 1)[None, :] / PIECES
    copy = jnp.arange(COPIES)[:, None]
    x = jnp.sin(a * time + lissajous.phase + lissajous.behind * pi / b * copy / (COPIES - 1))
    y = jnp.sin(b * time) + 0 * x
    size = 0.9 / (jnp.cos(lissajous.angle) + jnp.abs(jnp.sin(lissajous.angle)))
    points = size * jnp.stack(rotated(x, y, lissajous.angle), axis=-1)
    place = copy[:, 0] / (COPIES - 1)
    light = lissajous.ground
    tone = mix(0.4 + 0.6 * place, 0.75 * place, light)
    tone = jnp.where(copy[:, 0] == COPIES // 2, ACCENT, tone)
    return Lines(points, tone, lissajous.width + 0 * tone, light)


def paint(lissajous: Lissajous, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The figure, sRGB [3, H, W]."""
    return drawn(lines(lissajous, key), palette, canvas)
