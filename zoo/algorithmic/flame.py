"""Fractal flames: iterated function systems whose maps bend the plane, turned about a centre.

Draves & Reckase 2003, "The fractal flame algorithm": each of a few maps is affine, then a blend of variations V_k
(their appendix names them), and with one chance in n a hop is a turn by 2 pi / n, which makes the flame symmetric.
Drawn by the chaos game: smooth in the palette only.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, rotated
from zoo.algorithmic.chaos import POINTS, Swarm, portrait

MAPS, VARIATIONS = 3, 6


class Flame(NamedTuple):
    """What tells one flame from another."""

    scale: Annotated[Array, Between(0.45, 0.95, MAPS)]
    """[MAPS] By which each map shrinks."""
    angle: Annotated[Array, Between(0, 2 * pi, MAPS)]
    """[MAPS] How it turns, radians."""
    x: Annotated[Array, Between(-0.9, 0.9, MAPS)]
    y: Annotated[Array, Between(-0.9, 0.9, MAPS)]
    """[MAPS] How it shifts."""
    bend: Annotated[Array, Between(0, 1, MAPS * VARIATIONS)]
    """[MAPS VARIATIONS] How much of each variation it has, the larger ones far more."""
    symmetry: Annotated[Array, Among((2, 3, 4, 5, 6))]
    """n: turns that leave the flame as it is."""


def paint(flame: Flame, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The flame, sRGB [3, H, W]."""
    weights = flame.bend.reshape(MAPS, VARIATIONS) ** 6
    weights = weights / (weights.sum(axis=1, keepdims=True) + 1e-6)
    turns = flame.symmetry

    def hop(key: Array, swarm: Swarm) -> Swarm:
        first, second = jax.random.split(key)
        which = jax.random.randint(first, (POINTS,), 0, MAPS)
        about = jnp.floor(jax.random.uniform(second, (POINTS,)) * turns)
        x, y = rotated(swarm.place[:, 0], swarm.place[:, 1], flame.angle[which])
        x, y = flame.scale[which] * x + flame.x[which], flame.scale[which] * y + flame.y[which]
        bent = jnp.einsum("pv,vpi->pi", weights[which], varied(x, y))
        x, y = rotated(bent[:, 0], bent[:, 1], 2 * pi * about / turns)
        return Swarm(jnp.clip(jnp.stack([x, y], axis=1), -8, 8), (swarm.colour + which / (MAPS - 1)) / 2)

    return portrait(hop, key, palette, canvas, ground=jnp.float32(0), contrast=20)


def varied(x: Array, y: Array) -> Array:
    """The variations linear, sinusoidal, spherical, swirl, julia and bubble of points: [VARIATIONS, P, 2]."""
    square = x * x + y * y + 1e-3
    cosine, sine = jnp.cos(square), jnp.sin(square)
    root, half = jnp.sqrt(jnp.sqrt(square)), jnp.arctan2(y, x + 1e-6) / 2
    results = (
        (x, y),
        (jnp.sin(x), jnp.sin(y)),
        (x / square, y / square),
        (x * sine - y * cosine, x * cosine + y * sine),
        (root * jnp.cos(half), root * jnp.sin(half)),
        (4 * x / (square + 4), 4 * y / (square + 4)),
    )
    return jnp.stack([jnp.stack(pair, axis=1) for pair in results])
