"""A composer that reads a primer both ways before it goes on: a bidirectional LSTM encoder, an LSTM decoder."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import decoding, tokens
from zoo.losses import token_nll
from zoo.lstm import rnn
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.nn.cells import Stack, State, zero_states
from zoo.nn.dense import Dense
from zoo.nn.embed import Embed
from zoo.nn.recurrence import LSTMLayer
from zoo.tokens import DROPOUT

PLAYER = "composer"
PRIMER = 2  # what the step's key is folded with


@dataclass(frozen=True, kw_only=True)
class PrimedComposer:
    """Sequence to sequence (Sutskever et al. 2014, arXiv:1409.3215) over note-on and note-off events.

    The first events of a row are its primer. The encoder reads them in both directions, its last states begin the
    decoder's layers, and the decoder goes on from the primer's last event. How long a primer is, is drawn for each
    window: from one event, so that it composes from nothing as well, to half a window.

    Where the contract says ``cond``, it is how many tokens of each row are its primer, int32 [B]; None: the first one.
    """

    vocabulary: int = 390
    """V, different events."""
    context: int = 256
    """Events of a training window; a sample may be of any length."""
    embed: int = 128
    """Numbers that an event is embedded in."""
    encoder_width: int = 256
    """Cells of each direction."""
    width: int = 512
    """H, cells of a layer that writes."""
    layers: int = 2
    """Layers that write."""
    dropout: float = 0.2
    start_token: int = 388
    """What a sample without a primer begins with."""
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
    def reads(self) -> int:
        """Events that the encoder reads: of a longer primer the newest ones."""
        return max(self.context // 2, 1)

    @property
    def network(self) -> "Network":
        return Network(
            vocabulary=self.vocabulary, embed=self.embed, encoder_width=self.encoder_width, width=self.width,
            layers=self.layers, dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        row, one = jnp.zeros((1, 1), jnp.int32), jnp.ones(1, jnp.int32)
        return {PLAYER: self.network.init(key, row, one, row)["params"]}, {}

    # ---- Learning -------------------------------------------------------------------------------------------------

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of an event behind the primer, given the primer and the events between."""
        del step
        most = self.longest(batch)
        drawn = jax.random.uniform(jax.random.fold_in(key, PRIMER), most.shape)
        primer = 1 + jnp.floor(drawn * most).astype(jnp.int32)
        total, count = self.nats(params, batch, jnp.minimum(primer, most), jax.random.fold_in(key, DROPOUT))
        return total / jnp.maximum(count, 1), (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of all events but a window's first, given that one; ``nll_primed``: of those behind the longest
        primer."""
        del extra, key
        most = self.longest(batch)
        both = {"nll": jnp.ones_like(most), "nll_primed": most}
        return {name: self.nats(params, batch, primer, None) for name, primer in both.items()}

    def longest(self, batch: Batch) -> Array:
        """int32 [B]: events of the longest primer of each window, half a window that leaves something to write."""
        return jnp.clip(batch["length"] // 2, 1, self.reads)

    def nats(self, params: Params, batch: Batch, primer: Array, key: Array | None) -> tuple[Array, Array]:
        """(nats of all real events behind the primers, how many)."""
        events, size = batch["tokens"], self.context
        logits = self.written(params, events[:, :-1], primer, key)
        at = jnp.arange(1, size + 1)[None, :]
        real = (at >= primer[:, None]) & (at < batch["length"][:, None])
        nll = jnp.where(real, token_nll(logits, events[:, 1:]), 0)
        return jnp.sum(nll), jnp.sum(real, dtype=nll.dtype)

    # ---- Writing --------------------------------------------------------------------------------------------------

    def primed(self, prompt: Array, lengths: Array) -> Array:
        """What a prompt [B, P] is continued with as ``cond``: all of it is the primer."""
        del prompt
        return lengths

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """Events [B, T] -> logits [B, T, V] of the events after; before the primer's last event, zeros."""
        del extra
        return self.written(params, tokens, self.primer_of(tokens, cond), None)

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        """The carry is every decoder layer's state; the encoder has done its work."""
        del extra, capacity
        primer = jnp.minimum(self.primer_of(prompt, cond), lengths)
        behind = moved(prompt, primer - 1)
        logits, states = self.apply(params, *self.heard(prompt, primer), behind, lengths - primer + 1)
        return states, jnp.take_along_axis(logits, (lengths - primer)[:, None, None], axis=1)[:, 0]

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        del extra
        logits, states = self.apply(params, token[:, None], carry, method="write")
        return states, logits[:, 0]

    def apply(self, params: Params, *inputs: Any, **controls: Any) -> Any:
        return self.network.apply({"params": params[PLAYER]}, *inputs, **controls)

    def written(self, params: Params, events: Array, primer: Array, key: Array | None) -> Array:
        """Events [B, T] -> logits [B, T, V]; with dropout where there is a ``key``."""
        rngs = None if key is None else {"dropout": key}
        behind = moved(events, primer - 1)
        (heard, count), size = self.heard(events, primer), events.shape[1]
        logits, _ = self.apply(params, heard, count, behind, train=key is not None, rngs=rngs)
        back = jnp.arange(size)[None, :] - (primer - 1)[:, None]  # where each position stands behind the primer
        found = jnp.take_along_axis(logits, jnp.maximum(back, 0)[..., None], axis=1)
        return jnp.where((back >= 0)[..., None], found, 0)

    def heard(self, events: Array, primer: Array) -> tuple[Array, Array]:
        """What the encoder reads of each row [B, S], and how many events of it are real [B]."""
        count = jnp.minimum(primer, self.reads)
        return moved(events, primer - count)[:, : self.reads], count

    def primer_of(self, events: Array, cond: Array | None) -> Array:
        return jnp.ones(events.shape[0], jnp.int32) if cond is None else cond


def moved(rows: Array, by: Array) -> Array:
    """Rows [B, T], each ``by`` [B] positions to the left; what is missing at the end repeats the last one."""
    at = jnp.minimum(jnp.arange(rows.shape[1])[None, :] + by[:, None], rows.shape[1] - 1)
    return jnp.take_along_axis(rows, at, axis=1)


class Network(nn.Module):
    vocabulary: int
    embed: int
    encoder_width: int
    width: int
    layers: int
    dropout: float
    dtype: str

    def setup(self):
        dtype = jnp.dtype(self.dtype)
        self.events = Embed(self.vocabulary, self.embed, dtype=dtype)
        self.drop = nn.Dropout(self.dropout)
        self.forwards, self.backwards = (LSTMLayer(self.encoder_width, self.dtype) for _ in range(2))
        self.beginning = Dense(2 * self.layers * self.width, dtype=dtype)
        self.writer = Stack("lstm", self.width, self.dropout, self.dtype)
        self.head = Dense(self.vocabulary, dtype=dtype)

    def __call__(
        self, primer: Array, count: Array, behind: Array, lengths: Array | None = None, *, train: bool = False
    ) -> tuple[Array, tuple[State, ...]]:
        """Primers [B, S] of ``count`` [B] events, and events [B, T] from each one's last on -> logits [B, T, V], and
        the decoder's states after ``lengths`` (T) of these."""
        return self.write(behind, self.read(primer, count, train=train), lengths, train=train)

    def read(self, primer: Array, count: Array, *, train: bool = False) -> tuple[State, ...]:
        """The states that the decoder begins with."""
        at = jnp.arange(primer.shape[1])[None, :]
        turned = jnp.take_along_axis(primer, jnp.maximum(count[:, None] - 1 - at, 0), axis=1)
        (zero,) = zero_states("lstm", primer.shape[0], width=self.encoder_width, layers=1, dtype=self.dtype)
        both = [
            layer(self.drop(self.events(events), deterministic=not train), zero, count)[1][1]
            for layer, events in ((self.forwards, primer), (self.backwards, turned))
        ]
        halves = jnp.split(jnp.tanh(self.beginning(jnp.concatenate(both, axis=-1))), 2 * self.layers, axis=-1)
        wide = jnp.promote_types(self.dtype, jnp.float32)  # of cells: they sum over time
        return tuple((halves[2 * i].astype(wide), halves[2 * i + 1]) for i in range(self.layers))

    def write(
        self, events: Array, states: tuple[State, ...], lengths: Array | None = None, *, train: bool = False
    ) -> tuple[Array, tuple[State, ...]]:
        x = self.drop(self.events(events), deterministic=not train)
        hidden, states = self.writer(x, states, lengths, train=train)
        return self.head(hidden), states
