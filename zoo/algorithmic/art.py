"""Endless algorithmic art: a key is a picture, the same one at any size.

The zoo's default training set of pictures. A key draws a family of formulas, a palette, and a point of the unit cube
from which the family reads its parameters.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic import bloom, flow, glass, julia, mosaic, ridges, spiral
from zoo.algorithmic.canvas import Canvas, dimension, scaled, square
from zoo.algorithmic.colour import PALETTES, palette
from zoo.nn.platform import by_platform


class Family(NamedTuple):
    """One kind of picture."""

    parameters: type
    """A named tuple of arrays, annotated with their ranges."""
    paint: Callable[[Any, Array, Canvas], Array]
    """(parameters, palette [SHADES + 1, 3], canvas) -> sRGB [3, H, W], 0 to 1 and slightly beyond: pure, smooth almost
    everywhere in the parameters and in the palette."""


FAMILIES: dict[str, Family] = {
    "flow": Family(flow.Flow, flow.paint),
    "ridges": Family(ridges.Ridges, ridges.paint),
    "spiral": Family(spiral.Spiral, spiral.paint),
    "bloom": Family(bloom.Bloom, bloom.paint),
    "julia": Family(julia.Julia, julia.paint),
    "mosaic": Family(mosaic.Mosaic, mosaic.paint),
    "glass": Family(glass.Glass, glass.paint),
}
TRAINING = ("ridges", "bloom")
"""What is drawn unless other families are asked for. Both are composed, about a horizon and about a centre, so that a
small model learns them in minutes; of all seven together it learns little but the colours."""

DIMENSION = max(dimension(family.parameters) for family in FAMILIES.values())
EVERY = tuple(PALETTES)


class Choice(NamedTuple):
    """What a key draws."""

    family: Array
    """Which of the families that it was to choose from, in their order: int32 []."""
    unit: Array
    """Where in the unit cube: float32 [DIMENSION]."""
    colours: Array
    """A palette: float32 [SHADES + 1, 3]."""


def choose(key: Array, families: tuple[str, ...] = TRAINING, palettes: tuple[str, ...] = EVERY) -> Choice:
    """Everything that makes the picture of a key, by one draw of random numbers."""
    table = jnp.asarray(_table(palettes))
    which, colours, *_ = unit = jax.random.uniform(key, (2 + DIMENSION,), jnp.float32)
    family = jnp.floor(which * len(families)).astype(jnp.int32)
    return Choice(family, unit[2:], table[jnp.floor(colours * len(palettes)).astype(jnp.int32)])


@cache
def _table(palettes: tuple[str, ...]) -> np.ndarray:
    return np.stack([palette(PALETTES[name]) for name in palettes])


def label(key: Array, families: tuple[str, ...] = TRAINING) -> Array:
    """Which of ``families``, in their order, the picture of a key belongs to: int32 []."""
    return choose(key, families).family


def draw(key: Array, size: int, families: tuple[str, ...] = TRAINING) -> Array:
    """The picture of a key, of one of ``families``: float32 [size, size, 3] in [-1, 1]."""
    return draw_labelled(key, size, families)[0]


def draw_labelled(
    key: Array, size: int, families: tuple[str, ...] = TRAINING, palettes: tuple[str, ...] = EVERY
) -> tuple[Array, Array]:
    """The picture of a key, as ``draw`` gives it, in one of ``palettes``, and its family, as ``label`` does."""
    choice = choose(key, families, palettes)
    switched = partial(_paint, size=size, families=families)
    # Under vmap a switch computes every branch for every picture. On a CPU a loop over the batch, in which each picture
    # runs its own branch alone, takes a fraction of the time; an accelerator would spend more on launching its kernels.
    one_by_one = jax.custom_batching.sequential_vmap(switched)
    return by_platform(choice, cpu=one_by_one, default=switched), choice.family


def paint(name: str, unit: Array, colours: Array, *, size: int) -> Array:
    """One picture of the family ``name``: float32 [size, size, 3] in [-1, 1].

    ``unit`` [DIMENSION] in [0, 1] says which; near points give similar pictures. ``colours``: a ``colour.palette``.
    """
    family = FAMILIES[name]
    picture = family.paint(scaled(unit, family.parameters), colours, square(size))
    return jnp.moveaxis(2 * jnp.clip(picture, 0, 1) - 1, 0, -1)


def _paint(choice: Choice, *, size: int, families: tuple[str, ...]) -> Array:
    return jax.lax.switch(choice.family, [partial(paint, name, size=size) for name in families], *choice[1:])
