"""Blocks that several families share: convolution, norms, attention, recurrence. Import from the files."""

import jax
import jax.numpy as jnp


def compute_dtype(name: str) -> jnp.dtype | None:
    """A model's field ``dtype`` as the ``dtype`` of a linen module.

    "float32" is None: linen then computes in the widest of the input's and the parameters' types, so that float32
    parameters give float32 and parameters cast to float64 give float64. "bfloat16" and "float64" are forced.
    """
    return None if name == "float32" else jnp.dtype(name)


def cast(x: jax.Array, dtype: str) -> jax.Array:
    """``x`` as a network of that compute dtype reads it."""
    chosen = compute_dtype(dtype)
    return x if chosen is None else x.astype(chosen)
