"""Batch normalisation with a gradient that walks memory as few times as it must.

Ioffe & Szegedy 2015 (arXiv:1502.03167), algorithm 1. Automatic differentiation of the formula sums five times over the
batch backwards: for the mean, the variance, the scale, the bias and the mean again. Two sums are enough, as the
gradients of scale and bias are what the gradients of the statistics are made of. The derivative that says so is plain
JAX and linear: gradients of any order, forward mode and ``vmap`` go through it.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import canonicalize_dtype
from jax import lax

from zoo.nn.columns import column_sums, spread

Array = jax.Array
Normalized = tuple[Array, Array, Array]  # y of x's shape, and the batch's mean and variance


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def batch_norm(epsilon: float, x: Array, scale: Array, bias: Array) -> Normalized:
    """x [..., C], scale and bias [C] -> (x - mean) / sqrt(variance + epsilon) * scale + bias, mean [C], variance [C].

    The variance is that of the batch itself: divided by the number of rows, not by one less.
    """
    mean, variance = _statistics(x)
    factor = scale * lax.rsqrt(variance + epsilon)
    return (x - spread(mean, x.shape)) * spread(factor, x.shape) + spread(bias, x.shape), mean, variance


@batch_norm.defjvp
def _batch_norm_jvp(epsilon: float, primals: tuple, tangents: tuple) -> tuple[Normalized, Normalized]:
    (x, scale, bias), (dx, dscale, dbias) = primals, tangents
    everywhere, rows = partial(spread, shape=x.shape), math.prod(x.shape[:-1])
    mean, variance = _statistics(x)
    inverse = lax.rsqrt(variance + epsilon)
    centred = x - everywhere(mean)
    unit = centred * everywhere(inverse)
    y = unit * everywhere(scale) + everywhere(bias)
    # dy = w + a + b unit: backwards, one sum for a and one for b serve everything that is made of them.
    w = dx * everywhere(scale * inverse)
    a = dbias - column_sums(w) / rows
    b = dscale - column_sums(w * unit) / rows
    dy = w + everywhere(a) + unit * everywhere(b)
    return (y, mean, variance), (dy, column_sums(dx) / rows, 2 * column_sums(dx * centred) / rows)


def _statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance [C], in one pass."""
    rows = math.prod(x.shape[:-1])
    mean = column_sums(x) / rows
    return mean, jnp.maximum(column_sums(x * x) / rows - mean * mean, 0)


class BatchNorm(nn.Module):
    """``batch_norm`` with a learnt scale and bias and running statistics: the variables of ``nn.BatchNorm``."""

    use_running_average: bool
    """Normalise by the running statistics, each example by itself, instead of by the batch's."""
    momentum: float = 0.99
    """What the running statistics keep of themselves in a step."""
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    dtype: Any = None
    scale_init: Callable[..., Any] = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., C] -> [..., C]; statistics in float32 or wider."""
        shape = x.shape[-1:]
        running = [
            self.variable("batch_stats", name, fill, shape, jnp.float32)
            for name, fill in (("mean", jnp.zeros), ("var", jnp.ones))
        ]
        scale = self.param("scale", self.scale_init, shape, jnp.float32) if self.use_scale else jnp.ones(shape)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32) if self.use_bias else jnp.zeros(shape)
        dtype = canonicalize_dtype(x, scale, bias, dtype=self.dtype)
        wide = jnp.promote_types(x.dtype, jnp.float32)
        x, scale, bias = (value.astype(wide) for value in (x, scale, bias))
        if self.use_running_average:
            mean, variance = (one.value.astype(wide) for one in running)
            factor = scale * lax.rsqrt(variance + self.epsilon)
            y = (x - spread(mean, x.shape)) * spread(factor, x.shape) + spread(bias, x.shape)
            return y.astype(dtype)
        y, *statistics = batch_norm(self.epsilon, x, scale, bias)
        if not self.is_initializing():
            for one, new in zip(running, statistics, strict=True):
                one.value = self.momentum * one.value + (1 - self.momentum) * new
        return y.astype(dtype)
