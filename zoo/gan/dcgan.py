"""DCGAN: Radford, Metz & Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional GANs"
(arXiv:1511.06434), with any of the zoo's adversarial losses."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.losses import ADVERSARIAL, wide
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.conv import Conv, ConvTranspose

CRITIC_LATENTS, GENERATOR_LATENTS, EVALUATION_LATENTS = range(3)  # what the step's key is folded with

# Sections 3 and 4 of the paper: all weights from N(0, 0.02); batch normalisation everywhere but in the generator's last
# and the critic's first layer. Running statistics move as PyTorch's do, so that they keep up with short trainings.
NORMAL = nn.initializers.normal(0.02)
Norm = partial(nn.BatchNorm, momentum=0.9, scale_init=lambda *args: 1 + NORMAL(*args))
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
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.image_size not in (16, 32, 64, 128, 256):
            raise UserError(f"image_size is {self.image_size}; dcgan draws 16, 32, 64, 128 or 256 pixels a side")
        if self.loss not in ADVERSARIAL:
            raise UserError(f"no adversarial loss is called {self.loss!r}; there are {', '.join(ADVERSARIAL)}")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return Phase("critic", self.critic_loss), Phase("generator", self.generator_loss)

    @property
    def generator(self) -> "Generator":
        return Generator(self.image_size, self.channels, self.width, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.image_size, self.width, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds each player's running statistics."""
        del batch
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        keys = jax.random.split(key)
        generator = self.generator.init(keys[0], jnp.zeros((1, self.latent_size)), train=False)
        critic = self.critic.init(keys[1], image, train=False)
        params = {"generator": generator["params"], "critic": critic["params"]}
        return params, {"generator": generator["batch_stats"], "critic": critic["batch_stats"]}

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        shape = (batch_size, self.image_size, self.image_size, self.channels)
        return {"image": jax.ShapeDtypeStruct(shape, jnp.float32)}

    def critic_loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """The critic's loss; metrics: its mean outputs on data and on samples, each a batch of its own to the norms."""
        del step
        latent = self.latents(jax.random.fold_in(key, CRITIC_LATENTS), len(batch["image"]))
        fake, _ = _trained(self.generator, params["generator"], extra["generator"], latent)
        on_real, stats = _trained(self.critic, params["critic"], extra["critic"], batch["image"])
        on_fake, stats = _trained(self.critic, params["critic"], stats, fake)
        metrics = {"real": jnp.mean(on_real), "fake": jnp.mean(on_fake)}
        return ADVERSARIAL[self.loss].critic(on_real, on_fake), ({**extra, "critic": stats}, metrics)

    def generator_loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """The generator's loss, on other samples than the critic has just been trained with."""
        del step
        latent = self.latents(jax.random.fold_in(key, GENERATOR_LATENTS), len(batch["image"]))
        fake, stats = _trained(self.generator, params["generator"], extra["generator"], latent)
        # Only relativistic losses look at the data; for the others the compiler drops this pass.
        on_real, _ = _trained(self.critic, params["critic"], extra["critic"], batch["image"])
        on_fake, _ = _trained(self.critic, params["critic"], extra["critic"], fake)
        return ADVERSARIAL[self.loss].generator(on_real, on_fake), ({**extra, "generator": stats}, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """Both losses and the critic's mean outputs, on data and on as many samples, by running statistics."""
        count = len(batch["image"])
        fake = self.sample(params, extra, jax.random.fold_in(key, EVALUATION_LATENTS), count)
        judge = partial(_settled, self.critic, params["critic"], extra["critic"])
        on_real, on_fake = judge(batch["image"]), judge(fake)
        pair = ADVERSARIAL[self.loss]
        means = {
            "critic_loss": pair.critic(on_real, on_fake),
            "generator_loss": pair.generator(on_real, on_fake),
            "real": jnp.mean(on_real),
            "fake": jnp.mean(on_fake),
        }
        return {name: (mean * count, jnp.asarray(count, mean.dtype)) for name, mean in means.items()}

    def latents(self, key: Array, n: int) -> Array:
        """[n, Z] from N(0, I); float32 in any precision, so that a key means the same picture."""
        return jax.random.normal(key, (n, self.latent_size), jnp.float32)

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> [n, H, W, C] in [-1, 1]; each picture by itself, by running statistics."""
        return _settled(self.generator, params["generator"], extra["generator"], latent)

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, H, W, C]."""
        return self.render(params, extra, self.latents(key, n))


def _trained(network: nn.Module, params: Any, stats: Any, x: Array) -> tuple[Any, Any]:
    """The output by the batch's own statistics, and the running ones after it, in the dtypes they came in."""
    y, after = network.apply({"params": params, "batch_stats": stats}, x, train=True, mutable="batch_stats")
    return y, jax.tree.map(lambda new, old: new.astype(old.dtype), after["batch_stats"], stats)


def _settled(network: nn.Module, params: Any, stats: Any, x: Array) -> Any:
    """The output by running statistics."""
    return network.apply({"params": params, "batch_stats": stats}, x, train=False)


def _widths(image_size: int, width: int) -> list[int]:
    """Channels from half the image's size down to 4 x 4."""
    return [width * min(2**level, 8) for level in range(int(math.log2(image_size)) - 2)]


class Generator(nn.Module):
    """Latents -> 4 x 4, then twice the size a layer: [B, Z] -> [B, H, W, C] in [-1, 1]."""

    image_size: int
    channels: int
    width: int
    dtype: str

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        *inner, first = _widths(self.image_size, self.width)
        # A transposed convolution of one pixel is a dense layer.
        x = nn.Dense(4 * 4 * first, use_bias=False, kernel_init=NORMAL, dtype=dtype)(latent)
        x = x.reshape(-1, 4, 4, first)
        for features in reversed(inner):
            x = nn.relu(Norm(use_running_average=not train, dtype=dtype)(x))
            x = Up(features, use_bias=False, dtype=dtype)(x)
        x = nn.relu(Norm(use_running_average=not train, dtype=dtype)(x))
        return jnp.tanh(wide(Up(self.channels, dtype=dtype)(x)))


class Critic(nn.Module):
    """Half the size a layer, then one number: [B, H, W, C] -> logits [B]."""

    image_size: int
    width: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        first, *inner = _widths(self.image_size, self.width)
        x = nn.leaky_relu(Layer(first, dtype=dtype)(x), 0.2)
        for features in inner:
            x = Layer(features, use_bias=False, dtype=dtype)(x)
            x = nn.leaky_relu(Norm(use_running_average=not train, dtype=dtype)(x), 0.2)
        # A convolution that covers its input is a dense layer.
        logits = nn.Dense(1, kernel_init=NORMAL, dtype=dtype)(x.reshape(len(x), -1))
        return wide(logits)[:, 0]
