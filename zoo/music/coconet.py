"""Coconet (Huang et al. 2017, arXiv:1903.07227): a convolutional net that fills what is missing from four voices."""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import tokens
from zoo.codecs.voices import RANGES, REST, VOICES
from zoo.decoding import Sampler, Sampling
from zoo.infilling import gibbs
from zoo.losses import token_nll
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.music.grid import cells_of, check_context, held, sounding, tokens_of
from zoo.nn.conv import Conv
from zoo.nn.dense import Dense
from zoo.nn.norm import LayerNorm

MASK = 1  # what the step's key is folded with
PLAYER = "coconet"


@dataclass(frozen=True, kw_only=True)
class Coconet:
    """Residual convolutions over time and pitch, trained to tell any erased cells of a four-voice grid from the others:
    an orderless NADE (Uria et al. 2014, arXiv:1310.1757), sampled by rewriting blocks of cells (`zoo.infilling.gibbs`).

    A cell is one of 2 P + 1 *states*: each of P pitches struck, each held on, and silence. (The paper's grid has no
    difference between a long note and a repeated one.) The net sees of every voice what is struck, what is held, where
    it is silent, and what is erased. Channels are normalised in each place instead of over the batch, so that a piece
    does not depend on its neighbours.
    """

    vocabulary: int = 132
    """Tokens of the four-voice codec."""
    context: int = 256
    """Cells of a window, four a step: 64 sixteenths."""
    lowest: int = int(RANGES.min())
    """The lowest MIDI pitch that a voice sings."""
    pitches: int = int(RANGES.max() - RANGES.min()) + 1
    """P, from ``lowest`` up. What lies outside is unknown to the model: neither shown nor asked for."""
    layers: int = 16
    """Convolutions, two a residual block, between the first and the last."""
    width: int = 48
    """Channels."""
    start_token: int = 130
    steps: int = 96
    """Of Gibbs sampling, when nothing is said."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    batch_spec = tokens.batch_spec

    def __post_init__(self):
        check_context(self.context)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(PLAYER, self.loss),)

    @property
    def network(self) -> "Network":
        return Network(layers=self.layers, width=self.width, dtype=self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        rows = jnp.zeros((1, self.context), jnp.int32)
        planes = self.planes(rows, jnp.zeros(rows.shape, bool))
        return {PLAYER: self.network.init(key, planes)["params"]}, {}

    # ---- States and tokens ----------------------------------------------------------------------------------------

    def states(self, cells: Array) -> tuple[Array, Array]:
        """Cells [B, S, 4] -> states [B, 4 S] in 0 .. 2 P, and which of them are known."""
        pitch, struck = sounding(cells)
        at = pitch - self.lowest
        inside = (at >= 0) & (at < self.pitches)
        state = jnp.where(pitch == REST, 2 * self.pitches, at + jnp.where(struck, 0, self.pitches))
        known = inside | (pitch == REST)
        rows = (cells.shape[0], -1)
        return jnp.where(known, state, 0).reshape(rows), known.reshape(rows)

    def cells(self, states: Array) -> Array:
        """States [B, 4 S] -> cells [B, S, 4]. A pitch that is held on from nothing is struck."""
        states = states.reshape(states.shape[0], -1, VOICES)
        pitch = jnp.where(states == 2 * self.pitches, REST, states % self.pitches + self.lowest)
        return held(pitch, states < self.pitches)

    def planes(self, states: Array, missing: Array) -> Array:
        """States [B, 4 S], those at ``missing`` unseen -> [B, S, P, 16]: struck, held, silent and erased, by voice."""
        grid = lambda row: row.reshape(row.shape[0], -1, VOICES)
        states, missing = grid(states), grid(missing)
        shown = jax.nn.one_hot(jnp.where(missing, -1, states), 2 * self.pitches + 1, dtype=jnp.dtype(self.dtype))
        struck, on, silent = jnp.split(shown, [self.pitches, 2 * self.pitches], axis=-1)  # [B, S, 4, P], ..., 1
        everywhere = lambda plane: jnp.broadcast_to(plane, struck.shape)
        erased = missing[..., None].astype(shown.dtype)
        planes = jnp.stack([struck, on, everywhere(silent), everywhere(erased)], axis=-1)  # [B, S, 4, P, 4]
        return jnp.moveaxis(planes, 2, 3).reshape(*planes.shape[:2], self.pitches, 4 * VOICES)

    def denoise(self, params: Params, tokens: Array, missing: Array, lengths: Array) -> Array:
        """States [B, 4 S], those at ``missing`` unseen -> logits [B, 4 S, 2 P + 1] of every cell's state."""
        missing = missing | (jnp.arange(tokens.shape[1])[None, :] >= lengths[:, None])
        logits = self.network.apply({"params": params[PLAYER]}, self.planes(tokens, missing))
        return jnp.asarray(logits).reshape(*tokens.shape, -1)

    # ---- Learning -------------------------------------------------------------------------------------------------

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of a piece's erased cells, whose number is drawn evenly from 1 to all D: on average 1 / D of -log p
        of the cells one after the other, in a random order (Uria et al. 2014)."""
        del step
        nats, asked, _ = self.asked(params, batch, key)
        each = jnp.sum(nats, axis=1) / jnp.maximum(jnp.sum(asked, axis=1), 1)
        return jnp.mean(each), (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``orderless_nll``: nats of a cell, as in the loss, every piece counting as much as it has cells;
        ``masked_accuracy`` of the cells that ``key`` erases."""
        del extra
        nats, asked, found = self.asked(params, batch, key)
        count = jnp.sum(asked, axis=1, dtype=nats.dtype)
        cells = jnp.sum(self.states(cells_of(batch)[0])[1] & self.real(batch), axis=1, dtype=nats.dtype)
        total = jnp.sum(nats, axis=1) / jnp.maximum(count, 1) * cells
        return {
            "orderless_nll": (jnp.sum(total), jnp.sum(cells)),
            "masked_accuracy": (jnp.sum(found, dtype=nats.dtype), jnp.sum(count)),
        }

    def asked(self, params: Params, batch: Batch, key: Array) -> tuple[Array, Array, Array]:
        """[B, 4 S] each: nats of the cells that are erased, which these are, and which of them are found."""
        truth, known = self.states(cells_of(batch)[0])
        known = known & self.real(batch)
        asked = self.erase(known, jax.random.fold_in(key, MASK))
        logits = self.denoise(params, truth, asked | ~known, jnp.full(truth.shape[0], truth.shape[1]))
        nats = token_nll(logits, truth)
        return jnp.where(asked, nats, 0), asked, asked & (jnp.argmax(logits, axis=-1) == truth)

    def erase(self, known: Array, key: Array) -> Array:
        """Of the D ``known`` cells of each piece [B, 4 S] any subset, its size even on 1..D."""
        number, order = jax.random.split(key)
        cells = jnp.sum(known, axis=1)
        size = 1 + jnp.floor(jax.random.uniform(number, cells.shape) * cells)
        chance = jnp.where(known, jax.random.uniform(order, known.shape), 2)
        rank = jnp.argsort(jnp.argsort(chance, axis=1), axis=1)
        return known & (rank < size[:, None])

    def real(self, batch: Batch) -> Array:
        """bool [B, 4 S]: the cells of real steps."""
        return jnp.arange(self.context)[None, :] < VOICES * cells_of(batch)[1][:, None]

    # ---- Sampling -------------------------------------------------------------------------------------------------

    def sample(
        self,
        params: Params,
        extra: Extra,
        key: Array,
        n: int,
        *,
        steps: int | None = None,
        sampler: Sampler = Sampling(),
    ) -> Array:
        """``n`` pieces from nothing, tokens [n, 1 + 4 S]. `zoo.infilling.gibbs` rewrites any part of given states."""
        del extra
        states, missing = jnp.zeros((n, self.context), jnp.int32), jnp.ones((n, self.context), bool)
        states = gibbs(self, params, key, tokens=states, missing=missing, steps=steps or self.steps, sampler=sampler)
        return tokens_of(self.cells(states))


class Network(nn.Module):
    """3 x 3 convolutions over (step, pitch) in pre-activation blocks (He et al. 2016, arXiv:1603.05027), and of every
    voice two planes and one number: its pitches struck, held, and silence."""

    layers: int
    width: int
    dtype: str

    @nn.compact
    def __call__(self, planes: Array) -> Array:
        """[B, S, P, 16] -> logits [B, S, 4, 2 P + 1]."""
        dtype = jnp.dtype(self.dtype)
        conv = partial(Conv, dtype=dtype)
        norm = partial(LayerNorm, dtype=dtype)
        x = conv(self.width, name="first")(planes)
        for block in range(self.layers // 2):
            y = conv(self.width, name=f"blocks_{block}_in")(nn.relu(norm(name=f"norms_{block}_in")(x)))
            y = conv(self.width, name=f"blocks_{block}_out")(nn.relu(norm(name=f"norms_{block}_out")(y)))
            x = x + y
        x = nn.relu(norm(name="norm")(x))
        pitched = conv(2 * VOICES, name="last")(x)  # [B, S, P, 8]
        pitched = jnp.moveaxis(pitched.reshape(*x.shape[:3], VOICES, 2), 2, 4)  # [B, S, 4, 2, P]
        silent = Dense(VOICES, dtype=dtype, name="silence")(jnp.mean(x, axis=2))
        return jnp.concatenate([pitched.reshape(*x.shape[:2], VOICES, -1), silent[..., None]], axis=-1)
