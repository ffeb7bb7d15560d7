"""StyleGAN: Karras, Laine & Aila 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks"
(arXiv:1812.04948), as trained on FFHQ, but at one size from the beginning: growing is `zoo.gan.progressive`'s."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import prior
from zoo.errors import UserError
from zoo.gan import adversarial, style
from zoo.gan.adversarial import play
from zoo.gan.style import NOISE, SMALLEST, Mapping, mixed, sizes, style_count, verdict
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.columns import add_bias
from zoo.nn.equal import EqualConv, EqualDense, activate
from zoo.nn.filters import smooth

BLUR = 1.0, 2.0, 1.0  # behind what enlarges, before what halves


@dataclass(frozen=True, kw_only=True)
class StyleGAN:
    """A generator that begins with a constant and takes its latent as the mean and the deviation of every layer's
    features, against a plain critic."""

    image_size: int = 32
    """A power of two from 8 to 1024."""
    channels: int = 3
    latent_size: int = 512
    """Z, drawn from N(0, I), and W, the size of a style."""
    mapping: int = 8
    """Layers from latents to styles."""
    base: int = 16384
    """Channels of a layer are ``base`` / pixels a side, at most ``widest``."""
    widest: int = 512
    """The most channels."""
    group: int | None = 4
    """Pictures whose spread the critic sees; None hides it."""
    mixing: float = 0.9
    """Share of the samples in training that take their finer styles from a second latent."""
    loss: str = "nonsaturating"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = 10.0
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

    evaluate, latents = adversarial.evaluate, prior.latents
    styles, render, paint, sample = style.styles, style.render, style.paint, style.sample

    def __post_init__(self):
        if self.image_size not in [2**n for n in range(3, 11)]:
            raise UserError(f"image_size is {self.image_size}; stylegan draws 8, 16, 32, ... or 1024 pixels a side")
        if self.base < self.image_size:
            raise UserError(f"base {self.base} leaves no channel at {self.image_size} pixels; raise it")
        if self.gradient_penalty is not None and self.group is not None:
            raise UserError("gradient_penalty looks at one picture at a time: give stylegan group None")
        adversarial.check("stylegan", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return adversarial.phases(self)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at 4 x 4, 8 x 8, ..."""
        return tuple(min(self.base // size, self.widest) for size in sizes(self.image_size))

    @property
    def style_network(self) -> Mapping:
        return Mapping(self.latent_size, self.mapping, self.dtype)

    @property
    def synthesis(self) -> "Synthesis":
        return Synthesis(self.widths, self.channels, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.widths, self.group, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra``: the mean style [W], towards which truncation pulls."""
        del batch
        keys = jax.random.split(key, 3)
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        styles = jnp.zeros((1, style_count(self.image_size), self.latent_size))
        generator = {
            "mapping": self.style_network.init(keys[0], styles[:, 0])["params"],
            "synthesis": self.synthesis.init(keys[1], styles, keys[1], each=True)["params"],
        }
        critic = self.critic.init(keys[2], image, train=False)["params"]
        return {"generator": generator, "critic": critic}, {"critic": {}, "style": jnp.zeros(self.latent_size)}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def observe(self, batch: Batch) -> Array:
        return batch["image"]

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        n = len(batch["image"])
        if not train:
            return style.painted(self, params, self.styles(params, extra, self.latents(key, n))), extra
        draw = lambda key: style.style_of(self, params, self.latents(key, n))
        layers = style_count(self.image_size)
        styles, mean = mixed(draw, extra["style"], key, layers=layers, share=self.mixing)
        return style.painted(self, params, styles, jax.random.fold_in(key, NOISE)), {**extra, "style": mean}

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del batch, key
        return play(self.critic, "critic", params, extra, x, train=train)


def adaptive_norm(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-8) -> Array:
    """x [B, H, W, C]: each channel of each picture brought to the deviation ``scale`` and the mean ``bias``, both
    [B, C] (AdaIN: Huang & Belongie 2017, arXiv:1703.06868; Karras et al. 2019, equation 1). Statistics in float32 or
    wider."""
    y = wide(x)
    y = y - jnp.mean(y, axis=(1, 2), keepdims=True)
    y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=(1, 2), keepdims=True) + epsilon)
    return (y * wide(scale)[:, None, None] + wide(bias)[:, None, None]).astype(x.dtype)


class Styled(nn.Module):
    """What follows every layer: noise with a learnt strength for each channel, bias, activation, and the style."""

    dtype: Any

    @nn.compact
    def __call__(self, x: Array, style: Array, key: Array, *, each: bool) -> Array:
        """x [B, H, W, C], style [B, W]. ``each``: noise of its own for every picture, or the same for all."""
        features = x.shape[-1]
        strength = self.param("strength", nn.initializers.zeros, (features,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (features,), jnp.float32)
        noise = jax.random.normal(key, (len(x) if each else 1, *x.shape[1:3], 1), jnp.float32)
        x = x + (strength[None, None, None] * noise).astype(x.dtype)
        scale, mean = jnp.split(EqualDense(2 * features, dtype=self.dtype, name="style")(style), 2, axis=-1)
        return adaptive_norm(activate(add_bias(x, bias.astype(x.dtype))), 1 + scale, mean)


class Synthesis(nn.Module):
    """Styles [B, L, W] -> pictures [B, H, W, C]: from a learnt constant, two layers at each size."""

    widths: tuple[int, ...]
    """Channels at 4 x 4, 8 x 8, ..."""
    channels: int
    dtype: str

    @nn.compact
    def __call__(self, styles: Array, key: Array, *, each: bool) -> Array:
        """``key`` is that of the noise; for ``each`` see `Styled`."""
        dtype = compute_dtype(self.dtype)
        layer = lambda features, **how: EqualConv(features, use_bias=False, dtype=dtype, **how)
        start = self.param("start", nn.initializers.ones, (SMALLEST, SMALLEST, self.widths[0]), jnp.float32)
        x = jnp.broadcast_to(start[None], (len(styles), *start.shape)).astype(dtype or styles.dtype)
        for at in range(2 * len(self.widths)):
            features = self.widths[at // 2]
            if at % 2:
                x = layer(features)(x)
            elif at:
                x = smooth(layer(features, resample="up")(x), BLUR, pads=(1, 1))
            x = Styled(dtype)(x, styles[:, at], jax.random.fold_in(key, at), each=each)
        return wide(EqualConv(self.channels, kernel_size=1, dtype=dtype)(x))


class Critic(nn.Module):
    """Pictures [B, H, W, C] -> logits [B]: two layers at each size down to 4 x 4, and `verdict`."""

    widths: tuple[int, ...]
    group: int | None
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        x = activate(EqualConv(self.widths[-1], kernel_size=1, dtype=dtype)(x))
        for level in range(len(self.widths) - 1, 0, -1):
            x = smooth(activate(EqualConv(self.widths[level], dtype=dtype)(x)), BLUR, pads=(1, 1))
            x = activate(EqualConv(self.widths[level - 1], resample="down", dtype=dtype)(x))
        return verdict(x, self.group, dtype)
