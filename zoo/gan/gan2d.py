"""A GAN of points: small dense networks on rings and grids, where one sees what is missing; with packing (PacGAN: Lin,
Khetan, Fanti & Oh 2018, arXiv:1712.04086, section 4.1)."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import prior
from zoo.gan import adversarial
from zoo.gan.adversarial import packed, play
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.batch_norm import BatchNorm

NORMAL = nn.initializers.normal(0.02)


@dataclass(frozen=True, kw_only=True)
class GAN2D:
    """A dense generator with batch normalisation against a critic of maxout layers."""

    dimensions: int = 2
    """D, of a point."""
    latent_size: int = 2
    """Z, drawn from N(0, I)."""
    width: int = 400
    """Units of the generator's hidden layers."""
    layers: int = 4
    """Hidden layers of the generator."""
    critic_width: int = 200
    """Units of the critic's hidden layers."""
    critic_layers: int = 3
    """Hidden layers of the critic."""
    pieces: int = 5
    """Linear pieces of a maxout unit (Goodfellow et al. 2013, arXiv:1302.4389)."""
    pack: int = 1
    """Points that the critic judges together."""
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
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    evaluate, latents, sample = adversarial.evaluate, prior.latents, prior.sample

    def __post_init__(self):
        adversarial.check("gan2d", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return adversarial.phases(self)

    @property
    def generator(self) -> "Generator":
        return Generator(self.dimensions, self.width, self.layers, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.critic_width, self.critic_layers, self.pieces, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the generator's running statistics."""
        del batch
        latent, points = jnp.zeros((1, self.latent_size)), jnp.zeros((1, self.pack * self.dimensions))
        return adversarial.start(key, generator=(self.generator, latent), critic=(self.critic, points))

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"point": jax.ShapeDtypeStruct((batch_size, self.dimensions), jnp.float32)}

    def observe(self, batch: Batch) -> Array:
        """[B / pack, pack * D]."""
        return packed(batch["point"], self.pack)

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        latent = self.latents(key, len(batch["point"]))
        fake, extra = play(self.generator, "generator", params, extra, latent, train=train)
        return packed(fake, self.pack), extra

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del batch, key
        return play(self.critic, "critic", params, extra, x, train=train)

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> points [n, D], by running statistics."""
        return play(self.generator, "generator", params, extra, latent, train=False)[0]


class Generator(nn.Module):
    """Latents [B, Z] -> points [B, D]."""

    dimensions: int
    width: int
    layers: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        for _ in range(self.layers):
            x = nn.Dense(self.width, use_bias=False, kernel_init=NORMAL, dtype=dtype)(x)
            x = nn.relu(BatchNorm(use_running_average=not train, momentum=0.95, dtype=dtype)(x))
        return wide(nn.Dense(self.dimensions, kernel_init=NORMAL, dtype=dtype)(x))


class Critic(nn.Module):
    """Packs of points [B, pack * D] -> logits [B]."""

    width: int
    layers: int
    pieces: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        for _ in range(self.layers):
            x = nn.Dense(self.width * self.pieces, kernel_init=NORMAL, dtype=dtype)(x)
            x = jnp.max(x.reshape(-1, self.width, self.pieces), axis=-1)
        return wide(nn.Dense(1, kernel_init=NORMAL, dtype=dtype)(x))[:, 0]
