"""Escape time: how long z <- z^2 + c stays near, and how far the set is of those points that stay for ever.

Douady & Hubbard 1982: the logarithm of |z| doubles at each step once a point is far out, which makes the count of steps
smooth, and the derivative dz <- 2 z dz gives the distance to the set (Peitgen & Saupe 1988, "The science of fractal
images", appendix D). Its direction is the slope of that distance, for light that falls on it.
"""

from math import log
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

RADIUS = 100.0
STEEPEST = 1e18  # of dz, whose square must not overflow


class Orbit(NamedTuple):
    """Of each point, [H, W]."""

    count: Array
    """Steps until |z| is RADIUS, smooth; ``steps`` where it never was."""
    distance: Array
    """To the set, in the plane that z or c is of; 0 where the point belongs to it."""
    right: Array
    up: Array
    """The direction, of length one, in which the distance grows."""


def orbits(z: tuple[Array, Array], c: tuple[Array, Array], *, steps: int, moving: bool) -> Orbit:
    """``moving``: the point that each pixel stands for is c (the Mandelbrot set); else it is z (a Julia set)."""
    zx, zy, cx, cy = jnp.broadcast_arrays(*z, *c)
    own = 1.0 if moving else 0.0

    def step(_: Array, state: tuple) -> tuple:
        x, y, dx, dy, count = state
        near = x * x + y * y < RADIUS**2
        after = (
            x * x - y * y + cx,
            2 * x * y + cy,
            jnp.clip(2 * (x * dx - y * dy) + own, -STEEPEST, STEEPEST),
            jnp.clip(2 * (x * dy + y * dx), -STEEPEST, STEEPEST),
            count + 1,
        )
        return tuple(jnp.where(near, new, old) for new, old in zip(after, state, strict=True))

    start = zx, zy, jnp.full_like(zx, 1 - own), jnp.zeros_like(zx), jnp.zeros_like(zx)
    x, y, dx, dy, count = jax.lax.fori_loop(0, steps, step, start)
    size, slope = x * x + y * y, jnp.maximum(dx * dx + dy * dy, 1e-30)
    gone = size >= RADIUS**2
    far = jnp.where(gone, jnp.log(jnp.maximum(size, 2.0)) / 2, log(RADIUS))  # log |z|
    right, up = (x * dx + y * dy) / slope, (y * dx - x * dy) / slope  # z / dz
    length = jnp.sqrt(right * right + up * up + 1e-30)
    distance = jnp.where(gone, far * jnp.sqrt(size / slope), 0)
    return Orbit(count - jnp.log2(far / log(RADIUS)), distance, right / length, up / length)
