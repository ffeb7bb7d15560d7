"""Flow fields: lines that follow a direction which simplex noise gives to each point.

Perlin & Neyret 2001, "Flow noise", for fields from noise; drawing their streamlines with a pen is a plotter artist's
habit (Hobbs 2020, tylerxhobbs.com/words/flow-fields). Followed by the midpoint rule. Smooth in all parameters.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, mix
from zoo.algorithmic.noise import lattice, simplex
from zoo.algorithmic.pen import ACCENT, Lines, drawn

SIDE, PIECES = 18, 32


class Streams(NamedTuple):
    """What tells one field from another."""

    scale: Annotated[Array, Between(0.5, 1.1)]
    """Lattice cells of the noise a unit."""
    turn: Annotated[Array, Between(0.8, 2.4)]
    """Radians that the highest noise turns the direction by."""
    angle: Annotated[Array, Between(0, 2 * pi)]
    """The direction where the noise is 0, radians."""
    length: Annotated[Array, Between(0.5, 1.3)]
    """Of the longest lines."""
    width: Annotated[Array, Between(0.018, 0.045)]
    """Of the widest lines."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark paper, 1: light."""


def lines(streams: Streams, key: Array) -> Lines:
    """SIDE^2 lines from a shaken lattice, each forth and back from its start."""
    field, shaken, lengths, widths, tones = jax.random.split(key, 5)
    table = lattice(field)
    places = (jnp.stack(jnp.divmod(jnp.arange(SIDE**2), SIDE), axis=1) + 0.5) * 2.2 / SIDE - 1.1
    starts = places + jax.random.uniform(shaken, places.shape, minval=-1.0) * 1.1 / SIDE
    step = streams.length * jax.random.uniform(lengths, (SIDE**2, 1), minval=0.3) / PIECES

    def direction(at: Array) -> Array:
        angle = streams.angle + streams.turn * simplex(streams.scale * at[:, 0], streams.scale * at[:, 1], table)
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)

    def follow(sign: int) -> Array:
        def move(at: Array, _: None) -> tuple[Array, Array]:
            at = at + sign * step * direction(at + 0.5 * sign * step * direction(at))
            return at, at

        return jax.lax.scan(move, starts, None, PIECES // 2)[1]

    points = jnp.concatenate([follow(-1)[::-1], starts[None], follow(1)]).swapaxes(0, 1)
    fine = jax.random.uniform(widths, (SIDE**2,)) ** 2
    drift = 0.5 + 0.5 * simplex(0.5 * starts[:, 0] + 9, 0.5 * starts[:, 1], table)
    pick = jax.random.uniform(tones, (2, SIDE**2))
    light = streams.ground
    tone = jnp.clip(drift + 0.5 * (pick[0] - 0.5), 0, 1)
    tone = mix(0.3 + 0.7 * tone, 0.8 * tone, light)
    return Lines(points, jnp.where(pick[1] < 0.08, ACCENT, tone), streams.width * (0.25 + 0.75 * fine), light)


def paint(streams: Streams, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The lines, sRGB [3, H, W]."""
    return drawn(lines(streams, key), palette, canvas)
