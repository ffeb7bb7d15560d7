"""The Mandelbrot set, near places known for their beauty.

Brooks & Matelski 1978; Mandelbrot 1980, "Fractal aspects of the iteration of z -> lambda z (1 - z)": those c for which
z <- z^2 + c, from zero, stays bounded. Colours go round with the logarithm of the escape time, lit like a relief.
Samples: four a pixel. Smooth in the palette; derivatives by the place exist and say little, the set being chaos.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, inside, rotated, supersampled
from zoo.algorithmic.colour import lit, over, ramp
from zoo.algorithmic.escape import orbits

STEPS, SAMPLES = 320, 2
# Valleys, spirals and tips: points of the boundary, about which the picture repeats itself as one goes nearer.
PLACES = (
    (-0.10110, 0.95629), (0.43792, 0.34189), (-0.5622, 0.6428),
    (-1.31518, 0.07348), (-0.0452407, 0.9868162), (0.0016437, 0.8224676),
    (-0.235125, 0.827215), (0.2929859, 0.6117848), (0.3602404, -0.6413131),
    (-1.2561, 0.3805), (-0.5577, 0.6355),
)  # fmt: skip


class Mandelbrot(NamedTuple):
    """What tells one view from another."""

    place: Annotated[Array, Among(tuple(range(len(PLACES))))]
    """Which of PLACES is looked at."""
    x: Annotated[Array, Between(-0.35, 0.35)]
    y: Annotated[Array, Between(-0.35, 0.35)]
    """Where it is on the canvas."""
    depth: Annotated[Array, Between(3.5, 8.5)]
    """How often the view is halved; at 0 it shows the whole set, from 11 on float32 does not tell pixels apart."""
    angle: Annotated[Array, Between(0, 2 * pi)]
    """How the canvas is turned, radians."""
    bands: Annotated[Array, Between(0.7, 1.6)]
    """How often the colours go round while the escape time doubles."""
    phase: Annotated[Array, Between(0, 1)]
    """Where in the round they begin."""
    light: Annotated[Array, Between(0.25 * pi, 0.75 * pi)]
    """Where the light comes from, radians."""


def paint(mandelbrot: Mandelbrot, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The view, sRGB [3, H, W]. Nothing in it is random."""
    return supersampled(lambda finer: _paint(mandelbrot, palette, finer), canvas, SAMPLES)


def _paint(mandelbrot: Mandelbrot, palette: Array, canvas: Canvas) -> Array:
    half = 1.5 * 2.0**-mandelbrot.depth
    x, y = rotated(canvas.x - mandelbrot.x, canvas.y - mandelbrot.y, mandelbrot.angle)
    zero = jnp.zeros_like(x)
    centre = jnp.asarray(PLACES, jnp.float32)[mandelbrot.place.astype(jnp.int32)]
    orbit = orbits((zero, zero), (centre[0] + half * x, centre[1] + half * y), steps=STEPS, moving=True)
    light = mandelbrot.light + mandelbrot.angle
    facing = orbit.right * jnp.cos(light) + orbit.up * jnp.sin(light)
    turn = mandelbrot.bands * jnp.log2(orbit.count + 4) + mandelbrot.phase
    colours = lit(ramp(palette, 0.56 - 0.42 * jnp.cos(2 * pi * turn)), 0.22 * facing)
    return over(colours, palette[0], inside(orbit.distance / half - canvas.pixel, 2 * canvas.pixel))
