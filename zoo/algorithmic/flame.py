"""Fractal flames: iterated function systems whose maps bend the plane, turned about a centre.

Draves & Reckase 2003, "The fractal flame algorithm": each of a few maps is affine, then a blend of variations V_k
(their appendix names them), and each hop ends with one of n turns about the centre, which makes the flame symmetric.
Drawn by the chaos game: smooth in the palette only.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas
from zoo.algorithmic.chaos import POINTS, Swarm, chosen, portrait

MAPS, VARIATIONS, MOST = 3, 6, 6


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
    cosine, sine = flame.scale * jnp.cos(flame.angle), flame.scale * jnp.sin(flame.angle)
    maps = jnp.concatenate([jnp.stack([cosine, sine, flame.x, flame.y], axis=1), weights], axis=1)
    turns, angle = flame.symmetry.astype(jnp.uint32), 2 * pi * jnp.arange(MOST) / flame.symmetry
    turned = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)

    def hop(key: Array, swarm: Swarm) -> Swarm:
        bits = jax.random.bits(key, (POINTS,), jnp.uint32)
        which, about = (bits >> 16) % MAPS, (bits & 0xFFFF) % turns
        own = chosen(maps, which)
        cosine, sine, shift_x, shift_y = own[:, :4].T
        x, y = swarm.place.T
        variations = varied(cosine * x + sine * y + shift_x, cosine * y - sine * x + shift_y)
        x, y = jnp.einsum("pv,vip->ip", own[:, 4:], variations)
        cosine, sine = chosen(turned, about).T
        place = jnp.stack([cosine * x + sine * y, cosine * y - sine * x], axis=1)
        return Swarm(jnp.clip(place, -8, 8), (swarm.colour + which / (MAPS - 1)) / 2)

    return portrait(hop, key, palette, canvas, ground=jnp.float32(0), contrast=20)


def varied(x: Array, y: Array) -> Array:
    """The variations linear, sinusoidal, spherical, swirl, julia and bubble of points: [VARIATIONS, 2, P]."""
    square = x * x + y * y + 1e-3
    cosine, sine = jnp.cos(square), jnp.sin(square)
    radius = jnp.sqrt(square)
    results = (
        (x, y),
        (jnp.sin(x), jnp.sin(y)),
        (x / square, y / square),
        (x * sine - y * cosine, x * cosine + y * sine),
        (jnp.sqrt((radius + x) / 2), jnp.sign(y) * jnp.sqrt((radius - x) / 2)),
        (4 * x / (square + 4), 4 * y / (square + 4)),
    )
    return jnp.stack([jnp.stack(pair) for pair in results])
