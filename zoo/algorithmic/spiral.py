"""Pleated spirals and rings: a sawtooth of the angle and of the logarithm of the radius.

The logarithmic spiral (Bernoulli 1692, "Spira mirabilis"): ``arms * angle + twist * log(radius)`` is constant along
each arm. The pleats are a sawtooth of that phase, averaged over the phases that a pixel spans: the difference of its
integral, a parabola in each period, between both ends. So the eye of the spiral melts into an even tone.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, Canvas, inside, polar
from zoo.algorithmic.colour import accent, lit, over, ramp


class Spiral(NamedTuple):
    """What tells one spiral from another."""

    x: Annotated[Array, Between(-0.15, 0.15)]
    y: Annotated[Array, Between(-0.15, 0.15)]
    """Where the eye is."""
    arms: Annotated[Array, Between(-0.49, 4.49)]
    """How many, rounded; none gives rings."""
    twist: Annotated[Array, Between(-7, 7)]
    """Radians of the phase for each e-fold of the radius."""
    phase: Annotated[Array, Between(0, 2 * pi)]
    """Which way the first arm points, radians."""
    softness: Annotated[Array, Between(0.02, 0.4)]
    """Over how much of the phase, radians to either side, a pleat rises, where the pixels are finer than that."""
    eye: Annotated[Array, Between(0.08, 0.2)]
    """Radius of the disc at the centre."""


def paint(spiral: Spiral, palette: Array, canvas: Canvas) -> Array:
    """The spiral, sRGB [3, H, W]."""
    radius, angle = polar(canvas.x - spiral.x, canvas.y - spiral.y)
    arms = jnp.round(spiral.arms)
    twist = jnp.where(spiral.twist < 0, -1, 1) * jnp.maximum(jnp.abs(spiral.twist), 5 - arms)  # few arms turn more
    phase = arms * angle + twist * jnp.log(radius) + spiral.phase
    frequency = jnp.sqrt(arms**2 + twist**2) / radius
    reach = jnp.maximum(0.5 * canvas.pixel * frequency, spiral.softness)
    wave = (_integral(phase + reach) - _integral(phase - reach)) / (2 * reach)
    picture = lit(ramp(palette, 0.5 + wave), 0.1 * jnp.cos(angle - 2.2))
    return over(picture, accent(palette), inside(radius - spiral.eye, canvas.pixel))


def _integral(phase: Array) -> Array:
    """Of the sawtooth that falls from 1/2 to -1/2 in each period of 2 pi."""
    place = jnp.mod(phase, 2 * pi)
    return place * (2 * pi - place) / (4 * pi)
