"""Motion: pictures moved along a flow, where that can be trusted, and motions that are drawn.

A flow [B, H, W, 2] tells of each pixel of a frame how far to the right and how far down, in pixels, the same thing lies
in another frame. What is in both can be carried over; what was hidden in one of them cannot.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from zoo.losses import wide
from zoo.model import Array

BLIND = 50.0  # how soon unlike colours end trust, per squared distance of colours from 0 to 1 (Lai et al. 2018)
PAN, TURN, ZOOM = 0.03, 0.03, 0.03  # of drawn motions at most: in sides, radians, and as a share
WAVE, WAVES = 0.004, 3.0  # sides that a wave bends at most, and waves along a side at most

Weights = Callable[[Array], dict[int, Array]]
"""Shares [H, W] of the way from one pixel to the next -> {pixel, counted from the first: its weight [H, W]}."""


def warped(x: Array, flow: Array, *, cubic: bool = False) -> Array:
    """x [B, H, W, C] carried along: at each pixel what x has where ``flow`` [B, h, w, 2] points from there, and beyond
    its borders what it has at them. Between pixels it is interpolated linearly, or by Catmull and Rom's cubics, which
    stay sharp when it is done again and again."""
    return jax.vmap(partial(_warped, weights=_cubic if cubic else _linear))(x, flow)


def _warped(x: Array, flow: Array, weights: Weights) -> Array:
    places = [jnp.arange(side, dtype=flow.dtype) for side in flow.shape[:2]]
    down, right = flow[..., 1] + places[0][:, None], flow[..., 0] + places[1][None]
    top, left = jnp.floor(down), jnp.floor(right)
    at = lambda first, step, side: jnp.clip(first.astype(jnp.int32) + step, 0, side - 1)
    made = jnp.zeros((*flow.shape[:2], x.shape[-1]), x.dtype)
    for row, high in weights(down - top).items():
        for column, broad in weights(right - left).items():
            seen = x[at(top, row, x.shape[0]), at(left, column, x.shape[1])]
            made = made + (high * broad)[..., None].astype(x.dtype) * seen
    return made


def _linear(share: Array) -> dict[int, Array]:
    return {0: 1 - share, 1: share}


def _cubic(t: Array) -> dict[int, Array]:
    return {
        -1: ((2 - t) * t - 1) * t / 2,
        0: ((3 * t - 5) * t * t + 2) / 2,
        1: ((4 - 3 * t) * t + 1) * t / 2,
        2: (t - 1) * t * t / 2,
    }


def inside(flow: Array, height: int, width: int) -> Array:
    """Whether a flow [B, h, w, 2] points into a frame of that size: [B, h, w]."""
    places = [jnp.arange(side, dtype=flow.dtype) for side in flow.shape[1:3]]
    down, right = flow[..., 1] + places[0][None, :, None], flow[..., 0] + places[1][None, None]
    return (down >= 0) & (down <= height - 1) & (right >= 0) & (right <= width - 1)


def trusted(back: Array, forth: Array) -> Array:
    """Where the flow ``back`` [B, H, W, 2], from a frame to the one before, leads to what was seen there: float
    [B, H, W] of 0 and 1. ``forth``: the flow from that one to the frame.

    Not where the way back and forth ends elsewhere, or what moves has an edge (Ruder et al. 2016, arXiv:1604.08610,
    equations 4 and 5, which are those of Sundaram, Brox & Keutzer 2010), nor beyond the borders.
    """
    square = lambda x: jnp.sum(jnp.square(x), axis=-1)
    again = warped(forth, back)
    closed = square(again + back) <= 0.01 * (square(again) + square(back)) + 0.5
    slopes = [square(jnp.gradient(back, axis=axis)) for axis in (1, 2)]
    smooth = sum(slopes) <= 0.01 * square(back) + 0.002
    return (closed & smooth & inside(back, *forth.shape[1:3])).astype(back.dtype)


def alike(frame: Array, moved: Array) -> Array:
    """How far what was carried over looks as what is there: [B, H, W, C] in [-1, 1] twice -> [B, H, W] from 0 to 1 (Lai
    et al. 2018, arXiv:1808.00449)."""
    return jnp.exp(-BLIND / 4 * jnp.sum(jnp.square(frame - moved), axis=-1))


def change(frame: Array, moved: Array, where: Array) -> Array:
    """[B], the mean squared difference of frames [B, H, W, C], places counted as ``where`` [B, H, W] says (Ruder et al.
    2016, equation 6, by the places that count)."""
    apart = jnp.mean(jnp.square(wide(frame) - wide(moved)), axis=-1)
    return jnp.sum(where * apart, axis=(1, 2)) / (jnp.sum(where, axis=(1, 2)) + 1e-8)


def steadied(fresh: Array, before: Array, where: Array, share: Array) -> Array:
    """The frame that is near to what was made of it, ``fresh`` [B, H, W, C], and where that is trusted, ``where`` [B,
    H, W], to what was shown before, carried over: of |x - fresh|^2 + w where |x - before|^2 the least, for a temporal
    weight (Ruder et al. 2016, equation 7) of w = share / (1 - share)."""
    trust = where * share
    held = (trust / (1 - share + trust + 1e-8))[..., None]
    return fresh + held * (before - fresh)


def drawn_motion(key: Array, count: int, height: int, width: int) -> Array:
    """Flows [count, height, width, 2] of small smooth motions, each drawn by itself: a pan, a turn, a zoom and a
    wave."""
    return jax.vmap(lambda key: _drawn(key, height, width))(jax.random.split(key, count))


def _drawn(key: Array, height: int, width: int) -> Array:
    side = max(height, width)
    pan, other, wave = jax.random.split(key, 3)
    pan = jax.random.uniform(pan, (2,), minval=-PAN, maxval=PAN)
    turn, zoom = jax.random.uniform(other, (2,), minval=-1, maxval=1)
    turn, zoom = TURN * turn, ZOOM * zoom
    down = ((jnp.arange(height) - (height - 1) / 2) / side)[:, None]
    right = ((jnp.arange(width) - (width - 1) / 2) / side)[None]
    across = pan[0] + zoom * right - turn * down
    along = pan[1] + turn * right + zoom * down
    tilt, start = jax.random.uniform(wave, (2, 4), minval=-1, maxval=1)
    phase = lambda i: 2 * jnp.pi * (WAVES * (tilt[2 * i] * right + tilt[2 * i + 1] * down) + start[i])
    bent = [WAVE * start[2 + i] * jnp.sin(phase(i)) for i in range(2)]
    return side * jnp.stack([across + bent[0], along + bent[1]], axis=-1)
