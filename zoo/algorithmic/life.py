"""Life, and automata like it, with the traces of what has lived.

Gardner 1970, on Conway's game: a cell is born with some numbers of living neighbours and survives with others; Mirek
Wojtowicz's collection of such rules names the others. A cell glows by how long it has lived or how long ago it died.
The board of CELLS^2 cells is a torus; a picture of any size has exact means of them. Smooth in the palette only.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic.board import squares
from zoo.algorithmic.canvas import Among, Between, Canvas
from zoo.algorithmic.colour import accent_on, over, ramp

CELLS, STEPS = 64, 56
# Born with, survives with so many neighbours.
RULES = {
    "life": ("3", "23"),
    "high life": ("36", "23"),
    "day and night": ("3678", "34678"),
    "maze": ("3", "12345"),
    "coral": ("3", "45678"),
    "walled cities": ("45678", "2345"),
}
_TABLE = np.array([[[str(n) in side for n in range(9)] for side in rule] for rule in RULES.values()], np.int32)


class Life(NamedTuple):
    """What tells one board from another."""

    rule: Annotated[Array, Among(tuple(range(len(RULES))))]
    """Which of RULES."""
    density: Annotated[Array, Between(0.4, 0.55)]
    """How many cells live at the beginning, where any do."""
    size: Annotated[Array, Between(0.6, 1.3)]
    """Half the width of the patch that they lie in, on a canvas of half width 1."""
    mirrored: Annotated[Array, Among((0, 1, 1, 1))]
    """1: the beginning is the same in all four quarters."""
    ground: Annotated[Array, Among((0, 1))]
    """0: what never lived is dark, 1: light."""


def evolve(rule: Array, state: Array, steps: int) -> tuple[Array, Array]:
    """(the state int32 [R, K] after ``steps``, for how many steps each cell has been as it is, or ``steps``)."""
    born, survives = jnp.asarray(_TABLE)[rule]

    def step(_: Array, board: tuple[Array, Array]) -> tuple[Array, Array]:
        state, since = board
        rows = state + jnp.roll(state, 1, 0) + jnp.roll(state, -1, 0)
        around = rows + jnp.roll(rows, 1, 1) + jnp.roll(rows, -1, 1) - state
        new = jnp.where(state > 0, survives[around], born[around])
        return new, jnp.where(new == state, since + 1, 0)

    return jax.lax.fori_loop(0, steps, step, (state, jnp.zeros_like(state)))


def paint(life: Life, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The board, sRGB [3, H, W]."""
    along = jnp.abs((2 * jnp.arange(CELLS) + 1) / CELLS - 1)
    patch = jnp.maximum(along[:, None], along[None, :]) < life.size
    start = jax.random.uniform(key, (CELLS, CELLS)) < life.density
    half = start[: CELLS // 2, : CELLS // 2]
    half = jnp.concatenate([half, half[:, ::-1]], axis=1)
    mirrored = jnp.concatenate([half, half[::-1]])
    start = jnp.where(life.mirrored > 0, mirrored, start) & patch
    state, since = evolve(life.rule.astype(jnp.int32), start.astype(jnp.int32), STEPS)
    light, fresh = life.ground, 1 - jnp.log1p(since) / jnp.log1p(jnp.float32(STEPS))
    never = 1.0 * (since == STEPS) * (state == 0)
    living = 0.95 - 0.25 * fresh - light * (0.9 - 0.3 * fresh)
    traces = 0.12 + 0.6 * fresh + light * (0.76 - 0.9 * fresh)
    colours = ramp(palette, jnp.where(state > 0, living, jnp.where(never > 0, light, traces)))
    return squares(over(colours, accent_on(palette, light), 1.0 * (state > 0) * (since < 2)), canvas)
