"""Pebbles: the cells of a Voronoi diagram whose points have spread evenly, rounded off, with rings like those of wood.

Voronoi 1908; a few of the steps of Lloyd 1982 ("Least squares quantization in PCM") move each point to the middle of
its cell. The distance to a cell's border is that to the nearest bisector, as ``glass`` has it, but through a soft
minimum, which rounds corners. Smooth in all parameters; Lloyd's steps count samples, through which no gradient goes.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, inside
from zoo.algorithmic.colour import accent, lit, over, ramp

SITES, LLOYD, SAMPLES = 56, 3, 64
REACH = 1.25  # how far beyond the canvas points lie


class Voronoi(NamedTuple):
    """What tells one beach from another."""

    gap: Annotated[Array, Between(0.012, 0.03)]
    """Half the width of the joints."""
    roundness: Annotated[Array, Between(0.015, 0.05)]
    """Of the corners."""
    rings: Annotated[Array, Between(0.0, 1.0)]
    """How strongly the rings show."""
    spacing: Annotated[Array, Between(0.03, 0.06)]
    """From one ring to the next."""
    drift: Annotated[Array, Between(0.2, 0.9)]
    """How much of a pebble's tone comes from where it lies."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark joints, 1: light."""


def sites_of(key: Array) -> Array:
    """The points [SITES, 2]."""
    along = REACH * ((2 * jnp.arange(SAMPLES, dtype=jnp.float32) + 1) / SAMPLES - 1)
    grid = jnp.stack(jnp.meshgrid(along, along), axis=-1).reshape(-1, 2)

    def spread(sites: Array, _: None) -> tuple[Array, None]:
        cell = jnp.argmin(jnp.sum((grid[:, None] - sites[None]) ** 2, axis=-1), axis=1)
        total = jnp.zeros_like(sites).at[cell].add(grid)
        count = jnp.zeros(SITES).at[cell].add(1.0)[:, None]
        return jnp.where(count > 0, total / jnp.maximum(count, 1), sites), None

    start = jax.random.uniform(key, (SITES, 2), minval=-REACH, maxval=REACH)
    return jax.lax.stop_gradient(jax.lax.scan(spread, start, None, LLOYD)[0])


def cells(sites: Array, canvas: Canvas) -> Array:
    """Which site is nearest: int32 [H, W]."""
    return jnp.argmin(_squares(sites, canvas), axis=0)


def paint(voronoi: Voronoi, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The pebbles, sRGB [3, H, W]."""
    placing, toning, marking = jax.random.split(key, 3)
    sites = sites_of(placing)
    squares, cell = _squares(sites, canvas), cells(sites, canvas)
    nearest = sites[cell]  # [H, W, 2]

    def closer(total: Array, other: tuple) -> tuple[Array, None]:
        number, site, square = other
        apart = jnp.sqrt(jnp.sum((site[None, None] - nearest) ** 2, axis=-1) + 1e-9)
        border = 0.5 * (square - squares.min(axis=0)) / apart
        return total + jnp.where(number == cell, 0, jnp.exp(-border / voronoi.roundness)), None

    total, _ = jax.lax.scan(closer, jnp.zeros_like(squares[0]), (jnp.arange(SITES), sites, squares))
    border = -voronoi.roundness * jnp.log(total + 1e-20)
    light, tone = voronoi.ground, jax.random.uniform(toning, (SITES,))
    place = jnp.clip(0.5 + 0.45 * (sites[:, 1] - 0.4 * sites[:, 0]), 0, 1)
    tone = 0.18 + 0.75 * (voronoi.drift * place + (1 - voronoi.drift) * tone) - 0.12 * light
    marked = jax.random.uniform(marking, (SITES,)) < 0.14
    inner = jnp.where(marked[None], accent(palette)[:, None], ramp(palette, tone))[:, cell]
    ring = jnp.sin(jnp.pi * border / voronoi.spacing) ** 2 * jnp.clip(1.5 - 2 * canvas.pixel / voronoi.spacing, 0, 1)
    inner = lit(inner, voronoi.rings * 0.22 * (ring - 0.5) + 0.6 * jnp.minimum(border, 0.12) - 0.05)
    joints = ramp(palette, 0.02 + 0.96 * light + jnp.zeros_like(border))
    return over(joints, inner, inside(voronoi.gap - border, canvas.pixel))


def _squares(sites: Array, canvas: Canvas) -> Array:
    """Squared distances [SITES, H, W]."""
    return (canvas.x[None] - sites[:, :1, None]) ** 2 + (canvas.y[None] - sites[:, 1:, None]) ** 2
