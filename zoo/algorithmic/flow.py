"""Terraces of cut paper: level sets of a cosine on coordinates that waves have bent.

Domain warping (Perlin 1985, "An image synthesizer", his marble; Quilez 2002, iquilezles.org/articles/warp): the plane
is displaced by sines of itself, three times over, and a cosine of what is left is a height. Sheets of paper are cut
along its contour lines; the gradient tells how far the next line is, for soft edges and for the shadow of each sheet.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, Canvas, inside, rotated
from zoo.algorithmic.colour import lit, ramp

FOLDS = 3


class Flow(NamedTuple):
    """What tells one stack of paper from another."""

    angle: Annotated[Array, Between(0, 2 * pi)]
    """Which way the bands run, radians."""
    bend: Annotated[Array, Between(0.3, 0.6)]
    """How far each warp displaces the plane."""
    phase: Annotated[Array, Between(0, 2 * pi, 2 * FOLDS)]
    """[2 FOLDS] Where the waves begin, radians."""
    bands: Annotated[Array, Between(1.5, 2.5)]
    """Radians of the cosine for each unit of the canvas."""
    offset: Annotated[Array, Between(0, 2 * pi)]
    """Where the cosine begins, radians."""
    sheets: Annotated[Array, Between(4.51, 7.49)]
    """How many sheets of paper, rounded."""
    light: Annotated[Array, Between(0.25 * pi, 0.75 * pi)]
    """Where the light comes from, radians."""


def paint(flow: Flow, palette: Array, canvas: Canvas) -> Array:
    """The stack, sRGB [3, H, W]."""
    x, y = jnp.broadcast_arrays(canvas.x, canvas.y)
    height, slope = jax.linearize(lambda x, y: _height(flow, x, y), x, y)
    right, up = slope(jnp.ones_like(x), jnp.zeros_like(y)), slope(jnp.zeros_like(x), jnp.ones_like(y))
    steep = jnp.sqrt(right**2 + up**2 + 1e-4)

    last = jnp.round(flow.sheets) - 1
    level = 0.5 + last * height  # sheet k is cut at levels k and k + 1: crests and troughs lie far from any edge
    sheet = jnp.floor(level)
    above, below = (sheet + 1 - level) / (last * steep), (level - sheet) / (last * steep)  # how far the next edges are
    above_share, below_share = inside(above, canvas.pixel), inside(below, canvas.pixel)
    tone = (sheet + above_share - below_share) / last
    facing = (right * jnp.cos(flow.light) + up * jnp.sin(flow.light)) / steep  # 1: the sheet above stands in the light
    shadow = (0.6 + 0.4 * facing) * (jnp.exp(-above / 0.05) * (1 - above_share) + below_share)
    return lit(ramp(palette, tone), 0.02 - 0.3 * shadow)


def _height(flow: Flow, x: Array, y: Array) -> Array:
    """[H, W], from 0 to 1."""
    x, y = rotated(x, y, flow.angle)
    for fold in range(FOLDS):
        frequency, size = 1.6 + 0.7 * fold, flow.bend / (1 + 0.6 * fold)
        x = x + size * jnp.sin(frequency * y + flow.phase[2 * fold])
        y = y + size * jnp.sin(frequency * x + flow.phase[2 * fold + 1])
    return 0.5 - 0.5 * jnp.cos(flow.bands * x + 0.5 * y + flow.offset)
