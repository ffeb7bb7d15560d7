"""Marble: noise on coordinates that noise has bent, which noise had bent.

Domain warping (Perlin 1985, "An image synthesizer"; Quilez 2002, iquilezles.org/articles/warp): f(p + a q), with
q = f(p + a r), r = f(p), each f a sum of octaves of simplex noise. The height gives the tone, the warps tint it, and
veins follow its level lines. Samples: four a pixel. Smooth in all parameters.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, Canvas, supersampled
from zoo.algorithmic.colour import accent, lit, over, ramp
from zoo.algorithmic.noise import fractal, lattice

OCTAVES, SAMPLES = 4, 2


class Warp(NamedTuple):
    """What tells one marble from another."""

    scale: Annotated[Array, Between(0.28, 0.6)]
    """Lattice cells of the noise a unit."""
    bend: Annotated[Array, Between(0.7, 1.5)]
    """a, in cells."""
    contrast: Annotated[Array, Between(0.75, 1.1)]
    """Of the tones."""
    lift: Annotated[Array, Between(0.4, 0.6)]
    """The tone where the noise is 0."""
    veins: Annotated[Array, Between(0.25, 0.75)]
    """How strongly the accent shows."""


def paint(warp: Warp, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The marble, sRGB [3, H, W]."""
    return supersampled(lambda finer: _paint(warp, palette, finer, key), canvas, SAMPLES)


def _paint(warp: Warp, palette: Array, canvas: Canvas, key: Array) -> Array:
    table = lattice(key)
    x, y = jnp.broadcast_arrays(warp.scale * canvas.x, warp.scale * canvas.y)

    def noises(bent: tuple | Array, *shifts: float) -> Array:
        """Unlike ones at the same places, which ``bent`` has moved: [shifts, H, W]."""
        away = jnp.array(shifts).reshape(-1, 1, 1)
        x_, y_ = (x + warp.bend * bent[0])[None], (y + warp.bend * bent[1])[None]
        return fractal(x_ + away, y_ + 0.7 * away, table, octaves=OCTAVES)

    first = noises((0.0, 0.0), 3.1, 41.7)
    second = noises(first, 73.3, 97.9)
    height = noises(second, 120.3)[0]
    fold = jnp.sqrt(second[0] ** 2 + second[1] ** 2 + 1e-6)
    picture = lit(ramp(palette, warp.lift + warp.contrast * (0.8 * height + 0.35 * second[1])), 0.35 * (fold - 0.35))
    vein = jnp.exp(-((jnp.abs(first[1] + 0.3 * height) / 0.1) ** 2))
    return over(picture, accent(palette), warp.veins * vein * jnp.clip(1.6 * fold, 0, 1))
