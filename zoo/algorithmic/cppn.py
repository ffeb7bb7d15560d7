"""Compositional pattern-producing networks: a small network of random weights that gives each point its colour.

Stanley 2007, "Compositional pattern producing networks": units differ in their functions - sines for repetition,
Gaussians for symmetry, sigmoids for borders - and see x, y and the distance from the centre. Samples: four a pixel.
Smooth in all parameters.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, mix, polar, supersampled
from zoo.algorithmic.colour import accent, over, ramp

LAYERS, WIDTH, SAMPLES = 3, 12, 2


class Cppn(NamedTuple):
    """What tells one network from another, but for its weights."""

    zoom: Annotated[Array, Between(1.3, 2.4)]
    """Half the width of the canvas, in the network's eyes."""
    gain: Annotated[Array, Between(1.25, 1.65)]
    """Deviation of the weights: the higher, the more folds."""
    symmetry: Annotated[Array, Among((0, 1))]
    """1: left and right are the same."""
    accent: Annotated[Array, Between(0.6, 1.0)]
    """How strongly the accent shows."""


def paint(cppn: Cppn, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The pattern, sRGB [3, H, W]."""
    return supersampled(lambda finer: _paint(cppn, palette, finer, key), canvas, SAMPLES)


def _paint(cppn: Cppn, palette: Array, canvas: Canvas, key: Array) -> Array:
    x, y = jnp.broadcast_arrays(cppn.zoom * canvas.x, cppn.zoom * canvas.y)
    radius, _ = polar(x, y)
    mirrored = jnp.sqrt(x * x + 0.01)
    units = jnp.stack([mix(x, mirrored, cppn.symmetry), y, radius, jnp.ones_like(x)])
    for layer, own in enumerate(jax.random.split(key, LAYERS)):
        scale = cppn.gain * (1.2 if layer == 0 else 1.0) / jnp.sqrt(len(units))
        units = _activated(jnp.einsum("ki,ihw->khw", scale * jax.random.normal(own, (WIDTH, len(units))), units))
    weights = jax.random.normal(jax.random.fold_in(key, LAYERS), (3, WIDTH)) * 1.5 / WIDTH**0.5
    tone, veil, mark = jnp.einsum("ki,ihw->khw", weights, units)
    picture = ramp(palette, 0.5 + 0.55 * jnp.sin(1.6 * tone + 0.5 * veil))
    return over(picture, accent(palette), cppn.accent * jax.nn.sigmoid(6 * (mark - 0.9)))


def _activated(units: Array) -> Array:
    """A third of the units each through a sine, a Gaussian, and a hyperbolic tangent: [WIDTH, H, W]."""
    waves, bells, steps = jnp.split(units, 3)
    return jnp.concatenate([jnp.sin(2 * waves), 2 * jnp.exp(-(bells**2)) - 1, jnp.tanh(2 * steps)])
