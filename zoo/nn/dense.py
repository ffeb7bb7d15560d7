"""Dense layers over [..., D] whose kernel's gradient is one product of two matrices as they lie in memory.

The gradient of ``x @ kernel`` sums over every axis of x but the last. With more than one of these, XLA:CPU first writes
a transposed copy of what it multiplies. So the axes become one before the product.
"""

from functools import partial
from typing import Any

from flax import linen as nn
from jax import Array, lax

ROWS = (((1,), (0,)), ((), ()))


def rows_by_matrix(
    x: Array, matrix: Array, dimension_numbers: Any = None, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """[..., D] by [D, E] -> [..., E]; with the arguments of ``lax.dot_general``, for flax's layers."""
    last_by_first = (((x.ndim - 1,), (0,)), ((), ()))
    if x.ndim < 3 or dimension_numbers not in (None, last_by_first):
        return lax.dot_general(x, matrix, dimension_numbers or last_by_first, precision, preferred_element_type)
    y = lax.dot_general(x.reshape(-1, x.shape[-1]), matrix, ROWS, precision, preferred_element_type)
    return y.reshape(*x.shape[:-1], matrix.shape[-1])


Dense = partial(nn.Dense, dot_general=rows_by_matrix)
"""``nn.Dense``, by ``rows_by_matrix``."""
