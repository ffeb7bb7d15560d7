"""Sketch-RNN (Ha & Eck 2018, arXiv:1704.03477): line drawings, stroke by stroke, with a latent space or without."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.codecs.strokes import DOWN, END, OVER, START
from zoo.decoding import Greedy, Sampler, Sampling, generate
from zoo.losses import gaussian_kl, token_nll, wide
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.nn.cells import zero_states
from zoo.nn.dense import Dense
from zoo.nn.mixture import NUMBERS, mixture_draw, mixture_mode, mixture_nll, mixture_of
from zoo.nn.norm_lstm import NormLSTMLayer
from zoo.nn.recurrence import LSTMLayer, LSTMState
from zoo.vae.recurrent import both_ways, state_of

PLAYER = "sketch"
LATENT, STRETCH, DROPOUT = range(1, 4)  # what the step's key is folded with
PENS = 3


@dataclass(frozen=True, kw_only=True)
class SketchRNN:
    """A bidirectional LSTM reads a drawing into a latent; an LSTM that sees the latent at every step draws it. What it
    says of the next point is a mixture of ``components`` bivariate normals for the offset, and logits for the pen.

    Rows of ``strokes`` are those of `zoo.codecs.strokes`: dx, dy, and pen down, lifted, over; the first is START. A
    *token* of the decode loop is a row of five numbers, and ``cond`` the latent, [B, Z]; None: the prior's mean.

    Without ``conditional`` there is a decoder alone (section 3.3): its latents are empty, [n, 0].
    """

    context: int = 96
    """Points of the longest drawing, START not among them."""
    conditional: bool = True
    latent_size: int = 128
    """Z."""
    encoder_width: int = 256
    """Cells of each direction."""
    width: int = 512
    """H, cells that draw."""
    cell: Literal["lstm", "layer-norm"] = "lstm"
    """Of the decoder."""
    components: int = 20
    """M."""
    dropout: float | None = 0.1
    """Of what enters the decoder's memory, in training; None is none."""
    stretch: float = 0.15
    """In training each drawing is made wider, and higher, by factors within this of 1."""
    beta: float = 0.5
    """Weight of the KL at last; w_KL."""
    beta_start: float = 0.01
    """The share of it at step 0; eta_min."""
    beta_rate: float = 0.99995
    """R: the share at step t is 1 - (1 - eta_min) R^t."""
    kl_floor: float = 0.2
    """KL_min, nats a latent number: what lies below is not pressed down."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    @property
    def capacity(self) -> None:
        """A state has room for any length."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(PLAYER, self.loss),)

    @property
    def sample_length(self) -> int:
        return self.context

    @property
    def network(self) -> "Network":
        return Network(
            latent_size=self.latent_size if self.conditional else None, encoder_width=self.encoder_width,
            width=self.width, norm=self.cell == "layer-norm", outputs=NUMBERS * self.components + PENS,
            dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        return {PLAYER: self.network.init(key, jnp.asarray(START)[None, None], jnp.ones(1, jnp.int32))["params"]}, {}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """``length``: rows before the first END, START among them."""
        return {
            "strokes": jax.ShapeDtypeStruct((batch_size, self.context + 1, 5), jnp.float32),
            "length": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
        }

    def apply(self, params: Params, *inputs: Any, **controls: Any) -> Any:
        return self.network.apply({"params": params[PLAYER]}, *inputs, **controls)

    # ---- Learning -------------------------------------------------------------------------------------------------

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """L_R + eta w_KL max(L_KL, KL_min) (equations 9 to 11): L_R in nats a row of ``context`` rows, of which those
        behind the end teach the pen only; L_KL in nats a latent number."""
        draw = partial(jax.random.fold_in, key)
        sides = jax.random.uniform(draw(STRETCH), (len(batch["length"]), 1, 2), minval=-1.0)
        strokes = stretched(batch["strokes"], 1 + self.stretch * sides)
        latent, kl = self.posterior(params, strokes, batch["length"], draw(LATENT))
        rngs = {"dropout": draw(DROPOUT)}
        outputs, _ = self.apply(params, strokes[:, :-1], latent, method="draw", train=True, rngs=rngs)
        offset, pen, real = self.nats(outputs, strokes[:, 1:])
        reconstruction = jnp.mean(jnp.where(real, offset, 0) + pen)
        if not self.conditional:
            return reconstruction, (extra, {})
        kl = jnp.mean(kl) / self.latent_size
        eta = 1 - (1 - self.beta_start) * jnp.power(jnp.asarray(self.beta_rate, kl.dtype), step)
        loss = reconstruction + eta * self.beta * jnp.maximum(kl, self.kl_floor)
        return loss, (extra, {"reconstruction": reconstruction, "kl": kl})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """Given one draw of the latent: ``offset``, nats of a point's place; ``pen``, of its pen and of the end's;
        ``kl``, nats of a drawing; and ``elbo`` of a drawing, of all three."""
        del extra
        strokes, count = batch["strokes"], jnp.asarray(len(batch["length"]), jnp.float32)
        latent, kl = self.posterior(params, strokes, batch["length"], jax.random.fold_in(key, LATENT))
        offset, pen, real = self.nats(self.apply(params, strokes[:, :-1], latent, method="draw")[0], strokes[:, 1:])
        told = jnp.arange(1, self.context + 1)[None, :] <= batch["length"][:, None]
        offset, pen, kl = jnp.sum(jnp.where(real, offset, 0)), jnp.sum(jnp.where(told, pen, 0)), jnp.sum(kl)
        number = partial(jnp.sum, dtype=pen.dtype)
        return {
            "elbo": (-(offset + pen + kl), count),
            "offset": (offset, number(real)),
            "pen": (pen, number(told)),
            "kl": (kl, count),
        }

    def posterior(self, params: Params, strokes: Array, length: Array, key: Array) -> tuple[Array, Array]:
        """A draw of each drawing's latent [B, Z], and its KL in nats [B]; of a decoder alone, nothing and zeros."""
        if not self.conditional:
            return self.latents(key, len(strokes)), jnp.zeros(len(strokes))
        mean, log_variance = self.apply(params, strokes[:, 1:], length - 1, method="read")
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        return mean + jnp.exp(log_variance / 2) * noise, gaussian_kl(mean, log_variance)

    def nats(self, outputs: Array, rows: Array) -> tuple[Array, Array, Array]:
        """Of each row [B, T, 5]: nats of its offset and of its pen, [B, T], and whether it is a point."""
        pens = jnp.argmax(rows[..., DOWN:], axis=-1)
        offset = mixture_nll(mixture_of(outputs[..., PENS:]), rows[..., :2])
        return offset, token_nll(outputs[..., :PENS], pens), pens != OVER - DOWN

    # ---- The latent space -----------------------------------------------------------------------------------------

    def latents(self, key: Array, n: int) -> Array:
        """[n, Z] draws from N(0, I); of a decoder alone [n, 0]."""
        return jax.random.normal(key, (n, self.latent_size if self.conditional else 0))

    def encode(self, params: Params, extra: Extra, x: Array, key: Array | None = None) -> Array:
        """Strokes [B, 1 + T, 5] -> the posterior's mean [B, Z], or a draw from it where there is a ``key``."""
        del extra
        over = jnp.cumsum(jnp.argmax(x[:, 1:, DOWN:], axis=-1) == OVER - DOWN, axis=1) > 0
        mean, log_variance = self.apply(params, x[:, 1:], jnp.sum(~over, axis=1), method="read")
        if key is None:
            return mean
        return mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape, mean.dtype)

    def render(
        self, params: Params, extra: Extra, latent: Array, *, sampler: Sampler = Greedy(), key: Array | None = None
    ) -> Array:
        """[n, Z] -> strokes [n, 1 + context, 5] by the most probable rows, or by draws (``sampler`` and ``key``)."""
        begun, ones = self.start(latent.shape[0]), jnp.ones(latent.shape[0], jnp.int32)
        rows = generate(
            self, params, extra, jax.random.key(0) if key is None else key, prompt=begun, lengths=ones,
            length=self.context, sampler=sampler, cond=latent,
        )  # fmt: skip
        return ended(jnp.concatenate([begun, rows], axis=1))

    def sample(
        self, params: Params, extra: Extra, key: Array, n: int, *, sampler: Sampler = Sampling(temperature=0.5)
    ) -> Array:
        """``n`` drawings [n, context, 5], behind their START."""
        prior, draws = jax.random.split(key)
        return self.render(params, extra, self.latents(prior, n), sampler=sampler, key=draws)[:, 1:]

    # ---- Drawing --------------------------------------------------------------------------------------------------

    def start(self, n: int) -> Array:
        """[n, 1, 5]: the pen is down at the origin."""
        return jnp.broadcast_to(jnp.asarray(START), (n, 1, 5))

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """Rows [B, T, 5] -> [B, T, 3 + 6 M]: logits of the next row's pen, and its offset's mixture."""
        del extra
        return self.apply(params, tokens, self.latent_of(tokens, cond), method="draw")[0]

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        """The carry is the decoder's state and the latent that it sees."""
        del extra, capacity
        latent = self.latent_of(prompt, cond)
        outputs, state = self.apply(params, prompt, latent, lengths, method="draw")
        return (state, latent), jnp.take_along_axis(outputs, (lengths - 1)[:, None, None], axis=1)[:, 0]

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        del extra
        state, latent = carry
        outputs, state = self.apply(params, token[:, None], latent, state=state, method="draw")
        return (state, latent), outputs[:, 0]

    def emit(self, params: Params, output: Array, key: Array, sampler: Sampler) -> Array:
        """A row [5]: a pen, and unless the drawing is over an offset; both at the sampler's temperature."""
        del params
        mixture, logits = mixture_of(output[PENS:]), wide(output[:PENS])
        if isinstance(sampler, Greedy):
            pen, offset = jnp.argmax(logits), mixture_mode(mixture)
        else:
            of_pen, of_offset = jax.random.split(key)
            pen = jax.random.categorical(of_pen, logits / sampler.temperature)
            offset = mixture_draw(mixture, of_offset, sampler.temperature)
        offset = jnp.where(pen == OVER - DOWN, 0, offset)
        return jnp.concatenate([offset, jax.nn.one_hot(pen, PENS, dtype=offset.dtype)]).astype(jnp.float32)

    def latent_of(self, rows: Array, cond: Array | None) -> Array:
        return jnp.zeros((rows.shape[0], self.latent_size if self.conditional else 0)) if cond is None else cond


def stretched(strokes: Array, factors: Array) -> Array:
    """Strokes [B, T, 5] with their offsets times ``factors`` [B, 1, 2]."""
    return jnp.concatenate([strokes[..., :2] * factors, strokes[..., 2:]], axis=-1)


def ended(strokes: Array) -> Array:
    """Strokes [B, T, 5] with END behind each row's first END."""
    over = jnp.cumsum(strokes[..., OVER] > 0.5, axis=1) > 0
    return jnp.where(over[..., None], jnp.asarray(END), strokes)


class Network(nn.Module):
    latent_size: int | None
    encoder_width: int
    width: int
    norm: bool
    outputs: int
    dropout: float | None
    dtype: str

    def setup(self):
        dense = partial(Dense, dtype=jnp.dtype(self.dtype))
        small = nn.initializers.normal(1e-3)
        if self.latent_size is not None:
            self.forwards, self.backwards = (LSTMLayer(self.encoder_width, self.dtype) for _ in range(2))
            self.mean, self.spread = (dense(self.latent_size, kernel_init=small) for _ in range(2))
            self.beginning = dense(2 * self.width, kernel_init=small)
        self.drawing = NormLSTMLayer(self.width, self.norm, self.dropout, self.dtype)
        self.head = dense(self.outputs)

    def __call__(self, rows: Array, lengths: Array) -> Array:
        """All of it once, for its parameters."""
        latent = jnp.zeros((rows.shape[0], 0)) if self.latent_size is None else self.read(rows, lengths)[0]
        return self.draw(rows, latent)[0]

    def read(self, rows: Array, lengths: Array) -> tuple[Array, Array]:
        """Rows [B, T, 5] behind START, of ``lengths`` [B] points -> mean and log variance [B, Z] (equations 2 and
        3)."""
        hidden = both_ways(self.forwards, self.backwards, rows, lengths)
        return wide(self.mean(hidden)), wide(self.spread(hidden))

    def draw(
        self,
        rows: Array,
        latent: Array,
        lengths: Array | None = None,
        *,
        state: LSTMState | None = None,
        train: bool = False,
    ) -> tuple[Array, LSTMState]:
        """Rows [B, T, 5] -> outputs [B, T, 3 + 6 M], and the state after ``lengths`` (T); it begins from the latent
        (equation 5) unless there is a ``state``."""
        if state is None:
            state = self.begun(latent)
        every = jnp.broadcast_to(latent[:, None], (*rows.shape[:2], latent.shape[-1]))
        x = jnp.concatenate([rows, every.astype(rows.dtype)], axis=-1)
        hidden, state = self.drawing(x, state, lengths, train=train)
        return self.head(hidden), state

    def begun(self, latent: Array) -> LSTMState:
        if self.latent_size is None:
            return zero_states("lstm", latent.shape[0], width=self.width, layers=1, dtype=self.dtype)[0]
        return state_of(self.beginning(latent))
