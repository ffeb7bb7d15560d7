"""Chairs, towers and creatures of voxels: endless, symmetric, built of a few boxes and balls each.

A key is an object, the same one at any size. Parts are painted one over the other: a cell whose centre lies in a part
is occupied, with the colour of the last part that it lies in.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic.canvas import Between, dimension, scaled
from zoo.algorithmic.colour import PALETTES, SHADES, accent, palette
from zoo.nn.platform import by_platform

DARK, MIDDLE, LIGHT = 2, SHADES // 2, SHADES - 2  # shades of a palette
TABLE = np.stack([palette(colours) for colours in PALETTES.values()])


class Space(NamedTuple):
    """Where the centres of the cells lie, in [-1, 1]: x [1, 1, S] to the right, y [1, S, 1] to the back, z [S, 1, 1]
    upwards, -1 the ground."""

    x: Array
    y: Array
    z: Array


class Part(NamedTuple):
    """What lies in it, bool [S, S, S], and its colour, sRGB [3]."""

    inside: Array
    colour: Array


class Chair(NamedTuple):
    """What tells one chair from another."""

    width: Annotated[Array, Between(0.4, 0.75)]
    depth: Annotated[Array, Between(0.4, 0.65)]
    seat: Annotated[Array, Between(-0.45, 0.05)]
    """How high the seat is, and where the back and the arms end."""
    back: Annotated[Array, Between(0.45, 0.95)]
    arm: Annotated[Array, Between(-0.6, 0.6)]
    """How high the arms are above the seat; below 0.2 there are none."""
    leg: Annotated[Array, Between(0.07, 0.16)]
    slats: Annotated[Array, Between(-1, 1)]
    """Above 0 the back is a row of slats."""
    colour: Annotated[Array, Between(0, 3)]


class Tower(NamedTuple):
    """What tells one tower from another."""

    width: Annotated[Array, Between(0.5, 0.9)]
    storeys: Annotated[Array, Between(2, 4.99)]
    """How many, rounded down."""
    taper: Annotated[Array, Between(0.6, 0.92)]
    """How much narrower each one is."""
    round: Annotated[Array, Between(-1, 1)]
    """Above 0 it is a round tower, else a square one."""
    top: Annotated[Array, Between(0.1, 0.55)]
    """Where the roof begins."""
    eaves: Annotated[Array, Between(1.05, 1.4)]
    """How far the roof reaches over, in times of what is below it."""
    pole: Annotated[Array, Between(0.7, 1)]
    colour: Annotated[Array, Between(0, 3)]


class Creature(NamedTuple):
    """What tells one creature from another."""

    width: Annotated[Array, Between(0.25, 0.5)]
    length: Annotated[Array, Between(0.35, 0.65)]
    height: Annotated[Array, Between(0.22, 0.42)]
    leg: Annotated[Array, Between(0.25, 0.6)]
    """How long, of the way from the ground."""
    thick: Annotated[Array, Between(0.08, 0.15)]
    head: Annotated[Array, Between(0.25, 0.42)]
    neck: Annotated[Array, Between(0.1, 0.5)]
    """How far the head is above the middle of the body."""
    ear: Annotated[Array, Between(0.1, 0.4)]
    tail: Annotated[Array, Between(-0.3, 0.6)]
    """How far its end is above the body."""
    colour: Annotated[Array, Between(0, 3)]


def box(space: Space, centre: Sequence[Any], half: Sequence[Any]) -> Array:
    """What is at most ``half`` (x, y, z) away from ``centre``."""
    axes = zip(space, centre, half, strict=True)
    inside = [jnp.abs(place - middle) <= reach for place, middle, reach in axes]
    return inside[0] & inside[1] & inside[2]


def ball(space: Space, centre: Sequence[Any], half: Sequence[Any]) -> Array:
    """An ellipsoid around ``centre`` with the half axes ``half``."""
    axes = zip(space, centre, half, strict=True)
    x, y, z = (jnp.square((place - middle) / reach) for place, middle, reach in axes)
    return x + y + z <= 1


def chair(chair: Chair, shades: Array, space: Space) -> list[Part]:
    """A seat on four legs with a back, and perhaps arms."""
    mirrored = space._replace(x=jnp.abs(space.x))
    wood, cushion = _two(shades, chair.colour)
    thin, right, rear = 0.09, chair.width - chair.leg, chair.depth - chair.leg
    under = (chair.seat - 1) / 2, (chair.seat + 1) / 2  # the middle and half the height of what is below the seat
    front_and_rear = mirrored._replace(y=jnp.abs(space.y))
    legs = box(front_and_rear, (right, rear, under[0]), (chair.leg, chair.leg, under[1]))
    seat = box(space, (0, 0, chair.seat), (chair.width, chair.depth, thin))
    rise = (chair.seat + chair.back) / 2, (chair.back - chair.seat) / 2
    back = box(space, (0, rear, rise[0]), (chair.width, chair.leg, rise[1]))
    gaps = (jnp.abs(jnp.mod(space.x / chair.width * 2.5, 1.0) - 0.5) > 0.25) & (space.z < chair.back - 0.2)
    back &= ~(gaps & (space.z > chair.seat + thin) & (chair.slats > 0))
    lean = chair.seat + chair.arm
    arms = box(mirrored, (right, 0, lean), (chair.leg, chair.depth, 0.07))
    arms |= box(mirrored, (right, -rear, (chair.seat + lean) / 2), (chair.leg, chair.leg, chair.arm / 2))
    return [Part(legs, wood), Part(back, wood), Part(arms & (chair.arm > 0.2), wood), Part(seat, cushion)]


def tower(tower: Tower, shades: Array, space: Space) -> list[Part]:
    """Storeys, each narrower than the one below it, under a pointed roof with a pole."""
    wall, roof = _two(shades, tower.colour)
    around = jnp.maximum(jnp.abs(space.x), jnp.abs(space.y))
    around = jnp.where(tower.round > 0, jnp.hypot(space.x, space.y), around)
    storeys = jnp.floor(tower.storeys)
    place = (space.z + 1) / (tower.top + 1) * storeys
    number = jnp.clip(jnp.floor(place), 0, storeys - 1)
    below = space.z <= tower.top
    walls = (around <= tower.width * tower.taper**number) & below
    ledge = walls & (place - number > 0.78)
    last = tower.width * tower.taper ** (storeys - 1) * tower.eaves
    point = (tower.pole - 0.12 - space.z) / (tower.pole - 0.12 - tower.top)
    cone = (around <= last * point) & ~below
    pole = box(space, (0, 0, (tower.top + tower.pole) / 2), (0.07, 0.07, (tower.pole - tower.top) / 2))
    return [Part(walls, wall), Part(ledge, shades[DARK]), Part(pole, shades[DARK]), Part(cone, roof)]


def creature(creature: Creature, shades: Array, space: Space) -> list[Part]:
    """A body on four legs with a head, ears, eyes and a tail; it looks to the front."""
    coat, other = _two(shades, creature.colour)
    mirrored = space._replace(x=jnp.abs(space.x))
    ends = mirrored._replace(y=jnp.abs(space.y))
    z = -1 + 2 * creature.leg * 0.6 + creature.height * 0.7
    body = ball(space, (0, 0.1, z), (creature.width, creature.length, creature.height))
    legs = box(
        ends, (creature.width * 0.6, creature.length * 0.5, (z - 1) / 2), (creature.thick, creature.thick, (z + 1) / 2)
    )
    front, high = 0.1 - creature.length, z + creature.neck
    head = ball(space, (0, front, high), (creature.head, creature.head, creature.head * 0.9))
    neck = box(space, (0, front + creature.head * 0.5, (z + high) / 2), (creature.thick, 0.15, creature.neck / 2))
    ears = box(mirrored, (creature.head * 0.6, front, high + creature.head * 0.7), (0.08, 0.07, creature.ear))
    eyes = box(mirrored, (creature.head * 0.45, front - creature.head * 0.8, high + 0.08), (0.07, 0.09, 0.07))
    tail = box(
        space, (0, 0.15 + creature.length, z + creature.tail / 2), (0.08, 0.1, jnp.abs(creature.tail) / 2 + 0.05)
    )
    parts = [(legs, other), (body, coat), (neck, coat), (tail, other), (ears, other), (head, coat), (eyes, shades[0])]
    return [Part(inside, colour) for inside, colour in parts]


class Family(NamedTuple):
    """One kind of object."""

    parameters: type
    """A named tuple of arrays, annotated with their ranges."""
    build: Callable[[Any, Array, Space], list[Part]]
    """(parameters, palette [SHADES + 1, 3], space) -> its parts, those painted later at the end."""


FAMILIES: dict[str, Family] = {
    "chair": Family(Chair, chair),
    "tower": Family(Tower, tower),
    "creature": Family(Creature, creature),
}
DIMENSION = max(dimension(family.parameters) for family in FAMILIES.values())


def draw(key: Array, size: int, families: tuple[str, ...] = tuple(FAMILIES)) -> tuple[Array, Array]:
    """The object of a key, of one of ``families``: float32 [size, size, size, 4] in [-1, 1] (D upwards, H to the back,
    W to the right; RGB and whether it is occupied; all -1 where it is not), and its family, int32 []."""
    which, colours, *_ = unit = jax.random.uniform(key, (2 + DIMENSION,), jnp.float32)
    family = jnp.floor(which * len(families)).astype(jnp.int32)
    switched = partial(_built, size=size, families=families)
    # As with pictures: on a CPU one object after another, so that each builds its own family alone.
    one_by_one = jax.custom_batching.sequential_vmap(switched)
    arguments = family, unit[2:], jnp.asarray(TABLE)[jnp.floor(colours * len(TABLE)).astype(jnp.int32)]
    return by_platform(*arguments, cpu=one_by_one, default=switched), family


def _built(family: Array, unit: Array, shades: Array, *, size: int, families: tuple[str, ...]) -> Array:
    return jax.lax.switch(family, [partial(build, name, size=size) for name in families], unit, shades)


def build(name: str, unit: Array, shades: Array, *, size: int) -> Array:
    """One object of the family ``name``, float32 [size, size, size, 4]; ``unit`` [DIMENSION] in [0, 1] says which."""
    centres = (2 * jnp.arange(size, dtype=jnp.float32) + 1) / size - 1
    space = Space(centres[None, None, :], centres[None, :, None], centres[:, None, None])
    family = FAMILIES[name]
    voxels = jnp.full((size, size, size, 4), -1.0)
    for part in family.build(scaled(unit, family.parameters), shades, space):
        paint = jnp.append(2 * part.colour - 1, 1.0).astype(voxels.dtype)
        voxels = jnp.where(part.inside[..., None], paint[None, None, None], voxels)
    return voxels


def _two(shades: Array, choice: Array) -> tuple[Array, Array]:
    """Two colours of a palette that can be told apart; ``choice`` in [0, 3) says which."""
    pairs = jnp.stack([
        jnp.stack([shades[MIDDLE], shades[LIGHT]]),
        jnp.stack([shades[LIGHT], accent(shades)]),
        jnp.stack([shades[MIDDLE], accent(shades)]),
    ])  # fmt: skip
    chosen = pairs[jnp.clip(jnp.floor(choice).astype(jnp.int32), 0, 2)]
    return chosen[0], chosen[1]
