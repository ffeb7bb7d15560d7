"""Stacked recurrent nets over tokens and over piano rolls: LSTM, GRU or plain tanh."""

from dataclasses import dataclass
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import decoding, tokens
from zoo.decoding import Greedy, Sampler
from zoo.losses import bernoulli_nll
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.nn.cells import Cell, Stack, State, zero_states
from zoo.nn.dense import Dense
from zoo.tokens import DROPOUT

KEYS = 88


class Network(nn.Module):
    """Something that embeds, a stack of recurrent layers, and a dense head."""

    cell: Cell
    embed: int | None
    """Different tokens; None: the inputs are vectors already."""
    outputs: int
    width: int
    layers: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(
        self, x: Array, states: tuple[State, ...] | None = None, lengths: Array | None = None, *, train: bool = False
    ) -> tuple[Array, tuple[State, ...]]:
        """x [B, T] tokens or [B, T, D] vectors -> outputs [B, T, V], and the states after each row's ``lengths``
        (T)."""
        dtype = jnp.dtype(self.dtype)
        if states is None:
            states = zero_states(self.cell, x.shape[0], width=self.width, layers=self.layers, dtype=self.dtype)
        if self.embed is not None:
            x = nn.Embed(self.embed, self.width, dtype=dtype, name="tokens")(x)
            x = nn.Dropout(self.dropout)(x, deterministic=not train)
        stack = Stack(self.cell, self.width, self.dropout, self.dtype, name="stack")
        hidden, states = stack(x, states, lengths, train=train)
        return Dense(self.outputs, dtype=dtype, name="head")(hidden), states


# ---- What both models do alike: functions of them, to be their methods ----------------------------------------------


class Recurrent(Protocol):
    """A model around a `Network`, whose parameters are those of the one player that is called as its cell."""

    @property
    def cell(self) -> Cell: ...

    @property
    def network(self) -> Network: ...


def capacity(model: Recurrent) -> None:
    """A state has room for any length."""
    del model


def init(model: Recurrent, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
    """Fresh parameters of the one player."""
    del batch
    network = model.network
    x = jnp.zeros((1, 1, KEYS)) if network.embed is None else jnp.zeros((1, 1), jnp.int32)
    return {model.cell: network.init(key, x)["params"]}, {}


def logits(model: Recurrent, params: Params, tokens: Array, key: Array | None = None) -> Array:
    """Tokens [B, T] or frames [B, T, 88] -> logits [B, T, V] of what comes after; with dropout where there is a
    ``key``."""
    rngs = None if key is None else {"dropout": key}
    return model.network.apply({"params": params[model.cell]}, tokens, train=key is not None, rngs=rngs)[0]


def prefill(
    model: Recurrent, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
) -> tuple[Carry, Array]:
    """Reads ragged prompts; the carry is every layer's state after each row's own last token."""
    del extra, capacity, cond
    outputs, states = model.network.apply({"params": params[model.cell]}, prompt, None, lengths)
    index = (lengths - 1).reshape(-1, 1, 1)
    return states, jnp.take_along_axis(outputs, index, axis=1)[:, 0]


def decode(model: Recurrent, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
    """Reads one more token a row."""
    del extra
    outputs, states = model.network.apply({"params": params[model.cell]}, token[:, None], carry)
    return states, outputs[:, 0]


# ---- The models -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RNN:
    """A language model over tokens."""

    cell: Cell = "lstm"
    """lstm: Hochreiter & Schmidhuber 1997; gru: Cho et al. 2014; rnn: Elman 1990."""
    vocabulary: int = 256
    """V, different tokens."""
    context: int = 256
    """Tokens of a training window; a sample may be of any length."""
    width: int = 256
    """H, cells of a layer."""
    layers: int = 2
    dropout: float = 0.0
    start_token: int = 0
    """What a sample without a prompt begins with."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    capacity = property(capacity)
    init, logits, prefill, decode = init, logits, prefill, decode
    batch_spec, loss, evaluate, outputs = tokens.batch_spec, tokens.loss, tokens.evaluate, tokens.outputs
    emit, start, sample = tokens.emit, tokens.start, decoding.sample

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(self.cell, self.loss),)

    @property
    def sample_length(self) -> int:
        return self.context

    @property
    def network(self) -> Network:
        return Network(
            cell=self.cell, embed=self.vocabulary, outputs=self.vocabulary, width=self.width, layers=self.layers,
            dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RollRNN:
    """88 keys that are independent given all frames before: the recurrent nets of the piano-roll likelihood table
    (Boulanger-Lewandowski et al. 2012; Chung et al. 2014; Bai et al. 2018). The first frame is predicted from a silent
    one."""

    cell: Cell = "lstm"
    """lstm: Hochreiter & Schmidhuber 1997; gru: Cho et al. 2014; rnn: Elman 1990."""
    width: int = 256
    """H, cells of a layer."""
    layers: int = 1
    frames: int = 256
    """Frames of a sample."""
    dropout: float = 0.0
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    capacity = property(capacity)
    init, logits, prefill, decode = init, logits, prefill, decode
    sample = decoding.sample

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(self.cell, self.loss),)

    @property
    def sample_length(self) -> int:
        return self.frames

    @property
    def network(self) -> Network:
        return Network(
            cell=self.cell, embed=None, outputs=KEYS, width=self.width, layers=self.layers, dropout=self.dropout,
            dtype=self.dtype,
        )  # fmt: skip

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {
            "roll": jax.ShapeDtypeStruct((batch_size, self.frames, KEYS), jnp.float32),
            "length": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
        }

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of a frame given those before it."""
        del step
        logits = self.logits(params, delayed(batch["roll"]), jax.random.fold_in(key, DROPOUT))
        nll, real = frame_nll(logits, batch)
        return jnp.sum(nll) / jnp.sum(real), (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of all frames; ``nll_after_first``: of all but each piece's first, as the TCN code counts."""
        del key
        nll, real = frame_nll(self.outputs(params, extra, delayed(batch["roll"])), batch)
        return {
            "nll": (jnp.sum(nll), jnp.sum(real)),
            "nll_after_first": (jnp.sum(nll[:, 1:]), jnp.sum(real[:, 1:])),
        }

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """Frames [B, T, 88] -> logits [B, T, 88] of the frames after."""
        del extra, cond
        return self.logits(params, tokens)

    def emit(self, output: Array, key: Array, sampler: Sampler) -> Array:
        """Each key on its own: on where its logit is positive, or a Bernoulli draw at the sampler's temperature;
        ``top_k`` keeps the k most probable keys."""
        if isinstance(sampler, Greedy):
            return (output > 0).astype(jnp.float32)
        logits = output.astype(jnp.promote_types(output.dtype, jnp.float32)) / sampler.temperature
        on = jax.random.bernoulli(key, jax.nn.sigmoid(logits))
        if sampler.top_k is not None:
            on = on & (logits >= jax.lax.top_k(logits, sampler.top_k)[0][-1])
        return on.astype(jnp.float32)

    def start(self, n: int) -> Array:
        return jnp.zeros((n, 1, KEYS))


def delayed(roll: Array) -> Array:
    """roll [B, T, 88] one frame later, after a silent one: what the network reads to predict ``roll``."""
    return jnp.pad(roll, ((0, 0), (1, 0), (0, 0)))[:, :-1]


def frame_nll(logits: Array, batch: Batch) -> tuple[Array, Array]:
    """Nats [B, T] of each frame, 0 past ``length``, and which frames are real."""
    real = jnp.arange(logits.shape[1])[None, :] < batch["length"][:, None]
    nll = bernoulli_nll(logits, batch["roll"]).sum(-1)
    return jnp.where(real, nll, 0), real
