"""Reaction-diffusion: a chemical that feeds on another grows into coral, mazes and dividing spots.

The model of Gray & Scott 1984 in the plane, with the patterns of Pearson 1993, "Complex patterns in a simple system":
u' = Du lap(u) - u v^2 + F (1 - u), v' = Dv lap(v) + u v^2 - (F + k) v. The dish always has GRID^2 points, whose
distance is the unit of length, so that a pattern does not depend on the picture's resolution; concentrations vary
over many points, and a cubic spline between them draws smooth rims at any size. Smooth in the palette, and in F and k
as far as memory for thousands of steps reaches.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.board import smooth
from zoo.algorithmic.canvas import Among, Between, Canvas, inside
from zoo.algorithmic.colour import accent, lit, over, ramp

GRID, STEPS, SEEDS = 112, 3600, 14
DIFFUSION_U, DIFFUSION_V = 0.2, 0.1  # squared grid distances a step
# F and k, each with what grows there.
PATTERNS = (
    (0.0545, 0.0620),  # coral
    (0.0367, 0.0649),  # dividing spots
    (0.0290, 0.0570),  # a maze
    (0.0420, 0.0610),  # worms
    (0.0390, 0.0580),  # holes
    (0.0300, 0.0610),  # spots and rings
)


class Reaction(NamedTuple):
    """What tells one dish from another."""

    pattern: Annotated[Array, Among(tuple(range(len(PATTERNS))))]
    """Which of PATTERNS grows."""
    feed: Annotated[Array, Between(-0.0012, 0.0012)]
    """How much is fed beyond the pattern's F."""
    turns: Annotated[Array, Among((1, 2, 3, 4, 5, 6))]
    """In how many places about the centre each seed is sown."""
    light: Annotated[Array, Between(0.25 * pi, 0.75 * pi)]
    """Where the light comes from, radians."""
    ground: Annotated[Array, Among((0, 1))]
    """0: a dark dish, 1: a light one."""


def react(reaction: Reaction, key: Array, *, steps: int = STEPS) -> Array:
    """The concentrations u and v after ``steps``: [2, GRID, GRID], 0 to 1."""
    feed, kill = jnp.asarray(PATTERNS, jnp.float32)[reaction.pattern.astype(jnp.int32)]
    feed = feed + reaction.feed

    def step(_: Array, state: Array) -> Array:
        u, v = state
        reacted = u * v * v
        u = u + DIFFUSION_U * _laplacian(u) - reacted + feed * (1 - u)
        v = v + DIFFUSION_V * _laplacian(v) + reacted - (feed + kill) * v
        return jnp.stack([u, v])

    return jax.lax.fori_loop(0, steps, step, _sown(reaction, key))


def paint(reaction: Reaction, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The dish, sRGB [3, H, W]."""
    v = react(reaction, key)[1] / 0.35
    slopes = [(jnp.roll(v, -1, axis) - jnp.roll(v, 1, axis)) * GRID / 4 for axis in (1, 0)]
    height, right, down = smooth(jnp.stack([v, *slopes]), canvas)
    steep = jnp.sqrt(right**2 + down**2 + 1e-4)
    facing = (right * jnp.cos(reaction.light) - down * jnp.sin(reaction.light)) / (steep + 4)
    light = reaction.ground
    dish = ramp(palette, 0.04 + 0.3 * height + light * (0.92 - 0.6 * height))
    grown = lit(ramp(palette, 0.42 + 0.5 * height - light * (0.4 - 0.1 * height)), -0.35 * facing)
    rim = inside((jnp.abs(height - 0.5) - 0.09) / steep, canvas.pixel)
    return over(over(dish, grown, inside((0.5 - height) / steep, canvas.pixel)), accent(palette), rim)


def _laplacian(x: Array) -> Array:
    """By nine points, round at the scale of the grid; the dish goes on beyond its borders."""
    near = sum(jnp.roll(x, shift, axis) for axis in (0, 1) for shift in (1, -1))
    far = sum(jnp.roll(x, shift, (0, 1)) for shift in ((1, 1), (1, -1), (-1, 1), (-1, -1)))
    return 0.8 * near + 0.2 * far - 4 * x


def _sown(reaction: Reaction, key: Array) -> Array:
    """u everywhere, and v in a few discs that repeat about the centre: [2, GRID, GRID]."""
    along = (2 * jnp.arange(GRID) + 1) / GRID - 1
    turns = reaction.turns
    places = jax.random.uniform(key, (SEEDS, 2), minval=jnp.array([[0.05, 0.0]]), maxval=jnp.array([[0.85, 2 * pi]]))
    v = jnp.zeros((GRID, GRID))
    for copy in range(6):
        angle = places[:, 1] + 2 * pi * jnp.minimum(copy, turns - 1) / turns
        dx = along[None, None, :] - (places[:, 0] * jnp.cos(angle))[:, None, None]
        dy = along[None, :, None] - (places[:, 0] * jnp.sin(angle))[:, None, None]
        v = jnp.maximum(v, jnp.max(jnp.exp(-(dx * dx + dy * dy) * (GRID / 5) ** 2), axis=0))
    return jnp.stack([1 - 0.5 * v, 0.35 * v])
