"""The decoder-only transformer that several models share: its network, and what they do alike with it."""

from typing import Any, ClassVar, Literal, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.model import Array, Batch, Carry, Extra, Params
from zoo.nn.attention import cached_attention, causal_attention, full_attention, sinusoids, write_row
from zoo.nn.dense import Dense, DenseParts
from zoo.nn.embed import Embed
from zoo.nn.gelu import gelu
from zoo.nn.norm import LayerNorm

Activation = Literal["gelu", "exact-gelu", "relu"]
Placing = Literal["learned", "sines", "relative"]


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    layers: int
    heads: int
    width: int
    inner: int
    epsilon: float
    dropout: float
    dtype: str
    distances: int | None = None
    """How far relative attention reaches; None for attention that knows no distance."""
    activation: Activation = "gelu"
    """Of the MLP: the GELU in GPT-2's tanh form or exact, or the ReLU of Vaswani et al. 2017."""

    def setup(self):
        small = nn.initializers.normal(0.02)
        smaller = nn.initializers.normal(0.02 / (2 * self.layers) ** 0.5)
        dtype = jnp.dtype(self.dtype)
        self.norm_1 = LayerNorm(epsilon=self.epsilon, dtype=dtype)
        self.norm_2 = LayerNorm(epsilon=self.epsilon, dtype=dtype)
        self.qkv = DenseParts(3 * self.width, parts=3, kernel_init=small, dtype=dtype)
        self.project = Dense(self.width, kernel_init=smaller, dtype=dtype)
        self.expand = Dense(self.inner, kernel_init=small, dtype=dtype)
        self.contract = Dense(self.width, kernel_init=smaller, dtype=dtype)
        self.drop = nn.Dropout(self.dropout)
        shape = (self.heads, self.distances or 0, self.width // self.heads)
        self.distance = None if self.distances is None else self.param("distance", small, shape)

    def __call__(self, x: Array, lengths: Array | None = None, *, train: bool) -> tuple[Array, Array, Array]:
        """x [B, T, D] -> x [B, T, D] and this layer's keys and values [B, T, H, D/H]. Every position sees those before
        it; with ``lengths`` [B], the first so many instead."""
        q, k, v = self.heads_of(self.norm_1(x))
        if lengths is None:
            mixed = causal_attention(q, k, v, distance=self.distance)
        else:
            mixed = full_attention(q, k, v, lengths=lengths)
        mixed = self.project(mixed.reshape(x.shape))
        x = x + self.drop(mixed, deterministic=not train)
        return x + self.drop(self.mlp(x), deterministic=not train), k, v

    def decode(self, x: Array, k: Array, v: Array, length: Array) -> tuple[Array, Array, Array]:
        """x [B, D], the caches [B, S, H, D/H] with ``length[b]`` entries -> x, and the caches with one more."""
        q, new_k, new_v = self.heads_of(self.norm_1(x))
        k, v = write_row(k, new_k, length), write_row(v, new_v, length)
        mixed = cached_attention(q, k, v, lengths=length + 1, distance=self.distance)
        x = x + self.project(mixed.reshape(x.shape))
        return x + self.mlp(x), k, v

    def heads_of(self, x: Array) -> list[Array]:
        """x [..., D] -> q, k, v [..., H, D/H]."""
        return [part.reshape(*x.shape[:-1], self.heads, self.width // self.heads) for part in self.qkv(x)]

    def mlp(self, x: Array) -> Array:
        hidden = self.expand(self.norm_2(x))
        if self.activation == "relu":
            return self.contract(nn.relu(hidden))
        return self.contract(gelu(hidden) if self.activation == "gelu" else nn.gelu(hidden, approximate=False))


class Decoder(nn.Module):
    """Embeddings, blocks, a last norm, and a head: the embeddings again, or a matrix of its own."""

    vocabulary: int
    context: int
    layers: int
    heads: int
    width: int
    inner: int | None = None
    """Units between the two layers of a block's MLP; None: four times ``width``."""
    placing: Placing = "learned"
    """Positions are added to the embeddings, learned or as sines; or attention knows distances instead."""
    activation: Activation = "gelu"
    tied: bool = True
    epsilon: float = 1e-6
    """Of the norms."""
    dropout: float = 0.0
    remat: bool = False
    """In training, what is inside a block is computed once more on the way back instead of kept (Chen et al. 2016,
    arXiv:1604.06174): memory of one block for all, a third more work."""
    dtype: str = "float32"

    def setup(self):
        dtype = jnp.dtype(self.dtype)
        small, tiny = nn.initializers.normal(0.02), nn.initializers.normal(0.01)
        # Sines have an amplitude of 1, and so have the tokens beside them (Vaswani et al. 2017, section 3.4).
        begun = nn.initializers.normal(self.width**-0.5) if self.placing == "sines" else small
        self.tokens = Embed(self.vocabulary, self.width, embedding_init=begun, dtype=dtype)
        if self.placing == "learned":
            self.positions = Embed(self.context, self.width, embedding_init=tiny, dtype=dtype)
        self.drop = nn.Dropout(self.dropout)
        self.blocks = [
            Block(
                layers=self.layers, heads=self.heads, width=self.width, inner=self.inner or 4 * self.width,
                distances=self.context if self.placing == "relative" else None, epsilon=self.epsilon,
                dropout=self.dropout, dtype=self.dtype, activation=self.activation,
            )
            for _ in range(self.layers)
        ]  # fmt: skip
        self.norm = LayerNorm(epsilon=self.epsilon, dtype=dtype)
        if not self.tied:
            self.unembed = Dense(self.vocabulary, use_bias=False, kernel_init=small, dtype=dtype)

    def __call__(self, tokens: Array, *, train: bool = False) -> Array:
        """tokens [B, T] -> logits [B, T, V]."""
        return self.head(self.stack(tokens, train=train)[0])

    def embed(self, tokens: Array, times: Array) -> Array:
        """tokens [...] at the positions ``times``, of a shape that broadcasts to theirs -> x [..., D]."""
        x = self.tokens(tokens)
        if self.placing == "sines":
            return x * self.width**0.5 + jnp.asarray(sinusoids(self.context, self.width), x.dtype)[times]
        return x if self.placing == "relative" else x + self.positions(times)

    def stack(self, tokens: Array, *, train: bool) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
        """tokens [B, T] -> x [B, T, D], and every layer's keys and values."""
        x = self.drop(self.embed(tokens, jnp.arange(tokens.shape[1])[None]), deterministic=not train)
        forward: Any = lambda block, x: block(x, train=train)
        if self.remat and train:
            forward = nn.remat(forward)
        keys, values = [], []
        for block in self.blocks:
            x, k, v = forward(block, x)
            keys.append(k)
            values.append(v)
        return x, tuple(keys), tuple(values)

    def prefill(self, prompt: Array, lengths: Array, capacity: int) -> tuple[Carry, Array]:
        """prompt [B, P] -> caches with room for ``capacity`` positions, and the logits [B, V] after each row's last."""
        x, keys, values = self.stack(prompt, train=False)
        room = ((0, 0), (0, capacity - prompt.shape[1]), (0, 0), (0, 0))
        caches = jax.tree.map(lambda cache: jnp.pad(cache, room), (keys, values))
        last = jnp.take_along_axis(x, (lengths - 1)[:, None, None], axis=1)[:, 0]
        return {"k": caches[0], "v": caches[1], "length": lengths}, self.head(last)

    def decode(self, carry: Carry, token: Array) -> tuple[Carry, Array]:
        """One more token [B] a row -> the carry with it, and the logits [B, V] after it."""
        length = carry["length"]
        x = self.embed(token, length)
        keys, values = [], []
        for block, k, v in zip(self.blocks, carry["k"], carry["v"], strict=True):
            x, k, v = block.decode(x, k, v, length)
            keys.append(k)
            values.append(v)
        return {"k": tuple(keys), "v": tuple(values), "length": length + 1}, self.head(x)

    def head(self, x: Array) -> Array:
        x = self.norm(x)
        return self.tokens.attend(x) if self.tied else self.unembed(x)


# ---- What the models do alike: functions of them, to be their methods -----------------------------------------------


class DecoderModel(Protocol):
    """A model around a `Decoder`, whose parameters are those of its one player."""

    player: ClassVar[str]

    @property
    def context(self) -> int: ...

    @property
    def network(self) -> Decoder: ...


def check_heads(width: int, heads: int) -> None:
    """UserError where the width does not divide among the heads."""
    if width % heads:
        raise UserError(f"--model.width {width} does not divide by --model.heads {heads}")


def capacity(model: DecoderModel) -> int:
    """Positions that a cache can hold: one row of them has its own embedding."""
    return model.context


def sample_length(model: DecoderModel) -> int:
    """Tokens of a sample when nothing is said: what fits behind the start token."""
    return model.context - 1


def init(model: DecoderModel, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
    """Fresh parameters of the one player."""
    del batch
    tokens = jnp.zeros((1, min(2, model.context)), jnp.int32)
    return {model.player: model.network.init(key, tokens)["params"]}, {}


def apply(model: DecoderModel, params: Params, *inputs: Any, **controls: Any) -> Any:
    """The network (or one of its methods) on the player's parameters."""
    return model.network.apply({"params": params[model.player]}, *inputs, **controls)


def logits(model: DecoderModel, params: Params, tokens: Array, key: Array | None = None) -> Array:
    """tokens [B, T] -> logits [B, T, V] of the tokens after; with dropout where there is a ``key``."""
    rngs = None if key is None else {"dropout": key}
    return apply(model, params, tokens, train=key is not None, rngs=rngs)


def prefill(
    model: DecoderModel,
    params: Params,
    extra: Extra,
    prompt: Array,
    lengths: Array,
    *,
    capacity: int,
    cond: None = None,
) -> tuple[Carry, Array]:
    """The carry is one K and one V array [B, capacity, H, D/H] a layer, and each row's length."""
    del extra, cond
    if capacity > model.context:
        raise UserError(f"{capacity} tokens do not fit into a context of {model.context}")
    return apply(model, params, prompt, lengths, capacity, method="prefill")


def decode(model: DecoderModel, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
    """One more token [B] a row -> the carry with it, and the logits [B, V] after it."""
    del extra
    return apply(model, params, carry, token, method="decode")
