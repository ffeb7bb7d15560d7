"""Embeddings whose gradient is fast everywhere."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from zoo.nn.platform import platform

Array = jax.Array

FEW = 1024
"""Rows of a table up to which a product is meant to be the quicker way to sum them up beside a GPU: it takes operations
by the row, and additions into the same few rows wait for each other. (65 rows of 384, 16,384 lookups in bfloat16: the
additions alone were 1.42 of 6.3 ms that a step of `gpt` took an H200. A CPU adds in turn anyway, and six times as fast
as it multiplies; for TPUs XLA expects no gain, and under fsdp it would gather all examples for the product.)"""


class Embed(nn.Embed):
    """``nn.Embed``, with `lookup`."""

    def __call__(self, inputs: Array) -> Array:
        """int [...] -> [..., features]."""
        (table,) = self.promote_dtype(self.embedding, dtype=self.dtype, inexact=False)
        return lookup(table, inputs)


@jax.custom_jvp
def lookup(table: Array, index: Array) -> Array:
    """Rows of ``table`` [V, D] at ``index`` int [...] -> [..., D]. The gradient of a table of at most ``FEW`` rows is a
    product with ones and zeros where that is quicker than additions, exact but for the order of its sums."""
    return jnp.take(table, index, axis=0)


@lookup.defjvp
def _lookup_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (table, index), (change, _) = primals, tangents
    y = lookup(table, index)
    if platform() != "gpu" or table.shape[0] > FEW:
        return y, jnp.take(change, index, axis=0)
    return y, _by_product(change, index)


def _by_product(table: Array, index: Array) -> Array:
    chosen = jax.nn.one_hot(index, table.shape[0], dtype=table.dtype)
    return jnp.dot(chosen, table, precision=lax.Precision.HIGHEST)
