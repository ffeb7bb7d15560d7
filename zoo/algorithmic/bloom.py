"""Flowers of cut paper: superformula outlines, one inside the other, each casting a shadow on the one beneath.

The superformula (Gielis 2003, "A generic geometric transformation that unifies a wide range of natural and abstract
shapes"): r(angle) = (|cos(m angle / 4)|^n2 + |sin(m angle / 4)|^n3)^(-1 / n1), here with n2 = n3, and r = 1 half-way
between the axes, where the petals end.
"""

from math import pi
from typing import Annotated, NamedTuple

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
    """The flower, sRGB [3, H, W]."""
    x, y = canvas.x - bloom.x, canvas.y - bloom.y
    radius, angle = polar(x, y)
    sideways = 0.08 * (jnp.cos(LIGHT) * x + jnp.sin(LIGHT) * y) / radius  # how far the shadows fall
    turn = 0.5 * jnp.round(bloom.petals) * (angle - bloom.angle)
    outlines = [_superformula(bloom, turn), _superformula(bloom, turn + 0.5 * pi)]  # half a petal apart
    light = jnp.clip(8 * (bloom.ground - 0.5) + 0.5, 0, 1)
    picture = ramp(palette, mix(0.04, 0.97, light) + 0.05 * canvas.y * jnp.ones_like(canvas.x))
    for layer in range(LAYERS):
        outline, slope = outlines[layer % 2]
        edge = bloom.size * (1 - 0.18 * layer) * outline
        distance = (radius - edge) / jnp.sqrt(1 + (edge * slope / jnp.maximum(radius, 0.05)) ** 2)
        shadow = jnp.exp(-jnp.maximum(distance + sideways, 0) / 0.06)
        colour = ramp(palette, mix(0.22 + 0.19 * layer, 0.8 - 0.19 * layer, light))
        leaf = jnp.multiply.outer(colour, 0.91 + 0.15 * jnp.clip(radius / edge, 0, 1))  # lighter towards its rim
        picture = over(lit(picture, -0.45 * shadow), leaf, inside(distance, canvas.pixel))
    return over(picture, accent(palette), inside(radius - bloom.heart, canvas.pixel))


def _superformula(bloom: Bloom, turn: Array) -> tuple[Array, Array]:
    """The radius [H, W] of the outline, at most 1, and the derivative of its logarithm by the angle.

    ``turn`` is half of m angle. A hair is added under the powers, which have no slope at zero.
    """
    cosine, sine = 0.5 + 0.5 * jnp.cos(turn) + 1e-4, 0.5 - 0.5 * jnp.cos(turn) + 1e-4  # squares of those of turn / 2
    half = 0.5 * bloom.roundness
    first, second = jnp.exp(half * jnp.log(cosine)), jnp.exp(half * jnp.log(sine))  # powers, at a third of their cost
    total = first + second
    slope = half * jnp.sin(turn) * (second / sine - first / cosine) / total  # d log(total) / d turn, twice
    radius = jnp.exp(-bloom.depth * jnp.log(total / (2 * 0.5**half)))
    return radius, -0.25 * bloom.depth * jnp.round(bloom.petals) * slope
