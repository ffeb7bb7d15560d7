"""The chaos game: many points hop at random, and where they come by often the picture is bright.

Barnsley 1988, "Fractals everywhere"; brightness is the logarithm of the density, and a point's colour a memory of the
maps that it took, after Draves & Reckase 2003, "The fractal flame algorithm". A histogram over pixels is the box
filter, so nothing else softens the picture. Points have no derivative in a histogram: smooth in the palette only.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Canvas, mix
from zoo.algorithmic.colour import over, ramp

POINTS = 4096  # that hop at once
SETTLING, LOOKS = 30, 24  # hops before anything is drawn; hops by which the picture is framed and exposed
LEAST, A_PIXEL = 2**18, 32  # visits in all, and of each pixel
COARSE = 48  # cells of a side, for the exposure
MARGIN = 1.2


class Swarm(NamedTuple):
    """Points [POINTS, 2] and the colour [POINTS], 0 to 1, of each."""

    place: Array
    colour: Array


Hop = Callable[[Array, Swarm], Swarm]
"""(key, swarm) -> swarm, one hop later."""


class Frame(NamedTuple):
    """What of the plane the canvas shows, and what density counts as bright."""

    centre: Array
    """[2]"""
    half: Array
    """Half the side."""
    bright: Array
    """Visits a unit of the canvas, of one visit in all, about a typical visit: the exponential of minus the entropy,
    for which a few very dense places count little."""


def portrait(hop: Hop, key: Array, palette: Array, canvas: Canvas, *, ground: Array, contrast: float = 12.0) -> Array:
    """The attractor of ``hop``, framed by itself: sRGB [3, H, W]. ``ground``: 0 dark paper, 1 light.

    ``canvas.pixel`` must be a number, as it says how many visits are drawn.
    """
    swarm, frame = _framed(hop, key)
    hops = max(LEAST, round(A_PIXEL * (2 / canvas.pixel) ** 2)) // POINTS
    visits, colour = _histogram(hop, jax.random.fold_in(key, 2), swarm, frame, canvas, hops)
    density = visits / (hops * POINTS * canvas.pixel**2 * frame.bright)
    light = jnp.clip(jnp.log1p(contrast * density) / jnp.log1p(3 * contrast), 0, 1)
    memory, dark = colour / jnp.maximum(visits, 1), 1 - ground
    tone = mix(0.72 - 0.72 * memory * light, 0.25 + 0.5 * memory + 0.35 * light, dark)
    paper = ramp(palette, mix(0.98, 0.0, dark) + jnp.zeros_like(light))
    return over(paper, ramp(palette, tone), light ** mix(0.8, 1.1, dark))


def chosen(table: Array, which: Array) -> Array:
    """The rows [P, D] of a small table that points [P] choose: as a product, which is ten times as fast as a gather."""
    return jnp.matmul(jax.nn.one_hot(which, len(table)), table, precision="highest")


def _framed(hop: Hop, key: Array) -> tuple[Swarm, Frame]:
    """The swarm on its attractor, and the frame: from a few hops, the same for every canvas."""
    start = jax.random.uniform(key, (POINTS, 2), minval=-1.0, maxval=1.0)
    swarm = Swarm(start, jnp.full(POINTS, 0.5))
    keys = jax.random.split(jax.random.fold_in(key, 1), SETTLING + LOOKS)
    swarm, _ = jax.lax.scan(lambda swarm, key: (hop(key, swarm), None), swarm, keys[:SETTLING])
    swarm, seen = jax.lax.scan(lambda swarm, key: (hop(key, swarm), swarm.place), swarm, keys[SETTLING:])
    seen = seen.reshape(-1, 2)
    low, high = jnp.quantile(seen, jnp.array([0.02, 0.98]), axis=0)
    centre, half = (low + high) / 2, MARGIN * jnp.max(high - low) / 2 + 1e-3
    cell = jnp.floor((seen - centre[None]) / half * COARSE / 2 + COARSE / 2).astype(jnp.int32)
    counts = jnp.zeros((COARSE, COARSE)).at[cell[:, 0], cell[:, 1]].add(1.0, mode="drop")
    shares = counts / len(seen)
    bright = jnp.exp(jnp.sum(shares * jnp.log(shares + 1e-9))) * (COARSE / 2) ** 2
    return swarm, Frame(centre, half, bright)


def _histogram(hop: Hop, key: Array, swarm: Swarm, frame: Frame, canvas: Canvas, hops: int) -> tuple[Array, Array]:
    """(visits, the sum of their colours) of each pixel, [H, W]."""
    height, width = canvas.y.shape[0], canvas.x.shape[1]
    left, top = canvas.x[0, 0] - canvas.pixel / 2, canvas.y[0, 0] + canvas.pixel / 2

    def visit(carry: tuple, key: Array) -> tuple:
        swarm, pixels = carry
        swarm = hop(key, swarm)
        x, y = ((swarm.place - frame.centre[None]) / frame.half).T
        row, column = ((z / canvas.pixel) for z in (top - y, x - left))
        seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        index = jnp.where(seen, row.astype(jnp.int32) * width + column.astype(jnp.int32), height * width)
        return (swarm, pixels.at[index].add(jnp.stack([jnp.ones(POINTS), swarm.colour], axis=1), mode="drop")), None

    (_, pixels), _ = jax.lax.scan(visit, (swarm, jnp.zeros((height * width, 2))), jax.random.split(key, hops))
    visits, colour = jnp.moveaxis(pixels.reshape(height, width, 2), -1, 0)
    return visits, colour
