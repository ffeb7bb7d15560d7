"""Sprites of known factors: a shape, its size, its turn and its place, each on its own.

A set like dSprites (Matthey et al. 2017, github.com/deepmind/dsprites-dataset), drawn afresh: as many values of each
factor, white on black, but outlines of our own.
"""

from math import pi, prod

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import rotated, square

FACTORS = {"shape": 3, "scale": 6, "turn": 40, "x": 32, "y": 32}
SHAPES = ("square", "ellipse", "heart")
COUNT = prod(FACTORS.values())
FORMS, PLACES = 3 * 6 * 40, 32 * 32
RADIUS, REACH = 0.32, 0.6  # of the largest; how far a centre lies from the middle at most


def factors_of(index: Array) -> Array:
    """int32 [] -> int32 [5], the number of each factor's value. Indices below COUNT are all sprites once, in an order
    in which the next one is like none before."""
    block, within = index // PLACES, index % PLACES
    form, place = (7 * block + 331 * within) % FORMS, 389 * within % PLACES  # strides without a common divisor
    return jnp.stack([form // 240, form // 40 % 6, form % 40, place // 32, place % 32])


def draw_sprite(factors: Array, size: int) -> Array:
    """int [5] -> [size, size, 1], 1 within the shape and -1 around it."""
    shape, scale, turn, x, y = factors
    canvas = square(size)
    at = lambda value: REACH * (2 * value / 31 - 1)
    radius = RADIUS * (0.5 + 0.1 * scale)
    u, v = rotated((canvas.x - at(x)) / radius, (canvas.y - at(y)) / radius, 2 * pi * turn / 40)
    inside = jnp.stack(
        [
            jnp.maximum(jnp.abs(u), jnp.abs(v)) < 0.8,
            u**2 + (v / 0.55) ** 2 < 1,
            (1.3 * u**2 + 1.3 * (v + 0.1) ** 2 - 1) ** 3 < 2.2 * u**2 * (v + 0.1) ** 3,
        ]
    )
    return jnp.where(inside[shape], 1.0, -1.0)[..., None]
