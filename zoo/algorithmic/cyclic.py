"""Cyclic cellular automata: states that eat one another in a ring, from noise to spirals.

Fisch, Gravner & Griffeath 1991, "Threshold-range scaling of excitable cellular automata": a cell in state s takes
state s + 1 (modulo n) when at least a threshold of its neighbours, up to RANGE cells away in rows and columns, have
it. The board of CELLS^2 cells is a torus; a picture of any size has exact means of them. Smooth in the palette only.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.board import squares
from zoo.algorithmic.canvas import Among, Between, Canvas
from zoo.algorithmic.colour import accent, over, ramp

CELLS, STEPS, RANGE = 128, 180, 3
# n, and the threshold: with a lower one noise remains, with a higher one everything comes to rest.
RINGS = ((8, 5), (10, 5), (6, 6), (7, 6), (8, 6))


class Cyclic(NamedTuple):
    """What tells one board from another."""

    ring: Annotated[Array, Among(tuple(range(len(RINGS))))]
    """Which of RINGS."""
    shift: Annotated[Array, Between(0, 1)]
    """Where in the ring the colours begin."""
    marked: Annotated[Array, Among((0, 1))]
    """1: one of the states has the accent's colour."""


def evolve(state: Array, states: Array, threshold: Array, steps: int) -> Array:
    """The board int32 [R, K], 0 to ``states`` - 1, after ``steps``."""

    def step(_: Array, state: Array) -> Array:
        after, wide = (state + 1) % states, jnp.pad(state, RANGE, mode="wrap")
        reach = range(2 * RANGE + 1)
        around = (wide[down : down + len(state), right : right + state.shape[1]] for down in reach for right in reach)
        eaters = sum((1 * (near == after) for near in around), jnp.zeros_like(state))
        return jnp.where(eaters >= threshold, after, state)

    return jax.lax.fori_loop(0, steps, step, state)


def paint(cyclic: Cyclic, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The board, sRGB [3, H, W]."""
    states, threshold = jnp.asarray(RINGS)[cyclic.ring.astype(jnp.int32)]
    start = jnp.floor(jax.random.uniform(key, (CELLS, CELLS)) * states).astype(jnp.int32)
    state = evolve(start, states, threshold, STEPS)
    place = jnp.mod(state / states + cyclic.shift, 1)
    colours = ramp(palette, 1 - jnp.abs(1 - 2 * place))
    return squares(over(colours, accent(palette), cyclic.marked * (state == 0)), canvas)
