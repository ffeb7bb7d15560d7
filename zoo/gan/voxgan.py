"""Objects of voxels: 3D-GAN, Wu et al. 2016, "Learning a Probabilistic Latent Space of Object Shapes via 3D
Generative-Adversarial Modeling" (arXiv:1610.07584), with colours, and with any of the zoo's adversarial losses."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.adversarial import CRITIC_LATENTS, Answer, penalised, play
from zoo.gan.dcgan import NORMAL, Norm, normalised, widths
from zoo.losses import ADVERSARIAL, wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.conv3d import Conv3D, ConvTranspose3D

Layer = partial(Conv3D, kernel_size=4, stride=2, kernel_init=NORMAL)
Up = partial(ConvTranspose3D, kernel_size=4, stride=2, kernel_init=NORMAL)


@dataclass(frozen=True, kw_only=True)
class VoxGAN:
    """A generator of volumetric transposed convolutions against a critic of volumetric convolutions."""

    image_size: int = 32
    """Voxels a side: 8, 16, 32, 64 or 128; the paper's is 64."""
    channels: int = 4
    """1: occupied or not. 4: colours too."""
    latent_size: int = 200
    """Z, drawn from N(0, I); the paper's is uniform."""
    width: int = 64
    """Channels of the layers at half the size; they double with every halving, up to eight times this."""
    loss: str = "nonsaturating"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = 1.0
    """Weight of the critic's squared gradient on data (Mescheder et al. 2018); None is none, here and below."""
    r2: float | None = None
    """Weight of the same on samples."""
    gradient_penalty: float | None = None
    """Weight of WGAN-GP's penalty between data and samples (Gulrajani et al. 2017)."""
    penalty_every: int = 1
    """On every k-th step only, as a step of its own, the penalties are taken, k times as heavy."""
    critic_steps: int = 1
    """Steps of the critic to one of the generator."""
    critic_norm: Literal["batch", "layer", "spectral", "none"] = "layer"
    """The critic's normalisation; penalties need one that keeps objects apart. The paper's is batch."""
    accuracy_limit: float | None = None
    """The critic learns nothing from a batch of which it already tells more than this share; the paper's is 0.8."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.image_size not in (8, 16, 32, 64, 128):
            raise UserError(f"image_size is {self.image_size}; voxgan builds 8, 16, 32, 64 or 128 voxels a side")
        if self.channels not in (1, 4):
            raise UserError(f"channels is {self.channels}; voxgan's are 1 (occupied) or 4 (RGB, occupied)")
        if self.critic_norm not in ("batch", "layer", "spectral", "none"):
            raise UserError(f"critic_norm is {self.critic_norm!r}; it is batch, layer, spectral or none")
        if self.critic_norm == "batch" and penalised(self):
            raise UserError("penalties look at one object at a time: give voxgan critic_norm layer, spectral or none")
        if self.accuracy_limit is not None and penalised(self):
            raise UserError("accuracy_limit holds back a critic without penalties: leave out one of the two")
        adversarial.check("voxgan", self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        critic, *others = adversarial.phases(self)
        if self.accuracy_limit is not None:
            critic = replace(critic, loss=partial(limited_critic_loss, self))
        return critic, *others

    @property
    def generator(self) -> "Generator":
        return Generator(self.image_size, self.channels, self.width, self.dtype)

    @property
    def critic(self) -> "Critic":
        return Critic(self.image_size, self.width, self.critic_norm, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds each player's running statistics."""
        del batch
        return adversarial.start(
            key,
            generator=(self.generator, jnp.zeros((1, self.latent_size))),
            critic=(self.critic, jnp.zeros((1, *self._shape))),
            spectral=self.critic_norm == "spectral",
        )

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"voxel": jax.ShapeDtypeStruct((batch_size, *self._shape), jnp.float32)}

    @property
    def _shape(self) -> tuple[int, ...]:
        return (*(self.image_size,) * 3, self.channels)

    def observe(self, batch: Batch) -> Array:
        return batch["voxel"]

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        latent = self.latents(key, len(batch["voxel"]))
        return play(self.generator, "generator", params, extra, latent, train=train)

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        del batch, key
        return play(self.critic, "critic", params, extra, x, train=train, spectral=self.critic_norm == "spectral")

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """See `zoo.gan.adversarial.evaluate`."""
        return adversarial.evaluate(self, params, extra, batch, key)

    def latents(self, key: Array, n: int) -> Array:
        """[n, Z] from N(0, I); float32 in any precision, so that a key means the same object."""
        return jax.random.normal(key, (n, self.latent_size), jnp.float32)

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> volumes [n, D, H, W, C] in [-1, 1]; each by itself, by running statistics."""
        return play(self.generator, "generator", params, extra, latent, train=False)[0]

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, D, H, W, C]."""
        return self.render(params, extra, self.latents(key, n))


def limited_critic_loss(model: VoxGAN, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
    """The critic's loss, or none where it tells more than ``accuracy_limit`` of the batch (section 3.1 of the paper,
    which looks at the batch before this one). Adam's moments go on moving it a little."""
    del step
    fake, _ = model.imagine(params, extra, batch, jax.random.fold_in(key, CRITIC_LATENTS), train=True)
    on_real, after = model.judge(params, extra, model.observe(batch), batch, key, train=True)
    on_fake, after = model.judge(params, after, fake, batch, key, train=True)
    accuracy = (jnp.mean(wide(on_real) > 0) + jnp.mean(wide(on_fake) < 0)) / 2
    loss = ADVERSARIAL[model.loss].critic(on_real, on_fake)
    assert model.accuracy_limit is not None
    metrics = {"real": jnp.mean(on_real), "fake": jnp.mean(on_fake), "accuracy": accuracy}
    return jnp.where(accuracy <= model.accuracy_limit, loss, 0), (after, metrics)


class Generator(nn.Module):
    """Latents -> 4 x 4 x 4, then twice the size a layer: [B, Z] -> [B, D, H, W, C] in [-1, 1]."""

    image_size: int
    channels: int
    width: int
    dtype: str

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        *inner, first = widths(self.image_size, self.width)
        # A transposed convolution of one voxel is a dense layer.
        x = nn.Dense(4**3 * first, use_bias=False, kernel_init=NORMAL, dtype=dtype)(latent)
        x = x.reshape(-1, 4, 4, 4, first)
        for features in reversed(inner):
            x = nn.relu(Norm(use_running_average=not train, dtype=dtype)(x))
            x = Up(features, use_bias=False, dtype=dtype)(x)
        x = nn.relu(Norm(use_running_average=not train, dtype=dtype)(x))
        return jnp.tanh(wide(Up(self.channels, dtype=dtype)(x)))


class Critic(nn.Module):
    """Half the size a layer, then one number: [B, D, H, W, C] -> logits [B]."""

    image_size: int
    width: int
    norm: str
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        first, *inner = widths(self.image_size, self.width)
        x = nn.leaky_relu(Layer(first, dtype=dtype)(x), 0.2)
        for features in inner:
            x = Layer(features, use_bias=self.norm in ("spectral", "none"), dtype=dtype)(x)
            x = nn.leaky_relu(normalised(x, self.norm, train=train), 0.2)
        # A convolution that covers its input is a dense layer.
        logits = nn.Dense(1, kernel_init=NORMAL, dtype=dtype)(x.reshape(len(x), -1))
        return wide(logits)[:, 0]
