"""The canvas that every formula paints on: coordinates, soft edges, and how a unit cube becomes parameters.

A formula never sees pixels, only points of the square [-1, 1]^2 and the width of a pixel there. With that width it
softens its edges analytically, or it says how many samples of a pixel it takes: the same parameters give the same
picture at 32 and at 512 pixels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, get_type_hints

import jax.numpy as jnp
from jax import Array

Parameters = TypeVar("Parameters", bound=tuple)


class Between(NamedTuple):
    """Where a parameter lies: one number, or an array of ``count``."""

    low: float
    high: float
    count: int | None = None


class Among(NamedTuple):
    """Which values a parameter may have, one as likely as another."""

    values: tuple[float, ...]
    count: int | None = None


class Canvas(NamedTuple):
    """Where the centres of the pixels lie: x [1, W] to the right, y [H, 1] upwards, and the width of a pixel."""

    x: Array
    y: Array
    pixel: float


def square(size: int) -> Canvas:
    """The canvas of [size, size] pixels over [-1, 1]^2."""
    centres = (2 * jnp.arange(size, dtype=jnp.float32) + 1) / size - 1
    return Canvas(x=centres[None, :], y=-centres[:, None], pixel=2 / size)


def supersampled(paint: Callable[[Canvas], Array], canvas: Canvas, times: int) -> Array:
    """The mean [C, H, W] of ``times`` by ``times`` samples a pixel, for what has no edges that a formula could
    soften."""
    between = canvas.pixel * ((jnp.arange(times) + 0.5) / times - 0.5)
    finer = Canvas(
        x=(canvas.x[..., None] + between[None, None, :]).reshape(1, -1),
        y=(canvas.y - between[None, :]).reshape(-1, 1),
        pixel=canvas.pixel / times,
    )
    height, width = canvas.y.shape[0], canvas.x.shape[1]
    return paint(finer).reshape(-1, height, times, width, times).mean(axis=(2, 4))


def scaled(unit: Array, kind: type[Parameters]) -> Parameters:
    """A point of the unit cube [N] as parameters, whose fields are annotated with the ``Between`` that they lie in, or
    with the values ``Among`` which they are.

    The first coordinates are used and the rest ignored, so that formulas of different dimensions can share one draw.
    """
    fields, first = [], 0
    for space in ranges(kind).values():
        used = unit[first] if space.count is None else unit[first : first + space.count]
        fields.append(_placed(space, used))
        first += space.count or 1
    return kind(*fields)


def dimension(kind: type) -> int:
    """How many coordinates of the unit cube ``scaled`` uses."""
    return sum(space.count or 1 for space in ranges(kind).values())


def ranges(kind: type) -> dict[str, Between | Among]:
    """Where each parameter lies."""
    return {name: hint.__metadata__[0] for name, hint in get_type_hints(kind, include_extras=True).items()}


def _placed(space: Between | Among, unit: Array) -> Array:
    if isinstance(space, Among):
        last = len(space.values) - 1
        return jnp.asarray(space.values, jnp.float32)[jnp.clip(jnp.floor(unit * (last + 1)), 0, last).astype(jnp.int32)]
    return space.low + (space.high - space.low) * unit


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


def mix(first: Any, second: Any, weight: Any) -> Any:
    """``first`` where ``weight`` is 0, ``second`` where it is 1."""
    return first + weight * (second - first)
