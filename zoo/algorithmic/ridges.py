"""A landscape in layers: ridges of summed cosines behind one another, mist between them, a low sun or moon.

Fourier synthesis of a skyline (Musgrave, Kolb & Mace 1989, "The synthesis and rendering of eroded fractal terrains",
in one dimension), and aerial perspective: what is farther is nearer to the colour of the sky.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, Canvas, inside, mix, polar
from zoo.algorithmic.colour import accent, over, ramp

LAYERS = 5


class Ridges(NamedTuple):
    """What tells one landscape from another."""

    horizon: Annotated[Array, Between(0.0, 0.3)]
    """Height of the farthest ridge."""
    relief: Annotated[Array, Between(0.1, 0.24)]
    """Height of its hills; nearer ones are higher."""
    peaks: Annotated[Array, Between(-0.5, 1.2)]
    """0 and below rolling hills, 1 and above pointed mountains."""
    wave: Annotated[Array, Between(1.5, 3.2)]
    """Hills across the canvas, radians a unit."""
    phase: Annotated[Array, Between(0, 2 * pi, 2 * LAYERS)]
    """[2 LAYERS] Where the hills begin, radians."""
    sun_x: Annotated[Array, Between(-0.6, 0.6)]
    """Where the sun stands."""
    sun_y: Annotated[Array, Between(0.1, 0.45)]
    """How high above the horizon."""
    sun_size: Annotated[Array, Between(0.16, 0.3)]
    """Its radius."""
    dusk: Annotated[Array, Between(0, 1)]
    """Below 0.6 a light sky, above 0.73 a dark one."""


def paint(ridges: Ridges, palette: Array, canvas: Canvas) -> Array:
    """The landscape, sRGB [3, H, W]."""
    dusk = jnp.clip(8 * (ridges.dusk - 0.6), 0, 1)
    picture = _sky(ridges, dusk, palette, canvas)
    skylines, slopes = jax.jvp(lambda x: _skylines(ridges, x), (canvas.x[0],), (jnp.ones_like(canvas.x[0]),))
    far, near = 0.72 - 0.3 * dusk, 0.02
    for layer in range(LAYERS):
        depth, relief = layer / (LAYERS - 1), ridges.relief * (1 + 0.3 * layer)
        above = canvas.y - (ridges.horizon - 0.24 * layer + relief * skylines[layer][None, :])
        steep = jnp.sqrt(1 + (relief * slopes[layer][None, :]) ** 2)
        mist = 0.16 * (1 - 0.5 * depth) * (1 - jnp.exp(3 * jnp.minimum(above, 0)))
        picture = over(picture, ramp(palette, mix(far, near, depth) + mist), inside(above / steep, canvas.pixel))
    return picture


def _sky(ridges: Ridges, dusk: Array, palette: Array, canvas: Canvas) -> Array:
    rise = jnp.clip((canvas.y - ridges.horizon) / (1 - ridges.horizon), 0, 1)
    radius, _ = polar(canvas.x - ridges.sun_x, canvas.y - ridges.horizon - ridges.sun_y)
    away = radius - ridges.sun_size
    tone = mix(0.95 - 0.45 * dusk, 0.7 - 0.6 * dusk, rise) + 0.12 * jnp.exp(-5 * jnp.maximum(away, 0) ** 2)
    sun = mix(accent(palette), ramp(palette, jnp.float32(1)), dusk)
    return over(ramp(palette, tone), sun, inside(away, canvas.pixel))


def _skylines(ridges: Ridges, x: Array) -> Array:
    """Heights [LAYERS, W] of the ridges, about -1 to 1, at x [W]: of each, two waves."""
    layers, tones = jnp.arange(LAYERS)[:, None, None], jnp.array([1.0, 2.3])[None, :, None]
    angle = ridges.wave * (1 + 0.12 * layers) * tones * x[None, None, :] + ridges.phase.reshape(LAYERS, 2, 1)
    pointed = 1 - 2 * jnp.sqrt(
        jnp.sin(0.5 * angle) ** 2 + 0.002
    )  # a cosine with crests like peaks, the cusp just rounded
    waves = mix(jnp.cos(angle), pointed, jnp.clip(ridges.peaks, 0, 1))
    # As a matrix product, which XLA does not fuse: fused, all of this would be computed anew for each row of pixels.
    return jnp.einsum("w,lwx->lx", jnp.array([0.7, 0.28]), waves)
