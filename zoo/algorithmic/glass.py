"""Stained glass: the cells of a Voronoi diagram, leaded, with light falling through.

Cellular texture (Worley 1996, "A cellular texture basis function") over nine points, a lattice shaken. The distance to
the lead is the exact one to the bisector between the nearest point p and the second nearest q,
(|x - q|^2 - |x - p|^2) / 2 |p - q| (Quilez 2012, iquilezles.org/articles/voronoilines).
"""

from math import pi
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, Canvas, inside, polar, rotated
from zoo.algorithmic.colour import accent, lit, over, ramp

SIDE = 3


class Glass(NamedTuple):
    """What tells one window from another."""

    angle: Annotated[Array, Between(0, 2 * pi)]
    """How the lattice is turned, radians."""
    jitter_x: Annotated[Array, Between(-0.36, 0.36, SIDE**2)]
    jitter_y: Annotated[Array, Between(-0.36, 0.36, SIDE**2)]
    """[SIDE^2] How far each point is shaken, in cells of the lattice."""
    tone: Annotated[Array, Between(0.12, 1.0, SIDE**2)]
    """[SIDE^2] How light each pane is; the first one has the accent's colour."""
    lead: Annotated[Array, Between(0.018, 0.035)]
    """Half the width of the lead."""
    light_x: Annotated[Array, Between(-0.6, 0.6)]
    light_y: Annotated[Array, Between(0.0, 0.6)]
    """Where the light is brightest."""


def paint(glass: Glass, palette: Array, canvas: Canvas) -> Array:
    """The window, sRGB [3, H, W]."""
    x, y = rotated(canvas.x, canvas.y, glass.angle)
    rows, columns = jnp.divmod(jnp.arange(SIDE**2), SIDE)
    points_x, points_y = 0.8 * (columns - 1 + glass.jitter_x), 0.8 * (rows - 1 + glass.jitter_y)
    colours = ramp(palette, glass.tone).at[:, 0].set(accent(palette))

    first = second = (jnp.full_like(x, 1e3), jnp.zeros_like(x), jnp.zeros_like(x))  # |x - p|^2, p
    panes = jnp.zeros((3, *x.shape))
    for pane in range(SIDE**2):
        this = ((x - points_x[pane]) ** 2 + (y - points_y[pane]) ** 2, points_x[pane], points_y[pane])
        nearest, nearer = this[0] < first[0], this[0] < second[0]
        other = tuple(jnp.where(nearest, a, b) for a, b in zip(first, this, strict=True))
        second = tuple(jnp.where(nearer, a, b) for a, b in zip(other, second, strict=True))
        first = tuple(jnp.where(nearest, a, b) for a, b in zip(this, first, strict=True))
        panes = over(panes, colours[:, pane], 1.0 * nearest)
    apart = jnp.sqrt((first[1] - second[1]) ** 2 + (first[2] - second[2]) ** 2 + 1e-6)
    border = 0.5 * (second[0] - first[0]) / apart

    radius, _ = polar(canvas.x - glass.light_x, canvas.y - glass.light_y)
    panes = lit(panes, 0.18 * jnp.exp(-radius * radius) - 0.14 + 0.25 * jnp.minimum(border, 0.3))
    return over(panes, 0.4 * palette[0], inside(border - glass.lead, canvas.pixel))
