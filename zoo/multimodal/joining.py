"""Seven ways of joining what is heard with what is seen, in one network: they differ in where the media meet, and how.

Whatever the way, it reads both media or one of the two alone: of a medium that is missing, nothing reaches the answer.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.losses import wide
from zoo.model import Array
from zoo.multimodal.media import (
    MEDIA,
    Block,
    Embedding,
    mean_of,
    sound_patches,
    tokens_seen,
)
from zoo.nn.dense import Dense
from zoo.nn.norm import LayerNorm
from zoo.transformer.vit import picture_patches

Joining = Literal["early", "middle", "late", "multiplicative", "low-rank", "attention", "cross"]
JOININGS: tuple[Joining, ...] = get_args(Joining)


def low_rank(features: Sequence[Array], factors: Sequence[Array]) -> Array:
    """The product of the features' outer product with a tensor of low rank, neither of which is ever made.

    Liu et al. 2018 (arXiv:1806.00064): features [B, D_m], each with a 1 behind it; factors [R, D_m + 1, E],
    one a medium -> [B, E], sum over r of the product over m of [z_m, 1] w_m^(r). The tensor is W[i, j, e] = sum over r
    of w_0^(r)[i, e] w_1^(r)[j, e]. The ones keep what a medium says by itself, as in the tensor fusion of Zadeh et al.
    2017 (arXiv:1707.07250): features of 0 leave the other medium's.
    """
    product = None
    for z, factor in zip(features, factors, strict=True):
        one = jnp.ones((len(z), 1), z.dtype)
        mapped = jnp.einsum("bd,rde->bre", jnp.concatenate([z, one], axis=1), factor.astype(z.dtype))
        product = mapped if product is None else product * mapped
    assert product is not None
    return jnp.sum(product, axis=1)


def attended(features: Array, scores: Array, present: Array) -> tuple[Array, Array]:
    """Media weighed against each other: features [B, media, D], scores and present [B, media] -> the mixture [B, D] and
    the weights [B, media], a softmax over the media that are there. Hori et al. 2017 (arXiv:1701.03126)."""
    scores = wide(scores)
    weights = jax.nn.softmax(jnp.where(present, scores, jnp.finfo(scores.dtype).min), axis=1)
    return jnp.sum(weights[..., None].astype(features.dtype) * features, axis=1), weights


class Network(nn.Module):
    """``layers`` blocks deep on every way from a patch to the answer."""

    fusion: Joining
    classes: int
    stride: int
    patch: int
    layers: int
    heads: int
    width: int
    rank: int
    bottlenecks: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, spectrum: Array, images: Array, present: Array, *, train: bool = False) -> Array:
        """[B, T, M], [B, H, W, C] and which are there, bool [B, 2] -> logits [B, classes] in float32 or wider."""
        patches = sound_patches(spectrum, self.stride), picture_patches(images, self.patch)
        tokens = [
            Embedding(self.width, self.dtype, name=f"{medium}_embedding")(x)
            for medium, x in zip(MEDIA, patches, strict=True)
        ]
        return getattr(self, "_" + self.fusion.replace("-", "_"))(tokens, present, train)

    # -- where they meet -----------------------------------------------------------------------------------------------

    def _early(self, tokens: list[Array], present: Array, train: bool) -> Array:
        """One row of tokens of both from the first block on (Nagrani et al. 2021)."""
        joined, seen = jnp.concatenate(tokens, axis=1), tokens_seen(present, tokens)
        for layer in range(self.layers):
            joined = self.block(f"block_{layer}")(joined, seen, train=train)
        total = jnp.sum(jnp.where(seen[..., None], self.norm("norm")(joined), 0), axis=1)
        return self.answer(total / jnp.maximum(jnp.sum(seen, axis=1, keepdims=True), 1).astype(total.dtype))

    def _middle(self, tokens: list[Array], present: Array, train: bool) -> Array:
        """Half of the blocks apart; in the others the media meet in a few tokens that both read and write (bottlenecks,
        Nagrani et al. 2021; here the mean of what the two have made of them)."""
        apart = self.layers // 2
        tokens = self.alone(tokens, apart, train)
        shape = (1, self.bottlenecks, self.width)
        shared = self.param("bottlenecks", nn.initializers.normal(0.02), shape).astype(tokens[0].dtype)
        shared = jnp.broadcast_to(shared, (len(present), *shape[1:]))
        for layer in range(apart, self.layers):
            written = []
            for m, (medium, x) in enumerate(zip(MEDIA, tokens, strict=True)):
                both = self.block(f"{medium}_block_{layer}")(jnp.concatenate([x, shared], axis=1), train=train)
                tokens[m], new = jnp.split(both, [x.shape[1]], axis=1)
                written.append(new)
            shared = mean_of(written, present)
        features = [*self.pooled(tokens), jnp.mean(self.norm("norm")(shared), axis=1)]
        return self.answer(mean_of(features[:-1], present) + features[-1])

    def _late(self, tokens: list[Array], present: Array, train: bool) -> Array:
        """Each by itself up to its own answer; the answers' mean (of logits: the geometric mean of what they hold
        likely)."""
        features = self.features(tokens, train)
        answers = [self.answer(x, f"{medium}_head") for medium, x in zip(MEDIA, features, strict=True)]
        return mean_of(answers, present)

    # -- how they meet, once each is one feature -----------------------------------------------------------------------

    def _multiplicative(self, tokens: list[Array], present: Array, train: bool) -> Array:
        """tanh(U z_0) tanh(V z_1), element by element (Kim et al. 2017, arXiv:1610.04325); a medium that is
        missing is a factor of 1."""
        joined: Array | None = None
        for m, z in enumerate(self.features(tokens, train)):
            gate = jnp.tanh(self.dense(self.width, f"{MEDIA[m]}_factor")(z))
            gate = jnp.where(present[:, m : m + 1], gate, 1)
            joined = gate if joined is None else joined * gate
        assert joined is not None
        return self.answer(joined)

    def _low_rank(self, tokens: list[Array], present: Array, train: bool) -> Array:
        """See ``low_rank``; a medium that is missing is 0."""
        features = [jnp.where(present[:, m : m + 1], z, 0) for m, z in enumerate(self.features(tokens, train))]
        begun = nn.initializers.variance_scaling(1.0, "fan_in", "normal", in_axis=1, out_axis=2, batch_axis=0)
        shape = (self.rank, self.width + 1, self.width)
        factors = [self.param(f"{medium}_factors", begun, shape) for medium in MEDIA]
        return self.answer(self.norm("norm")(low_rank(features, factors)))

    def _attention(self, tokens: list[Array], present: Array, train: bool) -> Array:
        """See ``attended``; a score is w tanh(V z + b) with a V and a b of each medium's own."""
        features = self.features(tokens, train)
        scores = [
            self.dense(1, f"{medium}_score", bias=False)(jnp.tanh(self.dense(self.width, f"{medium}_view")(z)))
            for medium, z in zip(MEDIA, features, strict=True)
        ]
        return self.answer(attended(jnp.stack(features, axis=1), jnp.concatenate(scores, axis=1), present)[0])

    def _cross(self, tokens: list[Array], present: Array, train: bool) -> Array:
        """Half of the blocks apart; in the others each medium's tokens look at the other's, as those came out of the
        first half (Tsai et al. 2019, arXiv:1906.00295), and the two features stand side by side."""
        apart = self.layers // 2
        low = self.alone(tokens, apart, train)
        tokens = [*low]
        for layer in range(apart, self.layers):
            for m, medium in enumerate(MEDIA):
                seen = tokens_seen(present[:, 1 - m : 2 - m], [low[1 - m]])
                tokens[m] = self.block(f"{medium}_block_{layer}")(tokens[m], seen, source=low[1 - m], train=train)
        features = self.pooled(tokens)
        heard = [jnp.where(present[:, m : m + 1], z, 0) for m, z in enumerate(features)]
        return self.answer(jnp.concatenate(heard, axis=1))

    # -- what they share -----------------------------------------------------------------------------------------------

    def features(self, tokens: list[Array], train: bool) -> list[Array]:
        """Each medium by itself through all blocks: [B, D] each."""
        return self.pooled(self.alone(tokens, self.layers, train))

    def alone(self, tokens: list[Array], layers: int, train: bool) -> list[Array]:
        """Each medium by itself through the first ``layers`` blocks."""
        tokens = [*tokens]
        for layer in range(layers):
            for m, medium in enumerate(MEDIA):
                tokens[m] = self.block(f"{medium}_block_{layer}")(tokens[m], train=train)
        return tokens

    def pooled(self, tokens: list[Array]) -> list[Array]:
        """Tokens [B, N, D] a medium -> features [B, D]."""
        return [jnp.mean(self.norm(f"{medium}_norm")(x), axis=1) for medium, x in zip(MEDIA, tokens, strict=True)]

    def block(self, name: str) -> Block:
        return Block(self.heads, self.width, self.dropout, self.dtype, name=name)

    def norm(self, name: str) -> LayerNorm:
        return LayerNorm(dtype=jnp.dtype(self.dtype), name=name)

    def dense(self, features: int, name: str, *, bias: bool = True) -> Dense:
        return Dense(features, use_bias=bias, dtype=jnp.dtype(self.dtype), name=name)

    def answer(self, features: Array, name: str = "head") -> Array:
        return wide(self.dense(self.classes, name)(features))
