"""BigGAN: Brock, Donahue & Simonyan 2019, "Large Scale GAN Training for High Fidelity Natural Image Synthesis"
(arXiv:1809.11096): classes, a piece of the latent for every block, attention, and a spectral norm on both players."""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import prior
from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.adversarial import SPECTRAL, Answer, play
from zoo.gan.residual import enlarged, halved
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.batch_norm import BatchNorm
from zoo.nn.conv import Conv
from zoo.nn.spectral import spectral_normalise, start_vectors

SMALLEST = 4  # pixels a side, where the generator begins
ORTHOGONAL = nn.initializers.orthogonal()
# Channels at 4 x 4, 8 x 8, ... the picture's own size, in times of ``width``: appendix B at 128 and 256 pixels, the
# networks for CIFAR-10 at 32, and what lies between or below elsewhere. The critic has them backwards.
PLAN = {16: (4, 4, 4), 32: (4, 4, 4, 4), 64: (16, 16, 8, 4, 2), 128: (16, 16, 8, 4, 2, 1), 256: (16, 16, 8, 8, 4, 2, 1)}


@dataclass(frozen=True, kw_only=True)
class BigGAN:
    """Two residual networks without an equal in width, held by the norms of their weights."""

    image_size: int = 32
    """16, 32, 64, 128 or 256."""
    channels: int = 3
    classes: int = 10
    """K."""
    chunk: int = 20
    """Latents for each block, and as many where the generator begins: together Z, drawn from N(0, I)."""
    embedding: int = 128
    """Numbers that a class is to the generator, from which each block's normalisation makes its gains and biases."""
    width: int = 64
    """Channels of a layer are this times those of ``PLAN``; 96 in the paper."""
    attention: int | None = 16
    """Pixels a side where both players look at the whole picture, 64 in the paper; None is nowhere."""
    orthogonal: float | None = None
    """Weight of `orthogonality` of the generator's weights, 1e-4 in the paper, so that truncated latents stay good;
    None is none, here and below."""
    loss: str = "hinge"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = None
    """Weight of the critic's squared gradient on data (Mescheder et al. 2018)."""
    r2: float | None = None
    """Weight of the same on samples."""
    gradient_penalty: float | None = None
    """Weight of WGAN-GP's penalty between data and samples (Gulrajani et al. 2017)."""
    penalty_every: int = 1
    """On every k-th step only, as a step of its own, the penalties are taken, k times as heavy."""
    critic_steps: int = 2
    """Steps of the critic to one of the generator."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    evaluate, latents, sample = adversarial.evaluate, prior.class_latents, prior.class_sample

    def __post_init__(self):
        if self.image_size not in PLAN:
            raise UserError(f"image_size is {self.image_size}; biggan draws 16, 32, 64, 128 or 256 pixels a side")
        between = [2**n for n in range(3, 8) if 2**n < self.image_size]
        if self.attention is not None and self.attention not in between:
            sizes = ", ".join(map(str, between))
            raise UserError(f"attention is {self.attention}; both players of {self.image_size} pixels have {sizes}")
        for field in ("chunk", "embedding"):
            if getattr(self, field) < 1:
                raise UserError(f"{field} is {getattr(self, field)}; biggan needs 1 at least")
        adversarial.check("biggan", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        *others, generator = adversarial.phases(self)
        if self.orthogonal is not None:
            generator = replace(generator, loss=self.orthogonal_loss)
        return *others, generator

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at 4 x 4, 8 x 8, ..."""
        return tuple(self.width * times for times in PLAN[self.image_size])

    @property
    def latent_size(self) -> int:
        """Z."""
        return self.chunk * len(self.widths)

    @property
    def generator(self) -> "Generator":
        return Generator(self.widths, self.channels, self.embedding, self.attention, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.widths, self.attention, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds the generator's running statistics, and both players' spectral vectors."""
        del batch
        latent, label = jnp.zeros((1, self.latent_size)), jnp.zeros((1, self.classes))
        image = jnp.zeros((1, self.image_size, self.image_size, self.channels))
        players = {"generator": (self.generator, latent, label), "critic": (self.critic, image, label)}
        params, extra = adversarial.start(key, **players, spectral=True)
        layers, _ = apart(params["generator"])
        return params, {**extra, "vectors": start_vectors(layers, jax.random.fold_in(key, SPECTRAL + 1))}

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
        latent = jax.random.normal(key, (len(batch["label"]), self.latent_size), jnp.float32)
        return self._paint(params, extra, latent, prior.one_hot(self, batch["label"]), train=train)

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del key
        label = prior.one_hot(self, batch["label"])
        return play(self.critic, "critic", params, extra, x, label, train=train, spectral=True)

    def orthogonal_loss(self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
        """The generator's loss, and `orthogonality` of its layers."""
        loss, (after, metrics) = adversarial.generator_loss(self, params, extra, batch, key, step)
        found = orthogonality(apart(params["generator"])[0])
        assert self.orthogonal is not None
        return loss + self.orthogonal * found, (after, metrics | {"orthogonality": found})

    def render(self, params: Params, extra: Extra, latent: Array, *, truncation: Array | float | None = None) -> Array:
        """[n, Z + K] -> [n, H, W, C] in [-1, 1]; each picture by itself, by running statistics. The weights of the
        classes count by their shares. ``truncation``: the largest latent, for pictures that are more typical and less
        various (see `truncated`); 2 to 0.04 in the paper, None is none."""
        z, shares = prior.shares_of(self, latent)
        return self._paint(params, extra, z if truncation is None else truncated(z, truncation), shares, train=False)[0]

    def _paint(self, params: Params, extra: Extra, latent: Array, label: Array, *, train: bool) -> tuple[Array, Extra]:
        layers, embedding = apart(params["generator"])
        layers, vectors = spectral_normalise(layers, extra["vectors"], train=train)
        normal = {**params, "generator": {**layers, **embedding}}
        return play(self.generator, "generator", normal, {**extra, "vectors": vectors}, latent, label, train=train)


def apart(generator: Any) -> tuple[Any, Any]:
    """A generator's parameters: its layers, and the embedding of its classes, which no norm should hold."""
    layers = {name: leaf for name, leaf in generator.items() if name != "embedding"}
    return layers, {"embedding": generator["embedding"]}


def orthogonality(params: Any) -> Array:
    """|W^T W - diag(W^T W)|^2 over all kernels as matrices [-1, C_out]: how much a layer's filters have in common, of
    whatever length they are (section 3.1, equation 3, without its beta)."""

    def overlap(kernel: Array) -> Array:
        matrix = wide(kernel).reshape(-1, kernel.shape[-1])
        products = jnp.matmul(matrix.T, matrix, precision="highest")
        return jnp.sum(jnp.square(products * (1 - jnp.eye(len(products), dtype=matrix.dtype))))

    return sum((overlap(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim > 1), jnp.zeros(()))


def truncated(z: Array, threshold: Array | float) -> Array:
    """z drawn from N(0, 1) -> what is at the same quantile of N(0, 1) cut off at +-``threshold``: distributed as if one
    had drawn again whatever is larger (section 3.1), and as smooth in z as it was."""
    share = jax.lax.erf(jnp.asarray(threshold, z.dtype) / math.sqrt(2))
    return jnp.clip(math.sqrt(2) * jax.lax.erf_inv(jax.lax.erf(z / math.sqrt(2)) * share), -threshold, threshold)


class ConditionalNorm(nn.Module):
    """Batch normalisation whose gains, around 1, and biases are linear in a condition [B, D]."""

    dtype: Any

    @nn.compact
    def __call__(self, x: Array, condition: Array, *, train: bool) -> Array:
        norm = partial(BatchNorm, use_running_average=not train, momentum=0.9, dtype=self.dtype)
        linear = partial(nn.Dense, x.shape[-1], use_bias=False, kernel_init=ORTHOGONAL, dtype=self.dtype)
        gain, bias = 1 + linear(name="gain")(condition), linear(name="bias")(condition)
        return norm(use_scale=False, use_bias=False)(x) * gain[:, None, None] + bias[:, None, None]


class SelfAttention(nn.Module):
    """[B, H, W, C] -> the same: x, and by a gain that begins with 0 what every pixel looks for in the whole picture
    (Zhang et al. 2019, arXiv:1805.08318, section 3), of which it sees the largest features of every 2 x 2 pixels."""

    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        b, h, w, c = x.shape
        layer = partial(Conv, kernel_size=1, use_bias=False, kernel_init=ORTHOGONAL, dtype=self.dtype)
        coarse = lambda y: jnp.max(y.reshape(b, h // 2, 2, w // 2, 2, -1), axis=(2, 4)).reshape(b, h * w // 4, -1)
        query = layer(max(c // 8, 1), name="query")(x).reshape(b, h * w, -1)
        key = coarse(layer(max(c // 8, 1), name="key")(x))
        value = coarse(layer(max(c // 2, 1), name="value")(x))
        precise = jnp.promote_types(query.dtype, jnp.float32)
        scores = jnp.einsum("bqc,bkc->bqk", query, key, preferred_element_type=precise)
        found = jnp.einsum("bqk,bkc->bqc", jax.nn.softmax(scores, axis=-1).astype(value.dtype), value)
        gain = self.param("gain", nn.initializers.zeros, (), jnp.float32)
        return x + gain.astype(x.dtype) * layer(c, name="out")(found.reshape(b, h, w, -1)).astype(x.dtype)


class UpBlock(nn.Module):
    """[B, H, W, C] and a condition [B, D] -> [B, 2 H, 2 W, features]."""

    features: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, condition: Array, *, train: bool) -> Array:
        layer = partial(Conv, self.features, kernel_init=ORTHOGONAL, dtype=self.dtype)
        y = layer()(enlarged(nn.relu(ConditionalNorm(self.dtype)(x, condition, train=train))))
        y = layer()(nn.relu(ConditionalNorm(self.dtype)(y, condition, train=train)))
        # A 1 x 1 convolution of a picture of squares is the squares of its result.
        return y + enlarged(layer(kernel_size=1, name="skip")(x))


class DownBlock(nn.Module):
    """[B, H, W, C] -> [B, H, W, features], or half as high and wide with ``down``. ``first``: x is a picture, which no
    ReLU may cut."""

    features: int
    down: bool
    first: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        layer = partial(Conv, self.features, kernel_init=ORTHOGONAL, dtype=self.dtype)
        smaller = halved if self.down else lambda x: x
        y = layer()(x if self.first else nn.relu(x))
        y = layer()(nn.relu(y))
        skip = smaller(x)  # the mean of a 1 x 1 convolution is the convolution of the mean
        if self.down or self.features != x.shape[-1]:
            skip = layer(kernel_size=1, name="skip")(skip)
        return smaller(y) + skip


class Generator(nn.Module):
    """Latents [B, Z] and the weights of classes [B, K] -> pictures [B, H, W, C] in [-1, 1] (figure 15)."""

    widths: tuple[int, ...]
    """Channels at 4 x 4, 8 x 8, ..."""
    channels: int
    embedding: int
    attention: int | None
    dtype: str

    @nn.compact
    def __call__(self, latent: Array, label: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        dense = partial(nn.Dense, kernel_init=ORTHOGONAL, dtype=dtype)
        shared = dense(self.embedding, use_bias=False, name="embedding")(label)
        first, *chunks = jnp.split(latent, len(self.widths), axis=-1)
        smallest, *others = self.widths
        x = dense(SMALLEST * SMALLEST * smallest)(first).reshape(-1, SMALLEST, SMALLEST, smallest)
        for features, chunk in zip(others, chunks, strict=True):
            condition = jnp.concatenate([shared, chunk.astype(shared.dtype)], axis=-1)
            x = UpBlock(features, dtype)(x, condition, train=train)
            x = SelfAttention(dtype)(x) if x.shape[1] == self.attention else x
        x = nn.relu(BatchNorm(use_running_average=not train, momentum=0.9, dtype=dtype)(x))
        return jnp.tanh(wide(Conv(self.channels, kernel_init=ORTHOGONAL, dtype=dtype)(x)))


class Critic(nn.Module):
    """Pictures [B, H, W, C] and classes [B, K] -> logits [B], with the class projected on the last features (Miyato &
    Koyama 2018, arXiv:1802.05637, equation 3). Nothing mixes the pictures."""

    widths: tuple[int, ...]
    attention: int | None
    dtype: str

    @nn.compact
    def __call__(self, x: Array, label: Array, *, train: bool) -> Array:
        del train
        dtype = compute_dtype(self.dtype)
        dense = partial(nn.Dense, kernel_init=ORTHOGONAL, dtype=dtype)
        last = 8 if x.shape[1] <= 32 else SMALLEST  # pixels a side; twice as many where there are few, as for CIFAR-10
        for index, features in enumerate(reversed(self.widths)):
            down = x.shape[1] > last
            x = DownBlock(features, down, index == 0, dtype)(x)
            x = SelfAttention(dtype)(x) if down and x.shape[1] == self.attention else x
        x = jnp.sum(wide(nn.relu(x)), axis=(1, 2))
        projection = dense(x.shape[-1], use_bias=False, name="projection")(label)
        return wide(dense(1)(x))[:, 0] + jnp.sum(wide(projection) * x, axis=-1)
