"""MoCoGAN: Tulyakov, Liu, Yang & Kautz 2018, "MoCoGAN: Decomposing Motion and Content for Video Generation"
(arXiv:1707.04993): films whose content stays, and whose motion is a walk."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.gan import adversarial, dcgan
from zoo.gan.adversarial import GENERATOR_LATENTS, SPECTRAL, Answer, penalised, play
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import compute_dtype
from zoo.nn.cells import GRULayer
from zoo.nn.conv3d import Conv3D
from zoo.nn.spectral import start_vectors

Latents = dict[str, Array]
Kind = Literal["frame", "clip"]


@dataclass(frozen=True, kw_only=True)
class MoCoGAN:
    """A generator of frames from one content and a recurrent motion, against a critic of single frames and one of
    clips."""

    image_size: int = 32
    """A power of two from 16 to 256; the paper's is 64."""
    channels: int = 3
    length: int = 16
    """Frames of a clip in training; samples may have any number."""
    content_size: int = 50
    """Size of the content, drawn from N(0, I) once a film."""
    motion_size: int = 10
    """Size of the motion, drawn from N(0, I) for every frame and led through a recurrent net."""
    width: int = 64
    """Channels of the layers at half the image's size; they double with every halving, up to eight times this."""
    loss: str = "nonsaturating"
    """A key of ``zoo.losses.ADVERSARIAL``."""
    r1: float | None = None
    """Weight of the critics' squared gradient on data (Mescheder et al. 2018); None is none, here and below."""
    r2: float | None = None
    """Weight of the same on samples."""
    gradient_penalty: float | None = None
    """Weight of WGAN-GP's penalty between data and samples (Gulrajani et al. 2017)."""
    penalty_every: int = 1
    """On every k-th step only, as a step of its own, the penalties are taken, k times as heavy."""
    critic_steps: int = 1
    """Steps of the critics to one of the generator."""
    critic_norm: Literal["batch", "layer", "spectral", "none"] = "batch"
    """The critics' normalisation; penalties need one that keeps films apart."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    def __post_init__(self):
        if self.image_size not in (16, 32, 64, 128, 256):
            raise UserError(f"image_size is {self.image_size}; mocogan draws 16, 32, 64, 128 or 256 pixels a side")
        if self.length < self.span:
            at = f"at {self.image_size} pixels mocogan's critic judges {self.span} frames at once"
            raise UserError(f"length is {self.length}; {at}")
        if self.critic_norm not in ("batch", "layer", "spectral", "none"):
            raise UserError(f"critic_norm is {self.critic_norm!r}; it is batch, layer, spectral or none")
        if self.critic_norm == "batch" and penalised(self):
            raise UserError("penalties look at one film at a time: give mocogan critic_norm layer, spectral or none")
        adversarial.check("mocogan", self)

    @property
    def span(self) -> int:
        """Frames that a logit of the critic of clips is about."""
        return 1 + 3 * len(dcgan.widths(self.image_size, self.width))

    @property
    def sides(self) -> "tuple[Side, Side]":
        return Side(self, "frame"), Side(self, "clip")

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Each critic, with its penalties where they are lazy, and the generator against both."""
        found = []
        for side in self.sides:
            found.append(Phase(side.player, partial(adversarial.critic_loss, side)))
            if penalised(self) and self.penalty_every > 1:
                lazy = partial(adversarial.penalty_loss, side)
                found.append(Phase(side.player, lazy, every=self.penalty_every, name=f"{side.kind}_penalty"))
        return *found, Phase("generator", partial(generator_loss, self), every=self.critic_steps)

    @property
    def generator(self) -> "Generator":
        return Generator(self.image_size, self.channels, self.motion_size, self.width, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """``extra`` holds each player's running statistics, or the critics' spectral vectors."""
        del batch
        params, extra = {}, {}
        clip = jnp.zeros((1, *self._shape))
        latent = self.latents(key, 1)
        players: dict[str, tuple[Any, ...]] = {"generator": (self.generator, *_parts(latent))}
        players |= {side.player: (side.network, side.seen(clip, key)) for side in self.sides}
        for own, (player, (network, *inputs)) in zip(jax.random.split(key, 3), players.items(), strict=True):
            variables = network.init(own, *inputs, train=False)
            params[player], extra[player] = variables["params"], variables.get("batch_stats", {})
            if self.critic_norm == "spectral" and player != "generator":
                extra[player] = start_vectors(params[player], jax.random.fold_in(own, SPECTRAL))
        return params, extra

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"video": jax.ShapeDtypeStruct((batch_size, *self._shape), jnp.float32)}

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.length, self.image_size, self.image_size, self.channels

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        latent = self.latents(key, len(batch["video"]))
        return play(self.generator, "generator", params, extra, *_parts(latent), train=train)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """See `zoo.gan.adversarial.evaluate`, of each critic."""
        found = {}
        for side in self.sides:
            measured = adversarial.evaluate(side, params, extra, batch, key)
            found |= {f"{side.kind}_{name}": value for name, value in measured.items()}
        return found

    def latents(
        self, key: Array, n: int, *, length: int | None = None, vary: Literal["motion", "content"] | None = None
    ) -> Latents:
        """``content`` [n, Z], ``start`` [n, M], where the motion begins, and ``noise`` [n, T, M], what drives it, all
        from N(0, I). ``length``: T, None is that of the training. ``vary``: "motion" is one content n times, "content"
        one motion n times."""
        contents, starts, noises = jax.random.split(key, 3)
        length = self.length if length is None else length
        content = jax.random.normal(contents, (n, self.content_size), jnp.float32)
        start = jax.random.normal(starts, (n, self.motion_size), jnp.float32)
        noise = jax.random.normal(noises, (n, length, self.motion_size), jnp.float32)
        first = lambda x: jnp.broadcast_to(x[:1], x.shape)
        if vary == "motion":
            content = first(content)
        elif vary == "content":
            start, noise = first(start), first(noise)
        return {"content": content, "start": start, "noise": noise}

    def render(self, params: Params, extra: Extra, latent: Latents) -> Array:
        """``latents`` -> films [n, T, H, W, C] in [-1, 1]; each by itself, by running statistics."""
        return play(self.generator, "generator", params, extra, *_parts(latent), train=False)[0]

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """[n, T, H, W, C]."""
        return self.render(params, extra, self.latents(key, n))


@dataclass(frozen=True)
class Side:
    """The game against one of the critics, as `zoo.gan.adversarial` sees it."""

    model: MoCoGAN
    kind: Kind

    @property
    def player(self) -> str:
        return f"{self.kind}_critic"

    @property
    def loss(self) -> str:
        return self.model.loss

    @property
    def r1(self) -> float | None:
        return self.model.r1

    @property
    def r2(self) -> float | None:
        return self.model.r2

    @property
    def gradient_penalty(self) -> float | None:
        return self.model.gradient_penalty

    @property
    def penalty_every(self) -> int:
        return self.model.penalty_every

    @property
    def critic_steps(self) -> int:
        return self.model.critic_steps

    @property
    def network(self) -> nn.Module:
        critic = dcgan.Critic if self.kind == "frame" else ClipCritic
        return critic(self.model.image_size, self.model.width, self.model.critic_norm, self.model.dtype)

    def observe(self, batch: Batch) -> Array:
        return batch["video"]

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        return self.model.imagine(params, extra, batch, key, train=train)

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Array, Extra]:
        """Logits of clips x [B, T, H, W, C]: [B] of a random frame each, or [B, P] of stretches of ``span`` frames."""
        del batch
        spectral = self.model.critic_norm == "spectral"
        return play(self.network, self.player, params, extra, self.seen(x, key), train=train, spectral=spectral)

    def seen(self, x: Array, key: Array) -> Array:
        """What of clips the critic looks at."""
        return _one_frame(x, key) if self.kind == "frame" else x


def generator_loss(model: MoCoGAN, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
    """Against both critics at once (equation 6 of the paper)."""
    del step
    fake, after = model.imagine(params, extra, batch, jax.random.fold_in(key, GENERATOR_LATENTS), train=True)
    losses = [adversarial.deceit(side, params, extra, fake, batch, key) for side in model.sides]
    return losses[0] + losses[1], (after, {"frame": losses[0], "clip": losses[1]})


def _one_frame(x: Array, key: Array) -> Array:
    """[B, T, H, W, C] -> [B, H, W, C]: a random frame of each."""
    chosen = jax.random.randint(key, (len(x), 1), 0, x.shape[1]) == jnp.arange(x.shape[1])[None]
    return jnp.sum(jnp.where(chosen[:, :, None, None, None], x, 0), axis=1)


def _parts(latent: Latents) -> tuple[Array, Array, Array]:
    return latent["content"], latent["start"], latent["noise"]


class Generator(nn.Module):
    """content [B, Z], start [B, M] and noise [B, T, M] of the motion -> films [B, T, H, W, C] in [-1, 1]."""

    image_size: int
    channels: int
    motion_size: int
    width: int
    dtype: str

    @nn.compact
    def __call__(self, content: Array, start: Array, noise: Array, *, train: bool) -> Array:
        (rows, length, _), motion = noise.shape, GRULayer(self.motion_size, self.dtype)
        moves = wide(motion(noise, start)[0])
        stays = jnp.broadcast_to(wide(content)[:, None], (rows, length, content.shape[-1]))
        frames = dcgan.Generator(self.image_size, self.channels, self.width, self.dtype, name="frames")
        pictures = frames(jnp.concatenate([stays, moves], axis=-1).reshape(rows * length, -1), train=train)
        return pictures.reshape(rows, length, *pictures.shape[1:])


class ClipCritic(nn.Module):
    """Half the size a layer, and three frames fewer: [B, T, H, W, C] -> logits [B, T - 3 layers] of stretches."""

    image_size: int
    width: int
    norm: str
    dtype: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        dtype = compute_dtype(self.dtype)
        layer = partial(Conv3D, kernel_size=4, stride=(1, 2, 2), padding=((0, 0), (1, 1), (1, 1)), dtype=dtype)
        layer = partial(layer, kernel_init=dcgan.NORMAL)
        first, *inner = dcgan.widths(self.image_size, self.width)
        x = nn.leaky_relu(layer(first)(x), 0.2)
        for features in inner:
            x = layer(features, use_bias=self.norm in ("spectral", "none"))(x)
            x = nn.leaky_relu(dcgan.normalised(x, self.norm, train=train), 0.2)
        logits = Conv3D(1, kernel_size=(1, 4, 4), padding="VALID", kernel_init=dcgan.NORMAL, dtype=dtype)(x)
        return wide(logits).reshape(len(x), -1)
