"""Strange attractors in space: the path of one point through the flows of Lorenz, Thomas, Halvorsen and Aizawa.

Lorenz 1963, "Deterministic nonperiodic flow"; Thomas 1999, "Deterministic chaos seen in terms of feedback circuits";
the other two after Sprott 2003, "Chaos and time-series analysis". Followed by the classical Runge-Kutta rule and
looked at from a side. Chaos forgets where it came from: derivatives by the view are exact, those by the start are
huge.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, mix
from zoo.algorithmic.lsystem import fitted
from zoo.algorithmic.pen import ACCENT, Lines, drawn

STROKES, PIECES, SETTLING = 224, 32, 256
SECONDS = (0.008, 0.1, 0.008, 0.02)  # of a step, by system


class Orbit(NamedTuple):
    """What tells one path from another."""

    system: Annotated[Array, Among((0, 1, 2, 3))]
    """Lorenz, Thomas, Halvorsen, Aizawa."""
    around: Annotated[Array, Between(0, 2 * pi)]
    """From which side one looks, radians about the axis of z."""
    above: Annotated[Array, Between(-0.5, 0.5)]
    """From how high, radians."""
    width: Annotated[Array, Between(0.006, 0.01)]
    """Of the line."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark paper, 1: light."""


def flow(system: Array, place: Array) -> Array:
    """The velocity [3] of a point at a place [3]."""
    x, y, z = place
    a, b = 1.4, 0.208186
    flows = (
        (10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z),
        (jnp.sin(y) - b * x, jnp.sin(z) - b * y, jnp.sin(x) - b * z),
        (-a * x - 4 * y - 4 * z - y * y, -a * y - 4 * z - 4 * x - z * z, -a * z - 4 * x - 4 * y - x * x),
        (
            (z - 0.7) * x - 3.5 * y,
            3.5 * x + (z - 0.7) * y,
            0.6 + 0.95 * z - z**3 / 3 - (x * x + y * y) * (1 + 0.25 * z) + 0.1 * z * x**3,
        ),
    )
    return jnp.stack([jnp.stack(each) for each in flows])[system.astype(jnp.int32)]


def path(system: Array, start: Array, steps: int) -> Array:
    """Where a point [3] comes by: [steps, 3]."""
    seconds = jnp.array(SECONDS)[system.astype(jnp.int32)]

    def move(at: Array, _: None) -> tuple[Array, Array]:
        first = flow(system, at)
        second = flow(system, at + seconds / 2 * first)
        third = flow(system, at + seconds / 2 * second)
        fourth = flow(system, at + seconds * third)
        at = at + seconds / 6 * (first + 2 * second + 2 * third + fourth)
        return at, at

    return jax.lax.scan(move, start, None, steps)[1]


def lines(orbit: Orbit, key: Array) -> Lines:
    """STROKES lines of PIECES pieces, one behind the other, from a random start."""
    start = jax.random.uniform(key, (3,), minval=0.1, maxval=1.0)
    places = path(orbit.system, start, SETTLING + STROKES * PIECES + 1)[SETTLING:]
    x, y, z = places.T
    across = jnp.cos(orbit.around) * x + jnp.sin(orbit.around) * y
    away = jnp.cos(orbit.around) * y - jnp.sin(orbit.around) * x
    up = jnp.cos(orbit.above) * z + jnp.sin(orbit.above) * away
    flat = fitted(jnp.stack([across, up], axis=1), 0.88)
    starts = PIECES * jnp.arange(STROKES)
    points = flat[starts[:, None] + jnp.arange(PIECES + 1)[None, :]]
    near = away[starts + PIECES // 2]
    near = (near - near.min()) / (near.max() - near.min() + 1e-6)
    light = orbit.ground
    tone = mix(0.25 + 0.75 * near, 0.8 - 0.8 * near, light)
    return Lines(
        points, jnp.where(jnp.arange(STROKES) % 16 == 7, ACCENT, tone), orbit.width * (0.6 + 0.6 * near), light
    )


def paint(orbit: Orbit, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The path, sRGB [3, H, W]."""
    return drawn(lines(orbit, key), palette, canvas)
