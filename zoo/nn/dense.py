"""Dense layers over [..., D] whose kernel's gradient is one product of two matrices as they lie in memory.

The gradient of ``x @ kernel`` sums over every axis of x but the last. With more than one of these, XLA:CPU first writes
a transposed copy of what it multiplies. So there the axes become one before the product. Elsewhere they stay apart: the
axes of time and of a batch that is split over devices do not become one without being gathered.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import Array, lax

from zoo.nn.columns import add_bias
from zoo.nn.platform import platform

ROWS = (((1,), (0,)), ((), ()))


def rows_by_matrix(x: Array, matrix: Array) -> Array:
    """[..., D] by [D, E] -> [..., E]."""
    if x.ndim < 3 or platform() != "cpu":
        return lax.dot_general(x, matrix, (((x.ndim - 1,), (0,)), ((), ())))
    return lax.dot_general(x.reshape(-1, x.shape[-1]), matrix, ROWS).reshape(*x.shape[:-1], matrix.shape[-1])


class Dense(nn.Module):
    """[..., D] -> [..., features]: ``rows_by_matrix`` and a bias, with the parameters of ``nn.Dense``."""

    features: int
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()
    bias_init: Callable[..., Any] = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x, kernel, bias = self.operands(x)
        return add_bias(rows_by_matrix(x, kernel), bias)

    def operands(self, x: Array) -> tuple[Array, Array, Array | None]:
        """x, the kernel and the bias, in the layer's dtype."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features), self.param_dtype)
        bias = self.param("bias", self.bias_init, (self.features,), self.param_dtype) if self.use_bias else None
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return x, kernel, bias


class DenseParts(Dense):
    """A `Dense` whose result is wanted in ``parts`` of one width each, as `by_parts` gives them."""

    parts: int = 1

    @nn.compact
    def __call__(self, x: Array) -> list[Array]:  # type: ignore[override]
        return by_parts(*self.operands(x), self.parts)


def by_parts(x: Array, kernel: Array, bias: Array | None, parts: int) -> list[Array]:
    """[..., D] by [D, E] -> ``parts`` arrays [..., E / parts].

    One product, then split. Beside a GPU a product each, of sequences: what follows wants each part by itself, so that
    a split copies them, and on the way back they are joined again, for each of two gradients. (Of a single position, as
    in decoding, more products take longer than any copy.)
    """
    if platform() != "gpu" or x.ndim < 3:
        return jnp.split(add_bias(rows_by_matrix(x, kernel), bias), parts, axis=-1)
    biases = [None] * parts if bias is None else jnp.split(bias, parts)
    kernels = jnp.split(kernel, parts, axis=-1)
    return [add_bias(rows_by_matrix(x, one), its) for one, its in zip(kernels, biases, strict=True)]
