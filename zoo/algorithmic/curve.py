"""Curves of one line that fill a plane or surround it: Koch, dragon, Hilbert, Gosper, Sierpinski, Levy.

L-systems without branches (see ``lsystem``): von Koch 1904; Heighway's dragon (Gardner 1967); Hilbert 1891; Gosper's
flowsnake (Gardner 1976); Sierpinski's arrowhead (1915); Levy 1938. Smooth in all but the choice.
"""

from functools import cache
from math import pi
from typing import Annotated, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic.canvas import Among, Between, Canvas, mix, rotated
from zoo.algorithmic.lsystem import System, fitted, rewritten, walk_of, walked
from zoo.algorithmic.pen import Lines, drawn

SYSTEMS = {
    "koch": System("F--F--F", {"F": "F+F--F+F"}, 3, 60),
    "dragon": System("FX", {"X": "X+YF+", "Y": "-FX-Y"}, 10, 90),
    "hilbert": System("X", {"X": "-YF+XFX+FY-", "Y": "+XF-YFY-FX+"}, 5, 90),
    "gosper": System("A", {"A": "A-B--B+A++AA+B-", "B": "+A-BB--B-A++A+B"}, 3, 60),
    "arrowhead": System("A", {"A": "B-A-B", "B": "A+B+A"}, 5, 60),
    "levy": System("F", {"F": "+F--F+"}, 10, 45),
    "quadratic koch": System("F+F+F+F", {"F": "F+F-F-FF+F+F-F"}, 2, 90),
    "pentaplexity": System("F++F++F++F++F", {"F": "F++F++F+++++F-F++F"}, 3, 36),
}
CLOSED, COPIES = ("koch", "quadratic koch"), (1.0, 0.55, 0.28)  # these have smaller ones within them
PIECES = 16  # of each of the lines that a curve is cut into, which differ in colour


class Curve(NamedTuple):
    """What tells one curve from another."""

    system: Annotated[Array, Among(tuple(range(len(SYSTEMS))))]
    """Which of SYSTEMS."""
    swing: Annotated[Array, Between(-0.004, 0.004)]
    """How much farther than it should the turtle turns, as a part of its angle."""
    angle: Annotated[Array, Between(0, 2 * pi)]
    """How the curve is turned, radians."""
    width: Annotated[Array, Between(0.42, 0.66)]
    """Of the line, in steps."""
    ground: Annotated[Array, Among((0, 1))]
    """0: dark paper, 1: light."""


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """(turns int32 [systems, N], how many steps each has [systems])."""
    turns = [walk_of(rewritten(system)).turns for system in SYSTEMS.values()]
    longest = -(-max(map(len, turns)) // PIECES) * PIECES
    return np.stack([np.pad(row, (0, longest - len(row))) for row in turns]), np.array([len(row) for row in turns])


def lines(curve: Curve, key: Array) -> Lines:
    """The curve, from end to end in lines of PIECES pieces, and its copies. Nothing in it is random."""
    system = curve.system.astype(jnp.int32)
    turns, count = (jnp.asarray(x)[system] for x in _table())
    angle = jnp.radians(jnp.array([each.degrees for each in SYSTEMS.values()])[system])
    path = walked(turns, angle * (1 + curve.swing))
    last = jnp.minimum(jnp.arange(len(path)), count)  # what lies beyond the last step repeats its end
    path = jnp.stack(rotated(path[:, 0], path[:, 1], -curve.angle), axis=1)
    path = fitted(path[last], 0.86)
    step = jnp.sqrt(jnp.sum((path[1] - path[0]) ** 2))
    starts = jnp.arange(0, len(path) - 1, PIECES)
    points = path[starts[:, None] + jnp.arange(PIECES + 1)[None, :]]
    share = jnp.clip(starts / count, 0, 1)
    light = curve.ground
    tone = mix(0.35 + 0.6 * share, 0.68 * share, light)
    closed = jnp.array([name in CLOSED for name in SYSTEMS])[system]
    copies = jnp.array(COPIES)[:, None]
    width = jnp.where((starts < count)[None] & ((copies == 1) | closed), curve.width * step * copies**0.5, 0)
    return Lines(
        points=(copies[..., None, None] * points[None]).reshape(-1, PIECES + 1, 2),
        tone=jnp.tile(tone, len(COPIES)),
        width=width.reshape(-1),
        ground=light,
    )


def paint(curve: Curve, palette: Array, canvas: Canvas, key: Array) -> Array:
    """The curve, sRGB [3, H, W]."""
    return drawn(lines(curve, key), palette, canvas)
