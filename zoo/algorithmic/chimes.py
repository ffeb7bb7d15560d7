"""Flowers that chime: a picture and a sound of one number, as many petals as strokes.

What two media say of the same thing, without a file: the flower is r(angle) = R (1 + a cos(n angle + turn)) / (1 + a),
the sound n strokes of one string (`zoo.algorithmic.plucks`) at equal distances. Size, place, turn and cut of a flower
and pitch and colour of a string are drawn by themselves, so that all the two have in common is the number.
"""

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import inside, polar, square
from zoo.algorithmic.plucks import draw as pluck

NUMBERS = (2, 3, 4, 5, 6, 7)


def draw(key: Array, *, size: int, length: int, rate: int) -> tuple[Array, Array, Array]:
    """(sound float32 [length] in [-1, 1], picture float32 [size, size, 1] in [-1, 1], class int32 []); class 0 has
    ``NUMBERS[0]`` petals."""
    which, shape, string = jax.random.split(key, 3)
    label = jax.random.randint(which, (), 0, len(NUMBERS))
    number = jnp.asarray(NUMBERS)[label]
    return strokes(string, number, length=length, rate=rate), flower(shape, number, size=size), label


def flower(key: Array, number: Array, *, size: int) -> Array:
    """A flower of so many petals, 1 within and -1 around it: [size, size, 1]."""
    u = jax.random.uniform(key, (5,))
    reach, cut = 0.6 + 0.3 * u[0], 0.25 + 0.35 * u[1]
    canvas = square(size)
    right, up = (1 - reach) * (2 * u[2:4] - 1)
    away, angle = polar(canvas.x - right, canvas.y - up)
    edge = reach * (1 + cut * jnp.cos(number * angle + 2 * jnp.pi * u[4])) / (1 + cut)
    return (2 * inside(away - edge, canvas.pixel) - 1)[..., None]


def strokes(key: Array, number: Array, *, length: int, rate: int) -> Array:
    """A string that is struck so many times in ``length`` samples, each time as the first: [length]."""
    apart = length // number
    return pluck(key, length, rate)[jnp.arange(length) % apart, 0]
