"""Flowers of cut paper: superformula outlines, one inside the other, each casting a shadow on the one beneath.

The superformula (Gielis 2003, "A generic geometric transformation that unifies a wide range of natural and abstract
shapes"): r(angle) = (|cos(m angle / 4)|^n2 + |sin(m angle / 4)|^n3)^(-1 / n1), here with n2 = n3, and r = 1 half-way
between the axes, where the petals end.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, Canvas, inside, mix, polar
from zoo.algorithmic.colour import accent, lit, over, ramp

LAYERS = 5
LIGHT = 2.2  # radians: it comes from the upper left


class Bloom(NamedTuple):
    """What tells one flower from another."""

    x: Annotated[Array, Between(-0.08, 0.08)]
    y: Annotated[Array, Between(-0.08, 0.08)]
    """Where its heart is."""
    petals: Annotated[Array, Between(3.51, 7.49)]
    """How many, rounded."""
    angle: Annotated[Array, Between(0, 2 * pi)]
    """Where the first one points, radians."""
    roundness: Annotated[Array, Between(3, 7)]
    """n2: the larger, the narrower the petals."""
    depth: Annotated[Array, Between(0.15, 0.42)]
    """1 / n1: how deeply they are cut."""
    size: Annotated[Array, Between(0.8, 1.0)]
    """Radius of the largest layer."""
    heart: Annotated[Array, Between(0.08, 0.16)]
    """Radius of the disc in the middle."""
    ground: Annotated[Array, Between(0, 1)]
    """Below 0.44 a dark ground and light petals within, above 0.56 the reverse."""


def paint(bloom: Bloom, palette: Array, canvas: Canvas) -> Array:
    """The flower, sRGB [H, W, 3]."""
    radius, angle = polar(canvas.x - bloom.x, canvas.y - bloom.y)
    petals = jnp.round(bloom.petals)
    turns = angle - bloom.angle, angle - bloom.angle + pi / petals  # layers alternate by half a petal
    outlines = [
        jax.jvp(lambda turn: _superformula(turn, petals, bloom.roundness, bloom.depth), (turn,), (jnp.ones_like(turn),))
        for turn in turns
    ]
    light = jnp.clip(8 * (bloom.ground - 0.5) + 0.5, 0, 1)
    picture = ramp(palette, mix(0.04, 0.97, light) + 0.05 * canvas.y * jnp.ones_like(canvas.x))
    for layer in range(LAYERS):
        edge, slope = (bloom.size * (1 - 0.18 * layer) * value for value in outlines[layer % 2])
        distance = (radius - edge) / jnp.sqrt(1 + (slope / jnp.maximum(radius, 0.05)) ** 2)
        shadow = jnp.exp(-jnp.maximum(distance + 0.08 * jnp.cos(angle - LIGHT), 0) / 0.06)
        colour = ramp(palette, mix(0.22 + 0.19 * layer, 0.8 - 0.19 * layer, light))
        leaf = jnp.multiply.outer(0.91 + 0.15 * jnp.clip(radius / edge, 0, 1), colour)  # lighter towards its rim
        picture = over(lit(picture, -0.45 * shadow), leaf, inside(distance, canvas.pixel))
    return over(picture, accent(palette), inside(radius - bloom.heart, canvas.pixel))


def _superformula(angle: Array, petals: Array, roundness: Array, depth: Array) -> Array:
    """The radius [H, W] in each direction, at most 1. A hair is added under the powers, which have no slope at zero."""
    quarter = 0.25 * petals * angle
    cosine, sine = jnp.cos(quarter) ** 2 + 1e-4, jnp.sin(quarter) ** 2 + 1e-4
    total = cosine ** (0.5 * roundness) + sine ** (0.5 * roundness)
    return (total / (2 * 0.5 ** (0.5 * roundness))) ** -depth
