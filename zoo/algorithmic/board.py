"""Boards of cells, and what lies on a grid, as pictures of any size.

Both are two small matrix products, one along each side: a row of the matrix says how a pixel is made up of cells.
"""

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Canvas


def squares(board: Array, canvas: Canvas) -> Array:
    """A board [C, R, K] of R rows from top to bottom, over the whole square: [C, H, W], each pixel the exact mean of
    the cells that it covers."""
    _, rows, columns = board.shape
    return _product(_shares(-canvas.y[:, 0], rows, canvas.pixel), board, _shares(canvas.x[0], columns, canvas.pixel))


def smooth(grid: Array, canvas: Canvas) -> Array:
    """A grid [C, R, K] that repeats beyond its borders -> [C, H, W] between its points, by cubic B-splines.

    They do not pass through the points but soften them a little, and bend nowhere abruptly (Unser 1999, "Splines").
    """
    _, rows, columns = grid.shape
    return _product(_weights(-canvas.y[:, 0], rows), grid, _weights(canvas.x[0], columns))


def _product(rows: Array, board: Array, columns: Array) -> Array:
    return jnp.einsum("yr,crk,xk->cyx", rows, board, columns, precision="highest")


def _shares(centres: Array, cells: int, pixel: Array | float) -> Array:
    """[pixels, cells] How much of a pixel each cell covers."""
    low, high = ((centres + side * pixel / 2 + 1) * cells / 2 for side in (-1, 1))
    first = jnp.arange(cells)[None, :]
    overlap = jnp.minimum(high[:, None], first + 1) - jnp.maximum(low[:, None], first)
    return jnp.maximum(overlap, 0) / (high - low)[:, None]


def _weights(centres: Array, points: int) -> Array:
    """[pixels, points] How much each point, which lie in the middles of cells, weighs at a pixel."""
    away = (centres + 1)[:, None] * points / 2 - 0.5 - jnp.arange(points)[None, :]
    away = jnp.abs(jnp.mod(away + points / 2, points) - points / 2)
    near, far = 2 / 3 - away**2 + away**3 / 2, (2 - away) ** 3 / 6
    return jnp.where(away < 1, near, jnp.where(away < 2, far, 0))
