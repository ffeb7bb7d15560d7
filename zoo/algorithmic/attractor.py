"""Strange attractors in the plane: veils that one point weaves, hopping for ever by sines of itself.

Pickover 1990, "Computers, pattern, chaos and beauty", after Clifford Pickover: x' = sin(a y) + c cos(a x),
y' = sin(b x) + d cos(b y). Each draw lies near one of a few whose veils are wide, as many others are but dots. Drawn by
the chaos game, in which here nothing is random but the start: smooth in the palette only.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas
from zoo.algorithmic.chaos import Swarm, portrait

KNOWN = (
    (-1.4, 1.6, 1.0, 0.7), (-2.0, -2.0, -1.2, 2.0), (1.7, 1.7, 0.6, 1.2), (1.5, -1.8, 1.6, 0.9),
    (-1.3, -1.3, -1.8, -1.9), (1.5, 1.9, 1.3, -0.8), (-1.8, -2.0, -0.5, -0.9), (1.7, 0.7, 1.4, 2.0),
)  # fmt: skip


class Attractor(NamedTuple):
    """What tells one attractor from another."""

    near: Annotated[Array, Among(tuple(range(len(KNOWN))))]
    """Which of KNOWN it resembles."""
    shift: Annotated[Array, Between(-0.03, 0.03, 4)]
    """[4] How far a, b, c and d are from there."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark paper, 1: light."""


def paint(attractor: Attractor, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The veil, sRGB [3, H, W]; where a point comes from far away its colour is lighter."""
    a, b, c, d = jnp.asarray(KNOWN, jnp.float32)[attractor.near.astype(jnp.int32)] + attractor.shift

    def hop(key: Array, swarm: Swarm) -> Swarm:
        x, y = swarm.place.T
        place = jnp.stack([jnp.sin(a * y) + c * jnp.cos(a * x), jnp.sin(b * x) + d * jnp.cos(b * y)], axis=1)
        far = jnp.sqrt(jnp.sum((place - swarm.place) ** 2, axis=1))
        return Swarm(place, 0.5 * swarm.colour + 0.5 * jnp.clip(far / 3.2, 0, 1))

    return portrait(hop, key, palette, canvas, ground=attractor.ground)
