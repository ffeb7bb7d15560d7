"""Plants: branching L-systems that sway, as thick as what they carry, in blossom.

The grammars are of the kind of figure 1.24 in Prusinkiewicz & Lindenmayer 1990, "The algorithmic beauty of plants";
each step turns a little at random, with all that grows on it. A branch is as thick as the square root of the tips
above it (Leonardo's rule; Shinozaki et al. 1964, the pipe model). Smooth in all but the choice.
"""

from functools import cache
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, mix
from zoo.algorithmic.lsystem import System, Walk, fitted, grown, rewritten, walk_of
from zoo.algorithmic.pen import ACCENT, Lines, drawn

SYSTEMS = (
    System("F", {"F": "F[+F]F[-F]F"}, 4, 25.7),
    System("FX", {"X": "F[+X]F[-X]+X"}, 6, 20),
    System("X", {"X": "F-[[X]+X]+F[+FX]-X", "F": "FF"}, 4, 22.5),
    System("X", {"X": "F[+X][-X]FX", "F": "FF"}, 5, 25.7),
    System("FX", {"X": "F[+FX][--FX]F[-FX]X"}, 4, 24),
    System("FFX", {"X": "FF[++X][+FX][-FX][--X]"}, 4, 22),
)


class Plant(NamedTuple):
    """What tells one plant from another."""

    system: Annotated[Array, Among(tuple(range(len(SYSTEMS))))]
    """Which of SYSTEMS."""
    spread: Annotated[Array, Between(0.8, 1.25)]
    """How far branches turn away, of what the grammar says."""
    sway: Annotated[Array, Between(0.02, 0.09)]
    """How far each step turns at random, radians."""
    wind: Annotated[Array, Between(-0.03, 0.03)]
    """How far each step turns to the left, radians."""
    thickness: Annotated[Array, Between(0.006, 0.011)]
    """Of a tip."""
    blossom: Annotated[Array, Between(0.02, 0.045)]
    """Width of the blossoms."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark paper, 1: light."""


@cache
def _table() -> tuple[np.ndarray, ...]:
    """turns, parent, tips above each step, 1 where there is a step: [systems, N] each."""
    walks = [walk_of(rewritten(system)) for system in SYSTEMS]
    longest = max(len(walk.turns) for walk in walks)
    fill = lambda row: np.pad(row, (0, longest - len(row)))
    rows = [(walk.turns, walk.parent, _tips(walk), np.ones(len(walk.turns), np.int32)) for walk in walks]
    return tuple(np.stack([fill(row[at]) for row in rows]) for at in range(4))


def _tips(walk: Walk) -> np.ndarray:
    """How many tips each step carries: 1 for a tip itself."""
    tips = np.zeros(len(walk.parent), np.int32)
    for number in reversed(range(len(tips))):
        tips[number] = max(tips[number], 1)
        if walk.parent[number] >= 0:
            tips[walk.parent[number]] += tips[number]
    return tips


def lines(plant: Plant, key: Array) -> Lines:
    """Each step as a line; behind them the blossoms, points at the ends of every other tip."""
    system = plant.system.astype(jnp.int32)
    turns, parent, tips, there = (jnp.asarray(x)[system] for x in _table())
    angle = jnp.radians(jnp.array([each.degrees for each in SYSTEMS])[system])
    swaying, blooming, growing = jax.random.split(key, 3)
    sway = plant.wind + plant.sway * jax.random.normal(swaying, turns.shape)
    length = 1 + 0.3 * jax.random.uniform(growing, turns.shape, minval=-1.0)
    pieces = grown(turns, parent, plant.spread * angle, length * there, sway)
    points = fitted(jnp.where(there[:, None, None] > 0, pieces, pieces[:1]), 0.9)
    flower = (tips == 1) & (jax.random.uniform(blooming, turns.shape) < 0.5)
    light = plant.ground
    height = jnp.clip(points[:, 1, 1] / 1.8 + 0.5, 0, 1)
    tone, width = mix(0.35 + 0.5 * height, 0.05 + 0.5 * height, light), plant.thickness * there * tips**0.36
    return Lines(
        points=jnp.concatenate([points, points[:, 1:] + jnp.zeros_like(points)]),
        tone=jnp.concatenate([tone, jnp.full_like(tone, ACCENT)]),
        width=jnp.concatenate([width, plant.blossom * there * flower]),
        ground=light,
    )


def paint(plant: Plant, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The plant, sRGB [3, H, W]."""
    return drawn(lines(plant, key), palette, canvas)
