"""Truchet tiles of arcs: stripes that wander through a lattice of tiles, each laid one way or the other at random.

Truchet 1704; the arcs are those of Smith 1987, "The tiling patterns of Sebastien Truchet and the topology of
structural hierarchy": about two opposite corners of a tile, at radii that mirror each other, so that every line goes
on in the next tile. Smooth in width and angle.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, rotated
from zoo.algorithmic.pen import ACCENT, Lines, drawn

MOST, PIECES = 11, 8
RADII = (0.3, 0.5, 0.7)


class Truchet(NamedTuple):
    """What tells one tiling from another."""

    tiles: Annotated[Array, Among((4, 5, 6, 7))]
    """In a row of the canvas."""
    turned: Annotated[Array, Among((0, 1))]
    """1: the lattice stands on its corner."""
    width: Annotated[Array, Between(0.08, 0.15)]
    """Of the lines, in tiles."""
    order: Annotated[Array, Between(0.25, 0.5)]
    """How many of the tiles are laid the other way."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark paper, 1: light."""


def lines(truchet: Truchet, key: Array) -> Lines:
    """Of each of MOST^2 tiles two corners' arcs; those that the canvas does not reach have no width."""
    count = truchet.tiles
    number = jnp.stack(jnp.divmod(jnp.arange(MOST**2), MOST)[::-1], axis=1)
    flipped = jax.random.uniform(key, (MOST**2,)) < truchet.order
    quarter = jnp.linspace(0, pi / 2, PIECES + 1)
    arc = jnp.stack([jnp.cos(quarter), jnp.sin(quarter)], axis=1)
    arcs = jnp.stack([radius * arc for radius in RADII])  # about the lower left corner
    arcs = jnp.stack([arcs, 1 - arcs])  # and about the upper right one: [2, radii, P, 2]
    mirrored = arcs * jnp.array([-1.0, 1.0]).reshape(1, 1, 1, 2) + jnp.array([1.0, 0.0]).reshape(1, 1, 1, 2)
    own = jnp.where(flipped.reshape(-1, 1, 1, 1, 1), mirrored[None], arcs[None])
    points = (number.reshape(-1, 1, 1, 1, 2) + own - MOST / 2) * 2 / count
    angle = pi / 4 * truchet.turned
    points = jnp.stack(rotated(points[..., 0], points[..., 1], angle), axis=-1)
    light = truchet.ground > 0
    outer = jnp.where(light, 0.12, 0.85)
    tone = jnp.broadcast_to(jnp.stack([outer, jnp.float32(ACCENT), outer])[None, None], points.shape[:3])
    width = jnp.full(tone.size, 1.0) * truchet.width * 2 / count
    return Lines(points.reshape(-1, PIECES + 1, 2), tone.reshape(-1), width, jnp.where(light, 0.96, 0.04))


def paint(truchet: Truchet, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The tiling, sRGB [3, H, W]."""
    return drawn(lines(truchet, key), palette, canvas)
