"""An autoregressive prior over codes: the decoder-only transformer, trained and sampled as any other."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.decoding import Sampler, Sampling, generate
from zoo.losses import next_token_nll
from zoo.model import Array, Params
from zoo.transformer.gpt import GPT


@functools.partial(jax.tree_util.register_dataclass, data_fields=["first", "end"], meta_fields=[])
@dataclass(frozen=True)
class InTurn:
    """A rule (`zoo.rules.Rule`): behind one token that begins it, at place t only the tokens first[t] .. end[t] - 1."""

    first: Array | np.ndarray
    end: Array | np.ndarray

    def begin(self, size: int, room: int) -> Array:
        return jnp.zeros((), jnp.int32)

    def read(self, state: Array, token: Array) -> Array:
        return state + 1

    def apply(self, state: Array, logits: Array) -> Array:
        place = jnp.clip(state - 1, 0, len(self.first) - 1)
        token = jnp.arange(logits.shape[0])
        inside = (token >= jnp.asarray(self.first)[place]) & (token < jnp.asarray(self.end)[place])
        return jnp.where(inside, logits, -jnp.inf)


@dataclass(frozen=True, kw_only=True)
class CodePrior:
    """Of the codes of a picture, one after the other: so many of each kind, kind after kind."""

    kinds: tuple[tuple[int, int], ...]
    """(how many codes of a kind a picture has, how many different ones there are). Those of the second kind are counted
    on from the first kind's, and so on."""
    layers: int
    heads: int
    width: int
    dropout: float
    dtype: str

    @property
    def length(self) -> int:
        return sum(count for count, _ in self.kinds)

    @property
    def vocabulary(self) -> int:
        return sum(codes for _, codes in self.kinds)

    @property
    def network(self) -> Any:
        """One token more, with which every sequence begins."""
        return GPT(
            vocabulary=self.vocabulary + 1, context=self.length + 1, layers=self.layers, heads=self.heads,
            width=self.width, dropout=self.dropout, start_token=self.vocabulary, dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array) -> Params:
        return self.network.init(key)[0]["gpt"]

    def nll(self, params: Params, codes: Array, key: Array | None = None) -> tuple[Array, Array]:
        """(nats of all codes int32 [B, length], how many they are); with dropout where there is a ``key``."""
        tokens = jnp.concatenate([self.network.start(len(codes)), codes], axis=1)
        logits = self.network.logits({"gpt": params}, tokens[:, :-1], key)
        lengths = jnp.full(len(codes), tokens.shape[1], jnp.int32)
        return next_token_nll(logits, {"tokens": tokens, "length": lengths})

    def sample(self, params: Params, key: Array, n: int, *, sampler: Sampler = Sampling()) -> Array:
        """int32 [n, length], by the one decode loop."""
        ends = np.cumsum([codes for _, codes in self.kinds])
        counts = [count for count, _ in self.kinds]
        in_turn = InTurn(np.repeat(ends - [codes for _, codes in self.kinds], counts), np.repeat(ends, counts))
        return generate(
            self.network, {"gpt": params}, {}, key, prompt=self.network.start(n), lengths=jnp.ones(n, jnp.int32),
            length=self.length, sampler=sampler, rules=(in_turn,),
        )  # fmt: skip
