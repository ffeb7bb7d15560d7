"""Newton's fractal: to which root of a polynomial each point of the plane is led, and how soon.

Cayley 1879, "The Newton-Fourier imaginary problem". The step z <- z - a p(z) / p'(z) needs the roots r alone:
p' / p is the sum of 1 / (z - r). Samples: four a pixel. Smooth in the palette; derivatives by the roots exist and say
little where basins meet.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, mix, rotated, supersampled
from zoo.algorithmic.colour import accent, lit, ramp

STEPS, SAMPLES, MOST = 32, 2, 6
NEAR = 1e-3  # of a root: the point has arrived


class Newton(NamedTuple):
    """What tells one polynomial from another."""

    roots: Annotated[Array, Among((3, 4, 5, 6))]
    """How many."""
    shift: Annotated[Array, Between(-0.28, 0.28, 2 * MOST)]
    """[2 MOST] How far each lies from its place on the unit circle."""
    relaxation: Annotated[Array, Between(0.8, 1.5)]
    """a: beyond 1 the steps overshoot, and the borders are wider."""
    depth: Annotated[Array, Between(-0.6, 1.2)]
    """How often the view is halved; at 0 it is as wide as the circle."""
    angle: Annotated[Array, Between(0, 2 * pi)]
    """How the canvas is turned, radians."""


def paint(newton: Newton, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The basins, sRGB [3, H, W]. Nothing in it is random."""
    return supersampled(lambda finer: _paint(newton, palette, finer), canvas, SAMPLES)


def roots_of(newton: Newton) -> tuple[Array, Array, Array]:
    """(x, y, 1 for those that there are), each [MOST]."""
    count, number = newton.roots, jnp.arange(MOST)
    angle, shift = 2 * pi * number / count, newton.shift.reshape(2, MOST)
    return jnp.cos(angle) + shift[0], jnp.sin(angle) + shift[1], 1.0 * (number < count)


def _paint(newton: Newton, palette: Array, canvas: Canvas) -> Array:
    root_x, root_y, there = roots_of(newton)
    half = 1.2 * 2.0**-newton.depth
    x, y = rotated(half * canvas.x, half * canvas.y, newton.angle)

    def offsets(x: Array, y: Array) -> tuple[Array, Array, Array]:
        """From each root [MOST, H, W], and their squares, huge for those that there are not."""
        dx, dy = x[None] - root_x[:, None, None], y[None] - root_y[:, None, None]
        return dx, dy, dx * dx + dy * dy + 1e-12 + 1e12 * (1 - there)[:, None, None]

    def step(_: Array, state: tuple) -> tuple:
        x, y, count, last = state
        dx, dy, square = offsets(x, y)
        nearest = square.min(axis=0)
        pull = 1 / square
        right, up = jnp.sum(dx * pull, axis=0), -jnp.sum(dy * pull, axis=0)  # p' / p
        size = newton.relaxation / jnp.maximum(right * right + up * up, 1e-6)
        moving = nearest > NEAR**2
        x, y = jnp.where(moving, x - size * right, x), jnp.where(moving, y + size * up, y)
        return x, y, count + moving, jnp.where(moving, nearest, last)

    start = x, y, jnp.zeros_like(x), jnp.ones_like(x)
    x, y, count, last = jax.lax.fori_loop(0, STEPS, step, start)
    square = offsets(x, y)[2]
    # Of the last step, which led from farther than NEAR to nearer, as much counts as was needed.
    ratio = jnp.log(last / NEAR**2) / jnp.log(jnp.maximum(last / square.min(axis=0), 1.01))
    soon = jnp.exp(-(count - 1 + jnp.clip(ratio, 0, 1)) / 9)
    basin = jnp.argmin(square, axis=0)
    tones = ramp(palette, 0.2 + 0.75 * jnp.arange(MOST) / jnp.maximum(newton.roots - 1, 1))
    colours = tones.at[:, 0].set(accent(palette))[:, basin]
    return lit(mix(0.6 * palette[0][:, None, None], colours, jnp.clip(1.5 * soon[None] + 0.1, 0, 1)), 0.5 * soon - 0.15)
