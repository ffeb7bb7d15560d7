"""MuseGAN: Dong, Hsiao, Yang & Yang 2018, "MuseGAN: Multi-track Sequential Generative Adversarial Networks for Symbolic
Music Generation and Accompaniment" (arXiv:1709.06298), with the networks of its authors' later code
(github.com/salu133445/musegan): several instruments, bar by bar, at once."""

from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import prior
from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.adversarial import play
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.batch_norm import BatchNorm
from zoo.nn.conv3d import Conv3D, ConvTranspose3D

OCTAVES, CLASSES = 7, 12
BEATS, CELLS = 4, 16  # of a bar: quarter notes, and steps that all tracks share
INIT = nn.initializers.glorot_uniform()
Layer = partial(Conv3D, padding="VALID", kernel_init=INIT)
Up = partial(ConvTranspose3D, padding="VALID", kernel_init=INIT)


@dataclass(frozen=True, kw_only=True)
class MuseGAN:
    """A generator that all tracks share up to where each goes its own way, against a critic that hears the tracks one
    by one, together, as pitch classes and as onsets."""

    length: int = 4
    """Bars."""
    steps: int = 48
    """Of a bar: a multiple of 16."""
    pitches: int = OCTAVES * CLASSES
    """Seven octaves."""
    tracks: int = 5
    latent_size: int = 128
    """Z, drawn from N(0, I)."""
    width: int = 16
    """Channels of a track's last layer; the others have up to 32 times as many."""
    loss: str = "wasserstein"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = None
    """Weight of the critic's squared gradient on data (Mescheder et al. 2018); None is none, here and below."""
    r2: float | None = None
    """Weight of the same on samples."""
    gradient_penalty: float | None = 10.0
    """Weight of (|gradient| - 1)^2 between data and samples (Gulrajani et al. 2017)."""
    penalty_every: int = 1
    """On every k-th step only, as a step of its own, the penalties are taken, k times as heavy."""
    critic_steps: int = 5
    """Steps of the critic to one of the generator."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    evaluate, latents = adversarial.evaluate, prior.latents

    def __post_init__(self):
        if self.length < 2:
            raise UserError(f"length is {self.length}; musegan writes 2 bars at least")
        if self.steps < CELLS or self.steps % CELLS:
            raise UserError(f"steps is {self.steps}; musegan divides a bar into multiples of {CELLS}")
        if self.pitches != OCTAVES * CLASSES:
            raise UserError(f"pitches is {self.pitches}; musegan's are {OCTAVES * CLASSES}, seven octaves")
        adversarial.check("musegan", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return adversarial.phases(self)

    @property
    def generator(self) -> "Generator":
        return Generator(self.length, self.steps, self.tracks, self.width, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.length, self.steps, self.tracks, self.width, self.dtype)

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.length, self.steps, self.pitches, self.tracks

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the generator's running statistics."""
        del batch
        latent, music = jnp.zeros((1, self.latent_size)), jnp.zeros((1, *self._shape))
        return adversarial.start(key, generator=(self.generator, latent), critic=(self.critic, music))

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"tracks": jax.ShapeDtypeStruct((batch_size, *self._shape), jnp.float32)}

    def observe(self, batch: Batch) -> Array:
        return 2 * batch["tracks"] - 1

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        latent = self.latents(key, len(batch["tracks"]))
        return play(self.generator, "generator", params, extra, latent, train=train)

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del batch, key
        return play(self.critic, "critic", params, extra, x, train=train)

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> how sure it is that a pitch of a track sounds, [n, bars, steps, pitches, tracks] in [0, 1]."""
        return (play(self.generator, "generator", params, extra, latent, train=False)[0] + 1) / 2

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, bars, steps, pitches, tracks] of 0 and 1: what is surer than not."""
        return (self.render(params, extra, self.latents(key, n)) > 0.5).astype(jnp.float32)


class Generator(nn.Module):
    """[B, Z] -> [B, bars, steps, pitches, tracks] in [-1, 1]: bars, then beats and their quarters by octaves, for all
    tracks; then, for each, steps and pitches in either order."""

    length: int
    steps: int
    tracks: int
    width: int
    dtype: str

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        dtype, width = compute_dtype(self.dtype), self.width

        def up(
            x: Array, features: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] | None = None
        ) -> Array:
            x = Up(features, kernel_size=kernel, stride=stride or kernel, use_bias=False, dtype=dtype)(x)
            return nn.relu(BatchNorm(use_running_average=not train, momentum=0.9, dtype=dtype)(x))

        x = latent.reshape(-1, 1, 1, 1, latent.shape[-1])
        x = up(x, 32 * width, (self.length, 1, 1))
        x = up(x, 16 * width, (1, BEATS, 3))
        x = up(x, 8 * width, (1, CELLS // BEATS, 3), (1, CELLS // BEATS, 2))  # 3 -> 7 octaves
        fine, ways = (1, self.steps // CELLS, 1), []
        for _ in range(self.tracks):
            pitch_first = up(up(x, 2 * width, (1, 1, CLASSES)), width, fine)
            time_first = up(up(x, 2 * width, fine), width, (1, 1, CLASSES))
            both = jnp.concatenate([pitch_first, time_first], axis=-1)
            ways.append(Layer(1, kernel_size=1, dtype=dtype)(both))
        return jnp.tanh(wide(jnp.concatenate(ways, axis=-1)))


class Critic(nn.Module):
    """[B, bars, steps, pitches, tracks] -> logits [B]."""

    length: int
    steps: int
    tracks: int
    width: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        del train
        dtype, width = compute_dtype(self.dtype), self.width

        def down(
            x: Array, features: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] | None = None
        ) -> Array:
            layer = Layer(features, kernel_size=kernel, stride=stride or kernel, dtype=dtype)
            return nn.leaky_relu(layer(x), 0.2)

        fine, ways = (1, self.steps // CELLS, 1), []
        for track in range(self.tracks):
            own = x[..., track : track + 1]
            pitch_first = down(down(own, width, (1, 1, CLASSES)), 2 * width, fine)
            time_first = down(down(own, width, fine), 2 * width, (1, 1, CLASSES))
            ways.append(down(jnp.concatenate([pitch_first, time_first], axis=-1), 4 * width, (1, 1, 1)))
        together = jnp.concatenate(ways, axis=-1)  # [B, bars, 16, octaves, 64 tracks]
        together = down(together, 8 * width, (1, CELLS // BEATS, 3), (1, CELLS // BEATS, 2))
        together = down(together, 16 * width, (1, BEATS, 3))  # [B, bars, 1, 1, 256]
        by_class = down(down(chroma(x), 2 * width, (1, 1, CLASSES)), 4 * width, (1, BEATS, 1))
        by_onset = down(down(onsets(x), width, (1, self.steps // 8, 1)), 2 * width, (1, 4, 1))
        by_onset = down(by_onset, 4 * width, (1, 2, 1))
        heard = jnp.concatenate([together, by_class, by_onset], axis=-1)
        heard = down(heard, 32 * width, (2, 1, 1), (1, 1, 1))
        return wide(nn.Dense(1, kernel_init=INIT, dtype=dtype)(heard.reshape(len(x), -1)))[:, 0]


def chroma(x: Array) -> Array:
    """[B, bars, steps, pitches, tracks] -> [B, bars, beats, 12, tracks]: how much of each pitch class is in a beat, the
    mean over octaves. (The lowest pitch is a C.)"""
    b, bars, steps, pitches, tracks = x.shape
    apart = x.reshape(b, bars, BEATS, steps // BEATS, pitches // CLASSES, CLASSES, tracks)
    return jnp.mean(apart, axis=(3, 4))


def onsets(x: Array) -> Array:
    """[B, bars, steps, pitches, tracks] -> [B, bars, steps, 1, tracks]: how much begins and ends between a step and the
    one before it, over all pitches, the mean; of the first step in a bar all that sounds."""
    before = jnp.pad(x[:, :, :-1], ((0, 0), (0, 0), (1, 0), (0, 0), (0, 0)), constant_values=-1)
    return jnp.mean(jnp.abs(x - before), axis=3, keepdims=True) / 2
