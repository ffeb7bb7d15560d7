"""Causal self-attention in its two forms: all positions at once, and one more token against a cache."""

import jax
import jax.numpy as jnp

from zoo.model import Array


def causal_attention(q: Array, k: Array, v: Array) -> Array:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1) in which position t sees positions 0..t.

    q, k, v [B, T, H, D/H] -> [B, T, H, D/H]. cuDNN's fused kernel on GPUs in half precision; elsewhere products and a
    softmax in float32 or better (``jax.nn.dot_product_attention`` would take it in float32 even of float64).
    """
    if jax.default_backend() == "gpu" and q.dtype in (jnp.bfloat16, jnp.float16):
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn")
    wide = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q * q.shape[-1] ** -0.5, k, preferred_element_type=wide)
    times = jnp.arange(q.shape[1])
    seen = times[None, :] <= times[:, None]
    scores = jnp.where(seen[None, None], scores, jnp.finfo(wide).min)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v)


def cached_attention(q: Array, k: Array, v: Array, *, lengths: Array) -> Array:
    """One query a row against the first ``lengths[b]`` keys of its cache.

    q [B, H, D/H]; k, v [B, S, H, D/H]; lengths int32 [B] -> [B, H, D/H]. Softmax in float32 or better.
    """
    scale = q.shape[-1] ** -0.5
    scores = jnp.einsum("bhd,bshd->bhs", q, k, preferred_element_type=jnp.promote_types(q.dtype, jnp.float32)) * scale
    seen = jnp.arange(k.shape[1])[None, :] < lengths[:, None]
    scores = jnp.where(seen[:, None, :], scores, jnp.finfo(scores.dtype).min)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bhs,bshd->bhd", weights, v)


def write_row(cache: Array, new: Array, index: Array) -> Array:
    """cache [B, S, ...] with ``new`` [B, ...] at position ``index[b]`` of each row, in place where XLA may."""
    return jax.vmap(lambda row, value, at: jax.lax.dynamic_update_index_in_dim(row, value, at, 0))(cache, new, index)
