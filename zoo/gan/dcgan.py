"""DCGAN: Radford, Metz & Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional GANs"
(arXiv:1511.06434), with any of the zoo's adversarial losses."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import prior
from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.adversarial import packed, penalised, play
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.batch_norm import BatchNorm
from zoo.nn.conv import Conv, ConvTranspose

# Sections 3 and 4 of the paper: all weights from N(0, 0.02); batch normalisation everywhere but in the generator's last
# and the critic's first layer. Running statistics move as PyTorch's do, so that they keep up with short trainings.
NORMAL = nn.initializers.normal(0.02)
Norm = partial(BatchNorm, momentum=0.9, scale_init=lambda *args: 1 + NORMAL(*args))
Layer = partial(Conv, kernel_size=4, stride=2, kernel_init=NORMAL)
Up = partial(ConvTranspose, kernel_size=4, stride=2, kernel_init=NORMAL)


@dataclass(frozen=True, kw_only=True)
class DCGAN:
    """A generator of strided transposed convolutions against a critic of strided convolutions."""

    image_size: int = 32
    """A power of two from 16 to 256."""
    channels: int = 3
    latent_size: int = 100
    """Z, drawn from N(0, I)."""
    width: int = 64
    """Channels of the layers at half the image's size; they double with every halving, up to eight times this."""
    loss: str = "nonsaturating"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = None
    """Weight of the critic's squared gradient on data (Mescheder et al. 2018); None is none, here and below."""
    r2: float | None = None
    """Weight of the same on samples."""
    gradient_penalty: float | None = None
    """Weight of WGAN-GP's penalty between data and samples (Gulrajani et al. 2017)."""
    penalty_every: int = 1
    """On every k-th step only, as a step of its own, the penalties are taken, k times as heavy."""
    critic_steps: int = 1
    """Steps of the critic to one of the generator."""
    critic_norm: Literal["batch", "layer", "spectral", "none"] = "batch"
    """The critic's normalisation; penalties need one that keeps pictures apart."""
    pack: int = 1
    """Pictures that the critic judges together (PacGAN, Lin et al. 2018)."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    evaluate, latents, sample = adversarial.evaluate, prior.latents, prior.sample

    def __post_init__(self):
        if self.image_size not in (16, 32, 64, 128, 256):
            raise UserError(f"image_size is {self.image_size}; dcgan draws 16, 32, 64, 128 or 256 pixels a side")
        if self.critic_norm not in ("batch", "layer", "spectral", "none"):
            raise UserError(f"critic_norm is {self.critic_norm!r}; it is batch, layer, spectral or none")
        if self.critic_norm == "batch" and penalised(self):
            raise UserError("penalties look at one picture at a time: give dcgan critic_norm layer, spectral or none")
        adversarial.check("dcgan", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return adversarial.phases(self)

    @property
    def generator(self) -> "Generator":
        return Generator(self.image_size, self.channels, self.width, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.image_size, self.width, self.critic_norm, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds each player's running statistics."""
        del batch
        latent = jnp.zeros((1, self.latent_size))
        image = jnp.zeros((1, self.image_size, self.image_size, self.pack * self.channels))
        return adversarial.start(
            key,
            generator=(self.generator, latent),
            critic=(self.critic, image),
            spectral=self.critic_norm == "spectral",
        )

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def observe(self, batch: Batch) -> Array:
        """[B / pack, H, W, pack * C]."""
        return packed(batch["image"], self.pack)

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        latent = self.latents(key, len(batch["image"]))
        fake, extra = play(self.generator, "generator", params, extra, latent, train=train)
        return packed(fake, self.pack), extra

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del batch, key
        return play(self.critic, "critic", params, extra, x, train=train, spectral=self.critic_norm == "spectral")

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> [n, H, W, C] in [-1, 1]; each picture by itself, by running statistics."""
        return play(self.generator, "generator", params, extra, latent, train=False)[0]


def widths(image_size: int, width: int) -> list[int]:
    """Channels from half the image's size down to 4 x 4."""
    return [width * min(2**level, 8) for level in range(int(math.log2(image_size)) - 2)]


def normalised(x: Array, norm: str, *, train: bool) -> Array:
    """What a critic's layer gives, by the norm ``norm``, "batch" or "layer" (over all of an example); else as it is.
    Within a module, whose parameters it makes."""
    if norm == "batch":
        return Norm(use_running_average=not train, dtype=x.dtype)(x)
    return nn.GroupNorm(num_groups=1, dtype=x.dtype)(x) if norm == "layer" else x


class Generator(nn.Module):
    """Latents -> 4 x 4, then twice the size a layer: [B, Z] -> [B, H, W, C] in [-1, 1]; or as many ``axes`` as ``up``
    enlarges."""

    image_size: int
    channels: int
    width: int
    dtype: str
    up: Callable[..., nn.Module] = Up
    axes: int = 2

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        *inner, first = widths(self.image_size, self.width)
        # A transposed convolution of one pixel is a dense layer.
        x = nn.Dense(4**self.axes * first, use_bias=False, kernel_init=NORMAL, dtype=dtype)(latent)
        x = x.reshape(-1, *[4] * self.axes, first)
        for features in reversed(inner):
            x = nn.relu(Norm(use_running_average=not train, dtype=dtype)(x))
            x = self.up(features, use_bias=False, dtype=dtype)(x)
        x = nn.relu(Norm(use_running_average=not train, dtype=dtype)(x))
        return jnp.tanh(wide(self.up(self.channels, dtype=dtype)(x)))


class Critic(nn.Module):
    """Half the size a layer, then one number: [B, H, W, C] -> logits [B]; or of as many axes as ``down`` halves."""

    image_size: int
    width: int
    norm: str
    dtype: str
    down: Callable[..., nn.Module] = Layer

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        first, *inner = widths(self.image_size, self.width)
        x = nn.leaky_relu(self.down(first, dtype=dtype)(x), 0.2)
        for features in inner:
            x = self.down(features, use_bias=self.norm in ("spectral", "none"), dtype=dtype)(x)
            x = nn.leaky_relu(normalised(x, self.norm, train=train), 0.2)
        # A convolution that covers its input is a dense layer.
        logits = nn.Dense(1, kernel_init=NORMAL, dtype=dtype)(x.reshape(len(x), -1))
        return wide(logits)[:, 0]
