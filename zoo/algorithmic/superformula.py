"""Superformula outlines, one within the other, each turned a little and rounder than the one outside it.

Gielis 2003: r(angle) = (|cos(m angle / 4)|^n2 + |sin(m angle / 4)|^n3)^(-1 / n1), with n2 = n3; as ``bloom`` has it
in cut paper. Smooth in all but the number of petals.
"""

from math import pi
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, mix
from zoo.algorithmic.pen import ACCENT, Lines, drawn

OUTLINES, PIECES = 20, 256


class Superformula(NamedTuple):
    """What tells one figure from another."""

    petals: Annotated[Array, Among((4, 5, 6, 7, 8, 9))]
    """m."""
    sharpness: Annotated[Array, Between(0.35, 0.85)]
    """1 / n1 of the outermost: how deeply it is cut; the innermost is a circle."""
    roundness: Annotated[Array, Between(3, 7)]
    """n2 and n3: the larger, the narrower the petals."""
    twist: Annotated[Array, Between(-1.3, 1.3)]
    """How far the innermost is turned against the outermost, radians."""
    angle: Annotated[Array, Between(0, 2 * pi)]
    """Where the outermost points, radians."""
    width: Annotated[Array, Between(0.008, 0.018)]
    """Of the lines."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark paper, 1: light."""


def radius(angle: Array, petals: Array, roundness: Array, sharpness: Array) -> Array:
    """Of the outline at an angle, at most 1. A hair is added under the powers, which have no slope at zero."""
    turn = petals * angle / 4
    total = (jnp.cos(turn) ** 2 + 1e-4) ** (roundness / 2) + (jnp.sin(turn) ** 2 + 1e-4) ** (roundness / 2)
    return (total / (2 * 0.5 ** (roundness / 2))) ** -sharpness


def lines(figure: Superformula, key: Array) -> Lines:
    """OUTLINES closed lines, from the outermost to the innermost. Nothing in them is random."""
    angle = 2 * pi * jnp.arange(PIECES + 1)[None, :] / PIECES
    depth = jnp.arange(OUTLINES)[:, None] / OUTLINES
    out = (0.95 - 0.9 * depth) * radius(angle, figure.petals, figure.roundness, figure.sharpness * (1 - depth))
    turned = angle + figure.angle + figure.twist * depth
    points = jnp.stack([out * jnp.cos(turned), out * jnp.sin(turned)], axis=-1)
    light = figure.ground
    tone = mix(0.4 + 0.6 * depth[:, 0], 0.75 * depth[:, 0], light)
    tone = jnp.where(jnp.arange(OUTLINES) % 5 == 4, ACCENT, tone)
    return Lines(points, tone, figure.width + 0 * tone, light)


def paint(figure: Superformula, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The figure, sRGB [3, H, W]."""
    return drawn(lines(figure, key), palette, canvas)
