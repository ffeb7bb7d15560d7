"""Stacked LSTMs (Hochreiter & Schmidhuber 1997) over tokens and over piano rolls."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.decoding import Greedy, Sampler, Sampling, generate
from zoo.losses import bernoulli_nll, next_token_nll
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.nn.dense import Dense
from zoo.nn.recurrence import LSTMStack, LSTMState, zero_states

DROPOUT = 1  # what the step's key is folded with
KEYS = 88


class Network(nn.Module):
    """Something that embeds, a stack of LSTM layers, and a dense head."""

    embed: int | None
    """Different tokens; None: the inputs are vectors already."""
    outputs: int
    width: int
    layers: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(
        self,
        x: Array,
        states: tuple[LSTMState, ...] | None = None,
        lengths: Array | None = None,
        *,
        train: bool = False,
    ) -> tuple[Array, tuple[LSTMState, ...]]:
        """x [B, T] tokens or [B, T, D] vectors -> outputs [B, T, V], and the states after each row's ``lengths``
        (T)."""
        dtype = jnp.dtype(self.dtype)
        if states is None:
            states = zero_states(x.shape[0], width=self.width, layers=self.layers, dtype=self.dtype)
        if self.embed is not None:
            x = nn.Embed(self.embed, self.width, dtype=dtype, name="tokens")(x)
            x = nn.Dropout(self.dropout)(x, deterministic=not train)
        stack = LSTMStack(self.width, self.layers, self.dropout, self.dtype, name="stack")
        hidden, states = stack(x, states, lengths, train=train)
        return Dense(self.outputs, dtype=dtype, name="head")(hidden), states


def prefill(network: Network, tree: Any, prompt: Array, lengths: Array) -> tuple[Carry, Array]:
    """Reads ragged prompts; the carry is every layer's state after each row's own last token."""
    outputs, states = network.apply({"params": tree}, prompt, None, lengths)
    index = (lengths - 1).reshape(-1, 1, 1)
    return states, jnp.take_along_axis(outputs, index, axis=1)[:, 0]


def decode(network: Network, tree: Any, carry: Carry, token: Array) -> tuple[Carry, Array]:
    """Reads one more token a row."""
    outputs, states = network.apply({"params": tree}, token[:, None], carry)
    return states, outputs[:, 0]


@dataclass(frozen=True, kw_only=True)
class LSTM:
    """A language model over tokens."""

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

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("lstm", self.loss),)

    @property
    def capacity(self) -> None:
        return None

    @property
    def network(self) -> Network:
        return Network(self.vocabulary, self.vocabulary, self.width, self.layers, self.dropout, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        return {"lstm": self.network.init(key, jnp.zeros((1, 1), jnp.int32))["params"]}, {}

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
        logits, _ = self.network.apply({"params": params["lstm"]}, batch["tokens"][:, :-1], train=True, rngs=rngs)
        total, count = next_token_nll(logits, batch)
        return total / count, (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of all predicted tokens, and how many."""
        del key
        return {"nll": next_token_nll(self.outputs(params, extra, batch["tokens"][:, :-1]), batch)}

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """tokens [B, T] -> logits [B, T, V]."""
        del extra, cond
        return self.network.apply({"params": params["lstm"]}, tokens)[0]

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        del extra, capacity, cond  # a state has room for any length
        return prefill(self.network, params["lstm"], prompt, lengths)

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        del extra
        return decode(self.network, params["lstm"], carry, token)

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
        """``n`` sequences [n, length] drawn from the start token (``length``: ``context``)."""
        length = self.context if length is None else length
        lengths = jnp.ones(n, jnp.int32)
        return generate(self, params, extra, key, prompt=self.start(n), lengths=lengths, length=length, sampler=sampler)


@dataclass(frozen=True, kw_only=True)
class RollLSTM:
    """88 keys that are independent given all frames before: the LSTM of the piano-roll likelihood table
    (Boulanger-Lewandowski et al. 2012; Bai et al. 2018). The first frame is predicted from a silent one."""

    width: int = 256
    """H, cells of a layer."""
    layers: int = 1
    frames: int = 256
    """Frames of a sample."""
    dropout: float = 0.0
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("lstm", self.loss),)

    @property
    def capacity(self) -> None:
        return None

    @property
    def network(self) -> Network:
        return Network(None, KEYS, self.width, self.layers, self.dropout, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        return {"lstm": self.network.init(key, jnp.zeros((1, 1, KEYS)))["params"]}, {}

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
        rngs = {"dropout": jax.random.fold_in(key, DROPOUT)}
        logits, _ = self.network.apply({"params": params["lstm"]}, delayed(batch["roll"]), train=True, rngs=rngs)
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
        return self.network.apply({"params": params["lstm"]}, tokens)[0]

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        del extra, capacity, cond
        return prefill(self.network, params["lstm"], prompt, lengths)

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        del extra
        return decode(self.network, params["lstm"], carry, token)

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
        """``n`` rolls [n, length, 88] (``length``: ``frames``)."""
        length = self.frames if length is None else length
        lengths = jnp.ones(n, jnp.int32)
        return generate(self, params, extra, key, prompt=self.start(n), lengths=lengths, length=length, sampler=sampler)


def delayed(roll: Array) -> Array:
    """roll [B, T, 88] one frame later, after a silent one: what the network reads to predict ``roll``."""
    return jnp.pad(roll, ((0, 0), (1, 0), (0, 0)))[:, :-1]


def frame_nll(logits: Array, batch: Batch) -> tuple[Array, Array]:
    """Nats [B, T] of each frame, 0 past ``length``, and which frames are real."""
    real = jnp.arange(logits.shape[1])[None, :] < batch["length"][:, None]
    nll = bernoulli_nll(logits, batch["roll"]).sum(-1)
    return jnp.where(real, nll, 0), real
