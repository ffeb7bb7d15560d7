"""Endless algorithmic art: a key is a picture, the same one at any size.

The zoo's default training set of pictures. A key draws a family of formulas, a palette, and a point of the unit cube
from which the family reads its parameters.
"""

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic.canvas import dimension, scaled, square
from zoo.algorithmic.colour import PALETTES, palette
from zoo.algorithmic.formulas import FORMULAS
from zoo.nn.platform import by_platform

FAMILIES = "flow", "ridges", "spiral", "bloom", "julia", "mosaic", "glass"
"""Quick formulas, smooth in all that they are drawn from. A picture may be of any other formula too."""
TRAINING = ("ridges", "bloom")
"""What is drawn unless other families are asked for. Both are composed, about a horizon and about a centre, so that a
small model learns them in minutes; of all seven together it learns little but the colours."""

DIMENSION = max(dimension(FORMULAS[name].parameters) for name in FAMILIES)
EVERY = tuple(PALETTES)


class Choice(NamedTuple):
    """What a key draws."""

    family: Array
    """Which of the families that it was to choose from, in their order: int32 []."""
    unit: Array
    """Where in the unit cube: float32 [DIMENSION], or as many as a family needs that reads more."""
    colours: Array
    """A palette: float32 [SHADES + 1, 3]."""
    key: Array
    """For what is random beside the parameters."""


def choose(key: Array, families: tuple[str, ...] = TRAINING, palettes: tuple[str, ...] = EVERY) -> Choice:
    """Everything that makes the picture of a key, by one draw of random numbers."""
    table = jnp.asarray(_table(palettes))
    cube = max(DIMENSION, *(dimension(FORMULAS[name].parameters) for name in families))
    which, colours, *_ = unit = jax.random.uniform(key, (2 + cube,), jnp.float32)
    family = jnp.floor(which * len(families)).astype(jnp.int32)
    return Choice(family, unit[2:], table[jnp.floor(colours * len(palettes)).astype(jnp.int32)], key)


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


def paint(name: str, unit: Array, colours: Array, key: Array, *, size: int) -> Array:
    """One picture of the family ``name``: float32 [size, size, 3] in [-1, 1].

    ``unit`` [DIMENSION] in [0, 1] says which; near points give similar pictures. ``colours``: a ``colour.palette``.
    """
    formula = FORMULAS[name]
    picture = formula.paint(scaled(unit, formula.parameters), colours, square(size), key)
    return jnp.moveaxis(2 * jnp.clip(picture, 0, 1) - 1, 0, -1)


def _paint(choice: Choice, *, size: int, families: tuple[str, ...]) -> Array:
    return jax.lax.switch(choice.family, [partial(paint, name, size=size) for name in families], *choice[1:])
