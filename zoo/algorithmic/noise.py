"""Simplex noise: smooth, random, of one scale, and sums of it over many scales.

Perlin 2001, "Noise hardware"; Gustavson 2005, "Simplex noise demystified". The plane is skewed into a lattice of
triangles. Each vertex has a random gradient; a point gets from the three around it the height of their slopes there,
which fades to nothing before the next vertex.
"""

from math import pi, sqrt

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import rotated

SKEW, UNSKEW = (sqrt(3) - 1) / 2, (3 - sqrt(3)) / 6
PERIOD = 256
SCALE = 99.2043  # of the sum with gradients of length one, which brings it to -1 .. 1
TURN = 0.65  # radians between one octave and the next, so that their lattices never line up


def lattice(key: Array) -> Array:
    """The random numbers of a noise: a permutation int32 [PERIOD]."""
    return jax.random.permutation(key, PERIOD).astype(jnp.int32)


def simplex(x: Array, y: Array, table: Array) -> Array:
    """Noise at x and y, which broadcast: -1 to 1, and 0 at the vertices (i, j) - (i + j) UNSKEW."""
    x, y = jnp.broadcast_arrays(x, y)
    skewed = SKEW * (x + y)
    i, j = jnp.floor(x + skewed), jnp.floor(y + skewed)
    unskewed = UNSKEW * (i + j)
    right, up = x - i + unskewed, y - j + unskewed
    lower = jnp.where(right > up, 1, 0)  # which of the two triangles of a cell
    corners = (0, 0), (lower, 1 - lower), (1, 1)
    i, j = i.astype(jnp.int32), j.astype(jnp.int32)
    total = jnp.zeros_like(x)
    for across, along in corners:
        away = UNSKEW * (across + along)
        dx, dy = right - across + away, up - along + away
        angle = 2 * pi / PERIOD * table[(i + across + table[(j + along) % PERIOD]) % PERIOD]
        total += jnp.maximum(0.5 - dx * dx - dy * dy, 0) ** 4 * (jnp.cos(angle) * dx + jnp.sin(angle) * dy)
    return SCALE * total


def fractal(x: Array, y: Array, table: Array, *, octaves: int) -> Array:
    """Octaves of noise, each twice as fine and half as high: about -1 to 1.

    Mandelbrot & Van Ness 1968 (fractional Brownian motion); Perlin 1985, "An image synthesizer".
    """

    def octave(state: tuple, number: Array) -> tuple:
        x, y, total = state
        total += 0.5**number * simplex(x + 17 * number, y, table)
        x, y = rotated(2 * x, 2 * y, jnp.float32(TURN))
        return (x, y, total), None

    x, y = jnp.broadcast_arrays(x, y)
    (*_, total), _ = jax.lax.scan(octave, (x, y, jnp.zeros_like(x)), jnp.arange(octaves, dtype=jnp.float32))
    return total / (2 - 0.5 ** (octaves - 1))
