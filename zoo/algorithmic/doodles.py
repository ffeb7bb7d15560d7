"""Doodles: line drawings by formulas, as strokes of a pen. Pure functions of a key, jitted and vmapped like `art`."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.codecs.strokes import END, START
from zoo.model import Array

POINTS = 48  # of the longest doodle
SPREAD = 0.259  # the deviation of all families' offsets, measured; tests hold it to that


class Lines(NamedTuple):
    """P points [P, 2], x to the right and y downwards, roughly in [-1, 1]; behind which of them the pen is lifted, bool
    [P]; how many there are, int32 []."""

    points: Array
    lifted: Array
    count: Array


def joined(*strokes: Array, count: Array | int | None = None) -> Lines:
    """Strokes [P_i, 2] one after the other; ``count``: how many points are meant, where the last ones are not."""
    points = jnp.concatenate(strokes)
    ends = np.cumsum([len(stroke) for stroke in strokes]) - 1
    count = jnp.asarray(len(points) if count is None else count)
    at = jnp.arange(len(points))
    return Lines(points, jnp.isin(at, ends) | (at == count - 1), count)


def circle(centre: Array, radius: Array, points: int, *, begin: Array | float = -np.pi / 2) -> Array:
    """A closed circle [points, 2], clockwise."""
    angle = begin + jnp.linspace(0, 2 * np.pi, points)
    return centre[None] + radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)


def uniform(key: Array, *bounds: tuple[float, float]) -> list[Array]:
    """One draw within each pair of bounds."""
    low, high = np.array(bounds, np.float32).T
    return [*(low + (high - low) * jax.random.uniform(key, (len(bounds),)))]


# ---- Families -------------------------------------------------------------------------------------------------------


def spiral(key: Array) -> Lines:
    """Two to four turns, from the middle."""
    turns, begin, power = uniform(key, (2, 4), (0, 2 * np.pi), (0.8, 1.3))
    t = jnp.linspace(0.03, 1, 48)
    angle = begin + 2 * np.pi * turns * t
    return joined((t**power)[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1))


def star(key: Array) -> Lines:
    """Five to eight tips in one stroke."""
    kind, numbers = jax.random.split(key)
    tips, (inner,) = jax.random.randint(kind, (), 5, 9), uniform(numbers, (0.3, 0.55))
    at = jnp.arange(17)
    radius = jnp.where(at % 2 == 0, 1.0, inner)
    angle = -np.pi / 2 + np.pi * at / tips
    return joined(radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1), count=2 * tips + 1)


def face(key: Array) -> Lines:
    """A head, two eyes, a mouth that smiles or does not."""
    apart, high, size, mood, wide, low = uniform(
        key, (0.25, 0.45), (-0.35, -0.1), (0.06, 0.14), (-0.25, 0.35), (0.3, 0.55), (0.3, 0.5)
    )
    t = jnp.linspace(-1, 1, 7)
    mouth = jnp.stack([wide * t, low + mood * (1 - t**2) - mood / 2], axis=-1)
    eyes = [circle(jnp.stack([side * apart, high]), size, 7) for side in (-1, 1)]
    return joined(circle(jnp.zeros(2), jnp.float32(1), 20), *eyes, mouth)


def flower(key: Array) -> Lines:
    """Petals around a middle, on a stem with a leaf."""
    kind, numbers = jax.random.split(key)
    petals = jax.random.randint(kind, (), 4, 7)
    deep, bend, long = uniform(numbers, (0.35, 0.6), (-0.25, 0.25), (0.9, 1.3))
    t = jnp.linspace(0, 1, 36)
    radius = 0.55 * (1 - deep / 2 - deep / 2 * jnp.cos(2 * np.pi * petals * t))
    angle = 2 * np.pi * t + np.pi / 2
    head = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1) - jnp.array([[0, 0.5]])
    down = jnp.linspace(0, 1, 6)
    stem = jnp.stack([bend * jnp.sin(np.pi * down), -0.05 + long * down], axis=-1)
    leaf = jnp.linspace(0, 1, 5)
    side = jnp.stack([0.4 * jnp.sin(np.pi * leaf), -0.25 * leaf * (1.5 - leaf)], axis=-1) + stem[3:4]
    return joined(head, stem, side)


def house(key: Array) -> Lines:
    """Walls, a roof, a door, a window."""
    wide, high, roof, over = uniform(jax.random.fold_in(key, 0), (0.5, 0.9), (0.5, 0.9), (0.4, 0.9), (0, 0.2))
    door, at = uniform(jax.random.fold_in(key, 1), (0.12, 0.2), (-0.5, 0.1))
    corners = lambda *pairs: jnp.stack([jnp.stack([jnp.float32(x), jnp.float32(y)]) for x, y in pairs])
    walls = corners((-wide, 0), (-wide, high), (wide, high), (wide, 0))
    top = corners((-wide - over, 0), (0, -roof), (wide + over, 0), (-wide - over, 0))
    left = at * wide
    opening = corners((left, high), (left, high * 0.45), (left + 2 * door, high * 0.45), (left + 2 * door, high))
    x, y, s = wide * 0.55, high * 0.25, 0.13
    window = corners((x - s, y), (x + s, y), (x + s, y + 2 * s), (x - s, y + 2 * s), (x - s, y))
    return joined(walls, top, opening, window)


def sun(key: Array) -> Lines:
    """A disc with eight to twelve rays."""
    kind, numbers = jax.random.split(key)
    rays = jax.random.randint(kind, (), 8, 13)
    radius, gap, long, begin = uniform(numbers, (0.4, 0.55), (0.08, 0.15), (0.2, 0.35), (-0.3, 0.3))
    angle = (begin + 2 * np.pi * jnp.arange(12) / rays)[:, None]
    ends = radius + gap + jnp.stack([jnp.zeros(()), long])[None]
    lines = ends[..., None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)  # [12, 2, 2]
    return joined(circle(jnp.zeros(2), radius, 18), *lines, count=18 + 2 * rays)


def fish(key: Array) -> Lines:
    """A body whose two sides cross into a tail, an eye."""
    high, tail, eye, long = uniform(key, (0.3, 0.5), (0.2, 0.4), (0.05, 0.09), (0.3, 0.5))
    t = jnp.linspace(0, 1, 12)
    x, bow = -0.9 + (1.2 + long) * t, jnp.sin(np.pi * t / 0.8) * high
    above = jnp.stack([x, jnp.where(t < 0.8, -bow, tail * (t - 0.8) / 0.2)], axis=-1)
    below = jnp.stack([x, jnp.where(t < 0.8, bow, -tail * (t - 0.8) / 0.2)], axis=-1)[::-1]
    return joined(jnp.concatenate([above, below]), circle(jnp.array([-0.5, -0.08]), eye, 6))


def tree(key: Array) -> Lines:
    """A trunk, and a crown of loops."""
    kind, numbers = jax.random.split(key)
    loops = jax.random.randint(kind, (), 5, 9)
    thick, high, size, bumps = uniform(numbers, (0.08, 0.16), (0.6, 1.0), (0.5, 0.75), (0.08, 0.18))
    t = jnp.linspace(0, 1, 40)
    angle = np.pi / 2 + 2 * np.pi * t
    radius = size * (1 + bumps * jnp.abs(jnp.sin(np.pi * loops * t)) * 2)
    crown = radius[:, None] * jnp.stack([jnp.cos(angle), 0.9 * jnp.sin(angle)], axis=-1) - jnp.array([[0, 0.4]])
    foot = -0.4 + 0.9 * size
    side = lambda x: jnp.stack([jnp.stack([x, foot]), jnp.stack([x * 1.4, foot + high])])
    return joined(crown, side(-thick), side(thick))


FAMILIES: dict[str, Callable[[Array], Lines]] = {
    "spiral": spiral,
    "star": star,
    "face": face,
    "flower": flower,
    "house": house,
    "sun": sun,
    "fish": fish,
    "tree": tree,
}


# ---- Doodles --------------------------------------------------------------------------------------------------------


def doodle(key: Array, families: tuple[str, ...] = tuple(FAMILIES), *, rows: int = POINTS + 1) -> dict[str, Array]:
    """One of ``families``, each as likely, drawn by an unsteady hand: its five-column form.

    ``strokes`` float32 [rows, 5] from START on, with offsets of deviation about 1; ``length`` int32 [], rows before the
    first END; ``label`` int32 [], which family. ``rows`` is at least POINTS + 1.
    """
    choice, shape, hand = jax.random.split(key, 3)
    label = jax.random.randint(choice, (), 0, len(families))
    drawn = jax.lax.switch(label, [lambda key, draw=FAMILIES[name]: padded(draw(key)) for name in families], shape)
    points = unsteady(drawn.points, hand)
    offsets = jnp.diff(points, axis=0) / SPREAD
    real = (jnp.arange(1, POINTS) < drawn.count)[:, None]
    lifted = drawn.lifted[1:, None].astype(jnp.float32)
    rest = jnp.concatenate([offsets, 1 - lifted, lifted, jnp.zeros_like(lifted)], axis=-1)
    body = jnp.where(real, rest, jnp.asarray(END))
    blank = jnp.broadcast_to(jnp.asarray(END), (rows - POINTS, 5))
    strokes = jnp.concatenate([jnp.asarray(START)[None], body, blank])
    return {"strokes": strokes, "length": drawn.count.astype(jnp.int32), "label": label}


def padded(lines: Lines) -> Lines:
    """The same with room for POINTS points."""
    rest = POINTS - len(lines.points)
    return Lines(
        jnp.pad(lines.points, ((0, rest), (0, 0))), jnp.pad(lines.lifted, (0, rest)), lines.count.astype(jnp.int32)
    )


def unsteady(points: Array, key: Array) -> Array:
    """Points [P, 2] as somebody draws them who did not measure: turned, slanted, not quite to scale, trembling."""
    whole, each = jax.random.split(key)
    turn, slant, across, along = uniform(whole, (-0.15, 0.15), (-0.15, 0.15), (0.85, 1.15), (0.85, 1.15))
    rotation = jnp.stack([jnp.stack([jnp.cos(turn), -jnp.sin(turn)]), jnp.stack([jnp.sin(turn), jnp.cos(turn)])])
    shape = jnp.stack([jnp.stack([across, slant]), jnp.stack([jnp.zeros(()), along])])
    return points @ (rotation @ shape).T + 0.012 * jax.random.normal(each, points.shape)
