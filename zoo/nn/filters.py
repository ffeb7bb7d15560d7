"""Small separable filters that resample pictures by two, as sums of shifted slices: nothing is convolved, so that
forward and backward are elementwise, whatever the platform.

Pictures are [B, H, W, C]; taps are a symmetric 1-D filter, applied along both axes and normalised to sum 1. Beyond the
edges there are zeros.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Taps = Sequence[float]

AXES = 1, 2


def downsample(x: Array, taps: Taps) -> Array:
    """[B, H, W, C] -> [B, H / 2, W / 2, C]: y[i] = sum_t f[t] x[2 i + t - before], ``before`` = (K - 1) // 2."""
    return reduce(lambda x, axis: _down(x, _unit(taps), axis), AXES, x)


def upsample(x: Array, taps: Taps) -> Array:
    """[B, H, W, C] -> [B, 2 H, 2 W, C]: four times the adjoint of ``downsample``, which keeps a constant picture."""
    return reduce(lambda x, axis: _up(x, _unit(taps), axis), AXES, x)


def smooth(x: Array, taps: Taps, *, pads: tuple[int, int]) -> Array:
    """[B, H, W, C] -> [B, H + pads - K + 1, ...]: y[i] = sum_t f[t] x[i + t - before], with pads (before, after)."""
    return reduce(lambda x, axis: _smooth(x, _unit(taps), axis, pads), AXES, x)


def _unit(taps: Taps) -> list[float]:
    return [tap / sum(taps) for tap in taps]


def _padded(x: Array, axis: int, before: int, after: int) -> Array:
    edges = [(0, 0)] * x.ndim
    edges[axis] = before, after
    return jnp.pad(x, edges)


def _down(x: Array, taps: list[float], axis: int) -> Array:
    n, k = x.shape[axis], len(taps)
    before = (k - 1) // 2
    x = _padded(x, axis, before, max(k - 2 - before, 0))
    return reduce(add, (tap * lax.slice_in_dim(x, t, t + n - 1, 2, axis) for t, tap in enumerate(taps)))


def _up(x: Array, taps: list[float], axis: int) -> Array:
    n, k = x.shape[axis], len(taps)
    before = (k - 1) // 2
    reach = k // 2 + 1
    padded = _padded(x, axis, reach, reach)
    phases = []
    for phase in range(2):
        # y[2 m + phase] = 2 sum_t f[t] x[m - d], where t = 2 d + phase + before
        parts = (
            2 * tap * lax.slice_in_dim(padded, reach - d, reach - d + n, 1, axis)
            for t, tap in enumerate(taps)
            for d, odd in [divmod(t - phase - before, 2)]
            if not odd
        )
        phases.append(reduce(add, parts))
    return jnp.stack(phases, axis=axis + 1).reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])


def _smooth(x: Array, taps: list[float], axis: int, pads: tuple[int, int]) -> Array:
    n = x.shape[axis] + sum(pads) - len(taps) + 1
    x = _padded(x, axis, *pads)
    return reduce(add, (tap * lax.slice_in_dim(x, t, t + n, 1, axis) for t, tap in enumerate(taps)))
