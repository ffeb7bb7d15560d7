"""Conditional GANs: pictures of a class that one names. By projection (Miyato & Koyama 2018, "cGANs with Projection
Discriminator", arXiv:1802.05637) or by concatenation (Mirza & Osindero 2014, arXiv:1411.1784)."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from zoo import prior
from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.adversarial import play
from zoo.gan.residual import ResidualCritic, ResidualGenerator
from zoo.model import Array, Batch, Extra, Params, Phase


@dataclass(frozen=True, kw_only=True)
class CGAN:
    """A residual generator with the class in its normalisation, against a spectrally normalised critic."""

    image_size: int = 32
    """A power of two from 16 to 512."""
    channels: int = 3
    classes: int = 10
    """K."""
    latent_size: int = 128
    """Z, drawn from N(0, I)."""
    width: int = 64
    """Channels at the image's own size; they double with every halving."""
    widest: int = 4
    """The most channels, in times of ``width``."""
    condition: Literal["projection", "concatenation"] = "projection"
    """How both players learn the class: the generator by the gains of its normalisation and the critic by a projection,
    or both by having it beside their inputs."""
    loss: str = "hinge"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = None
    """Weight of the critic's squared gradient on data (Mescheder et al. 2018); None is none, here and below."""
    r2: float | None = None
    """Weight of the same on samples."""
    gradient_penalty: float | None = None
    """Weight of WGAN-GP's penalty between data and samples (Gulrajani et al. 2017)."""
    penalty_every: int = 1
    """On every k-th step only, as a step of its own, the penalties are taken, k times as heavy."""
    critic_steps: int = 5
    """Steps of the critic to one of the generator."""
    critic_norm: Literal["layer", "spectral", "none"] = "spectral"
    """The critic's normalisation."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    evaluate, latents, sample = adversarial.evaluate, prior.class_latents, prior.class_sample

    def __post_init__(self):
        if self.image_size not in (16, 32, 64, 128, 256, 512):
            raise UserError(f"image_size is {self.image_size}; cgan draws 16, 32, 64, ... or 512 pixels a side")
        if self.condition not in ("projection", "concatenation"):
            raise UserError(f"condition is {self.condition!r}; it is 'projection' or 'concatenation'")
        if self.critic_norm not in ("layer", "spectral", "none"):
            raise UserError(f"critic_norm is {self.critic_norm!r}; cgan's is layer, spectral or none")
        adversarial.check("cgan", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return adversarial.phases(self)

    @property
    def generator(self) -> ResidualGenerator:
        sizes = self.image_size, self.channels, self.width, self.widest
        return ResidualGenerator(*sizes, self.dtype, concatenate=self.condition == "concatenation")

    @property
    def critic(self) -> ResidualCritic:
        sizes, beside = (self.image_size, self.width, self.widest), self.condition == "concatenation"
        return ResidualCritic(*sizes, self.dtype, layer_norm=self.critic_norm == "layer", concatenate=beside)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the generator's running statistics and the critic's spectral vectors."""
        del batch
        latent, label = jnp.zeros((1, self.latent_size)), jnp.zeros((1, self.classes))
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        return adversarial.start(
            key,
            generator=(self.generator, latent, label),
            critic=(self.critic, image, label),
            spectral=self.critic_norm == "spectral",
        )

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {
            "image": jax.ShapeDtypeStruct(shape, jnp.float32),
            "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
        }

    def observe(self, batch: Batch) -> Array:
        return batch["image"]

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        """Samples of the batch's own classes."""
        label = prior.one_hot(self, batch["label"])
        latent = prior.latents(self, key, len(label))
        return play(self.generator, "generator", params, extra, latent, label, train=train)

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del key
        label, spectral = prior.one_hot(self, batch["label"]), self.critic_norm == "spectral"
        return play(self.critic, "critic", params, extra, x, label, train=train, spectral=spectral)

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z + K] -> [n, H, W, C] in [-1, 1]; each picture by itself, by running statistics. The weights of the
        classes count by their shares."""
        z, shares = prior.shares_of(self, latent)
        return play(self.generator, "generator", params, extra, z, shares, train=False)[0]
