"""Elementary cellular automata: a row of cells, and below it what becomes of it by one of 256 rules.

Wolfram 1983, "Statistical mechanics of cellular automata": cell, left and right neighbour make a number from 0 to 7,
and that bit of the rule is the cell's next state. A cell's colour tells which of the eight numbers it came from. The
board has CELLS^2 cells; a picture of any size has exact means of them. Smooth in the palette only.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.board import squares
from zoo.algorithmic.canvas import Among, Between, Canvas
from zoo.algorithmic.colour import accent_on, over, ramp

CELLS = 96
RULES = (18, 22, 30, 45, 73, 75, 86, 89, 90, 105, 109, 110, 122, 126, 129, 146, 150, 165, 182)


class Rule(NamedTuple):
    """What tells one automaton from another."""

    rule: Annotated[Array, Among(RULES)]
    """Its number."""
    density: Annotated[Array, Between(-0.6, 0.12)]
    """How many of the first row's cells live beside the middle one; 0 or less: none."""
    ground: Annotated[Array, Among((0, 1))]
    """0: what is dead is dark, 1: light."""


def evolve(rule: Array, first: Array, steps: int) -> tuple[Array, Array]:
    """(states, neighbourhoods), int32 [steps, N]: of each row the cells, 0 or 1, and the numbers 0 to 7 that they came
    from. The row is a ring."""

    def step(row: tuple[Array, Array], _: None) -> tuple:
        state = row[0]
        number = 4 * jnp.roll(state, 1) + 2 * state + jnp.roll(state, -1)
        return ((rule >> number) & 1, number), row

    _, rows = jax.lax.scan(step, (first, 2 * first), None, steps)
    return rows


def paint(rule: Rule, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The automaton, sRGB [3, H, W]."""
    first = (jax.random.uniform(key, (CELLS,)) < rule.density) | (jnp.arange(CELLS) == CELLS // 2)
    states, numbers = evolve(rule.rule.astype(jnp.int32), first.astype(jnp.int32), CELLS)
    light = rule.ground
    count = (numbers & 1) + (numbers >> 1 & 1) + (numbers >> 2)
    age = jnp.arange(CELLS)[:, None] / CELLS
    alive = 0.42 + 0.16 * count + 0.1 * age - light * (0.36 + 0.1 * age)
    dead = 0.03 + 0.05 * count + light * (0.95 - 0.12 * count)
    colours = ramp(palette, jnp.where(states > 0, alive, dead))
    marked = 1.0 * ((states > 0) & ((numbers == 1) | (numbers == 4)))
    return squares(over(colours, accent_on(palette, light), marked), canvas)
