"""A pen: lines become pictures, in the same colours and widths as they have in an SVG.

Every point of the paper has the ink of the line nearest to it, if that covers it. The distance to each piece of each
line would be far too much, so the canvas is drawn tile by tile, and a tile looks only at those runs of pieces whose
bounding boxes touch it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Canvas, inside, supersampled
from zoo.algorithmic.colour import accent_on, over, ramp

RUN, TILE = 8, 64  # pieces that are looked at together; pixels of a tile's side. Runs of 32 take ten times as long
SAMPLES = 2
FAR = 1e3
ACCENT = 2.0  # the tone of a line that has the palette's accent


class Lines(NamedTuple):
    """S lines through P points each, on the canvas [-1, 1]^2."""

    points: Array
    """[S, P, 2] x to the right, y upwards."""
    tone: Array
    """[S] On the palette's ramp, 0 to 1; ACCENT is its accent."""
    width: Array
    """[S] How wide; of none, 0."""
    ground: Array
    """The tone of the paper."""


class _Pieces(NamedTuple):
    """N straight pieces of lines: the ends [N, 2] of each, half its width [N] and its tone [N]."""

    start: Array
    end: Array
    half: Array
    tone: Array


def inks(tone: Array, ground: Array, palette: Array) -> Array:
    """The colours [3, ...] of tones [...] on paper of the tone ``ground``."""
    return over(ramp(palette, tone), accent_on(palette, ground), 1.0 * (tone > (1 + ACCENT) / 2))


def drawn(lines: Lines, palette: Array, canvas: Canvas) -> Array:
    """Lines on paper: sRGB [3, H, W], four samples a pixel, smooth in the points and widths."""
    return supersampled(lambda finer: _drawn(lines, palette, finer), canvas, SAMPLES)


def _drawn(lines: Lines, palette: Array, canvas: Canvas) -> Array:
    height, width = canvas.y.shape[0], canvas.x.shape[1]
    runs = _runs(lines)
    reach = runs.half.max(axis=1, keepdims=True) + canvas.pixel
    low = jnp.minimum(runs.start, runs.end).min(axis=1) - reach  # [N / RUN, 2]
    high = jnp.maximum(runs.start, runs.end).max(axis=1) + reach
    rows = jnp.pad(canvas.y[:, 0], (0, -height % TILE), mode="edge").reshape(-1, TILE)
    columns = jnp.pad(canvas.x[0], (0, -width % TILE), mode="edge").reshape(-1, TILE)

    def tile(place: tuple[Array, Array]) -> tuple[Array, Array]:
        y, x = place
        corner, other = jnp.stack([x[0], y[-1]])[None], jnp.stack([x[-1], y[0]])[None]
        touches = jnp.all((low <= other) & (high >= corner), axis=1)

        def look(nearest: tuple, run: tuple) -> tuple:
            touched, pieces = run
            return jax.lax.cond(
                touched, jax.checkpoint(_nearer), lambda nearest, *_: nearest, nearest, pieces, x, y
            ), None

        nothing = jnp.full((TILE, TILE), FAR), jnp.zeros((TILE, TILE)), jnp.zeros((TILE, TILE))
        (gap, half, tone), _ = jax.lax.scan(look, nothing, (touches, runs))
        return inside(gap, canvas.pixel) - inside(gap + 2 * half, canvas.pixel), tone

    places = jnp.repeat(rows, len(columns), axis=0), jnp.tile(columns, (len(rows), 1))
    coverage, tone = (
        x.reshape(len(rows), len(columns), TILE, TILE).swapaxes(1, 2).reshape(len(rows) * TILE, -1)[:height, :width]
        for x in jax.lax.map(tile, places)
    )
    return over(ramp(palette, lines.ground + jnp.zeros_like(tone)), inks(tone, lines.ground, palette), coverage)


def _runs(lines: Lines) -> _Pieces:
    """All pieces in runs: arrays [N / RUN, RUN, ...]. The last run is filled up with pieces of no width."""
    pieces = lines.points.shape[1] - 1
    flat = _Pieces(
        lines.points[:, :-1].reshape(-1, 2),
        lines.points[:, 1:].reshape(-1, 2),
        jnp.repeat(lines.width / 2, pieces),
        jnp.repeat(lines.tone, pieces),
    )
    fill = -len(flat.half) % RUN
    filled = (jnp.pad(x, [(0, fill)] + [(0, 0)] * (x.ndim - 1)) for x in flat)
    return _Pieces(*(x.reshape(-1, RUN, *x.shape[1:]) for x in filled))


def _nearer(nearest: tuple, run: _Pieces, x: Array, y: Array) -> tuple:
    """(the distance to the nearest line's rim, half its width, its tone), each [TILE, TILE], with a run looked at."""
    start, along = run.start[..., None, None], (run.end - run.start)[..., None, None]  # [RUN, 2, 1, 1]
    dx, dy = x[None, None, :] - start[:, 0], y[None, :, None] - start[:, 1]
    length = along[:, 0] ** 2 + along[:, 1] ** 2 + 1e-12
    share = jnp.clip((dx * along[:, 0] + dy * along[:, 1]) / length, 0, 1)
    distance = jnp.sqrt((dx - share * along[:, 0]) ** 2 + (dy - share * along[:, 1]) ** 2 + 1e-12)
    gaps = jnp.where((run.half > 0)[:, None, None], distance - run.half[:, None, None], FAR)
    which, gap = jnp.argmin(gaps, axis=0), gaps.min(axis=0)
    closer = gap < nearest[0]
    found = gap, run.half[which], run.tone[which]
    return tuple(jnp.where(closer, new, old) for new, old in zip(found, nearest, strict=True))
