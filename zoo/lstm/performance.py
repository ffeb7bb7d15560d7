"""Performance RNN (Simon & Oore 2017; Oore et al. 2018, arXiv:1808.03715): an LSTM over performance events that may be
told how dense its music should be, and of which pitch classes."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from zoo import decoding, tokens
from zoo.codecs.performance import NOTE_OFF, TIME_SHIFT
from zoo.losses import next_token_nll
from zoo.lstm import rnn
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.nn.cells import Stack, State, zero_states
from zoo.nn.dense import Dense
from zoo.nn.embed import Embed
from zoo.tokens import DROPOUT

PLAYER = "performance"
SHOWN = 2  # what the step's key is folded with
CLASSES = 12
EDGES = np.array([1, 2, 4, 8, 16, 32, 64], np.float32)  # notes a second, between one bin and the next
BINS = len(EDGES) + 1
DENSITY_SECONDS, PITCH_SECONDS = 3, 5  # how far ahead controls look
PRIOR = 0.01  # seconds of every pitch class, so that silence has a histogram
CONTROLS = BINS + 1 + CLASSES + 1


@dataclass(frozen=True, kw_only=True)
class PerformanceRNN:
    """Before every event it is told what is to come: how many notes a second in the next three seconds, in bins, and
    how long each pitch class sounds in the next five. Of a training window each is withheld at random, so that either
    may be left to the model.

    Where the contract says ``cond``, it is what `told` gives, [B, 22], the same for a whole row; None: both are free.
    """

    vocabulary: int = 390
    """V, different events."""
    steps_per_second: int = 100
    """Of the events' time shifts."""
    context: int = 512
    """Events of a training window; a sample may be of any length."""
    width: int = 512
    """H, cells of a layer."""
    layers: int = 3
    dropout: float = 0.0
    withheld: float = 0.5
    """How often each control is not told, in training."""
    start_token: int = 388
    """What a sample without a prompt begins with."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

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
            vocabulary=self.vocabulary, width=self.width, layers=self.layers, dropout=self.dropout, dtype=self.dtype
        )

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        return {PLAYER: self.network.init(key, jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, CONTROLS)))["params"]}, {}

    # ---- Controls -------------------------------------------------------------------------------------------------

    def told(self, n: int, *, density: float | None = None, pitches: Array | None = None) -> Array:
        """Controls [n, 22]: ``density`` in notes a second, ``pitches`` [12], how much of each class from C upwards; of
        None the model decides."""
        shown = jnp.broadcast_to(jnp.array([density is not None, pitches is not None]), (n, 2))
        weights = jnp.ones(CLASSES) if pitches is None else jnp.asarray(pitches, jnp.float32)
        histogram = jnp.broadcast_to(weights / jnp.sum(weights), (n, CLASSES))
        return controls_of(jnp.full(n, 0.0 if density is None else density), histogram, shown)

    def heard(self, events: Array, length: Array) -> tuple[Array, Array]:
        """Events [B, T] of which ``length`` [B] are real -> notes a second [B, T] in the three seconds that begin with
        the moment of each, and pitch classes' shares [B, T, 12] of the sound in five."""
        real = jnp.arange(events.shape[1])[None, :] < length[:, None]
        shift = events - TIME_SHIFT + 1
        shift = jnp.where(real & (shift >= 1) & (shift <= self.steps_per_second), shift, 0)
        on, off = real & (events < NOTE_OFF), real & (events >= NOTE_OFF) & (events < TIME_SHIFT)
        moment = jnp.cumsum(shift, axis=1) - shift
        key = jax.nn.one_hot(events % 128, 128, dtype=jnp.float32)
        down = jnp.cumsum(key * (on * 1.0 - off * 1.0)[..., None], axis=1)
        # A key that comes up first was down when the window began.
        down -= jnp.minimum(jnp.min(down, axis=1, keepdims=True), 0)
        classes = jnp.pad(down, ((0, 0), (0, 0), (0, -128 % CLASSES))).reshape(*down.shape[:2], -1, CLASSES).sum(2)
        seconds = classes * (shift / self.steps_per_second)[..., None]
        end = (moment + shift)[:, -1:]
        notes, _ = ahead(on.astype(jnp.float32)[..., None], moment, DENSITY_SECONDS * self.steps_per_second)
        span = jnp.minimum(end - moment, DENSITY_SECONDS * self.steps_per_second) / self.steps_per_second
        density = jnp.where(span > 0, notes[..., 0] / jnp.maximum(span, 1 / self.steps_per_second), 0)
        sounding, _ = ahead(seconds, moment, PITCH_SECONDS * self.steps_per_second)
        sounding += PRIOR
        return density, sounding / jnp.sum(sounding, axis=-1, keepdims=True)

    # ---- Learning -------------------------------------------------------------------------------------------------

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of an event given those before it and the controls that are not withheld."""
        del step
        chance = jax.random.uniform(jax.random.fold_in(key, SHOWN), (len(batch["length"]), 2))
        total, count = self.nats(params, batch, chance >= self.withheld, jax.random.fold_in(key, DROPOUT))
        return total / count, (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of all events, without controls; ``nll_told``: with both."""
        del extra, key
        shown = jnp.ones((len(batch["length"]), 2), bool)
        return {"nll": self.nats(params, batch, ~shown, None), "nll_told": self.nats(params, batch, shown, None)}

    def nats(self, params: Params, batch: Batch, shown: Array, key: Array | None) -> tuple[Array, Array]:
        """(nats of all predicted events, how many); ``shown`` bool [B, 2]: whether each control is told."""
        density, histogram = (x[:, 1:] for x in self.heard(batch["tokens"], batch["length"]))
        every = jnp.broadcast_to(shown[:, None], (*density.shape, 2))
        rngs = None if key is None else {"dropout": key}
        logits, _ = self.apply(
            params, batch["tokens"][:, :-1], controls_of(density, histogram, every), train=key is not None, rngs=rngs
        )
        return next_token_nll(logits, batch)

    # ---- Writing --------------------------------------------------------------------------------------------------

    def apply(self, params: Params, *inputs: Any, **controls: Any) -> Any:
        return self.network.apply({"params": params[PLAYER]}, *inputs, **controls)

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """Events [B, T] -> logits [B, T, V] of the events after."""
        del extra
        return self.apply(params, tokens, self.told(len(tokens)) if cond is None else cond)[0]

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        """The carry is every layer's state and the controls."""
        del extra, capacity
        cond = self.told(len(prompt)) if cond is None else cond
        logits, states = self.apply(params, prompt, cond, None, lengths)
        return (states, cond), jnp.take_along_axis(logits, (lengths - 1)[:, None, None], axis=1)[:, 0]

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        del extra
        states, cond = carry
        logits, states = self.apply(params, token[:, None], cond, states)
        return (states, cond), logits[:, 0]


def controls_of(density: Array, histogram: Array, shown: Array) -> Array:
    """Notes a second [...], shares of pitch classes [..., 12] and which of the two are told, bool [..., 2] -> what the
    network reads, [..., 22]: the density's bin, the shares, and of each instead a flag where it is withheld."""
    bins = jnp.sum(density[..., None] >= jnp.broadcast_to(EDGES, (*density.shape, len(EDGES))), axis=-1)
    parts = jax.nn.one_hot(bins, BINS), histogram
    told = (
        jnp.concatenate([jnp.where(which, part, 0), 1.0 - which], axis=-1)
        for part, which in zip(parts, jnp.split(shown, 2, axis=-1), strict=True)
    )
    return jnp.concatenate([*told], axis=-1)


def ahead(values: Array, moment: Array, steps: int) -> tuple[Array, Array]:
    """Sums [B, T, C] of ``values`` [B, T, C] over the events from each one's ``moment`` int32 [B, T] on that begin
    before ``steps`` more have passed; and how many these are."""
    sums = jnp.pad(jnp.cumsum(values, axis=1), ((0, 0), (1, 0), (0, 0)))
    search = jax.vmap(lambda sorted, at: jnp.searchsorted(sorted, at, side="left", method="scan_unrolled"))
    first, beyond = search(moment, moment), search(moment, moment + steps)
    of = lambda at: jnp.take_along_axis(sums, at[..., None], axis=1)
    return of(beyond) - of(first), beyond - first


class Network(nn.Module):
    vocabulary: int
    width: int
    layers: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(
        self,
        events: Array,
        controls: Array,
        states: tuple[State, ...] | None = None,
        lengths: Array | None = None,
        *,
        train: bool = False,
    ) -> tuple[Array, tuple[State, ...]]:
        """events [B, T], controls [B, 22] or [B, T, 22] of the events after -> logits [B, T, V], and the states after
        each row's ``lengths`` (T)."""
        dtype = jnp.dtype(self.dtype)
        if states is None:
            states = zero_states("lstm", events.shape[0], width=self.width, layers=self.layers, dtype=self.dtype)
        if controls.ndim == 2:
            controls = jnp.broadcast_to(controls[:, None], (*events.shape, CONTROLS))
        x = Embed(self.vocabulary, self.width, dtype=dtype, name="events")(events)
        x += Dense(self.width, use_bias=False, dtype=dtype, name="controls")(controls)
        hidden, states = Stack("lstm", self.width, self.dropout, self.dtype, name="stack")(
            x, states, lengths, train=train
        )
        return Dense(self.vocabulary, dtype=dtype, name="head")(hidden), states
