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
from zoo.nn.embed import Embed
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
            x = Embed(self.embed, self.width, dtype=dtype, name="tokens")(x)
            x = nn.Dropout(self.dropout)(x, deterministic=not train)
        stack = Stack(self.cell, self.width, self.dropout, self.dtype, name="stack")
        hidden, states = stack(x, states, lengths, train=train)
        return Dense(self.outputs, dtype=dtype, name="head")(hidden), states


# ---- What both models do alike: functions of them, to be their methods ----------------------------------------------


class Recurrent(Protocol):
    """A model around a `Network`, or what is called as one, whose parameters are those of its one player."""

    @property
    def player(self) -> str: ...

    @property
    def network(self) -> Any: ...


def phases(model: Any) -> tuple[Phase, ...]:
    """One: its likelihood."""
    return (Phase(model.player, model.loss),)


def capacity(model: Recurrent) -> None:
    """A state has room for any length."""
    del model


def init(model: Recurrent, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
    """Fresh parameters of the one player."""
    del batch
    network = model.network
    x = jnp.zeros((1, 1, KEYS)) if network.embed is None else jnp.zeros((1, 1), jnp.int32)
    return {model.player: network.init(key, x)["params"]}, {}


def logits(model: Recurrent, params: Params, tokens: Array, key: Array | None = None) -> Array:
    """Tokens [B, T] or frames [B, T, 88] -> logits [B, T, V] of what comes after; with dropout where there is a
    ``key``."""
    rngs = None if key is None else {"dropout": key}
    return model.network.apply({"params": params[model.player]}, tokens, train=key is not None, rngs=rngs)[0]


def prefill(
    model: Recurrent, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
) -> tuple[Carry, Array]:
    """Reads ragged prompts; the carry is every layer's state after each row's own last token."""
    del extra, capacity, cond
    outputs, states = model.network.apply({"params": params[model.player]}, prompt, None, lengths)
    index = (lengths - 1).reshape(-1, 1, 1)
    return states, jnp.take_along_axis(outputs, index, axis=1)[:, 0]


def decode(model: Recurrent, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
    """Reads one more token a row."""
    del extra
    outputs, states = model.network.apply({"params": params[model.player]}, token[:, None], carry)
    return states, outputs[:, 0]


# ---- What models of rolls do alike -----------------------------------------------------------------------------------


class RollModel(Protocol):
    """What the functions below ask of a model: the first frame is predicted from a silent one."""

    @property
    def frames(self) -> int: ...

    def frame_nats(self, params: Params, roll: Array, key: Array | None = None) -> Array: ...


def delayed(roll: Array) -> Array:
    """roll [B, T, 88] one frame later, after a silent one: what the network reads to predict ``roll``."""
    return jnp.pad(roll, ((0, 0), (1, 0), (0, 0)))[:, :-1]


def frames_of(model: RollModel) -> int:
    """Frames of a sample when nothing is said."""
    return model.frames


def silent_frame(model: RollModel, n: int) -> Array:
    """[n, 1, 88] frames that a sample without a prompt begins with."""
    del model
    return jnp.zeros((n, 1, KEYS))


def roll_batch_spec(model: RollModel, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    return {
        "roll": jax.ShapeDtypeStruct((batch_size, model.frames, KEYS), jnp.float32),
        "length": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
    }


def real_frames(batch: Batch) -> Array:
    """bool [B, T]: those before a piece's end."""
    return jnp.arange(batch["roll"].shape[1])[None, :] < batch["length"][:, None]


def frame_loss(
    model: RollModel, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
) -> tuple[Array, tuple[Extra, Metrics]]:
    """Mean nats of a frame given those before it."""
    del step
    real = real_frames(batch)
    nats = model.frame_nats(params, batch["roll"], jax.random.fold_in(key, DROPOUT))
    return jnp.sum(jnp.where(real, nats, 0)) / jnp.sum(real), (extra, {})


def frame_evaluate(
    model: RollModel, params: Params, extra: Extra, batch: Batch, key: Array
) -> dict[str, tuple[Array, Array]]:
    """``nll``: nats of all frames; ``nll_after_first``: of all but each piece's first, as the TCN code counts."""
    del extra, key
    real = real_frames(batch)
    nats = jnp.where(real, model.frame_nats(params, batch["roll"]), 0)
    return {
        "nll": (jnp.sum(nats), jnp.sum(real)),
        "nll_after_first": (jnp.sum(nats[:, 1:]), jnp.sum(real[:, 1:])),
    }


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

    capacity, phases = property(capacity), property(phases)
    init, logits, prefill, decode = init, logits, prefill, decode
    batch_spec, loss, evaluate, outputs = tokens.batch_spec, tokens.loss, tokens.evaluate, tokens.outputs
    emit, start, sample = tokens.emit, tokens.start, decoding.sample

    @property
    def player(self) -> str:
        return self.cell

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

    capacity, phases = property(capacity), property(phases)
    init, logits, prefill, decode = init, logits, prefill, decode
    batch_spec, loss, evaluate = roll_batch_spec, frame_loss, frame_evaluate
    start, sample_length, sample = silent_frame, property(frames_of), decoding.sample

    @property
    def player(self) -> str:
        return self.cell

    @property
    def network(self) -> Network:
        return Network(
            cell=self.cell, embed=None, outputs=KEYS, width=self.width, layers=self.layers, dropout=self.dropout,
            dtype=self.dtype,
        )  # fmt: skip

    def frame_nats(self, params: Params, roll: Array, key: Array | None = None) -> Array:
        """Nats [B, T] of each frame given those before it; with dropout where there is a ``key``."""
        return bernoulli_nll(self.logits(params, delayed(roll), key), roll).sum(-1)

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """Frames [B, T, 88] -> logits [B, T, 88] of the frames after."""
        del extra, cond
        return self.logits(params, tokens)

    def emit(self, params: Params, output: Array, key: Array, sampler: Sampler) -> Array:
        """Each key on its own: on where its logit is positive, or a Bernoulli draw at the sampler's temperature;
        ``top_k`` keeps the k most probable keys."""
        del params
        if isinstance(sampler, Greedy):
            return (output > 0).astype(jnp.float32)
        logits = output.astype(jnp.promote_types(output.dtype, jnp.float32)) / sampler.temperature
        on = jax.random.bernoulli(key, jax.nn.sigmoid(logits))
        if sampler.top_k is not None:
            on = on & (logits >= jax.lax.top_k(logits, sampler.top_k)[0][-1])
        return on.astype(jnp.float32)
