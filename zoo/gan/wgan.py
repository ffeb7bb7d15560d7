"""WGAN-GP: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs" (arXiv:1704.00028), for pictures up to
256 x 256; with a U-Net for a generator where one is wanted."""

from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import prior
from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.adversarial import play
from zoo.gan.residual import ResidualCritic, ResidualGenerator, UNetGenerator
from zoo.model import Array, Batch, Extra, Params, Phase


@dataclass(frozen=True, kw_only=True)
class WGAN:
    """A residual generator, or a U-Net, against a residual critic without batch normalisation."""

    image_size: int = 64
    """A power of two from 16 to 512."""
    channels: int = 3
    latent_size: int = 128
    """Z, drawn from N(0, I)."""
    width: int = 64
    """Channels at the image's own size; they double with every halving."""
    widest: int = 8
    """The most channels, in times of ``width``."""
    network: Literal["residual", "unet"] = "residual"
    """The generator's: residual blocks from 4 x 4 pixels upwards, or a U-Net over a canvas made of the latent."""
    loss: str = "wasserstein"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = None
    """Weight of the critic's squared gradient on data (Mescheder et al. 2018); None is none, here and below."""
    r2: float | None = None
    """Weight of the same on samples."""
    gradient_penalty: float | None = 10.0
    """Weight of (|gradient| - 1)^2 between data and samples."""
    penalty_every: int = 1
    """On every k-th step only, as a step of its own, the penalties are taken, k times as heavy."""
    critic_steps: int = 5
    """Steps of the critic to one of the generator."""
    critic_norm: Literal["layer", "spectral", "none"] = "none"
    """The critic's normalisation; none that mixes pictures, for which the penalty would be wrong (section 4)."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    evaluate, latents, sample = adversarial.evaluate, prior.latents, prior.sample

    def __post_init__(self):
        if self.image_size not in (16, 32, 64, 128, 256, 512):
            raise UserError(f"image_size is {self.image_size}; wgan-gp draws 16, 32, 64, ... or 512 pixels a side")
        if self.network not in ("residual", "unet"):
            raise UserError(f"network is {self.network!r}; wgan-gp's generator is 'residual' or 'unet'")
        if self.critic_norm not in ("layer", "spectral", "none"):
            raise UserError(f"critic_norm is {self.critic_norm!r}; wgan-gp's is layer, spectral or none")
        adversarial.check("wgan-gp", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return adversarial.phases(self)

    @property
    def generator(self) -> nn.Module:
        network = UNetGenerator if self.network == "unet" else ResidualGenerator
        return network(self.image_size, self.channels, self.width, self.widest, self.dtype)

    @property
    def critic(self) -> ResidualCritic:
        return ResidualCritic(self.image_size, self.width, self.widest, self.dtype, self.critic_norm == "layer")

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the generator's running statistics."""
        del batch
        latent = jnp.zeros((1, self.latent_size))
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
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
        return batch["image"]

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        latent = self.latents(key, len(batch["image"]))
        return play(self.generator, "generator", params, extra, latent, train=train)

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del batch, key
        return play(self.critic, "critic", params, extra, x, train=train, spectral=self.critic_norm == "spectral")

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> [n, H, W, C] in [-1, 1]; each picture by itself, by running statistics."""
        return play(self.generator, "generator", params, extra, latent, train=False)[0]
