"""L-systems: words that rewrite themselves, and the turtle that walks them.

Lindenmayer 1968; the turtle is that of Prusinkiewicz & Lindenmayer 1990, "The algorithmic beauty of plants", chapter 1:
capitals A to G draw a step, + and - turn to the left and to the right, [ and ] remember a place and go back to it; all
else means nothing. A word is read once, into numbers, before anything is compiled: then only the angle is left to say,
and where the walk leads is smooth in it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

STEPS = "ABCDEFG"


class System(NamedTuple):
    """A word to begin with, what each letter becomes, how often, and by how many degrees the turtle turns."""

    axiom: str
    rules: dict[str, str]
    times: int
    degrees: float


class Walk(NamedTuple):
    """The steps of a word, N."""

    turns: np.ndarray
    """int32 [N] How many turns to the left a step's direction is from the first."""
    parent: np.ndarray
    """int32 [N] The step at whose end this one begins; -1 is the root."""
    level: np.ndarray
    """int32 [N] How many brackets it is in."""


def rewritten(system: System) -> str:
    """The word after all rewriting."""
    word = system.axiom
    for _ in range(system.times):
        word = "".join(system.rules.get(letter, letter) for letter in word)
    return word


def walk_of(word: str) -> Walk:
    """The turtle's steps."""
    turns, parent, level, stack = [], [], [], []
    turn, last = 0, -1
    for letter in word:
        if letter in STEPS:
            turns.append(turn)
            parent.append(last)
            level.append(len(stack))
            last = len(turns) - 1
        elif letter in "+-":
            turn += 1 if letter == "+" else -1
        elif letter == "[":
            stack.append((turn, last))
        elif letter == "]":
            turn, last = stack.pop()
    return Walk(*(np.array(x, np.int32) for x in (turns, parent, level)))


def walked(turns: Array, angle: Array) -> Array:
    """Where a turtle that remembers nothing comes by, with steps of length one: [N + 1, 2], first to the right."""
    heading = turns * angle
    steps = jnp.stack([jnp.cos(heading), jnp.sin(heading)], axis=1)
    return jnp.concatenate([jnp.zeros((1, 2)), jnp.cumsum(steps, axis=0)])


def grown(turns: Array, parent: Array, angle: Array, length: Array, sway: Array) -> Array:
    """Where each step of a branching walk begins and ends: [N, 2, 2], from the origin upwards.

    ``length`` [N] of the steps; ``sway`` [N] turns a step, and all that grows on it, by so many radians.
    """

    def step(ends: Array, now: tuple) -> tuple[Array, Array]:
        number, turn, parent, length, sway = now
        start = ends[parent]  # the last row is the root's, which -1 finds
        swayed = start[2] + sway
        heading = turn * angle + swayed + jnp.pi / 2
        end = jnp.stack([start[0] + length * jnp.cos(heading), start[1] + length * jnp.sin(heading), swayed])
        return ends.at[number].set(end), jnp.stack([start[:2], end[:2]])

    count = len(turns)
    _, pieces = jax.lax.scan(step, jnp.zeros((count + 1, 3)), (jnp.arange(count), turns, parent, length, sway))
    return pieces


def fitted(points: Array, size: float) -> Array:
    """Points [..., 2] moved and scaled, so that the longer side of all reaches from -size to size."""
    flat = points.reshape(-1, 2)
    low, high = flat.min(axis=0), flat.max(axis=0)
    return ((flat - (low + high)[None] / 2) * (2 * size / jnp.max(high - low))).reshape(points.shape)
