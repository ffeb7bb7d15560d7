"""MusicVAE (Roberts et al. 2018, arXiv:1803.05428): a latent space of melodies, or of parts over many bars."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import tokens
from zoo.codecs.voices import REST, START, VOICES
from zoo.decoding import Greedy, Sampler, Sampling
from zoo.errors import UserError
from zoo.losses import gaussian_kl, token_nll
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.music.grid import cells_of, check_context, tokens_of
from zoo.nn.cells import LSTMLayer, Stack
from zoo.nn.dense import Dense
from zoo.nn.embed import Embed
from zoo.vae.recurrent import both_ways, softplus_normal, state_of

LATENT = 1  # what the step's key is folded with
PLAYER = "music_vae"
NAMES = "SATB"


@dataclass(frozen=True, kw_only=True)
class MusicVAE:
    """A bidirectional LSTM reads the cells of some voices into a latent; LSTMs write them from it, one a voice.

    With a ``conductor`` the latent unfolds into a code for each of ``bars``, and every voice begins each bar anew from
    its code (section 3.2): only the note before crosses the bar line, so that the latent cannot be ignored. Without
    one, the latent itself is the code of the whole. (The conductor of the paper's code reads nothing; this one reads
    the latent at every bar.)
    """

    vocabulary: int = 132
    """Tokens of the four-voice codec."""
    context: int = 128
    """Cells of a window, four a step: two bars of sixteenths."""
    voices: str = "S"
    """Which of S, A, T and B are read and written; the others are silent."""
    bars: int = 1
    """Parts of a window that a conductor has codes for."""
    conductor: int | None = None
    """Its cells; None for none."""
    latent_size: int = 128
    """Z."""
    encoder_width: int = 256
    """Cells of each direction."""
    width: int = 256
    """Cells of a layer that writes."""
    layers: int = 2
    beta: float = 0.2
    """Weight of the KL at last."""
    beta_rate: float = 0.999
    """The weight at step t is (1 - beta_rate^t) beta; 0 has it whole from the first step."""
    free_bits: float = 0.0
    """Of a sequence, that cost nothing (Kingma et al. 2016, arXiv:1606.04934, appendix C.8; of the whole KL)."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    batch_spec = tokens.batch_spec

    def __post_init__(self):
        check_context(self.context)
        if not self.voices or any(self.voices.count(voice) != 1 or voice not in NAMES for voice in self.voices):
            raise UserError(f"--model.voices {self.voices!r}: write some of {NAMES}, each once")
        if self.steps % self.bars or (self.conductor is None and self.bars != 1):
            raise UserError(
                f"--model.bars {self.bars}: it must divide {self.steps} steps, and needs a --model.conductor"
            )

    @property
    def steps(self) -> int:
        return self.context // VOICES

    @property
    def columns(self) -> list[int]:
        """Where the voices stand in a grid."""
        return [NAMES.index(voice) for voice in self.voices]

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(PLAYER, self.loss),)

    @property
    def network(self) -> "Network":
        return Network(
            vocabulary=self.vocabulary, voices=len(self.voices), bars=self.bars, conductor=self.conductor,
            latent_size=self.latent_size, encoder_width=self.encoder_width, width=self.width, layers=self.layers,
            dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        cells = jnp.zeros((1, self.steps, len(self.voices)), jnp.int32)
        return {PLAYER: self.network.init(key, cells)["params"]}, {}

    def apply(self, params: Params, *inputs: Any, method: str) -> Any:
        return self.network.apply({"params": params[PLAYER]}, *inputs, method=method)

    # ---- Learning -------------------------------------------------------------------------------------------------

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of a sequence, with the KL beyond ``free_bits`` weighted by ``beta`` (section 2.1)."""
        mean, log_variance, (truth, real) = self.posterior(params, batch)
        noise = jax.random.normal(jax.random.fold_in(key, LATENT), mean.shape, mean.dtype)
        nats, _ = self.nats(params, mean + jnp.exp(log_variance / 2) * noise, truth, real)
        kl = gaussian_kl(mean, log_variance)
        beta = self.beta * (1 - jnp.power(jnp.asarray(self.beta_rate, kl.dtype), step))
        penalty = jnp.maximum(kl - self.free_bits * jnp.log(2.0).astype(kl.dtype), 0)
        count = jnp.maximum(jnp.sum(real), 1)
        return jnp.mean(nats + beta * penalty), (extra, {"nll": jnp.sum(nats) / count, "kl": jnp.mean(kl)})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of a cell given one draw of the latent; ``kl``: of a sequence; and from the posterior's mean
        the share of cells that come back: ``accuracy`` behind the true cells, ``free_accuracy`` behind its own."""
        mean, log_variance, (truth, real) = self.posterior(params, batch)
        noise = jax.random.normal(jax.random.fold_in(key, LATENT), mean.shape, mean.dtype)
        nats, _ = self.nats(params, mean + jnp.exp(log_variance / 2) * noise, truth, real)
        forced = jnp.argmax(self.nats(params, mean, truth, real)[1], axis=-1)
        free = cells_of({"tokens": self.render(params, extra, mean), "length": jnp.full(len(mean), self.context + 1)})
        free = free[0][:, :, jnp.array(self.columns)]
        share = lambda found: (jnp.sum(real & (found == truth), dtype=nats.dtype), jnp.sum(real, dtype=nats.dtype))
        kl = gaussian_kl(mean, log_variance)
        return {
            "nll": (jnp.sum(nats), jnp.sum(real, dtype=nats.dtype)),
            "kl": (jnp.sum(kl), jnp.asarray(len(kl), kl.dtype)),
            "accuracy": share(forced),
            "free_accuracy": share(free),
        }

    def posterior(self, params: Params, batch: Batch) -> tuple[Array, Array, tuple[Array, Array]]:
        """Mean and log variance [B, Z], and the cells [B, S, K] with which of them are real."""
        cells, steps = cells_of(batch)
        truth = cells[:, :, jnp.array(self.columns)]
        real = jnp.broadcast_to((jnp.arange(self.steps)[None, :] < steps[:, None])[..., None], truth.shape)
        return *self.apply(params, truth, method="encode"), (truth, real)

    def nats(self, params: Params, latent: Array, truth: Array, real: Array) -> tuple[Array, Array]:
        """Nats of each sequence [B], and logits [B, S, K, V], given the cells before."""
        logits = self.apply(params, latent, truth, method="teach")
        nll = jnp.where(real, token_nll(logits, truth), 0)
        return jnp.sum(nll, axis=(1, 2)), logits

    # ---- The latent space -----------------------------------------------------------------------------------------

    def latents(self, key: Array, n: int) -> Array:
        """[n, Z] draws from N(0, I)."""
        return jax.random.normal(key, (n, self.latent_size))

    def encode(self, params: Params, extra: Extra, x: Array, key: Array | None = None) -> Array:
        """Tokens [B, 1 + 4 S] -> the posterior's mean [B, Z], or a draw from it where there is a ``key``."""
        del extra
        batch = {"tokens": x, "length": jnp.full(x.shape[0], x.shape[1])}
        mean, log_variance, _ = self.posterior(params, batch)
        if key is None:
            return mean
        return mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape, mean.dtype)

    def render(
        self, params: Params, extra: Extra, latent: Array, *, sampler: Sampler = Greedy(), key: Array | None = None
    ) -> Array:
        """[n, Z] -> tokens [n, 1 + 4 S] by the most probable cells, or by draws (``sampler`` and ``key``)."""
        del extra
        rows, network = latent.shape[0], partial(self.apply, params)
        codes = network(latent, method="codes")  # [n, U, C]
        begun = network(codes, method="begun")
        key = jax.random.key(0) if key is None else key
        keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(rows))
        length = self.steps // self.bars

        def step(state: tuple[Any, Array], at: Array) -> tuple[tuple[Any, Array], Array]:
            states, before = state
            bar = at // length
            fresh = jax.tree.map(lambda leaf: leaf[:, bar], begun)
            states = jax.tree.map(lambda new, old: jnp.where(at % length == 0, new, old), fresh, states)
            states, logits = network(states, before, codes[:, bar], method="step")  # [n, K, V]
            draw = lambda logits, key: jax.vmap(sampler.draw)(logits, jax.random.split(key, logits.shape[0]))
            cells = jax.vmap(draw)(logits, jax.vmap(lambda key: jax.random.fold_in(key, at))(keys))
            return (states, cells), cells

        first = jnp.full((rows, len(self.voices)), START, jnp.int32)
        states = jax.tree.map(lambda leaf: leaf[:, 0], begun)
        _, cells = jax.lax.scan(step, (states, first), jnp.arange(self.steps))
        grid = jnp.full((rows, self.steps, VOICES), REST, jnp.int32)
        return tokens_of(grid.at[:, :, jnp.array(self.columns)].set(jnp.moveaxis(cells, 0, 1)))

    def sample(
        self, params: Params, extra: Extra, key: Array, n: int, *, sampler: Sampler = Sampling(temperature=0.5)
    ) -> Array:
        """``n`` pieces as tokens [n, 1 + 4 S]."""
        prior, draws = jax.random.split(key)
        return self.render(params, extra, self.latents(prior, n), sampler=sampler, key=draws)


class Network(nn.Module):
    vocabulary: int
    voices: int
    bars: int
    conductor: int | None
    latent_size: int
    encoder_width: int
    width: int
    layers: int
    dtype: str

    def setup(self):
        dense = partial(Dense, dtype=jnp.dtype(self.dtype))
        embed = partial(Embed, self.vocabulary, dtype=jnp.dtype(self.dtype))
        self.heard = [embed(self.encoder_width) for _ in range(self.voices)]
        self.forwards = LSTMLayer(self.encoder_width, self.dtype)
        self.backwards = LSTMLayer(self.encoder_width, self.dtype)
        small = nn.initializers.normal(1e-3)
        self.mean, self.spread = (dense(self.latent_size, kernel_init=small) for _ in range(2))
        if self.conductor is not None:
            self.conductor_begun = dense(2 * self.conductor)
            self.conducting = LSTMLayer(self.conductor, self.dtype)
        self.beginnings = [dense(2 * self.layers * self.width) for _ in range(self.voices)]
        self.sung = [embed(self.width) for _ in range(self.voices)]
        self.writers = [Stack("lstm", self.width, 0.0, self.dtype) for _ in range(self.voices)]
        self.heads = [dense(self.vocabulary) for _ in range(self.voices)]

    def __call__(self, cells: Array) -> Array:
        """All of it once, for its parameters."""
        return self.teach(self.encode(cells)[0], cells)

    def encode(self, cells: Array) -> tuple[Array, Array]:
        """Cells [B, S, K] -> mean and log variance [B, Z] of the latent."""
        x = jnp.stack([embed(cells[:, :, voice]) for voice, embed in enumerate(self.heard)]).sum(0)
        return softplus_normal(self.mean, self.spread, both_ways(self.forwards, self.backwards, x))

    def codes(self, latent: Array) -> Array:
        """[B, Z] -> a code for each bar [B, U, C]."""
        if self.conductor is None:
            return latent[:, None]
        state = state_of(self.conductor_begun(latent))
        every = jnp.broadcast_to(latent[:, None], (latent.shape[0], self.bars, latent.shape[1]))
        return self.conducting(every, state)[0]

    def begun(self, codes: Array) -> list[tuple[Any, ...]]:
        """Codes [..., C] -> every voice's states at the beginning, [..., H] each."""
        parts = (jnp.split(dense(codes), self.layers, axis=-1) for dense in self.beginnings)
        return [tuple(state_of(layer) for layer in layers) for layers in parts]

    def teach(self, latent: Array, cells: Array) -> Array:
        """[B, Z] and the true cells [B, S, K] -> logits [B, S, K, V]: all bars at once."""
        rows, steps, _ = cells.shape
        codes = self.codes(latent)
        begun = jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), self.begun(codes))
        before = jnp.concatenate([jnp.full_like(cells[:, :1], START), cells[:, :-1]], axis=1)
        every = jnp.repeat(codes, steps // self.bars, axis=1)
        logits = []
        for voice, states in enumerate(begun):
            x = jnp.concatenate([self.sung[voice](before[:, :, voice]), every], axis=-1)
            hidden, _ = self.writers[voice](x.reshape(rows * self.bars, -1, x.shape[-1]), states)
            logits.append(self.heads[voice](hidden).reshape(rows, steps, -1))
        return jnp.stack(logits, axis=2)

    def step(self, states: list, before: Array, code: Array) -> tuple[list, Array]:
        """One step: the cells before [B, K], the bar's code [B, C] -> states, and logits [B, K, V]."""
        after, logits = [], []
        for voice, state in enumerate(states):
            x = jnp.concatenate([self.sung[voice](before[:, voice]), code], axis=-1)
            hidden, state = self.writers[voice](x[:, None], state)
            after.append(state)
            logits.append(self.heads[voice](hidden[:, 0]))
        return after, jnp.stack(logits, axis=1)
