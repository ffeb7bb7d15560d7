"""Objects of voxels: 3D-GAN, Wu et al. 2016, "Learning a Probabilistic Latent Space of Object Shapes via 3D
Generative-Adversarial Modeling" (arXiv:1610.07584), with colours, and with any of the zoo's adversarial losses."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from zoo import prior
from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.adversarial import CRITIC_LATENTS, Answer, penalised, play
from zoo.gan.dcgan import NORMAL, Critic, Generator
from zoo.losses import ADVERSARIAL, wide
from zoo.model import Array, Batch, Extra, Params, Phase
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

    evaluate, latents, sample = adversarial.evaluate, prior.latents, prior.sample

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
    def generator(self) -> Generator:
        return Generator(self.image_size, self.channels, self.width, self.dtype, up=Up, axes=3)

    @property
    def critic(self) -> Critic:
        return Critic(self.image_size, self.width, self.critic_norm, self.dtype, down=Layer)

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

    def render(self, params: Params, extra: Extra, latent: Array) -> Array:
        """[n, Z] -> volumes [n, D, H, W, C] in [-1, 1]; each by itself, by running statistics."""
        return play(self.generator, "generator", params, extra, latent, train=False)[0]


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
