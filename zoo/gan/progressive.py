"""Progressive growing: Karras, Aila, Laine & Lehtinen 2018, "Progressive Growing of GANs for Improved Quality,
Stability, and Variation" (arXiv:1710.10196): both players begin at 4 x 4 pixels, and larger sizes are faded in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import prior
from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.adversarial import Answer
from zoo.gan.residual import enlarged, halved
from zoo.gan.style import SMALLEST, sizes, with_spread
from zoo.losses import gradient_penalty, wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.equal import EqualConv, EqualDense, activate


@dataclass(frozen=True, kw_only=True)
class Progressive:
    """Plain convolutions with equalised learning rates, whose sizes are added one after the other.

    How far it has grown follows from the step: ``images`` pictures at 4 x 4, then for each larger size as many while it
    fades in and as many behind. Only what has grown is computed, in one compiled step for all sizes.
    """

    image_size: int = 64
    """A power of two from 8 to 1024."""
    channels: int = 3
    latent_size: int = 512
    """Z, drawn from N(0, I) and brought to one length."""
    base: int = 16384
    """Channels of a layer are ``base`` / pixels a side, at most ``widest``."""
    widest: int = 512
    """The most channels."""
    images: int = 600_000
    """Pictures seen while a size fades in, and as many again before the next one does."""
    group: int | None = 4
    """Pictures whose spread the critic sees; None hides it."""
    gradient_penalty: float = 10.0
    """Weight of (|gradient| - 1)^2 between data and samples (Gulrajani et al. 2017)."""
    drift: float = 0.001
    """Weight of the critic's squared output on data, which keeps it near 0 (appendix A.1)."""
    loss: str = "wasserstein"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    critic_steps: int = 1
    """Steps of the critic to one of the generator."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    latents, sample = prior.latents, prior.sample

    def __post_init__(self):
        if self.image_size not in [2**n for n in range(3, 11)]:
            raise UserError(f"image_size is {self.image_size}; progressive draws 8, 16, 32, ... or 1024 pixels a side")
        if self.base < self.image_size:
            raise UserError(f"base {self.base} leaves no channel at {self.image_size} pixels; raise it")
        if self.images < 1:
            raise UserError(f"images is {self.images}; every size should see some")
        adversarial.check("progressive", Stage(self, 0, 1.0))

    @property
    def phases(self) -> tuple[Phase, ...]:
        critic = Phase("critic", partial(self._grown, critic_loss))
        return critic, Phase("generator", partial(self._grown, generator_loss), every=self.critic_steps)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at 4 x 4, 8 x 8, ..."""
        return tuple(min(self.base // size, self.widest) for size in sizes(self.image_size))

    @property
    def generator(self) -> "Generator":
        return Generator(self.widths, self.channels, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.widths, self.group, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """Both players whole, though only their smallest layers are used at first. ``extra``: how far they have grown,
        the largest size's number and how much of it is seen."""
        del batch
        own, other = jax.random.split(key)
        pictures = [jnp.zeros((1, size, size, self.channels)) for size in sizes(self.image_size)]
        generator = self.generator.init(own, jnp.zeros((1, self.latent_size)), method="whole")["params"]
        critic = self.critic.init(other, pictures, method="whole")["params"]
        grown = {"level": jnp.zeros((), jnp.int32), "share": jnp.ones(())}
        return {"generator": generator, "critic": critic}, {"grown": grown}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """See `zoo.gan.adversarial.evaluate`; at the size that it has grown to."""
        at = lambda level, share: adversarial.evaluate(Stage(self, level, share), params, extra, batch, key)
        return self._switch(at, extra["grown"]["level"], extra["grown"]["share"])

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> [n, H, W, C], cut to [-1, 1]; while it grows, with pixels as large as they are."""

        def at(level: int, share: Array) -> Array:
            picture = self._paint(params, latent, level, share)
            return enlarged(picture, self.image_size // picture.shape[1])

        return jnp.clip(self._switch(at, extra["grown"]["level"], extra["grown"]["share"]), -1, 1)

    def growth(self, step: Array, batch_size: int) -> tuple[Array, Array]:
        """(the number of the largest size in use int32 [], how much of it is faded in [], from 0 to 1)."""
        periods = step.astype(jnp.float32) * (batch_size / self.images)
        whole = jnp.floor(periods)
        fading = whole % 2 == 1
        level, last = ((whole + 1) // 2).astype(jnp.int32), len(self.widths) - 1
        share = jnp.where(fading & (level <= last), periods - whole, 1.0)
        return jnp.minimum(level, last), share

    def _paint(self, params: Params, latent: Array, level: int, share: Array | float) -> Array:
        variables = {"params": params["generator"]}
        return self.generator.apply(variables, latent, share, level=level)  # type: ignore[return-value]

    def _switch(self, at: Callable[[int, Array], Any], level: Array, share: Array) -> Any:
        """``at(level, share)`` of the level in use alone; levels are plain numbers to it."""
        return jax.lax.switch(level, [partial(at, number) for number in range(len(self.widths))], share)

    def _grown(self, loss: Any, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """A loss at the size that the step has grown to, after which ``extra`` knows that size."""
        level, share = self.growth(step, len(batch["image"]))
        share = share.astype(extra["grown"]["share"].dtype)
        at = lambda level, share: loss(Stage(self, level, share), params, batch, key)
        value, metrics = self._switch(at, level, share)
        return value, ({**extra, "grown": {"level": level, "share": share}}, metrics)


@dataclass(frozen=True)
class Stage:
    """The game at one size (`zoo.gan.adversarial.Game`), of which a share is faded in."""

    model: Progressive
    level: int
    share: Array | float

    r1 = r2 = gradient_penalty = None
    penalty_every = 1

    @property
    def loss(self) -> str:
        return self.model.loss

    @property
    def critic_steps(self) -> int:
        return self.model.critic_steps

    def observe(self, batch: Batch) -> Array:
        """The data at this size, faded in as samples are."""
        x = batch["image"]
        while x.shape[1] > SMALLEST * 2**self.level:
            x = halved(x)
        return faded(x, self.share) if self.level else x

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        del train
        latent = self.model.latents(key, len(batch["image"]))
        return self.model._paint(params, latent, self.level, self.share), extra

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del batch, key, train
        return self.critic(params, x), extra

    def critic(self, params: Params, x: Array, *, apart: bool = False) -> Array:
        """Logits [B]; ``apart``: as if each picture were alone in them."""
        variables = {"params": params["critic"]}
        return self.model.critic.apply(variables, x, self.share, level=self.level, apart=apart)  # type: ignore[return-value]


def critic_loss(stage: Stage, params: Params, batch: Batch, key: Array) -> tuple[Array, Any]:
    """The critic's loss, with the penalty and the drift (appendix A.1)."""
    loss, (_, metrics) = adversarial.critic_loss(stage, params, {}, batch, key, jnp.zeros((), jnp.int32))
    real = stage.observe(batch)
    fake, _ = stage.imagine(params, {}, batch, jax.random.fold_in(key, adversarial.CRITIC_LATENTS), train=True)
    alone = partial(stage.critic, params, apart=True)
    penalty = gradient_penalty(alone, real, fake, jax.random.fold_in(key, adversarial.PENALTY))
    drift = jnp.mean(jnp.square(stage.critic(params, real)))
    metrics |= {"gradient_penalty": penalty, "drift": drift}
    return loss + stage.model.gradient_penalty * penalty + stage.model.drift * drift, metrics


def generator_loss(stage: Stage, params: Params, batch: Batch, key: Array) -> tuple[Array, Any]:
    """The generator's, on other samples than the critic has just been trained with."""
    loss, (_, metrics) = adversarial.generator_loss(stage, params, {}, batch, key, jnp.zeros((), jnp.int32))
    return loss, metrics


def faded(x: Array, share: Array | float) -> Array:
    """x [B, H, W, C] as far as it is faded in: between x at half its size, and x."""
    coarse = enlarged(halved(x))
    return coarse + (x - coarse) * jnp.asarray(share, x.dtype)


def normalised(x: Array) -> Array:
    """Every pixel's features (or every latent's), brought to a mean square of 1 (section 4.2)."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(wide(x)), axis=-1, keepdims=True) + 1e-8).astype(x.dtype)


class Generator(nn.Module):
    """Latents [B, Z] -> pictures [B, S, S, C] of the size 4 * 2^level."""

    widths: tuple[int, ...]
    channels: int
    dtype: str

    def setup(self):
        dtype = compute_dtype(self.dtype)
        self.first = EqualDense(SMALLEST * SMALLEST * self.widths[0], dtype=dtype)
        self.layers = [
            [EqualConv(features, dtype=dtype) for _ in range(2 if level else 1)]
            for level, features in enumerate(self.widths)
        ]
        self.colours = [EqualConv(self.channels, kernel_size=1, dtype=dtype) for _ in self.widths]

    def __call__(self, latent: Array, share: Array | float, *, level: int) -> Array:
        x = normalised(activate(self.first(normalised(latent))))
        x = x.reshape(-1, SMALLEST, SMALLEST, self.widths[0])
        coarse = None
        for number in range(level + 1):
            if number:
                coarse = x
                x = enlarged(x)
            for layer in self.layers[number]:
                x = normalised(activate(layer(x)))
        picture = wide(self.colours[level](x))
        if coarse is None:
            return picture
        before = enlarged(wide(self.colours[level - 1](coarse)))
        return before + (picture - before) * jnp.asarray(share, picture.dtype)

    def whole(self, latent: Array) -> list[Array]:
        """Pictures of every size: what makes every layer's parameters."""
        return [self(latent, 1.0, level=level) for level in range(len(self.widths))]


class Critic(nn.Module):
    """Pictures [B, S, S, C] of the size 4 * 2^level -> logits [B]: the generator backwards."""

    widths: tuple[int, ...]
    group: int | None
    dtype: str

    def setup(self):
        dtype = compute_dtype(self.dtype)
        self.colours = [EqualConv(features, kernel_size=1, dtype=dtype) for features in self.widths]
        wanted = [self.widths[max(level - 1, 0)] for level in range(len(self.widths))]
        self.layers = [
            [EqualConv(features, dtype=dtype), EqualConv(after, dtype=dtype)]
            if level
            else [EqualConv(features, dtype=dtype)]
            for level, (features, after) in enumerate(zip(self.widths, wanted, strict=True))
        ]
        self.dense = EqualDense(self.widths[0], dtype=dtype)
        self.last = EqualDense(1, dtype=dtype)

    def __call__(self, x: Array, share: Array | float, *, level: int, apart: bool = False) -> Array:
        picture, x = x, activate(self.colours[level](x))
        for number in range(level, 0, -1):
            for layer in self.layers[number]:
                x = activate(layer(x))
            x = halved(x)
            if number == level:
                before = activate(self.colours[level - 1](halved(picture)))
                x = before + (x - before) * jnp.asarray(share, x.dtype)
        if self.group is not None:
            seen = with_spread(x, self.group)
            x = jnp.concatenate([x, jax.lax.stop_gradient(seen[..., -1:])], axis=-1) if apart else seen
        for layer in self.layers[0]:
            x = activate(layer(x))
        x = activate(self.dense(x.reshape(len(x), -1)))
        return wide(self.last(x))[:, 0]

    def whole(self, pictures: list[Array]) -> list[Array]:
        """Logits at every size: what makes every layer's parameters."""
        return [self(x, 1.0, level=level) for level, x in enumerate(pictures)]
