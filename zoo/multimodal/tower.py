"""Towers: a sound and a picture as points of one space, near each other where they belong together.

Radford et al. 2021, "Learning transferable visual models from natural language supervision" (CLIP, arXiv:2103.00020):
two encoders, and the symmetric cross entropy of their pairs within a batch (section 2.3, figure 3). Sounds stand where
CLIP has texts. With ``invariant`` a critic learns to tell the two media apart, and the towers to leave it in doubt:
the adversarial alignment of Wang et al. 2017 ("Adversarial cross-modal retrieval") with the confusion loss of Tzeng et
al. 2015 (arXiv:1510.02192) in place of a reversed gradient.

Pairs are of one class and otherwise drawn at random, so that a batch holds several right answers and the loss counts
all but one of them as wrong: it cannot come near 0, and retrieval is judged by the class.
"""

from dataclasses import dataclass
from functools import partial
from math import log
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.ascent import ascent
from zoo.losses import logistic_critic, token_nll, wide
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.multimodal import media
from zoo.multimodal.media import MEDIA, Block, Embedding, sound_patches
from zoo.nn.dense import Dense
from zoo.nn.norm import LayerNorm
from zoo.tokens import DROPOUT
from zoo.transformer.vit import picture_patches

PLAYER, CRITIC = "towers", "critic"
START, MOST = log(1 / 0.07), log(100)  # of the temperature's logarithm (section 2.5)
DIRECTIONS = DROPOUT + 1  # what a sample's key is folded with


@dataclass(frozen=True, kw_only=True)
class Tower:
    """Two encoders of their own, each a small transformer, and one space [E] of unit vectors."""

    image_size: int = 28
    channels: int = 1
    frames: int = 64
    """T of a sound."""
    bands: int = 32
    """M of a sound."""
    patch: int = 7
    """Pixels of a patch's side."""
    stride: int = 8
    """Frames of a sound's token."""
    layers: int = 2
    heads: int = 4
    width: int = 64
    """D."""
    embedding: int = 32
    """E."""
    dropout: float = 0.1
    invariant: float | None = None
    """Weight of what keeps a critic from telling the media apart; None is no critic."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    batch_spec = media.batch_spec

    def __post_init__(self):
        media.check(self)

    @property
    def phases(self) -> tuple[Phase, ...]:
        towers = Phase(PLAYER, self.loss)
        return (towers,) if self.invariant is None else (Phase(CRITIC, self.critic_loss), towers)

    @property
    def network(self) -> "Network":
        return Network(
            stride=self.stride, patch=self.patch, layers=self.layers, heads=self.heads, width=self.width,
            embedding=self.embedding, dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    @property
    def critic(self) -> "Critic":
        return Critic(self.width, self.dtype)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        towers, critic = jax.random.split(key)
        spectrum, images = (jnp.zeros(self.batch_spec(1)[name].shape) for name in ("spectrum", "image"))
        params = {PLAYER: self.network.init(towers, spectrum, images)["params"]}
        if self.invariant is not None:
            params[CRITIC] = self.critic.init(critic, jnp.zeros((1, self.embedding)))["params"]
        return params, {}

    def embed(self, params: Params, spectrum: Array, images: Array, **controls: Any) -> tuple[Array, Array]:
        """[B, T, M] and [B, H, W, C] -> unit vectors [B, E] of the sounds, and of the pictures."""
        network: Any = self.network
        return network.apply({"params": params[PLAYER]}, spectrum, images, **controls)

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """The contrastive loss in nats, and of an invariant model the critic's confusion."""
        del step
        sounds, pictures = self.embedded(params, batch, key)
        scale = temperature(params[PLAYER]["temperature"])
        loss, metrics = contrastive(sounds, pictures, scale), {"temperature": scale}
        if self.invariant is not None:
            doubt = confusion(*(self.judge(params, x) for x in (sounds, pictures)))
            loss, metrics = loss + self.invariant * doubt, metrics | {"confusion": doubt}
        return loss, (extra, metrics)

    def critic_loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Cross entropy of which of the two media a point is of."""
        del step
        sounds, pictures = (self.judge(params, x) for x in self.embedded(params, batch, key))
        return logistic_critic(sounds, pictures), (extra, {"accuracy": told_apart(sounds, pictures)})

    def embedded(self, params: Params, batch: Batch, key: Array) -> tuple[Array, Array]:
        """``embed`` of a batch in training."""
        rngs = {"dropout": jax.random.fold_in(key, DROPOUT)}
        return self.embed(params, batch["spectrum"], batch["image"], train=True, rngs=rngs)

    def judge(self, params: Params, points: Array) -> Array:
        """[B, E] -> the critic's logits [B]: above 0 for sounds."""
        critic: Any = self.critic
        return critic.apply({"params": params[CRITIC]}, points)

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """Among the pairs of a batch, whose size the numbers depend on: ``nll`` of ``contrastive``; ``picture_found``
        and ``sound_found``, how often what is nearest to a sound among the pictures, and to a picture among the sounds,
        is of its class; ``gap``, how far the media's centres lie apart (Liang et al. 2022, arXiv:2203.02053); of an
        invariant model ``told_apart``, how often its critic is right."""
        del extra, key
        sounds, pictures = self.embed(params, batch["spectrum"], batch["image"])
        nll = contrastive(sounds, pictures, temperature(params[PLAYER]["temperature"]))
        found = {
            "nll": nll,
            "picture_found": retrieved(sounds, pictures, batch["label"]),
            "sound_found": retrieved(pictures, sounds, batch["label"]),
            "gap": jnp.linalg.norm(jnp.mean(wide(sounds) - wide(pictures), axis=0)),
        }
        if self.invariant is not None:
            found["told_apart"] = told_apart(*(self.judge(params, x) for x in (sounds, pictures)))
        count = jnp.asarray(len(sounds), nll.dtype)
        return {name: (value * count, count) for name, value in found.items()}

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """``n`` pictures [n, H, W, C], each as far as it goes in a random direction of the space: what the towers have
        instead of samples, by ``zoo.ascent``."""
        del extra
        spec = self.batch_spec(n)
        aims = unit(jax.random.normal(jax.random.fold_in(key, DIRECTIONS), (n, self.embedding)))
        silence = jnp.zeros(spec["spectrum"].shape)
        scores = lambda images: jnp.sum(aims * self.embed(params, silence, images)[1], axis=1)
        return ascent(scores, spec["image"].shape, key)


# ---- The mathematics -------------------------------------------------------------------------------------------------


def unit(x: Array) -> Array:
    """[B, E] -> the same directions, of length 1."""
    size = jnp.sum(jnp.square(wide(x)), axis=1, keepdims=True)
    return x * jax.lax.rsqrt(size + 1e-12).astype(x.dtype)


def similarities(x: Array, y: Array) -> Array:
    """Unit vectors [B, E] and [K, E] -> their cosines [B, K] in float32 or wider."""
    return jnp.einsum("be,ke->bk", x, y, preferred_element_type=jnp.promote_types(x.dtype, jnp.float32))


def contrastive(x: Array, y: Array, scale: Array, same: Array | None = None) -> Array:
    """Unit vectors [B, E] of pairs -> the mean of two cross entropies in nats: of each x to find its y among all of the
    batch, and the other way round. Radford et al. 2021, figure 3. ``same`` bool [B, B]: whose y is as good as one's
    own, so that it counts neither as right nor as wrong."""
    logits, own = scale * similarities(x, y), jnp.arange(len(x))
    if same is not None:
        logits = jnp.where(same & (own[:, None] != own[None, :]), jnp.finfo(logits.dtype).min, logits)
    return (jnp.mean(token_nll(logits, own)) + jnp.mean(token_nll(logits.T, own))) / 2


def retrieved(queries: Array, found: Array, label: Array) -> Array:
    """How many of the queries [B, E] have the label of what is nearest to them among ``found`` [B, E]."""
    nearest = jnp.argmax(similarities(queries, found), axis=1)
    return jnp.mean(label[nearest] == label, dtype=jnp.promote_types(queries.dtype, jnp.float32))


def confusion(*logits: Array) -> Array:
    """Cross entropy of a critic's logits [B] each against an even guess, in nats: log 2 at best (Tzeng et al. 2015)."""
    every = wide(jnp.concatenate(logits))
    return jnp.mean(jax.nn.softplus(every) - every / 2)


def told_apart(sounds: Array, pictures: Array) -> Array:
    """How often logits of sounds are above 0 and those of pictures below."""
    right = jnp.concatenate([sounds > 0, pictures < 0])
    return jnp.mean(right, dtype=wide(sounds).dtype)


def temperature(logarithm: Array) -> Array:
    """The factor of the cosines, at most 100: the paper clips it in this way, "to prevent scaling the logits by more
    than 100" (section 2.5)."""
    return jnp.exp(at_most(MOST, logarithm))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def at_most(limit: float, x: Array) -> Array:
    """min(x, limit), whose gradient at the limit still leads back, so that what has come there need not stay."""
    return jnp.minimum(x, limit)


at_most.defvjp(
    lambda limit, x: (jnp.minimum(x, limit), x),
    lambda limit, x, slope: (jnp.where((x < limit) | (slope > 0), slope, 0),),
)


# ---- The networks ----------------------------------------------------------------------------------------------------


class Network(nn.Module):
    stride: int
    patch: int
    layers: int
    heads: int
    width: int
    embedding: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, spectrum: Array, images: Array, *, train: bool = False) -> tuple[Array, Array]:
        """[B, T, M], [B, H, W, C] -> two [B, E]."""
        self.param("temperature", nn.initializers.constant(START), ())  # of the loss
        patches = sound_patches(spectrum, self.stride), picture_patches(images, self.patch)
        sound, picture = (
            Side(self.layers, self.heads, self.width, self.embedding, self.dropout, self.dtype, name=medium)(
                Embedding(self.width, self.dtype, name=f"{medium}_embedding")(rows), train=train
            )
            for medium, rows in zip(MEDIA, patches, strict=True)
        )
        return sound, picture


class Side(nn.Module):
    """One of the two towers: tokens [B, N, D], of which ``seen`` bool [B, N] are there (all) -> unit vectors [B, E]."""

    layers: int
    heads: int
    width: int
    embedding: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, x: Array, seen: Array | None = None, *, train: bool) -> Array:
        dtype = jnp.dtype(self.dtype)
        for layer in range(self.layers):
            x = Block(self.heads, self.width, self.dropout, self.dtype, name=f"block_{layer}")(x, seen, train=train)
        x = LayerNorm(dtype=dtype, name="norm")(x)
        if seen is None:
            x = jnp.mean(x, axis=1)
        else:
            weights = seen.astype(dtype) / jnp.maximum(jnp.sum(seen, axis=1, keepdims=True), 1).astype(dtype)
            x = jnp.sum(weights[..., None] * x, axis=1)
        return unit(Dense(self.embedding, use_bias=False, dtype=dtype, name="projection")(x))


class Critic(nn.Module):
    """Of which medium is a point? [B, E] -> logits [B]."""

    width: int
    dtype: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        dense = lambda features: Dense(features, dtype=jnp.dtype(self.dtype))
        for _ in range(2):
            x = nn.leaky_relu(dense(self.width)(x), 0.2)
        return dense(1)(x)[:, 0]
