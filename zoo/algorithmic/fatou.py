"""Filled Julia sets and Fatou dust, by escape time: filigree around z <- z^2 + c, with c just outside the Mandelbrot
set.

Julia 1918; Fatou 1919. Colours and light as in ``mandelbrot``, the set in the accent, or in dust where c is too far out
for it to hold together. Samples: four a pixel. Smooth in the palette; derivatives by c exist and say little.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, Canvas, inside, rotated, supersampled
from zoo.algorithmic.colour import accent, lit, over, ramp
from zoo.algorithmic.escape import orbits

STEPS, SAMPLES = 160, 2


class Fatou(NamedTuple):
    """What tells one set from another."""

    around: Annotated[Array, Between(0.5, 2 * pi - 0.5)]
    """Where on the main cardioid of the Mandelbrot set c lies, radians."""
    beyond: Annotated[Array, Between(1.02, 1.1)]
    """How far out, 1 on the cardioid."""
    depth: Annotated[Array, Between(0, 0.7)]
    """How often the view is halved; at 0 it shows the whole set."""
    angle: Annotated[Array, Between(0, 2 * pi)]
    """How the canvas is turned, radians."""
    bands: Annotated[Array, Between(0.5, 1.1)]
    """How often the colours go round while the escape time doubles."""
    phase: Annotated[Array, Between(0, 1)]
    """Where in the round they begin."""
    light: Annotated[Array, Between(0.25 * pi, 0.75 * pi)]
    """Where the light comes from, radians."""


def paint(fatou: Fatou, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The set, sRGB [3, H, W]. Nothing in it is random."""
    return supersampled(lambda finer: _paint(fatou, palette, finer), canvas, SAMPLES)


def _paint(fatou: Fatou, palette: Array, canvas: Canvas) -> Array:
    part = lambda turned: fatou.beyond * (turned(fatou.around) / 2 - turned(2 * fatou.around) / 4)
    half = 1.35 * 2.0**-fatou.depth
    x, y = rotated(canvas.x, canvas.y, fatou.angle)
    orbit = orbits((half * x, half * y), (part(jnp.cos), part(jnp.sin)), steps=STEPS, moving=False)
    light = fatou.light + fatou.angle
    facing = orbit.right * jnp.cos(light) + orbit.up * jnp.sin(light)
    turn = fatou.bands * jnp.log2(orbit.count + 2) + fatou.phase
    colours = lit(ramp(palette, 0.56 - 0.42 * jnp.cos(2 * pi * turn)), 0.22 * facing)
    return over(colours, accent(palette), inside(orbit.distance / half - canvas.pixel, 2 * canvas.pixel))
