"""Vectors along the last axis: spread over all rows before it, and summed over them, each the other's transpose.

That is what biases, scales and the statistics of norms do and what their gradients are. XLA's CPU compiler sums over
several axes at a time in small windows that walk memory against its order, and makes one such sum of a reshape and a
sum. So the sum is a primitive of its own that on a CPU sums the rows of one matrix, behind an ``optimization_barrier``.
Measured with 2 cores of an AMD EPYC, jaxlib 0.10.2: [64, 16, 16, 64] 0.64 -> 0.12 ms, [12, 256, 384] 0.60 -> 0.15,
[100, 64, 2048] 28.7 -> 6.6. Both are linear: gradients of any order, forward mode and ``vmap`` go through them.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Array = jax.Array

MEMBERS = 64  # of a ``vmap``, at most, that are summed one by one


def column_sums(x: Array) -> Array:
    """[..., C] -> [C], of x's dtype: the sum over every axis but the last, added up in float32 or wider."""
    return sums_p.bind(x.reshape(1, -1, x.shape[-1]))[0]


def spread(vector: Array, shape: tuple[int, ...]) -> Array:
    """[C] -> ``shape``, [..., C]: the vector in every row."""
    return spread_p.bind(vector[None], rows=math.prod(shape[:-1])).reshape(shape)


def add_bias(x: Array, bias: Array | None) -> Array:
    """x [..., C] + bias [C], where there is one."""
    return x if bias is None else x + spread(bias, x.shape)


def _sums(x: Array) -> Array:
    """[N, M, C] -> [N, C]."""
    return jnp.sum(x, axis=1)


def _sums_one_by_one(x: Array) -> Array:
    if len(x) > MEMBERS:
        return _sums(x)
    return jnp.stack([jnp.sum(rows, axis=0) for rows in lax.optimization_barrier(tuple(x))])


def _spread(vectors: Array, *, rows: int) -> Array:
    """[N, C] -> [N, M, C]."""
    return jnp.broadcast_to(vectors[:, None], (len(vectors), rows, vectors.shape[1]))


def _sums_of_many(arguments: Any, axes: Any) -> tuple[Array, int]:
    x = jnp.moveaxis(arguments[0], axes[0], 0)
    return sums_p.bind(x.reshape(-1, *x.shape[2:])).reshape(*x.shape[:2], x.shape[-1]), 0


def _spread_many(arguments: Any, axes: Any, *, rows: int) -> tuple[Array, int]:
    vectors = jnp.moveaxis(arguments[0], axes[0], 0)
    spread = spread_p.bind(vectors.reshape(-1, vectors.shape[-1]), rows=rows)
    return spread.reshape(*vectors.shape[:2], rows, vectors.shape[-1]), 0


sums_p, spread_p = Primitive("column_sums"), Primitive("spread")
sums_p.def_impl(jax.jit(_sums))
spread_p.def_impl(jax.jit(_spread, static_argnames="rows"))
sums_p.def_abstract_eval(lambda x: x.update(shape=(x.shape[0], x.shape[2]), weak_type=False))
spread_p.def_abstract_eval(lambda v, rows: v.update(shape=(v.shape[0], rows, v.shape[1]), weak_type=False))
ad.deflinear2(sums_p, lambda y, x: [spread_p.bind(y, rows=x.aval.shape[1])])
ad.deflinear2(spread_p, lambda y, _, rows: [sums_p.bind(y)])
batching.primitive_batchers[sums_p] = _sums_of_many
batching.primitive_batchers[spread_p] = _spread_many
mlir.register_lowering(sums_p, mlir.lower_fun(_sums, multiple_results=False))
mlir.register_lowering(sums_p, mlir.lower_fun(_sums_one_by_one, multiple_results=False), platform="cpu")
mlir.register_lowering(spread_p, mlir.lower_fun(_spread, multiple_results=False))
