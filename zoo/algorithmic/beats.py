"""Beats: endless drumming in six styles, by drummers who are not machines.

A style is a table of what is struck in each sixteenth of a bar; what a drummer is decides how busy, how loud and how
accented the playing is, and where each hand falls beside the grid. Grooves are those of `zoo.codecs.drums`.
"""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic.canvas import Between, dimension, scaled
from zoo.codecs.drums import CLASSES, FINE, KIT

BAR = 16  # steps
FILL = 4  # steps at the end of the last bar, where there is a fill

# Style -> drum -> a bar of sixteenths: x is struck, o may be, g may be a ghost note.
STYLES: Mapping[str, Mapping[str, str]] = {
    "rock": {
        "kick": "x.....o.x.o.....", "snare": "....x.......x..g", "closed hi-hat": "x.x.x.x.x.x.x.x.",
    },
    "funk": {
        "kick": "x..o..x...x..o..", "snare": "....x..g.g..x..g", "closed hi-hat": "xoxoxoxoxoxoxoxo",
        "open hi-hat": "..............o.",
    },
    "disco": {
        "kick": "x...x...x...x...", "snare": "....x.......x...", "closed hi-hat": "xo..xo..xo..xo..",
        "open hi-hat": "..x...x...x...x.",
    },
    "half-time": {
        "kick": "x......o..x..o..", "snare": "........x.....g.", "ride": "x.x.x.x.x.x.x.x.",
        "closed hi-hat": "....x.......x...",
    },
    "bossa": {
        "kick": "x..xx..xx..xx..x", "snare": "x..x..x...x..x..", "closed hi-hat": "xgxgxgxgxgxgxgxg",
    },
    "shuffle": {
        "kick": "x......oo.......", "snare": "....x..g....x..g", "ride": "x..xx..xx..xx..x",
    },
}  # fmt: skip
TIMES = "xog"
NAMES = tuple(KIT)
LOUDNESS = np.array([0.8, 0.85, 0.6, 0.7, 0.8, 0.8, 0.8, 0.9, 0.6], np.float32)  # of the nine classes
TRIPLET = -1 / 3  # of a step: where the last of a shuffle's triplets falls
DOWN = np.array([1.0, 0.0, 0.4, 0.0] * (BAR // 4), np.float32)  # how strong a step is


class Drummer(NamedTuple):
    """What tells one drummer from another."""

    loud: Annotated[Array, Between(0.7, 1.1)]
    """Times the loudness of each drum."""
    accent: Annotated[Array, Between(0.1, 0.5)]
    """How much softer the weakest steps are."""
    busy: Annotated[Array, Between(0.1, 0.9)]
    """How often what may be struck is."""
    swing: Annotated[Array, Between(0.0, 0.3)]
    """How late every other sixteenth is, in steps."""
    lay: Annotated[Array, Between(-0.06, 0.14)]
    """How late the snare is."""
    push: Annotated[Array, Between(-0.1, 0.06)]
    """How late cymbals are."""
    loose: Annotated[Array, Between(0.01, 0.05)]
    """Spread of every stroke in time; of its loudness twice that."""
    fills: Annotated[Array, Between(0.0, 0.7)]
    """How often the last beat is a fill."""


DIMENSION = dimension(Drummer)


def tables() -> np.ndarray:
    """Whether each style has a stroke of each kind, bool [styles, 3, BAR, CLASSES]."""
    found = np.zeros((len(STYLES), len(TIMES), BAR, CLASSES), bool)
    for number, drums in enumerate(STYLES.values()):
        for name, bar in drums.items():
            for kind, mark in enumerate(TIMES):
                found[number, kind, :, NAMES.index(name)] = np.array(list(bar)) == mark
    return found


TABLES = tables()


def draw(key: Array, length: int) -> tuple[Array, Array]:
    """(the groove of a key, float32 [length, 27]; its style's number, int32 [])."""
    which, person, play = jax.random.split(key, 3)
    style = jax.random.randint(which, (), 0, len(STYLES))
    drummer = scaled(jax.random.uniform(person, (DIMENSION,), jnp.float32), Drummer)
    return beat(style, drummer, play, length), style


def beat(style: Array, drummer: Drummer, key: Array, length: int) -> Array:
    """What a drummer plays in a style, float32 [length, 27]."""
    chance, ghosts, strength, timing, rolling, crash, tom = jax.random.split(key, 7)
    at = jnp.arange(length)
    sure, may, ghost = jnp.asarray(TABLES)[style][:, at % BAR]  # [length, 9] each
    shape = sure.shape
    ghost &= jax.random.bernoulli(ghosts, drummer.busy, shape)
    struck = sure | (may & jax.random.bernoulli(chance, drummer.busy, shape)) | ghost
    # A fill on the toms, and a crash where it leads to, or where all begins.
    filled = (at >= length - FILL) & jax.random.bernoulli(rolling, drummer.fills) & (length >= BAR)
    toms = jax.nn.one_hot(toms_of(tom, length), CLASSES, dtype=bool)
    struck, ghost = jnp.where(filled[:, None], toms, struck), ghost & ~filled[:, None]
    opens = (at == 0) & jax.random.bernoulli(crash, 0.3)
    struck |= opens[:, None] & (jnp.arange(CLASSES) == NAMES.index("crash"))[None, :]

    weak = 1 - jnp.asarray(DOWN)[at % BAR]
    touch = drummer.loud * jnp.asarray(LOUDNESS)[None, :] * (1 - drummer.accent * weak)[:, None]
    touch = touch * jnp.where(ghost, 0.4, 1.0) + 2 * drummer.loose * jax.random.normal(strength, shape, jnp.float32)
    shuffled = style == list(STYLES).index("shuffle")
    swing = jnp.where(at % 2 == 1, drummer.swing, 0.0)
    swing = jnp.where(shuffled, jnp.where(at % 4 == 3, TRIPLET, 0.0), swing)
    hands = np.isin(NAMES, ("snare", "low tom", "mid tom", "high tom")), np.isin(NAMES, NAMES[2:4] + NAMES[7:])
    side = drummer.lay * jnp.asarray(hands[0]) + drummer.push * jnp.asarray(hands[1])
    offset = swing[:, None] + side[None, :] + drummer.loose * jax.random.normal(timing, shape, jnp.float32)
    hits = struck.astype(jnp.float32)
    return jnp.concatenate(
        [hits, hits * jnp.clip(touch, 0.05, 1.0), hits * jnp.clip(offset, -0.5, 0.5 - 1 / FINE)], axis=1
    )


def toms_of(key: Array, length: int) -> Array:
    """Which drum a fill has on each step, int32 [length]: it goes from the snare down to the low tom."""
    path = jnp.asarray([NAMES.index(name) for name in ("snare", "high tom", "mid tom", "low tom")], jnp.int32)
    place = jnp.arange(length) - (length - FILL)
    moved = jnp.clip(place - jax.random.bernoulli(key, 0.5).astype(jnp.int32), 0, FILL - 1)
    return path[moved]
