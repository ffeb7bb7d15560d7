"""Tiles with quarter discs or with rings: Truchet's patterns in Bauhaus colours, or Kandinsky's squares.

Truchet tiling (Truchet 1704; Smith 1987, "The tiling patterns of Sebastien Truchet and the topology of structural
hierarchy"): one motif on a square lattice, turned at random in each cell. A table of cells becomes a picture by two
small matrix products with the cell that each row and column of pixels lies in.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, Canvas, inside
from zoo.algorithmic.colour import over, ramp

MOST = 4


class Mosaic(NamedTuple):
    """What tells one mosaic from another."""

    cells: Annotated[Array, Between(1.51, 4.49)]
    """Cells in a row, rounded."""
    rings: Annotated[Array, Between(0, 1)]
    """Above 0.5 the motif is whole rings, below it quarter discs."""
    turn: Annotated[Array, Between(0, 4, MOST**2)]
    """[MOST^2] Which corner the quarter discs sit in, rounded down."""
    ground: Annotated[Array, Between(0, 5, MOST**2)]
    """[MOST^2] Which of five colours the cell has."""
    disc: Annotated[Array, Between(1, 5, MOST**2)]
    """[MOST^2] Which of the four others the disc has."""
    core: Annotated[Array, Between(1, 5, MOST**2)]
    """[MOST^2] Which of the four others again the disc within it has."""


def paint(mosaic: Mosaic, palette: Array, canvas: Canvas) -> Array:
    """The mosaic, sRGB [3, H, W]."""
    rings, width = mosaic.rings > 0.5, 2 / jnp.round(mosaic.cells)
    rows, columns = _cells(canvas.y[:, 0], width), _cells(canvas.x[0], width)

    turn = jnp.floor(mosaic.turn.reshape(MOST, MOST))
    right = jnp.einsum("yi,xj,ij->yx", rows, columns, jnp.where(turn % 2 == 0, 0.5, -0.5))
    top = jnp.einsum("yi,xj,ij->yx", rows, columns, jnp.where(turn < 2, 0.5, -0.5))
    across = jnp.mod(canvas.x + 1, width) / width - 0.5 - jnp.where(rings, 0, right)
    up = jnp.mod(canvas.y + 1, width) / width - 0.5 - jnp.where(rings, 0, top)
    radius = jnp.sqrt(across**2 + up**2 + 1e-12)  # in cells, from where the motif has its centre

    disc = mosaic.ground // 1 + mosaic.disc // 1
    tones = mosaic.ground // 1, disc, disc + mosaic.core // 1
    colours = [ramp(palette, (tone.reshape(MOST, MOST) % 5) / 4) for tone in tones]
    ground, disc, core = (jnp.einsum("yi,xj,cij->cyx", rows, columns, colour) for colour in colours)
    pixel = canvas.pixel / width
    picture = over(ground, disc, inside(radius - jnp.where(rings, 0.46, 1.0), pixel))
    return over(picture, core, inside(radius - jnp.where(rings, 0.24, 0.5), pixel))


def _cells(centres: Array, width: Array) -> Array:
    """[pixels, MOST]: 1 for the cell that a pixel's centre lies in, else 0."""
    return 1.0 * (jnp.floor((centres + 1) / width)[:, None] == jnp.arange(MOST)[None, :])
