"""Music in another style: what is played stays, how it is played becomes another's.

Two ways are known for scores: a CycleGAN of piano rolls (Brunner et al. 2018, "Symbolic music genre transfer with
CycleGAN", arXiv:1809.07575) and an autoencoder that knows the style of what it reads (Brunner et al. 2018, "MIDI-VAE",
arXiv:1809.07600). This is the second one. A picture of a roll has to be cut at a threshold, where a critic's gradient
ends, and two translators are needed for every two styles; an autoencoder has a likelihood, one network serves all
styles, writes each frame behind those before it, and learns on two cores in minutes.

What MIDI-VAE leaves to one classifier on part of the latent is done here as it is for sounds and for sentences: codes
of which a critic cannot tell the style (Mor et al. 2018, "A universal music translation network", arXiv:1805.07848),
and translations that must lead back (Lample et al. 2019, "Multiple-attribute text rewriting", ICLR).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.decoding import Greedy, Sampler
from zoo.errors import UserError
from zoo.gan.translators import newest
from zoo.losses import bernoulli_nll, gaussian_kl, token_nll, wide
from zoo.lstm.rnn import KEYS, delayed, real_frames
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.nn.cells import GRULayer, zero_states
from zoo.nn.conv3d import Conv1D
from zoo.nn.dense import Dense
from zoo.vae.recurrent import softplus_normal

PLAYER, CRITIC = "translator", "critic"
LATENT, OTHER, AGAIN, FORGOTTEN = range(1, 5)  # what the step's key is folded with
SHOWN = 8  # the newest windows of training, which samples are made of
CLASSES, BELOW = 12, 9  # pitch classes; how many keys the lowest one is above a C


@dataclass(frozen=True, kw_only=True)
class MidiStyle:
    """Convolutions read a roll into a code for every few frames; a GRU that is told the style writes it from them."""

    classes: int = 2
    """Styles."""
    length: int = 64
    """T of a training window, in frames; what is restyled may be of any length."""
    cell: int = 4
    """Frames that share a code."""
    latent_size: int = 32
    """Z, of a code."""
    encoder_width: int = 256
    """Channels of what reads."""
    width: int = 256
    """Cells of what writes."""
    critic_width: int = 128
    beta: float = 0.02
    """Weight of the codes' KL: what the style tells already costs nothing, if it is left out of them."""
    invariant: float = 1.0
    """Weight of what keeps the critic from telling styles apart."""
    again: float = 1.0
    """Weight of the nats of what a window's translation is translated back to."""
    forgotten: float = 0.2
    """The share of frames that is not shown to the frame behind."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.length % self.cell:
            raise UserError(f"--model.length {self.length}: it must be a multiple of --model.cell {self.cell}")
        if self.classes < 2:
            raise UserError(f"--model.classes {self.classes}: there is another style where there are two")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return Phase(CRITIC, self.critic_loss), Phase(PLAYER, self.loss)

    @property
    def network(self) -> "Network":
        return Network(
            classes=self.classes, cell=self.cell, latent_size=self.latent_size, encoder_width=self.encoder_width,
            width=self.width, dtype=self.dtype,
        )  # fmt: skip

    @property
    def critic(self) -> "Critic":
        return Critic(self.classes, self.critic_width, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: the newest windows of training and their styles."""
        del batch
        own, other = jax.random.split(key)
        roll, codes = jnp.zeros((1, self.cell, KEYS)), jnp.zeros((1, 1, self.latent_size))
        params = {
            PLAYER: self.network.init(own, roll, jnp.zeros(1, jnp.int32))["params"],
            CRITIC: self.critic.init(other, codes)["params"],
        }
        return params, {"shown": jnp.zeros((SHOWN, self.length, KEYS)), "style": jnp.zeros(SHOWN, jnp.int32)}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {
            "roll": jax.ShapeDtypeStruct((batch_size, self.length, KEYS), jnp.float32),
            "length": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
            "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
        }

    def apply(self, params: Params, *inputs: Any, method: str) -> Any:
        return self.network.apply({"params": params[PLAYER]}, *inputs, method=method)

    # ---- Learning -------------------------------------------------------------------------------------------------

    def critic_loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Cross entropy of each code's style (Mor et al. 2018, equation 1)."""
        del step
        codes, _ = self.posterior(params, batch["roll"], jax.random.fold_in(key, LATENT))
        logits, style = self.judge(params, codes), batch["label"][:, None]
        real = self.real_cells(batch)
        nats = token_nll(logits, jnp.broadcast_to(style, real.shape))
        right = mean_of(jnp.argmax(logits, axis=-1) == style, real)
        return mean_of(nats, real), (extra, {"accuracy": right})

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Nats of a frame given its codes, its style and the frames before; the same where the codes are those of a
        translation (Lample et al. 2019, equation 2); the codes' KL; and the critic's confusion."""
        del step
        key_of = partial(jax.random.fold_in, key)
        codes, kl = self.posterior(params, batch["roll"], key_of(LATENT))
        nll = self.nats(params, codes, batch, key_of(FORGOTTEN))
        other = self.other_style(batch["label"], key_of(OTHER))
        real, cells = real_frames(batch), self.real_cells(batch)
        made = self.write(*jax.lax.stop_gradient((params, codes)), other) * real[..., None]
        again, _ = self.posterior(params, made, key_of(AGAIN))
        back = self.nats(params, again, batch, key_of(FORGOTTEN))
        doubt = mean_of(confusion(self.judge(params, codes)), cells)
        kl = mean_of(kl, cells)
        loss = nll + self.again * back + self.beta * kl + self.invariant * doubt
        kept = {"shown": newest(extra["shown"], batch["roll"]), "style": newest(extra["style"], batch["label"])}
        return loss, ({**extra, **kept}, {"nll": nll, "back": back, "kl": kl, "confusion": doubt})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll``: nats of a frame; ``kl``: of a code; ``told_apart``: how often the critic is right of a code's style;
        and of translations into the next style ``harmony``, how much of the pitch classes of each code's frames is
        kept (the cosine), and ``changed``, the keys of a frame that are not the same."""
        del extra
        codes, kl = self.posterior(params, batch["roll"], jax.random.fold_in(key, LATENT))
        real, cells = real_frames(batch), self.real_cells(batch)
        frames, count = jnp.sum(real, dtype=kl.dtype), jnp.sum(cells, dtype=kl.dtype)
        found = jnp.argmax(self.judge(params, codes), axis=-1) == batch["label"][:, None]
        made = self.restyle(params, {}, batch["roll"], (batch["label"] + 1) % self.classes) * real[..., None]
        alike = cosine(*(chroma(roll, self.cell) for roll in (made, batch["roll"])))
        return {
            "nll": (self.nats(params, codes, batch) * frames, frames),
            "kl": (jnp.sum(kl * cells), count),
            "told_apart": (jnp.sum(found & cells, dtype=kl.dtype), count),
            "harmony": (jnp.sum(alike * cells), count),
            "changed": (jnp.sum(jnp.abs(made - batch["roll"]) * real[..., None], dtype=kl.dtype), frames),
        }

    def posterior(self, params: Params, roll: Array, key: Array) -> tuple[Array, Array]:
        """A draw of the codes [B, N, Z] of rolls [B, T, 88], and the KL of each in nats [B, N]."""
        mean, log_variance = self.apply(params, roll, method="read")
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        return mean + jnp.exp(log_variance / 2) * noise, gaussian_kl(mean, log_variance)

    def judge(self, params: Params, codes: Array) -> Array:
        """Codes [B, N, Z] -> the critic's logits [B, N, classes]."""
        critic: Any = self.critic
        return wide(critic.apply({"params": params[CRITIC]}, codes))

    def nats(self, params: Params, codes: Array, batch: Batch, key: Array | None = None) -> Array:
        """Mean nats of the batch's real frames given codes [B, N, Z]. With a ``key`` some of the frames before are not
        shown (Bowman et al. 2016, arXiv:1511.06349, section 3.1)."""
        before = delayed(batch["roll"])
        if key is not None:
            before = before * (jax.random.uniform(key, (*before.shape[:2], 1), before.dtype) >= self.forgotten)
        logits = self.apply(params, codes, batch["label"], before, method="teach")
        return mean_of(jnp.sum(bernoulli_nll(logits, batch["roll"]), axis=-1), real_frames(batch))

    def other_style(self, label: Array, key: Array) -> Array:
        """Styles [B] -> for each any of the others."""
        return (label + jax.random.randint(key, label.shape, 1, self.classes)) % self.classes

    def real_cells(self, batch: Batch) -> Array:
        """bool [B, N]: the codes whose first frame is real."""
        return real_frames(batch)[:, :: self.cell]

    # ---- Another style ----------------------------------------------------------------------------------------------

    def restyle(
        self,
        params: Params,
        extra: Extra,
        roll: Array,
        label: Array,
        key: Array | None = None,
        *,
        sampler: Sampler = Greedy(),
    ) -> Array:
        """Rolls [n, T, 88] of any length, a multiple of ``cell``, in the styles [n]: the most probable keys, or draws
        (``sampler`` and ``key``)."""
        del extra
        return self.write(params, self.apply(params, roll, method="read")[0], label, key, sampler=sampler)

    def write(
        self, params: Params, codes: Array, label: Array, key: Array | None = None, *, sampler: Sampler = Greedy()
    ) -> Array:
        """Codes [n, N, Z] and styles [n] -> rolls [n, T, 88], each frame behind those it wrote before."""
        rows, network = codes.shape[0], partial(self.apply, params)
        told = jnp.moveaxis(network(codes, label, method="told"), 1, 0)  # [T, n, ...]
        key = jax.random.key(0) if key is None else key
        keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(rows))

        def step(carry: tuple[Any, Array], now: tuple[Array, Array]) -> tuple[tuple[Any, Array], Array]:
            (state, before), (at, told) = carry, now
            logits, state = network(before[:, None], told[:, None], state, method="say")
            drawn = jax.vmap(lambda key: jax.random.fold_in(key, at))(keys)
            frame = jax.vmap(partial(struck, sampler=sampler))(logits[:, 0], drawn)
            return (state, frame), frame

        begun = network(rows, method="begun"), jnp.zeros((rows, KEYS), told.dtype)
        _, frames = jax.lax.scan(step, begun, (jnp.arange(len(told)), told))
        return jnp.moveaxis(frames, 0, 1)

    def sample(self, params: Params, extra: Extra, key: Array, n: int, *, sampler: Sampler = Greedy()) -> Array:
        """[n, T, 88]: the newest windows of training, in the next style each."""
        which = jnp.arange(n) % SHOWN
        label = (extra["style"][which] + 1) % self.classes
        return self.restyle(params, extra, extra["shown"][which], label, key, sampler=sampler)


# ---- The mathematics -------------------------------------------------------------------------------------------------


def mean_of(values: Array, real: Array) -> Array:
    """The mean of the values [B, N] that are real."""
    count = jnp.sum(real, dtype=jnp.promote_types(values.dtype, jnp.float32))
    return jnp.sum(jnp.where(real, values, 0), dtype=count.dtype) / jnp.maximum(count, 1)


def confusion(logits: Array) -> Array:
    """Cross entropy of a critic's logits [..., V] against an even guess, in nats: log V at best (Tzeng et al. 2015,
    arXiv:1510.02192, equation 4)."""
    return -jnp.mean(jax.nn.log_softmax(wide(logits), axis=-1), axis=-1)


def folded(roll: Array) -> Array:
    """[..., 88] -> how many keys of each pitch class sound [..., 12], from C up."""
    room = [(0, 0)] * (roll.ndim - 1) + [(BELOW, -(KEYS + BELOW) % CLASSES)]
    return jnp.sum(jnp.pad(roll, room).reshape(*roll.shape[:-1], -1, CLASSES), axis=-2)


def chroma(roll: Array, cell: int) -> Array:
    """[B, T, 88] -> how much of each pitch class sounds in each ``cell`` frames [B, N, 12]."""
    return jnp.sum(folded(roll).reshape(roll.shape[0], -1, cell, CLASSES), axis=2)


def cosine(a: Array, b: Array) -> Array:
    """Of vectors from 0 up [..., D]: 1 where both have one direction, or are nothing; 0 where one is."""
    product = jnp.sum(a * b, axis=-1)
    sizes = jnp.sum(jnp.square(a), axis=-1) * jnp.sum(jnp.square(b), axis=-1)
    nothing = jnp.all((a == 0) & (b == 0), axis=-1)
    return jnp.where(nothing, 1, product * jax.lax.rsqrt(jnp.maximum(sizes, 1e-12)))


def struck(logits: Array, key: Array, *, sampler: Sampler) -> Array:
    """Logits of frames [..., 88] -> which keys sound, 0 or 1: the most probable ones, as many as are expected to (where
    two keys are nearly as likely, one of them sounds, although neither is likelier than not); or draws."""
    logits = wide(logits)
    if isinstance(sampler, Greedy):
        expected = jnp.round(jnp.sum(jax.nn.sigmoid(logits), axis=-1, keepdims=True))
        rank = jnp.sum(logits[..., None, :] > logits[..., :, None], axis=-1)
        return (rank < expected).astype(logits.dtype)
    return jax.random.bernoulli(key, jax.nn.sigmoid(logits / sampler.temperature)).astype(logits.dtype)


# ---- The networks ----------------------------------------------------------------------------------------------------


class Network(nn.Module):
    classes: int
    cell: int
    latent_size: int
    encoder_width: int
    width: int
    dtype: str

    def setup(self):
        dtype = jnp.dtype(self.dtype)
        self.reading = [Conv1D(self.encoder_width, kernel_size=3, dtype=dtype) for _ in range(2)]
        self.mean, self.spread = (Dense(self.latent_size, dtype=dtype) for _ in range(2))
        self.writing = GRULayer(self.width, self.dtype)
        self.head = Dense(KEYS, dtype=dtype)

    def __call__(self, roll: Array, label: Array) -> Array:
        """All of it once, for its parameters."""
        return self.teach(self.read(roll)[0], label, roll)

    def read(self, roll: Array) -> tuple[Array, Array]:
        """[B, T, 88] -> mean and log variance [B, N, Z] of the codes, of the frames of three cells or five each."""
        x = jnp.concatenate([roll, folded(roll)], axis=-1)
        x = x.reshape(roll.shape[0], -1, self.cell * x.shape[-1])
        for layer in self.reading:
            x = nn.relu(layer(x))
        return softplus_normal(self.mean, self.spread, x)

    def told(self, codes: Array, label: Array) -> Array:
        """Codes [B, N, Z] and styles [B] -> what each frame is told [B, T, Z + cell + classes]: its code, its place
        among the frames that share it, and the style."""
        rows, cells = codes.shape[:2]
        each = jnp.repeat(codes, self.cell, axis=1)
        place = jnp.tile(jnp.eye(self.cell, dtype=each.dtype), (cells, 1))
        style = jax.nn.one_hot(label, self.classes, dtype=each.dtype)
        everywhere = lambda x: jnp.broadcast_to(x, (rows, each.shape[1], x.shape[-1]))
        return jnp.concatenate([each, everywhere(place[None]), everywhere(style[:, None])], axis=-1)

    def begun(self, rows: int) -> Array:
        """The state before the first frame."""
        return zero_states("gru", rows, width=self.width, layers=1, dtype=self.dtype)[0]

    def teach(self, codes: Array, label: Array, before: Array) -> Array:
        """Codes [B, N, Z], styles [B] and the frame before each [B, T, 88] -> logits [B, T, 88]."""
        return self.say(before, self.told(codes, label), self.begun(codes.shape[0]))[0]

    def say(self, before: Array, told: Array, state: Array) -> tuple[Array, Array]:
        """Frames before [B, T, 88] and what they are told [B, T, ...] -> logits [B, T, 88], and the state after."""
        hidden, state = self.writing(jnp.concatenate([before.astype(told.dtype), told], axis=-1), state)
        return self.head(hidden), state


class Critic(nn.Module):
    """Of which style is a code? [B, N, Z] -> logits [B, N, classes], each of its neighbours' too."""

    classes: int
    width: int
    dtype: str

    @nn.compact
    def __call__(self, codes: Array) -> Array:
        dtype = jnp.dtype(self.dtype)
        x = codes
        for _ in range(2):
            x = nn.leaky_relu(Conv1D(self.width, kernel_size=3, dtype=dtype)(x), 0.2)
        return Dense(self.classes, dtype=dtype)(x)
