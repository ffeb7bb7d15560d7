"""A sound and a picture as rows of tokens, and the blocks that read them: what the models of two media share.

A sound is the spectrum of one, float32 [B, T, M]: T frames of M bands, in [-1, 1] (`zoo.features.mel`). Medium 0 is the
sound, 1 the picture, here and in every array with an axis of media.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.model import Array
from zoo.nn.attention import masked_attention
from zoo.nn.dense import Dense, DenseParts
from zoo.nn.gelu import gelu
from zoo.nn.norm import LayerNorm
from zoo.transformer.decoder import check_heads

MEDIA = ("sound", "picture")


def batch_spec(model: Any, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Pairs of a sound and a picture of one class."""
    image = (batch_size, model.image_size, model.image_size, model.channels)
    return {
        "spectrum": jax.ShapeDtypeStruct((batch_size, model.frames, model.bands), jnp.float32),
        "image": jax.ShapeDtypeStruct(image, jnp.float32),
        "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
    }


def check(model: Any) -> None:
    """UserError where the patches do not tile the media, or the heads do not share the width."""
    check_heads(model.width, model.heads)
    if model.image_size % model.patch:
        raise UserError(f"--model.patch {model.patch} does not divide pictures of {model.image_size} pixels a side")
    if model.frames % model.stride:
        raise UserError(f"--model.stride {model.stride} does not divide sounds of {model.frames} frames")


def sound_patches(spectrum: Array, stride: int) -> Array:
    """[B, T, M] -> [B, T / stride, stride M]: ``stride`` frames a token."""
    rows, frames, bands = spectrum.shape
    return spectrum.reshape(rows, frames // stride, stride * bands)


def mean_of(parts: Sequence[Array], present: Array) -> Array:
    """The mean of what is present: arrays [B, ...], one a medium, present [B, media] -> [B, ...]."""
    weights = jnp.split(present.astype(parts[0].dtype), len(parts), axis=1)
    weights = [weight.reshape(-1, *[1] * (parts[0].ndim - 1)) for weight in weights]
    total = sum(jnp.where(weight > 0, part, 0) for weight, part in zip(weights, parts, strict=True))
    return total / jnp.maximum(sum(weights), 1)


class Embedding(nn.Module):
    """Patches [B, N, P] -> tokens [B, N, D]: a dense layer, and what stands for their places."""

    width: int
    dtype: str

    @nn.compact
    def __call__(self, patches: Array) -> Array:
        dtype = jnp.dtype(self.dtype)
        x = Dense(self.width, dtype=dtype, name="patches")(patches.astype(dtype))
        places = self.param("positions", nn.initializers.normal(0.02), (1, *x.shape[1:]))
        return x + places.astype(dtype)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), where attention may look at other tokens than its own."""

    heads: int
    width: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, x: Array, seen: Array | None = None, *, source: Array | None = None, train: bool) -> Array:
        """x [B, N, D] -> [B, N, D]. ``source`` [B, K, D]: what is looked at, x itself if None. ``seen`` bool [B, K]:
        which of it counts, all if None; where nothing does, attention adds nothing."""
        dtype, width = jnp.dtype(self.dtype), self.width
        norm = lambda x, name: LayerNorm(dtype=dtype, name=name)(x)
        drop = nn.Dropout(self.dropout, deterministic=not train)
        heads_of = lambda x: x.reshape(*x.shape[:-1], self.heads, width // self.heads)
        own = norm(x, "norm_1")
        other = own if source is None else norm(source, "norm_source")
        q = Dense(width, dtype=dtype, name="queries")(own)
        k, v = DenseParts(2 * width, parts=2, dtype=dtype, name="keys_values")(other)
        seen = jnp.ones(other.shape[:2], bool) if seen is None else seen
        mixed = masked_attention(heads_of(q), heads_of(k), heads_of(v), seen=seen).reshape(x.shape)
        anything = jnp.any(seen, axis=1)[:, None, None]
        x = x + jnp.where(anything, drop(Dense(width, dtype=dtype, name="project")(mixed)), 0)
        hidden = gelu(Dense(4 * width, dtype=dtype, name="expand")(norm(x, "norm_2")))
        return x + drop(Dense(width, dtype=dtype, name="contract")(hidden))


def tokens_seen(present: Array, tokens: Sequence[Array]) -> Array:
    """Which of all media's tokens are there: present [B, media], tokens [B, N, D] a medium -> bool [B, sum of N]."""
    each = [jnp.broadcast_to(present[:, m : m + 1], (len(present), x.shape[1])) for m, x in enumerate(tokens)]
    return jnp.concatenate(each, axis=1)
