"""GPT-2 (Radford et al. 2019): a decoder-only transformer over bytes, characters, music tokens or BPE."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.decoding import Sampler, Sampling, generate
from zoo.errors import UserError
from zoo.losses import next_token_nll
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.nn.attention import cached_attention, causal_attention, write_row
from zoo.nn.norm import LayerNorm

DROPOUT = 1  # what the step's key is folded with


@dataclass(frozen=True, kw_only=True)
class GPT:
    """A pre-norm transformer with learned positions, tanh-GELU and a tied head.

    Initialised as published: N(0, 0.02), positions N(0, 0.01), and what each block adds to the residual stream is
    scaled by 1 / sqrt(2 layers) (section 2.3).
    """

    vocabulary: int = 256
    """V, different tokens."""
    context: int = 256
    """T, positions that one token may see, itself included."""
    layers: int = 4
    heads: int = 4
    width: int = 128
    """D."""
    dropout: float = 0.0
    start_token: int = 0
    """What a sample without a prompt begins with."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.width % self.heads:
            raise UserError(f"--model.width {self.width} does not divide by --model.heads {self.heads}")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("gpt", self.loss),)

    @property
    def capacity(self) -> int:
        return self.context

    @property
    def network(self) -> "Transformer":
        return Transformer(self.vocabulary, self.context, self.layers, self.heads, self.width, self.dropout, self.dtype)

    def apply(self, params: Params, *inputs: Any, **controls: Any) -> Any:
        """The network (or one of its methods) on a player's parameters."""
        return self.network.apply({"params": params["gpt"]}, *inputs, **controls)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        tokens = jnp.zeros((1, min(2, self.context)), jnp.int32)
        return {"gpt": self.network.init(key, tokens)["params"]}, {}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """``context`` positions are predicted, so that a window holds one token more."""
        return {
            "tokens": jax.ShapeDtypeStruct((batch_size, self.context + 1), jnp.int32),
            "length": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
        }

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of a token given those before it, over the real positions of the batch."""
        del step
        rngs = {"dropout": jax.random.fold_in(key, DROPOUT)}
        logits = self.apply(params, batch["tokens"][:, :-1], train=True, rngs=rngs)
        total, count = next_token_nll(logits, batch)
        return total / count, (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of all predicted tokens, and how many."""
        del key
        return {"nll": next_token_nll(self.outputs(params, extra, batch["tokens"][:, :-1]), batch)}

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """tokens [B, T] -> logits [B, T, V]."""
        del extra, cond
        return self.apply(params, tokens)

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        """The carry is one K and one V array [B, capacity, H, D/H] a layer, and each row's length."""
        del extra, cond
        if capacity > self.context:
            raise UserError(f"{capacity} tokens do not fit into a context of {self.context}")
        return self.apply(params, prompt, lengths, capacity, method="prefill")

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        del extra
        return self.apply(params, carry, token, method="decode")

    def emit(self, output: Array, key: Array, sampler: Sampler) -> Array:
        return sampler.draw(output, key)

    def start(self, n: int) -> Array:
        return jnp.full((n, 1), self.start_token, jnp.int32)

    def sample(
        self,
        params: Params,
        extra: Extra,
        key: Array,
        n: int,
        *,
        length: int | None = None,
        sampler: Sampler = Sampling(),
    ) -> Array:
        """``n`` sequences [n, length] drawn from the start token (``length``: as many as the context holds)."""
        prompt = self.start(n)
        length = self.context - 1 if length is None else length
        return generate(
            self, params, extra, key, prompt=prompt, lengths=jnp.ones(n, jnp.int32), length=length, sampler=sampler
        )


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    layers: int
    heads: int
    width: int
    dropout: float
    dtype: str

    def setup(self):
        small = nn.initializers.normal(0.02)
        smaller = nn.initializers.normal(0.02 / (2 * self.layers) ** 0.5)
        dtype = jnp.dtype(self.dtype)
        self.norm_1, self.norm_2 = LayerNorm(dtype=dtype), LayerNorm(dtype=dtype)
        self.qkv = nn.Dense(3 * self.width, kernel_init=small, dtype=dtype)
        self.project = nn.Dense(self.width, kernel_init=smaller, dtype=dtype)
        self.expand = nn.Dense(4 * self.width, kernel_init=small, dtype=dtype)
        self.contract = nn.Dense(self.width, kernel_init=smaller, dtype=dtype)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, x: Array, *, train: bool) -> tuple[Array, Array, Array]:
        """x [B, T, D] -> x [B, T, D] and this layer's keys and values [B, T, H, D/H]."""
        q, k, v = self.heads_of(self.norm_1(x))
        mixed = self.project(causal_attention(q, k, v).reshape(x.shape))
        x = x + self.drop(mixed, deterministic=not train)
        return x + self.drop(self.mlp(x), deterministic=not train), k, v

    def decode(self, x: Array, k: Array, v: Array, length: Array) -> tuple[Array, Array, Array]:
        """x [B, D], the caches [B, S, H, D/H] with ``length[b]`` entries -> x, and the caches with one more."""
        q, new_k, new_v = self.heads_of(self.norm_1(x))
        k, v = write_row(k, new_k, length), write_row(v, new_v, length)
        x = x + self.project(cached_attention(q, k, v, lengths=length + 1).reshape(x.shape))
        return x + self.mlp(x), k, v

    def heads_of(self, x: Array) -> list[Array]:
        """x [..., D] -> q, k, v [..., H, D/H]."""
        parts = jnp.split(self.qkv(x), 3, axis=-1)
        return [part.reshape(*x.shape[:-1], self.heads, self.width // self.heads) for part in parts]

    def mlp(self, x: Array) -> Array:
        return self.contract(nn.gelu(self.expand(self.norm_2(x)), approximate=True))


class Transformer(nn.Module):
    """Embeddings, blocks, a last norm, and the embeddings again as the head."""

    vocabulary: int
    context: int
    layers: int
    heads: int
    width: int
    dropout: float
    dtype: str

    def setup(self):
        dtype = jnp.dtype(self.dtype)
        small, tiny = nn.initializers.normal(0.02), nn.initializers.normal(0.01)
        self.tokens = nn.Embed(self.vocabulary, self.width, embedding_init=small, dtype=dtype)
        self.positions = nn.Embed(self.context, self.width, embedding_init=tiny, dtype=dtype)
        self.drop = nn.Dropout(self.dropout)
        self.blocks = [Block(self.layers, self.heads, self.width, self.dropout, self.dtype) for _ in range(self.layers)]
        self.norm = LayerNorm(dtype=dtype)

    def __call__(self, tokens: Array, *, train: bool = False) -> Array:
        """tokens [B, T] -> logits [B, T, V]."""
        return self.head(self.stack(tokens, train=train)[0])

    def stack(self, tokens: Array, *, train: bool) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
        """tokens [B, T] -> x [B, T, D], and every layer's keys and values."""
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1]))[None]
        x = self.drop(x, deterministic=not train)
        keys, values = [], []
        for block in self.blocks:
            x, k, v = block(x, train=train)
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
        x = self.tokens(token) + self.positions(length)
        keys, values = [], []
        for block, k, v in zip(self.blocks, carry["k"], carry["v"], strict=True):
            x, k, v = block.decode(x, k, v, length)
            keys.append(k)
            values.append(v)
        return {"k": tuple(keys), "v": tuple(values), "length": length + 1}, self.head(x)

    def head(self, x: Array) -> Array:
        return self.tokens.attend(self.norm(x))
