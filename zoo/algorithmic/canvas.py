"""The canvas that every formula paints on: coordinates, soft edges, and how a unit cube becomes parameters.

A formula never sees pixels, only points of the square [-1, 1]^2 and the width of a pixel there. With that width it
softens its edges analytically: the same parameters give the same picture at 32 and at 512 pixels, with no supersampling.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array


class Canvas(NamedTuple):
    """Where the centres of the pixels lie: x [1, W] to the right, y [H, 1] upwards, and the width of a pixel."""

    x: Array
    y: Array
    pixel: float


def square(size: int) -> Canvas:
    """The canvas of [size, size] pixels over [-1, 1]^2."""
    centres = (2 * jnp.arange(size, dtype=jnp.float32) + 1) / size - 1
    return Canvas(x=centres[None, :], y=-centres[:, None], pixel=2 / size)


def scaled(unit: Array, ranges: Any) -> Any:
    """A point of the unit cube [N] as parameters: each field of the named tuple is (low, high) or (low, high, count).

    The first coordinates are used and the rest ignored, so that formulas of different dimensions can share one draw.
    """
    fields, first = [], 0
    for low, high, *count in ranges:
        used = unit[first : first + count[0]] if count else unit[first]
        fields.append(low + (high - low) * used)
        first += count[0] if count else 1
    return type(ranges)(*fields)


def dimension(ranges: Any) -> int:
    """How many coordinates of the unit cube ``scaled`` uses."""
    return sum(count[0] if count else 1 for _, _, *count in ranges)


def inside(distance: Array, pixel: Array | float) -> Array:
    """How much of a pixel a shape covers, 0 to 1, by the signed distance to its outline (negative inside).

    Exact for a box filter across a straight edge.
    """
    return jnp.clip(0.5 - distance / pixel, 0, 1)


def rotated(x: Array, y: Array, angle: Array) -> tuple[Array, Array]:
    """The coordinates of the same points for an observer turned by ``angle`` (radians)."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return cosine * x + sine * y, cosine * y - sine * x


def polar(x: Array, y: Array) -> tuple[Array, Array]:
    """Radius and angle (radians). A hair off the origin, where neither has a derivative."""
    x = x + 1e-6
    return jnp.sqrt(x * x + y * y), jnp.arctan2(y, x)


def mix(first: Array | float, second: Array | float, weight: Array) -> Array:
    """``first`` where ``weight`` is 0, ``second`` where it is 1."""
    return first + weight * (second - first)
