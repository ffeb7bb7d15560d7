"""Transformer-XL (Dai et al. 2019, arXiv:1901.02860): segments that remember those before them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import decoding, tokens
from zoo.model import Array, Batch, Carry, Extra, Params, Phase
from zoo.nn.attention import sinusoids, skew, write_row
from zoo.nn.dense import Dense
from zoo.nn.embed import Embed
from zoo.nn.norm import LayerNorm
from zoo.transformer.decoder import check_heads


@dataclass(frozen=True, kw_only=True)
class TransformerXL:
    """Post-norm blocks in which a token sees its own segment so far and the last ``memory`` positions before it.

    What is remembered takes no gradient (section 3.2). So no segment waits for another: a layer needs of them only what
    the layer below made, and all segments of a window are computed side by side. A window begins without memory.
    Positions are distances (section 3.3), so that a sample may be of any length, in a cache that does not grow.
    """

    vocabulary: int = 256
    """V, different tokens."""
    context: int = 256
    """Tokens of a training window."""
    segment: int = 64
    """S, positions of a segment."""
    memory: int = 64
    """M, positions that a segment remembers."""
    layers: int = 4
    heads: int = 4
    width: int = 128
    """D."""
    inner: int | None = None
    """Units between the two layers of a block's MLP; None: four times ``width``."""
    dropout: float = 0.0
    start_token: int = 0
    """What a sample without a prompt begins with."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    player: ClassVar[str] = "transformer_xl"
    capacity: ClassVar[None] = None
    batch_spec, loss, evaluate, outputs = tokens.batch_spec, tokens.loss, tokens.evaluate, tokens.outputs
    emit, start, sample = tokens.emit, tokens.start, decoding.sample

    def __post_init__(self):
        check_heads(self.width, self.heads)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(self.player, self.loss),)

    @property
    def sample_length(self) -> int:
        return self.context

    @property
    def network(self) -> "Network":
        return Network(
            vocabulary=self.vocabulary, segment=self.segment, memory=self.memory, layers=self.layers, heads=self.heads,
            width=self.width, inner=self.inner or 4 * self.width, dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    def apply(self, params: Params, *inputs: Any, **controls: Any) -> Any:
        """The network (or one of its methods) on the player's parameters."""
        return self.network.apply({"params": params[self.player]}, *inputs, **controls)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        return {self.player: self.network.init(key, jnp.zeros((1, 1), jnp.int32))["params"]}, {}

    def logits(self, params: Params, tokens: Array, key: Array | None = None) -> Array:
        """tokens [B, T] -> logits [B, T, V] of the tokens after; with dropout where there is a ``key``."""
        return self.apply(params, tokens, train=key is not None, rngs=None if key is None else {"dropout": key})

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: None = None
    ) -> tuple[Carry, Array]:
        """The carry is one K and one V array [B, M + S, H, D/H] a layer, in which position p lies at p mod (M + S), and
        each row's length."""
        del extra, capacity, cond
        return self.apply(params, prompt, lengths, method="prefill")

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        """One more token [B] a row -> the carry with it, and the logits [B, V] after it."""
        del extra
        return self.apply(params, carry, token, method="decode")


class Block(nn.Module):
    """norm(x + attention(x, memory)), then norm(x + mlp(x))."""

    segment: int
    memory: int
    heads: int
    width: int
    inner: int
    dropout: float
    dtype: str

    def setup(self):
        small, dtype = nn.initializers.normal(0.02), jnp.dtype(self.dtype)
        dense = lambda width, bias: Dense(width, use_bias=bias, kernel_init=small, dtype=dtype)
        self.query, self.key_value = dense(self.width, False), dense(2 * self.width, False)
        self.distance, self.project = dense(self.width, False), dense(self.width, False)
        self.expand, self.contract = dense(self.inner, True), dense(self.width, True)
        self.norm_1, self.norm_2 = LayerNorm(dtype=dtype), LayerNorm(dtype=dtype)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, x: Array, biases: tuple[Array, Array], *, train: bool) -> tuple[Array, Array, Array]:
        """x [B, N S, D], N segments -> x, and all keys and values [B, N S, H, D/H]."""
        batch, time, _ = x.shape
        segments, reach = time // self.segment, self.memory + self.segment
        before = jnp.pad(jax.lax.stop_gradient(x), ((0, 0), (self.memory, 0), (0, 0)))
        index = jnp.arange(segments)[:, None] * self.segment + jnp.arange(self.memory)[None, :]
        own = x.reshape(batch, segments, self.segment, -1)
        read = jnp.concatenate([before[:, index], own], axis=2)  # [B, N, M + S, D]
        q, (k, v) = self.heads_of(self.query(own)), self.keys_values(read)
        r = self.distances()[::-1]
        scores = jnp.einsum("bnqhd,bnkhd->bnhqk", q + biases[0], k, preferred_element_type=self.wide(x))
        scores += skew(jnp.einsum("bnqhd,rhd->bnhqr", q + biases[1], r, preferred_element_type=scores.dtype))
        keys, queries = jnp.arange(reach)[None, :], jnp.arange(self.segment)[:, None]
        causal = (keys <= queries + self.memory)[None]
        begun = keys + jnp.arange(segments)[:, None] * self.segment >= self.memory  # there is nothing before a window
        mixed = self.mix(scores, (causal & begun[:, None])[None, :, None], "bnhqk,bnkhd->bnqhd", v)
        x = self.after(x, mixed.reshape(x.shape), train=train)
        flat = lambda array: array[:, :, self.memory :].reshape(batch, time, *array.shape[3:])
        return x, flat(k), flat(v)

    def decode(
        self, x: Array, k: Array, v: Array, biases: tuple[Array, Array], length: Array
    ) -> tuple[Array, Array, Array]:
        """x [B, D] at the positions ``length`` [B], the caches [B, M + S, H, D/H] -> x, and the caches with it."""
        reach = self.memory + self.segment
        q, (new_k, new_v) = self.heads_of(self.query(x)), self.keys_values(x)
        k, v = write_row(k, new_k, length % reach), write_row(v, new_v, length % reach)
        apart = (length[:, None] - jnp.arange(reach)[None, :]) % reach
        seen = apart <= jnp.minimum(length, length % self.segment + self.memory)[:, None]
        scores = jnp.einsum("bhd,bkhd->bhk", q + biases[0], k, preferred_element_type=self.wide(x))
        relative = jnp.einsum("bhd,rhd->bhr", q + biases[1], self.distances(), preferred_element_type=scores.dtype)
        scores += jnp.take_along_axis(relative, apart[:, None, :], axis=2)
        mixed = self.mix(scores, seen[:, None], "bhk,bkhd->bhd", v)
        return self.after(x, mixed.reshape(x.shape), train=False), k, v

    def distances(self) -> Array:
        """What keys add that are 0 .. M + S - 1 positions back, [M + S, H, D/H]."""
        table = jnp.asarray(sinusoids(self.memory + self.segment, self.width), jnp.dtype(self.dtype))
        return self.heads_of(self.distance(table))

    def mix(self, scores: Array, seen: Array, product: str, v: Array) -> Array:
        scores = scores * (self.width // self.heads) ** -0.5
        weights = jax.nn.softmax(jnp.where(seen, scores, jnp.finfo(scores.dtype).min), axis=-1)
        return jnp.einsum(product, weights.astype(v.dtype), v)

    def after(self, x: Array, mixed: Array, *, train: bool) -> Array:
        x = self.norm_1(x + self.drop(self.project(mixed), deterministic=not train))
        hidden = self.contract(nn.relu(self.expand(x)))
        return self.norm_2(x + self.drop(hidden, deterministic=not train))

    def keys_values(self, x: Array) -> tuple[Array, Array]:
        k, v = jnp.split(self.key_value(x), 2, axis=-1)
        return self.heads_of(k), self.heads_of(v)

    def heads_of(self, x: Array) -> Array:
        """[..., D] -> [..., H, D/H]."""
        return x.reshape(*x.shape[:-1], self.heads, self.width // self.heads)

    def wide(self, x: Array) -> jnp.dtype:
        return jnp.promote_types(x.dtype, jnp.float32)


class Network(nn.Module):
    """Embeddings, blocks, and the embeddings again as the head."""

    vocabulary: int
    segment: int
    memory: int
    layers: int
    heads: int
    width: int
    inner: int
    dropout: float
    dtype: str

    def setup(self):
        small, dtype = nn.initializers.normal(0.02), jnp.dtype(self.dtype)
        self.tokens = Embed(self.vocabulary, self.width, embedding_init=small, dtype=dtype)
        shape = (self.heads, self.width // self.heads)
        self.content, self.place = self.param("content", small, shape), self.param("place", small, shape)  # u and v
        self.drop = nn.Dropout(self.dropout)
        self.blocks = [
            Block(self.segment, self.memory, self.heads, self.width, self.inner, self.dropout, self.dtype)
            for _ in range(self.layers)
        ]

    def __call__(self, tokens: Array, *, train: bool = False) -> Array:
        """tokens [B, T] -> logits [B, T, V]."""
        return self.head(self.stack(tokens, train=train)[0])

    def stack(self, tokens: Array, *, train: bool) -> tuple[Array, list[Array], list[Array]]:
        """tokens [B, T] -> x [B, T, D], and every layer's keys and values of whole segments."""
        time = tokens.shape[1]
        tokens = jnp.pad(tokens, ((0, 0), (0, -time % self.segment)))
        x, keys, values = self.drop(self.embed(tokens), deterministic=not train), [], []
        for block in self.blocks:
            x, k, v = block(x, self.biases(x), train=train)
            keys.append(k)
            values.append(v)
        return self.drop(x, deterministic=not train)[:, :time], keys, values

    def prefill(self, prompt: Array, lengths: Array) -> tuple[Carry, Array]:
        """prompt [B, P] -> caches of the last M + S positions, and the logits [B, V] after each row's last."""
        x, keys, values = self.stack(prompt, train=False)
        reach, newest = self.memory + self.segment, (lengths - 1)[:, None]
        position = newest - (newest - jnp.arange(reach)[None, :]) % reach  # what lies where; below 0 nothing does
        ring = lambda array: jnp.take_along_axis(array, jnp.maximum(position, 0)[..., None, None], axis=1)
        keys, values = jax.tree.map(ring, (tuple(keys), tuple(values)))
        last = jnp.take_along_axis(x, newest[..., None], axis=1)[:, 0]
        return {"k": keys, "v": values, "length": lengths}, self.head(last)

    def decode(self, carry: Carry, token: Array) -> tuple[Carry, Array]:
        """One more token [B] a row -> the carry with it, and the logits [B, V] after it."""
        x, keys, values = self.embed(token), [], []
        for block, k, v in zip(self.blocks, carry["k"], carry["v"], strict=True):
            x, k, v = block.decode(x, k, v, self.biases(x), carry["length"])
            keys.append(k)
            values.append(v)
        return {"k": tuple(keys), "v": tuple(values), "length": carry["length"] + 1}, self.head(x)

    def embed(self, tokens: Array) -> Array:
        return self.tokens(tokens) * self.width**0.5

    def biases(self, x: Array) -> tuple[Array, Array]:
        """u and v of section 3.3, of a rank that adds to queries of x's."""
        shape = (1,) * (x.ndim if x.ndim == 3 else 1) + self.content.shape
        return self.content.astype(x.dtype).reshape(shape), self.place.astype(x.dtype).reshape(shape)

    def head(self, x: Array) -> Array:
        return self.tokens.attend(x)
