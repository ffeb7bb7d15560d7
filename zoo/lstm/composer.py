"""Skuldur's "Classical Piano Composer" (2017): stacked LSTMs over words, each a note or a chord."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import decoding, tokens
from zoo.losses import next_token_nll, wide
from zoo.lstm import rnn
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.nn.cells import State, zero_states
from zoo.nn.dense import Dense
from zoo.nn.embed import Embed
from zoo.nn.recurrence import LSTMLayer
from zoo.tokens import DROPOUT

PLAYER = "composer"
MOMENTUM, EPSILON = 0.99, 1e-3  # of Keras's batch normalisation


@dataclass(frozen=True, kw_only=True)
class PianoComposer:
    """The repository's network: three LSTMs, a hidden layer, batch normalisation in front of each dense layer.

    Where that predicts one word behind a window of 100 and reads the window anew for each, this one learns from every
    word of a window and carries its state on. Dropout is between the layers, not inside the recurrence; words are
    embedded (``embed``), not told apart by the size of their number.
    """

    vocabulary: int = 279
    """V, different words; that of the repository's own 92 pieces."""
    context: int = 100
    """Words of a training window; a sample may be of any length."""
    embed: int | None = 128
    """Numbers that a word is embedded in; None: one, its token over V, as the repository has it."""
    width: int = 512
    """H, cells of a layer."""
    layers: int = 3
    hidden: int = 256
    """Units of the hidden layer."""
    dropout: float = 0.3
    start_token: int = 130
    """What a sample without a prompt begins with."""
    dtype: str = "float32"
    """Compute dtype; parameters and statistics are float32."""

    capacity = property(rnn.capacity)
    batch_spec = tokens.batch_spec
    emit, start, sample = tokens.emit, tokens.start, decoding.sample

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(PLAYER, self.loss),)

    @property
    def sample_length(self) -> int:
        return self.context

    @property
    def network(self) -> "Network":
        return Network(
            vocabulary=self.vocabulary, embed=self.embed, width=self.width, layers=self.layers, hidden=self.hidden,
            dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the running statistics."""
        del batch
        found = self.network.init(key, jnp.zeros((1, 1), jnp.int32))
        return {PLAYER: found["params"]}, {"batch_stats": found["batch_stats"]}

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of a word given those before it, over the real positions of the batch."""
        del step
        words = batch["tokens"][:, :-1]
        real = jnp.arange(1, words.shape[1] + 1)[None, :] < batch["length"][:, None]
        (logits, _), changed = self.network.apply(
            {"params": params[PLAYER], **extra}, words, real=real, mutable=["batch_stats"],
            rngs={"dropout": jax.random.fold_in(key, DROPOUT)},
        )  # fmt: skip
        total, count = next_token_nll(logits, batch)
        return total / count, (dict(changed), {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of all predicted words, and how many."""
        del key
        return {"nll": next_token_nll(self.outputs(params, extra, batch["tokens"][:, :-1]), batch)}

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """Words [B, T] -> logits [B, T, V] of the words after."""
        del cond
        return self.network.apply({"params": params[PLAYER], **extra}, tokens)[0]

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        """Reads ragged prompts; the carry is every layer's state after each row's own last word."""
        del capacity, cond
        logits, states = self.network.apply({"params": params[PLAYER], **extra}, prompt, None, lengths)
        return states, jnp.take_along_axis(logits, (lengths - 1)[:, None, None], axis=1)[:, 0]

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        """Reads one more word a row."""
        logits, states = self.network.apply({"params": params[PLAYER], **extra}, token[:, None], carry)
        return states, logits[:, 0]


class Network(nn.Module):
    vocabulary: int
    embed: int | None
    width: int
    layers: int
    hidden: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(
        self,
        words: Array,
        states: tuple[State, ...] | None = None,
        lengths: Array | None = None,
        *,
        real: Array | None = None,
    ) -> tuple[Array, tuple[State, ...]]:
        """words [B, T] -> logits [B, T, V], and the states after each row's ``lengths`` (T). With ``real`` bool [B, T],
        which positions there are to learn from, it trains: by their statistics, with dropout."""
        dtype = jnp.dtype(self.dtype)
        drop = lambda x: nn.Dropout(self.dropout)(x, deterministic=real is None)
        norm = lambda x: MaskedBatchNorm(self.dtype)(x, real)
        if states is None:
            states = zero_states("lstm", words.shape[0], width=self.width, layers=self.layers, dtype=self.dtype)
        if self.embed is None:
            x = (words / self.vocabulary).astype(dtype)[..., None]
        else:
            x = Embed(self.vocabulary, self.embed, dtype=dtype)(words)
        after = []
        for index, state in enumerate(states):
            x, state = LSTMLayer(self.width, self.dtype)(drop(x) if index else x, state, lengths)
            after.append(state)
        x = nn.relu(Dense(self.hidden, dtype=dtype)(drop(norm(x))))
        return Dense(self.vocabulary, dtype=dtype)(drop(norm(x))), tuple(after)


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015, algorithm 1) by the statistics of the real positions, so that what
    pads short pieces is not counted; without a mask, by the running ones."""

    dtype: str

    @nn.compact
    def __call__(self, x: Array, real: Array | None) -> Array:
        """x [B, T, C], real bool [B, T] -> [B, T, C]."""
        size, dtype = x.shape[-1:], x.dtype
        scale, bias = self.param("scale", nn.initializers.ones, size), self.param("bias", nn.initializers.zeros, size)
        running = [
            self.variable("batch_stats", name, fill, size, jnp.float32)
            for name, fill in (("mean", jnp.zeros), ("var", jnp.ones))
        ]
        x = wide(x)
        if real is None:
            mean, variance = (one.value.astype(x.dtype) for one in running)
        else:
            share = (real / jnp.maximum(jnp.sum(real), 1)).astype(x.dtype)[..., None]
            mean = jnp.sum(share * x, axis=(0, 1))
            variance = jnp.sum(share * jnp.square(x - mean[None, None]), axis=(0, 1))
            for one, new in zip(running, (mean, variance), strict=True):
                one.value = MOMENTUM * one.value + (1 - MOMENTUM) * new
        factor = scale * jax.lax.rsqrt(variance + EPSILON)
        return ((x - mean[None, None]) * factor[None, None] + bias[None, None]).astype(dtype)
