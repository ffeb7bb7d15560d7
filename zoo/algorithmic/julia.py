"""Shells: Julia sets coloured by how near their orbits come to zero, and lit like a relief.

The orbit z <- z^2 + c of every point (Julia 1918), with c near the main cardioid of the Mandelbrot set,
c = e^it / 2 - e^2it / 4. The nearest approach to zero is an orbit trap (Pickover 1990, "Computers, Pattern, Chaos and
Beauty"), which gives a colour inside the set and outside alike. The derivative dz <- 2 z dz, one complex number as the
map is holomorphic, gives the slope for the light and the size of a pixel's image, by which what is too fine fades.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, Canvas, inside, mix, rotated
from zoo.algorithmic.colour import lit, ramp

ITERATIONS = 6


class Julia(NamedTuple):
    """What tells one shell from another."""

    around: Annotated[Array, Between(0.4, 2 * pi - 0.4)]
    """Where on the cardioid c lies, radians."""
    beyond: Annotated[Array, Between(0.95, 1.06)]
    """How far out, 1 on the cardioid."""
    angle: Annotated[Array, Between(0, 2 * pi)]
    """How the canvas is turned, radians."""
    zoom: Annotated[Array, Between(0.8, 1.15)]
    """Half its width in the plane of z."""
    light: Annotated[Array, Between(0.25 * pi, 0.75 * pi)]
    """Where the light comes from, radians."""


def paint(julia: Julia, palette: Array, canvas: Canvas) -> Array:
    """The set, sRGB [3, H, W]."""
    real = julia.beyond * (jnp.cos(julia.around) / 2 - jnp.cos(2 * julia.around) / 4)
    imaginary = julia.beyond * (jnp.sin(julia.around) / 2 - jnp.sin(2 * julia.around) / 4)
    x, y = rotated(julia.zoom * canvas.x, julia.zoom * canvas.y, julia.angle)
    dx, dy = rotated(julia.zoom * jnp.cos(julia.light), julia.zoom * jnp.sin(julia.light), julia.angle)
    dx, dy = dx * jnp.ones_like(x), dy * jnp.ones_like(y)
    nearest, slope = jnp.ones_like(x), jnp.zeros_like(x)  # |z|^2, and its half derivative towards the light
    for _ in range(ITERATIONS):
        dx, dy = 2 * (x * dx - y * dy), 2 * (x * dy + y * dx)
        x, y = x * x - y * y + real, 2 * x * y + imaginary
        image = canvas.pixel**2 * (dx * dx + dy * dy)  # the area of a pixel's image
        size = x * x + y * y + image / 6  # the mean of |z|^2 over it
        share = inside(size - nearest, 2 * jnp.sqrt(size * image + 1e-8))  # of the pixel, for which this is nearer
        slope = mix(slope, x * dx + y * dy, share)
        nearest = jnp.minimum(nearest, size)
        gone = size > 1e3  # it will not come back, and its square must not overflow
        x, dx, dy = jnp.where(gone, 30.0, x), jnp.where(gone, 0.0, dx), jnp.where(gone, 0.0, dy)
    distance = jnp.sqrt(nearest + 1e-6)
    slope = slope / distance * (1 - nearest)  # the ground is flat
    return lit(ramp(palette, 1.06 - 1.25 * distance), 0.2 * slope / jnp.sqrt(1 + slope * slope))
