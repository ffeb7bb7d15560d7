"""R3GAN: Huang, Gokaslan, Kuleshov & Tompkin 2024, "The GAN is dead; long live the GAN!" (arXiv:2501.05441): a
relativistic loss under two gradient penalties, which makes everything else unnecessary, so that two plain modern
networks without any normalisation remain."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

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
from zoo.nn.columns import add_bias
from zoo.nn.conv import Conv
from zoo.nn.filters import downsample, upsample
from zoo.nn.grouped import GroupedConv

SMALLEST = 4  # pixels a side, where the generator begins and the critic ends
FULL = 32  # pixels a side up to which layers have all their channels; beyond, half with every doubling
SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the variance through a leaky ReLU (He et al. 2015, equation 15)
BILINEAR = 1.0, 2.0, 1.0


@dataclass(frozen=True, kw_only=True)
class R3GAN:
    """Two mirrored ResNeXts with neither normalisation nor tricks, regularised on data and on samples."""

    image_size: int = 32
    """A power of two from 8 to 512."""
    channels: int = 3
    latent_size: int = 64
    """Z, drawn from N(0, I)."""
    width: int = 768
    """Channels up to 32 pixels a side; half as many with every doubling beyond."""
    blocks: int = 2
    """Residual blocks at each size."""
    expansion: int = 2
    """Channels inside a block, in times of those outside."""
    group: int = 16
    """Channels of a group of the 3 x 3 convolutions."""
    loss: str = "relativistic"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = 0.05
    """Weight of the critic's squared gradient on data (Mescheder et al. 2018); None is none, here and below."""
    r2: float | None = 0.05
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
        if self.image_size not in (8, 16, 32, 64, 128, 256, 512):
            raise UserError(f"image_size is {self.image_size}; r3gan draws 8, 16, 32, ... or 512 pixels a side")
        if self.group < 1 or any(width < 1 or width * self.expansion % self.group for width in self.widths):
            raise UserError(
                f"groups of {self.group} do not divide the {self.expansion} x {min(self.widths)} channels inside a "
                "block: choose width so that they do"
            )
        adversarial.check("r3gan", self)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at 4 x 4 pixels, 8 x 8, ... the image's own size."""
        levels = (self.image_size // SMALLEST).bit_length()
        return tuple(self.width * FULL // max(SMALLEST * 2**level, FULL) for level in range(levels))

    @property
    def phases(self) -> tuple[Phase, ...]:
        return adversarial.phases(self)

    @property
    def generator(self) -> "Generator":
        return Generator(self.channels, self.widths, self.blocks, self.expansion, self.group, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.widths, self.blocks, self.expansion, self.group, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        latent = jnp.zeros((1, self.latent_size))
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        return adversarial.start(key, generator=(self.generator, latent), critic=(self.critic, image))

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
        return play(self.critic, "critic", params, extra, x, train=train)

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> [n, H, W, C], the generator's linear output cut to [-1, 1]."""
        return jnp.clip(play(self.generator, "generator", params, extra, latent, train=False)[0], -1, 1)


def scaled(gain: float) -> Any:
    """Weights from N(0, gain^2 / fan-in)."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal") if gain else nn.initializers.zeros


class Block(nn.Module):
    """A residual block [B, H, W, C] -> the same: 1 x 1, grouped 3 x 3, 1 x 1, a biased leaky ReLU between.

    ``depth``: residual blocks in the whole network, by which fix-up initialisation scales (Zhang et al. 2019,
    arXiv:1901.09321, section 3): all but the last layer by depth^(-1 / (2 m - 2)) with m = 3 layers, the last by 0.
    """

    expansion: int
    group: int
    depth: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        outside, inside = x.shape[-1], x.shape[-1] * self.expansion
        init = scaled(GAIN * self.depth**-0.25)
        layer = partial(Conv, kernel_size=1, use_bias=False, dtype=self.dtype)
        y = self._activate(layer(inside, kernel_init=init)(x), "bias_0")
        y = GroupedConv(inside, inside // self.group, kernel_init=init, dtype=self.dtype)(y)
        y = self._activate(y, "bias_1")
        return x + layer(outside, kernel_init=nn.initializers.zeros)(y)

    def _activate(self, y: Array, name: str) -> Array:
        bias = self.param(name, nn.initializers.zeros, y.shape[-1:], jnp.float32)
        bias = bias.astype(self.dtype or jnp.promote_types(y.dtype, bias.dtype))
        return nn.leaky_relu(add_bias(y, bias), SLOPE)


class Generator(nn.Module):
    """Latents [B, Z] -> pictures [B, H, W, C]: a learnt 4 x 4 basis, weighted, then blocks at each size."""

    channels: int
    widths: tuple[int, ...]
    blocks: int
    expansion: int
    group: int
    dtype: str

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        depth = self.blocks * len(self.widths)
        layer = partial(Conv, kernel_size=1, use_bias=False, kernel_init=scaled(1.0), dtype=dtype)
        basis = self.param("basis", nn.initializers.normal(1.0), (SMALLEST, SMALLEST, self.widths[0]), jnp.float32)
        weights = nn.Dense(self.widths[0], use_bias=False, kernel_init=scaled(1.0), dtype=dtype)(latent)
        x = weights[:, None, None] * basis[None].astype(weights.dtype)
        for level, features in enumerate(self.widths):
            if level:
                x = x if x.shape[-1] == features else layer(features)(x)
                x = upsample(x, BILINEAR)
            for _ in range(self.blocks):
                x = Block(self.expansion, self.group, depth, dtype)(x)
        return wide(layer(self.channels)(x))


class Critic(nn.Module):
    """Pictures [B, H, W, C] -> logits [B]: the generator backwards."""

    widths: tuple[int, ...]
    blocks: int
    expansion: int
    group: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        depth = self.blocks * len(self.widths)
        layer = partial(Conv, kernel_size=1, use_bias=False, kernel_init=scaled(1.0), dtype=dtype)
        x = layer(self.widths[-1])(x)
        for level, features in reversed(list(enumerate(self.widths))):
            for _ in range(self.blocks):
                x = Block(self.expansion, self.group, depth, dtype)(x)
            if level:
                x, after = downsample(x, BILINEAR), self.widths[level - 1]
                x = x if features == after else layer(after)(x)
        # A depthwise 4 x 4 convolution that covers its input: one weighted sum a channel.
        shape = (SMALLEST, SMALLEST, x.shape[-1])
        basis = self.param("basis", nn.initializers.normal(1 / SMALLEST), shape, jnp.float32)
        x = jnp.sum(x * basis[None].astype(x.dtype), axis=(1, 2))
        return wide(nn.Dense(1, use_bias=False, kernel_init=scaled(1.0), dtype=dtype)(x))[:, 0]
