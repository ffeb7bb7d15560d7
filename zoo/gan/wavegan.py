"""WaveGAN: Donahue, McAuley & Puckette 2019, "Adversarial Audio Synthesis" (arXiv:1802.04208): sounds, sample by
sample."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

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
from zoo.nn.conv3d import Conv1D, ConvTranspose1D

FIRST = 16  # samples where the generator begins and the critic ends
STRIDE = 4
LENGTHS = {FIRST * STRIDE**layers: layers for layers in range(2, 7)}
GLOROT = nn.initializers.glorot_uniform()
Layer = partial(Conv1D, kernel_size=25, stride=STRIDE, kernel_init=GLOROT)
Up = partial(ConvTranspose1D, kernel_size=25, stride=STRIDE, kernel_init=GLOROT)


@dataclass(frozen=True, kw_only=True)
class WaveGAN:
    """A generator of long transposed convolutions along time against a critic that may not count on the phase."""

    length: int = 16384
    """Samples: 256, 1024, 4096, 16384 or 65536. What a second is, the data say."""
    latent_size: int = 100
    """Z, drawn from N(0, I); the paper's is uniform."""
    width: int = 64
    """Channels of the layers at a quarter of the length; they double with every quartering."""
    shuffle: int = 2
    """Steps by which the critic's layers are shifted at random in training, at most (section 2.3)."""
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
    critic_norm: Literal["spectral", "none"] = "none"
    """The critic's normalisation."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    evaluate, latents, sample = adversarial.evaluate, prior.latents, prior.sample

    def __post_init__(self):
        if self.length not in LENGTHS:
            known = ", ".join(map(str, LENGTHS))
            raise UserError(f"length is {self.length}; wavegan makes {known} samples")
        if self.critic_norm not in ("spectral", "none"):
            raise UserError(f"critic_norm is {self.critic_norm!r}; wavegan's is spectral or none")
        if not 0 <= self.shuffle < FIRST:
            raise UserError(f"shuffle is {self.shuffle}; wavegan shifts by 0 to {FIRST - 1} steps")
        adversarial.check("wavegan", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return adversarial.phases(self)

    @property
    def generator(self) -> "Generator":
        return Generator(self.length, self.width, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.length, self.width, self.shuffle, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the critic's spectral vectors, where it has any."""
        del batch
        return adversarial.start(
            key,
            generator=(self.generator, jnp.zeros((1, self.latent_size))),
            critic=(self.critic, jnp.zeros((1, self.length, 1)), key),
            spectral=self.critic_norm == "spectral",
        )

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"wave": jax.ShapeDtypeStruct((batch_size, self.length, 1), jnp.float32)}

    def observe(self, batch: Batch) -> Array:
        return batch["wave"]

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        latent = self.latents(key, len(batch["wave"]))
        return play(self.generator, "generator", params, extra, latent, train=train)

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        """``key`` draws the shifts."""
        del batch
        spectral = self.critic_norm == "spectral"
        return play(self.critic, "critic", params, extra, x, key, train=train, spectral=spectral)

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> waves [n, T, 1] in [-1, 1]."""
        return play(self.generator, "generator", params, extra, latent, train=False)[0]


def shuffled(x: Array, key: Array, most: int) -> Array:
    """x [B, T, C], each example shifted along time by a whole number from -most to most of its own, and filled up by
    reflection (section 2.3: phase shuffle)."""
    if not most:
        return x
    padded = jnp.pad(x, ((0, 0), (most, most), (0, 0)), mode="reflect")
    shift = jax.random.randint(key, (len(x), 1, 1), 0, 2 * most + 1)
    # One of a few slices each: unlike a gather, nothing of it is scattered backwards.
    slices = [padded[:, at : at + x.shape[1]] for at in range(2 * most + 1)]
    return sum((jnp.where(shift == at, one, 0) for at, one in enumerate(slices)), jnp.zeros_like(x))


def _widths(length: int, width: int) -> list[int]:
    """Channels from a quarter of the length down to ``FIRST`` samples."""
    return [width * 2**layer for layer in range(LENGTHS[length])]


class Generator(nn.Module):
    """Latents -> 16 samples, then four times as many a layer: [B, Z] -> [B, T, 1] in [-1, 1]."""

    length: int
    width: int
    dtype: str

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        *inner, first = _widths(self.length, self.width)
        x = nn.Dense(FIRST * first, kernel_init=GLOROT, dtype=dtype)(latent)
        x = nn.relu(x.reshape(-1, FIRST, first))
        for features in reversed(inner):
            x = nn.relu(Up(features, dtype=dtype)(x))
        return jnp.tanh(wide(Up(1, dtype=dtype)(x)))


class Critic(nn.Module):
    """A quarter of the length a layer, then one number: [B, T, 1] and a key -> logits [B]."""

    length: int
    width: int
    shuffle: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array, key: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        widths = _widths(self.length, self.width)
        for layer, features in enumerate(widths):
            x = nn.leaky_relu(Layer(features, dtype=dtype)(x), 0.2)
            if train and layer < len(widths) - 1:
                x = shuffled(x, jax.random.fold_in(key, layer), self.shuffle)
        logits = nn.Dense(1, kernel_init=GLOROT, dtype=dtype)(x.reshape(len(x), -1))
        return wide(logits)[:, 0]
