"""Iterated function systems: a polygon's corners, towards which points hop, turning as they go.

Hutchinson 1981, "Fractals and self-similarity"; Barnsley 1988. Map k is w(z) = corner_k + ratio * turned(z - corner_k):
three corners, a ratio of a half and no turn give Sierpinski's triangle. A last map, towards the centre, fills the
middle. Drawn by the chaos game: smooth in the palette only.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas
from zoo.algorithmic.chaos import POINTS, Swarm, chosen, portrait

MOST = 8


class Ifs(NamedTuple):
    """What tells one system from another."""

    corners: Annotated[Array, Among((3, 4, 5, 6, 7))]
    """How many."""
    tight: Annotated[Array, Between(0.98, 1.16)]
    """The ratio, in that at which neighbours just touch."""
    turn: Annotated[Array, Between(-0.6, 0.6)]
    """How each hop turns, radians."""
    core: Annotated[Array, Between(-0.2, 0.5)]
    """The ratio of the map towards the centre; 0 or less for none."""
    twist: Annotated[Array, Between(-pi, pi)]
    """How that one turns, radians."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark paper, 1: light."""


def maps(ifs: Ifs) -> tuple[Array, Array, Array]:
    """(linear parts [MOST, 2, 2], shifts [MOST, 2], how often each is taken [MOST]) of w(z) = linear z + shift."""
    number, count = jnp.arange(MOST), ifs.corners
    central = number == count
    angle = 2 * pi * number / count + pi / 2
    corner = jnp.where(central[:, None], 0, jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1))
    ratio = jnp.where(central, jnp.maximum(ifs.core, 0.05), jnp.minimum(ifs.tight * touching(count), 0.72))
    turn = jnp.where(central, ifs.twist, ifs.turn)
    cosine, sine = ratio * jnp.cos(turn), ratio * jnp.sin(turn)
    linear = jnp.stack([jnp.stack([cosine, -sine], axis=1), jnp.stack([sine, cosine], axis=1)], axis=1)
    often = jnp.where(number < count, 1.0, jnp.where(central & (ifs.core > 0), 1.0, 0.0))
    return linear, corner - jnp.einsum("kij,kj->ki", linear, corner, precision="highest"), often


def touching(corners: Array) -> Array:
    """The ratio at which the copies of a regular polygon just touch: 1 / (2 sum of cos(2 pi k / n), 0 <= k <= n /
    4)."""
    k = jnp.arange(MOST)
    return 0.5 / jnp.sum(jnp.where(4 * k <= corners, jnp.cos(2 * pi * k / corners), 0))


def paint(ifs: Ifs, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The attractor, sRGB [3, H, W]."""
    linear, shift, often = maps(ifs)
    memory = jnp.arange(MOST) / ifs.corners
    table = jnp.concatenate([linear.reshape(MOST, 4), shift, memory[:, None]], axis=1)

    def hop(key: Array, swarm: Swarm) -> Swarm:
        number = jax.random.uniform(key, (POINTS,)) * often.sum()
        which = jnp.searchsorted(jnp.cumsum(often), number, side="right")
        (a, b, c, d, right, up, memory), (x, y) = chosen(table, which).T, swarm.place.T
        return Swarm(jnp.stack([a * x + b * y + right, c * x + d * y + up], axis=1), (swarm.colour + memory) / 2)

    return portrait(hop, key, palette, canvas, ground=ifs.ground)
