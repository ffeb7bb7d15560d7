"""Self-attention: over both sides, or causal in its two forms: all positions at once, and one more token against a
cache. Causal scores may know how far apart query and key are."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.model import Array
from zoo.nn.platform import platform


def full_attention(q: Array, k: Array, v: Array, *, lengths: Array) -> Array:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1) in which every position sees the first ``lengths[b]``.

    q, k, v [B, T, H, D/H] -> [B, T, H, D/H]. Softmax in float32 or better.
    """
    return masked_attention(q, k, v, seen=jnp.arange(k.shape[1])[None, :] < lengths[:, None])


def masked_attention(q: Array, k: Array, v: Array, *, seen: Array) -> Array:
    """The same in which every position sees the keys that ``seen`` [B, K] says, of which there must be one.

    q [B, Q, H, D/H], k and v [B, K, H, D/H] -> [B, Q, H, D/H].
    """
    wide = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q * q.shape[-1] ** -0.5, k, preferred_element_type=wide)
    scores = jnp.where(seen[:, None, None, :], scores, jnp.finfo(wide).min)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, axis=-1).astype(v.dtype), v)


def causal_attention(q: Array, k: Array, v: Array, *, distance: Array | None = None) -> Array:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1) in which position t sees positions 0..t.

    q, k, v [B, T, H, D/H] -> [B, T, H, D/H]. ``distance`` [H, L, D/H], L >= T, adds relative attention (Huang et al.
    2018, arXiv:1809.04281, eq. 3): softmax((Q K^T + S_rel) / sqrt(D/H)) V; its last row is the distance 0. cuDNN's
    fused kernel on GPUs in half precision, without distances; elsewhere products and a softmax in float32 or better
    (``jax.nn.dot_product_attention`` would take it in float32 even of float64).
    """
    if distance is None and platform() == "gpu" and q.dtype in (jnp.bfloat16, jnp.float16):
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn")
    wide = jnp.promote_types(q.dtype, jnp.float32)
    q = q * q.shape[-1] ** -0.5
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=wide)
    times = jnp.arange(q.shape[1])
    if distance is not None:
        near = distance[:, distance.shape[1] - q.shape[1] :].astype(q.dtype)
        scores = scores + by_distance(q, near, wide)
    seen = times[None, :] <= times[:, None]
    scores = jnp.where(seen[None, None], scores, jnp.finfo(wide).min)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v)


def by_distance(q: Array, near: Array, dtype: Any) -> Array:
    """q [B, Q, H, D], near [H, R, D] -> `skew` of their products [B, H, Q, R], of this dtype.

    The column in front comes of a row of zeros among the distances: padding the products would copy them. And every
    example has the distances for itself, or their gradient would bring the products' heads before the batch.
    """
    rows, queries, heads, _ = q.shape
    near = jnp.pad(near, ((0, 0), (1, 0), (0, 0)))
    each = jnp.broadcast_to(near[None], (rows, *near.shape))
    far = jnp.einsum("bqhd,bhrd->bhqr", q, each, preferred_element_type=dtype)
    return far.reshape(rows, heads, near.shape[1], queries)[:, :, 1:].reshape(rows, heads, queries, -1)


def skew(relative: Array) -> Array:
    """[..., Q, K] of (query i, distance K-1-r) -> the same numbers at (query i, key j), the distance i + K-Q - j.

    The last of K keys is that of the last of Q queries. Huang et al. 2018, section 3.4.1 (and Dai et al. 2019,
    appendix B): a column in front, the rows read Q numbers a row, the first row dropped; so that nothing of size Q K D
    is ever made. Where keys lie after their queries stands what a causal mask hides.
    """
    *batch, queries, keys = relative.shape
    padded = jnp.pad(relative, [(0, 0)] * (len(batch) + 1) + [(1, 0)])
    return padded.reshape(*batch, keys + 1, queries)[..., 1:, :].reshape(relative.shape)


def cached_attention(q: Array, k: Array, v: Array, *, lengths: Array, distance: Array | None = None) -> Array:
    """One query a row, the one at position ``lengths[b]`` - 1, against the first ``lengths[b]`` keys of its cache.

    q [B, H, D/H]; k, v [B, S, H, D/H]; lengths int32 [B]; ``distance`` [H, L, D/H], L >= S, as above -> [B, H, D/H].
    Softmax in float32 or better.
    """
    wide = jnp.promote_types(q.dtype, jnp.float32)
    scale = q.shape[-1] ** -0.5
    scores = jnp.einsum("bhd,bshd->bhs", q, k, preferred_element_type=wide) * scale
    keys = jnp.arange(k.shape[1])[None, :]
    if distance is not None:
        relative = jnp.einsum("bhd,hrd->bhr", q, distance.astype(q.dtype), preferred_element_type=wide) * scale
        row = distance.shape[1] - lengths[:, None] + keys  # of the distance lengths - 1 - key
        scores = scores + jnp.take_along_axis(relative, row[:, None, :], axis=2, mode="clip")
    seen = keys < lengths[:, None]
    scores = jnp.where(seen[:, None, :], scores, jnp.finfo(scores.dtype).min)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("bhs,bshd->bhd", weights, v)


def write_row(cache: Array, new: Array, index: Array) -> Array:
    """cache [B, S, ...] with ``new`` [B, ...] at position ``index[b]`` of each row, in place where XLA may."""
    return jax.vmap(lambda row, value, at: jax.lax.dynamic_update_index_in_dim(row, value, at, 0))(cache, new, index)


def sinusoids(length: int, width: int) -> np.ndarray:
    """[length, width] positions as sines and cosines: Vaswani et al. 2017, section 3.5."""
    angle = np.arange(length)[:, None] / 10000 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(length, -1)[:, :width]
