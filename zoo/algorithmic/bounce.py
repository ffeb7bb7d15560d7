"""Shapes that move: endless short films, each of one shape that bounces, circles or spins.

What is seen (a form, its colours, its size) and how it moves (a way, its speed, where it begins) are drawn apart from
one another, so that a model may tell content from motion.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic.canvas import Between, dimension, inside, polar, rotated, scaled, square
from zoo.algorithmic.colour import PALETTES, SHADES, accent, over, palette

TABLE = np.stack([palette(colours) for colours in PALETTES.values()])
CORNERS = np.array([3.0, 4.0, 6.0, 48.0], np.float32)  # of a form; many make a disc
WAYS = ("bounce", "circle", "spin")


class Content(NamedTuple):
    """What is seen."""

    form: Annotated[Array, Between(0, len(CORNERS) + 1 - 1e-3)]
    """Which one, rounded down; the last is a ring."""
    size: Annotated[Array, Between(0.24, 0.4)]
    colours: Annotated[Array, Between(0, len(TABLE) - 1e-3)]
    """A palette, rounded down."""
    ground: Annotated[Array, Between(0, 2 - 1e-3)]
    """0: a light shape on dark ground; 1: the accent on light ground."""


class Motion(NamedTuple):
    """How it moves."""

    way: Annotated[Array, Between(0, len(WAYS) - 1e-3)]
    """Which of ``WAYS``, rounded down."""
    speed: Annotated[Array, Between(0.045, 0.1)]
    """Turns a frame of a circle, and there and back of a bounce; of a spin so much of a quarter turn, doubled."""
    phase: Annotated[Array, Between(0, 1)]
    angle: Annotated[Array, Between(0, 2 * pi)]
    """Along which a shape bounces, or at which it starts to spin."""
    reach: Annotated[Array, Between(0.4, 0.55)]
    """How far from the centre it comes."""
    turn: Annotated[Array, Between(-1, 1)]
    """Below 0 it circles and spins the other way round."""


def draw(key: Array, size: int, length: int) -> Array:
    """The clip of a key: float32 [length, size, size, 3] in [-1, 1]."""
    content, motion = jax.random.split(key)
    seen = scaled(jax.random.uniform(content, (dimension(Content),), jnp.float32), Content)
    moves = scaled(jax.random.uniform(motion, (dimension(Motion),), jnp.float32), Motion)
    return film(seen, moves, size, length)


def film(content: Content, motion: Motion, size: int, length: int) -> Array:
    """float32 [length, size, size, 3] in [-1, 1]: a content with a motion."""
    frame = lambda time: paint(content, *place(motion, time), size)
    return jax.lax.map(frame, jnp.arange(length, dtype=jnp.float32))


def place(motion: Motion, time: Array) -> tuple[Array, Array, Array]:
    """Where the shape is at a frame, and how far it is turned, radians: x, y, angle, all []."""
    way, way_round = jnp.floor(motion.way), jnp.where(motion.turn < 0, -1.0, 1.0)
    phase = motion.phase + motion.speed * time
    across = motion.reach * (1 - 4 * jnp.abs(phase - jnp.floor(phase + 0.5)))  # a triangle wave: even speed, hard walls
    around = 2 * pi * phase * way_round
    x = jnp.select([way == 0, way == 1], [across * jnp.cos(motion.angle), motion.reach * jnp.cos(around)], 0.0)
    y = jnp.select([way == 0, way == 1], [across * jnp.sin(motion.angle), motion.reach * jnp.sin(around)], 0.0)
    return x, y, jnp.where(way == 2, motion.angle + pi * phase * way_round, 0.0)


def paint(content: Content, x: Array, y: Array, angle: Array, size: int) -> Array:
    """One frame: float32 [size, size, 3] in [-1, 1]."""
    canvas = square(size)
    radius, towards = polar(*rotated(canvas.x - x, canvas.y - y, angle))
    form = jnp.floor(content.form).astype(jnp.int32)
    corners = jnp.asarray(CORNERS)[jnp.minimum(form, len(CORNERS) - 1)]
    sector = 2 * pi / corners
    # A regular polygon with its corners on a circle: the distance to the side that a point is behind.
    apothem = content.size * jnp.cos(sector / 2)
    distance = radius * jnp.cos(jnp.mod(towards - pi / 2, sector) - sector / 2) - apothem
    distance = jnp.where(form == len(CORNERS), jnp.abs(distance + 0.07) - 0.07, distance)
    shades = jnp.asarray(TABLE)[jnp.floor(content.colours).astype(jnp.int32)]
    dark = jnp.floor(content.ground) == 0
    ground, colour = jnp.where(dark, shades[0], shades[SHADES - 1]), jnp.where(dark, shades[SHADES - 2], accent(shades))
    picture = over(jnp.broadcast_to(ground[:, None, None], (3, size, size)), colour, inside(distance, canvas.pixel))
    return jnp.moveaxis(2 * jnp.clip(picture, 0, 1) - 1, 0, -1)
