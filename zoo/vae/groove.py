"""GrooVAE (Gillick et al. 2019, "Learning to Groove with Inverse Sequence Transformations", arXiv:1905.06118): a latent
space of drumming, or drumming made of a score or of taps."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from zoo import prior
from zoo.codecs.drums import CLASSES, FINE
from zoo.decoding import Greedy, Sampler, Sampling
from zoo.losses import gaussian_kl, wide
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.nn.cells import LSTMLayer, Stack
from zoo.nn.dense import Dense
from zoo.vae.recurrent import both_ways, softplus_normal, state_of

PLAYER = "groovae"
LATENT = 1  # what the step's key is folded with
NARROWEST = 0.01  # spread of a velocity or an offset: files hold steps of 1/127 and of 1/512
FIRST = float(np.log(np.expm1(0.2)))  # makes the spreads 0.21 at the start
NUMBERS = 3 * CLASSES


@dataclass(frozen=True, kw_only=True)
class GrooVAE:
    """A bidirectional LSTM reads a groove into a latent; an LSTM that sees the latent at every step plays it.

    A step is a row of `zoo.codecs.drums`: hits, velocities and offsets of nine classes. A hit is a draw of its own
    logit. Where there is one, its velocity and its offset are normal around what the network says, with a learnt spread
    for each class: the paper's squared errors, and what they weigh beside the hits is learnt.
    """

    length: int = 32
    """Steps of a groove: two bars of sixteenths."""
    hears: Literal["groove", "score", "taps"] = "groove"
    """What is read: all; the hits alone, to be humanised; or that something is struck and when, to be drummed
    (section 4)."""
    latent_size: int = 256
    """Z."""
    encoder_width: int = 512
    """Cells of each direction."""
    width: int = 256
    """Cells of a layer that plays."""
    layers: int = 2
    beta: float = 0.2
    """Weight of the KL."""
    free_bits: float = 48.0
    """Of a groove, that cost nothing."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    latents = prior.latents

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(PLAYER, self.loss),)

    @property
    def network(self) -> "Network":
        return Network(self.latent_size, self.encoder_width, self.width, self.layers, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        return {PLAYER: self.network.init(key, jnp.zeros((1, 2, NUMBERS)))["params"]}, {}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {
            "groove": jax.ShapeDtypeStruct((batch_size, self.length, NUMBERS), jnp.float32),
            "length": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
        }

    def apply(self, params: Params, *inputs: Any, method: str) -> Any:
        return self.network.apply({"params": params[PLAYER]}, *inputs, method=method)

    # ---- Learning -------------------------------------------------------------------------------------------------

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of a groove, with the KL beyond ``free_bits`` weighted by ``beta``."""
        del step
        latent, kl, _ = self.posterior(params, batch, key)
        hits, touch = self.nats(params, latent, batch)
        penalty = jnp.maximum(kl - self.free_bits * jnp.log(2.0).astype(kl.dtype), 0)
        steps = jnp.maximum(jnp.sum(batch["length"]), 1)
        metrics = {"hits": jnp.sum(hits) / steps, "touch": jnp.sum(touch) / steps, "kl": jnp.mean(kl)}
        return jnp.mean(hits + touch + self.beta * penalty), (extra, metrics)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """Given one draw of the latent, nats of a step: ``nll``, and ``hits`` of it; ``kl`` of a groove. Of what is
        played from the posterior's mean, each step behind its own: ``f1`` of the hits, and where a hit is right the
        mean absolute error of its ``velocity``, in 127ths, and of its ``timing``, in steps."""
        latent, kl, mean = self.posterior(params, batch, key)
        hits, touch = self.nats(params, latent, batch)
        played = self.render(params, extra, mean)
        (struck, velocity, offset), (found, its_velocity, its_offset) = map(parts, (batch["groove"], played))
        real = jnp.arange(self.length)[None, :] < batch["length"][:, None]
        right = struck * found * real[..., None]
        either = jnp.sum((struck + found) * real[..., None]) / 2
        apart = lambda a, b: jnp.sum(right * jnp.abs(a - b))
        steps, rows = jnp.sum(batch["length"]).astype(kl.dtype), jnp.asarray(len(kl), kl.dtype)
        return {
            "nll": (jnp.sum(hits + touch), steps),
            "hits": (jnp.sum(hits), steps),
            "kl": (jnp.sum(kl), rows),
            "f1": (jnp.sum(right), either),
            "velocity": (127 * apart(velocity, its_velocity), jnp.sum(right)),
            "timing": (apart(offset, its_offset), jnp.sum(right)),
        }

    def posterior(self, params: Params, batch: Batch, key: Array) -> tuple[Array, Array, Array]:
        """A draw of each groove's latent [B, Z], its KL in nats [B], and its mean [B, Z]."""
        mean, log_variance = self.apply(params, heard(batch["groove"], self.hears), method="read")
        noise = jax.random.normal(jax.random.fold_in(key, LATENT), mean.shape, mean.dtype)
        return mean + jnp.exp(log_variance / 2) * noise, gaussian_kl(mean, log_variance), mean

    def nats(self, params: Params, latent: Array, batch: Batch) -> tuple[Array, Array]:
        """Nats of each groove [B], given the steps before each: of its hits, and of their velocities and offsets."""
        logits, *means = parts(self.apply(params, latent, batch["groove"], method="teach"))
        struck, *truth = parts(batch["groove"])
        of_hits = optax.sigmoid_binary_cross_entropy(logits, struck)
        spreads = self.apply(params, method="spreads")
        of_touch = sum(normal_nats(x, mean, spread) for x, mean, spread in zip(truth, means, spreads, strict=True))
        real = jnp.arange(self.length)[None, :, None] < batch["length"][:, None, None]
        whole = lambda nats: jnp.sum(jnp.where(real, nats, 0), axis=(1, 2))
        return whole(of_hits), whole(struck * of_touch)

    # ---- The latent space -----------------------------------------------------------------------------------------

    def encode(self, params: Params, extra: Extra, x: Array, key: Array | None = None) -> Array:
        """Grooves [B, T, 27], of which it hears what it has learnt to -> the posterior's mean [B, Z], or a draw from it
        where there is a ``key``."""
        del extra
        mean, log_variance = self.apply(params, heard(x, self.hears), method="read")
        if key is None:
            return mean
        return mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape, mean.dtype)

    def render(
        self,
        params: Params,
        extra: Extra,
        latent: Array,
        *,
        sampler: Sampler = Greedy(),
        key: Array | None = None,
        hits: Array | None = None,
    ) -> Array:
        """[n, Z] -> grooves [n, length, 27] of the most probable hits and their middle velocities and offsets, or by
        draws (``sampler`` and ``key``). ``hits`` [n, length, 9]: what is struck, instead of what the model would."""
        del extra
        rows, network = latent.shape[0], partial(self.apply, params)
        key = jax.random.key(0) if key is None else key
        keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(rows))
        spreads = network(method="spreads")

        def step(state: tuple[Any, Array], now: tuple[Array, Any]) -> tuple[tuple[Any, Array], Array]:
            (states, before), (at, given) = state, now
            states, said = network(states, before, latent, method="step")
            folded = jax.vmap(lambda key: jax.random.fold_in(key, at))(keys)
            row = jax.vmap(partial(strike, spreads=spreads, sampler=sampler))(said, folded, given)
            return (states, row), row

        given = None if hits is None else jnp.moveaxis(hits, 1, 0)
        begun = network(latent, method="begun"), jnp.zeros((rows, NUMBERS))
        _, grooves = jax.lax.scan(step, begun, (jnp.arange(self.length), given))
        return jnp.moveaxis(grooves, 0, 1)

    def sample(
        self, params: Params, extra: Extra, key: Array, n: int, *, sampler: Sampler = Sampling(temperature=0.5)
    ) -> Array:
        """``n`` grooves [n, length, 27]."""
        first, draws = jax.random.split(key)
        return self.render(params, extra, self.latents(first, n), sampler=sampler, key=draws)


def parts(grooves: Array) -> tuple[Array, Array, Array]:
    """[..., 27] -> hits (or their logits), velocities and offsets, [..., 9] each."""
    hits, velocities, offsets = jnp.split(grooves, 3, axis=-1)
    return hits, velocities, offsets


def heard(grooves: Array, hears: str) -> Array:
    """Grooves [B, T, 27] as they are, their hits alone, or as taps: that something is struck, and the offset of the
    loudest, both in the first class's places."""
    if hears == "groove":
        return grooves
    struck, velocity, offset = parts(grooves)
    if hears == "score":
        return jnp.concatenate([struck, jnp.zeros_like(velocity), jnp.zeros_like(offset)], axis=-1)
    loudest = jnp.argmax(struck * (1 + velocity), axis=-1, keepdims=True)
    when = jnp.take_along_axis(struck * offset, loudest, axis=-1)
    nothing = jnp.zeros_like(struck[..., 1:])
    any_struck = jnp.max(struck, axis=-1, keepdims=True)
    return jnp.concatenate([any_struck, nothing, jnp.zeros_like(velocity), when, nothing], axis=-1)


def normal_nats(x: Array, mean: Array, spread: Array) -> Array:
    """-log N(x; mean, spread^2), elementwise over the last axis."""
    spread = jnp.broadcast_to(spread, x.shape)
    return jnp.square((x - mean) / spread) / 2 + jnp.log(spread) + 0.5 * np.log(2 * np.pi)


def strike(said: Array, key: Array, given: Array | None, *, spreads: tuple[Array, Array], sampler: Sampler) -> Array:
    """What the network says of ONE row's step [27] -> the step [27]; ``given`` [9]: its hits are known."""
    logits, *touch = parts(said)
    struck = logits > 0
    if not isinstance(sampler, Greedy):
        of_hits, *noises = jax.random.split(key, 3)
        struck = jax.random.bernoulli(of_hits, jax.nn.sigmoid(logits / sampler.temperature))
        moved = zip(touch, spreads, noises, strict=True)
        touch = [mean + sampler.temperature * s * jax.random.normal(noise, mean.shape) for mean, s, noise in moved]
    struck = struck.astype(jnp.float32) if given is None else given
    velocity, offset = jnp.clip(touch[0], 1 / 127, 1), jnp.clip(touch[1], -0.5, 0.5 - 1 / FINE)
    return jnp.concatenate([struck, struck * velocity, struck * offset], axis=-1)


class Network(nn.Module):
    latent_size: int
    encoder_width: int
    width: int
    layers: int
    dtype: str

    def setup(self):
        dense = partial(Dense, dtype=jnp.dtype(self.dtype))
        self.forwards, self.backwards = (LSTMLayer(self.encoder_width, self.dtype) for _ in range(2))
        small = nn.initializers.normal(1e-3)
        self.mean, self.spread = (dense(self.latent_size, kernel_init=small) for _ in range(2))
        self.beginning = dense(2 * self.layers * self.width)
        self.playing = Stack("lstm", self.width, 0.0, self.dtype)
        self.head = dense(NUMBERS)
        self.spreading = self.param("spreading", nn.initializers.constant(FIRST), (2, CLASSES))

    def __call__(self, grooves: Array) -> Array:
        """All of it once, for its parameters."""
        return self.teach(self.read(grooves)[0], grooves)

    def read(self, grooves: Array) -> tuple[Array, Array]:
        """[B, T, 27] -> mean and log variance [B, Z] of the latent."""
        return softplus_normal(self.mean, self.spread, both_ways(self.forwards, self.backwards, grooves))

    def begun(self, latent: Array) -> tuple[Any, ...]:
        """[B, Z] -> every layer's state at the beginning."""
        return tuple(map(state_of, jnp.split(self.beginning(latent), self.layers, axis=-1)))

    def teach(self, latent: Array, grooves: Array) -> Array:
        """[B, Z] and the true steps [B, T, 27] -> what is said of each: logits, velocities and offsets."""
        before = jnp.concatenate([jnp.zeros_like(grooves[:, :1]), grooves[:, :-1]], axis=1)
        return self.say(before, latent, self.begun(latent))[0]

    def step(self, states: tuple, before: Array, latent: Array) -> tuple[tuple, Array]:
        """The step before [B, 27] -> states, and what is said of this one [B, 27]."""
        said, states = self.say(before[:, None], latent, states)
        return states, said[:, 0]

    def say(self, before: Array, latent: Array, states: tuple) -> tuple[Array, tuple]:
        every = jnp.broadcast_to(latent[:, None], (*before.shape[:2], latent.shape[-1]))
        hidden, states = self.playing(jnp.concatenate([before, every.astype(before.dtype)], axis=-1), states)
        logits, velocities, offsets = parts(wide(self.head(hidden)))
        return jnp.concatenate([logits, nn.sigmoid(velocities), nn.tanh(offsets) / 2], axis=-1), states

    def spreads(self) -> tuple[Array, Array]:
        """Standard deviations of velocities and of offsets, [9] each."""
        velocities, offsets = NARROWEST + nn.softplus(self.spreading)
        return velocities, offsets
