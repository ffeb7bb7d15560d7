"""BERT (Devlin et al. 2019, arXiv:1810.04805): a transformer that reads both sides and fills what is masked."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import tokens
from zoo.decoding import Sampler, Sampling
from zoo.errors import UserError
from zoo.infilling import Order, infill
from zoo.losses import token_nll
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.nn.attention import full_attention
from zoo.nn.dense import Dense, DenseParts
from zoo.nn.embed import Embed
from zoo.nn.norm import LayerNorm
from zoo.tokens import DROPOUT
from zoo.transformer.decoder import check_heads

MASK = 2  # what the step's key is folded with
SHARE, MASKED, RANDOM = 0.15, 0.8, 0.1  # of the tokens are asked for; of those are masked, are replaced at random


@dataclass(frozen=True, kw_only=True)
class BERT:
    """Post-norm blocks over tokens and one more, [MASK]. Trained on the masked half of the paper's task (section 3.1):
    sentences of a pair are not told apart, which Liu et al. 2019 (RoBERTa) found to help."""

    vocabulary: int = 256
    """V, different tokens."""
    mask_token: int | None = None
    """Which of them is [MASK]; None: one more, token V."""
    context: int = 256
    """T, positions."""
    layers: int = 4
    heads: int = 4
    width: int = 256
    """D."""
    inner: int | None = None
    """Units between the two layers of a block's MLP; None: four times ``width``."""
    epsilon: float = 1e-12
    """Of the norms."""
    dropout: float = 0.0
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    player: ClassVar[str] = "bert"
    batch_spec = tokens.batch_spec

    def __post_init__(self):
        check_heads(self.width, self.heads)
        if self.mask_token is not None and not 0 <= self.mask_token < self.vocabulary:
            raise UserError(f"--model.mask-token {self.mask_token} is none of {self.vocabulary} tokens")

    @property
    def mask(self) -> int:
        """[MASK]."""
        return self.vocabulary if self.mask_token is None else self.mask_token

    @property
    def rows(self) -> int:
        """Tokens that have an embedding."""
        return self.vocabulary + (self.mask_token is None)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(self.player, self.loss),)

    @property
    def network(self) -> "Encoder":
        return Encoder(
            vocabulary=self.vocabulary, rows=self.rows, context=self.context, layers=self.layers, heads=self.heads,
            width=self.width, inner=self.inner or 4 * self.width, epsilon=self.epsilon, dropout=self.dropout,
            dtype=self.dtype,
        )  # fmt: skip

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        del batch
        row = jnp.zeros((1, 1), jnp.int32)
        return {self.player: self.network.init(key, row, jnp.ones(1, jnp.int32))["params"]}, {}

    def logits(self, params: Params, tokens: Array, lengths: Array, key: Array | None = None) -> Array:
        """tokens [B, T], [MASK] among them -> logits [B, T, V]; with dropout where there is a ``key``."""
        rngs = None if key is None else {"dropout": key}
        network: Any = self.network
        return network.apply({"params": params[self.player]}, tokens, lengths, train=key is not None, rngs=rngs)

    def denoise(self, params: Params, tokens: Array, missing: Array, lengths: Array) -> Array:
        """tokens [B, T] with those at ``missing`` masked -> logits [B, T, V], by which no token becomes [MASK]."""
        logits = self.logits(params, jnp.where(missing, self.mask, tokens), lengths)
        return logits.at[..., self.mask].set(jnp.finfo(logits.dtype).min, mode="drop")  # V is none of them

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of the tokens that are asked for."""
        del step
        total, count, _ = self._masked(params, batch, key, jax.random.fold_in(key, DROPOUT))
        return total / jnp.maximum(count, 1), (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``masked_nll`` and ``masked_accuracy``, over the tokens that ``key`` asks for."""
        del extra
        total, count, right = self._masked(params, batch, key, None)
        return {"masked_nll": (total, count), "masked_accuracy": (right, count)}

    def _masked(self, params: Params, batch: Batch, key: Array, dropout: Array | None) -> tuple[Array, Array, Array]:
        """(nats, how many, how many of them are found) of the tokens that are asked for."""
        # Windows of tokens hold one more than a model that predicts the next one reads.
        truth, lengths = batch["tokens"][:, : self.context], jnp.minimum(batch["length"], self.context)
        asked, shown = self.corrupt(truth, lengths, jax.random.fold_in(key, MASK))
        logits = self.logits(params, shown, lengths, dropout)
        nats = token_nll(logits, truth)
        found = asked & (jnp.argmax(logits, axis=-1) == truth)
        count = partial(jnp.sum, dtype=nats.dtype)
        return jnp.sum(jnp.where(asked, nats, 0)), count(asked), count(found)

    def corrupt(self, truth: Array, lengths: Array, key: Array) -> tuple[Array, Array]:
        """tokens [B, T] -> which are asked for, bool [B, T], and what the model is shown (section 3.1, task 1): of 15 %
        of the tokens, 80 % as [MASK], 10 % as another one, 10 % as they are."""
        keys = jax.random.split(key, 3)
        asked = jax.random.bernoulli(keys[0], SHARE, truth.shape)
        asked &= jnp.arange(truth.shape[1])[None, :] < lengths[:, None]
        fate = jax.random.uniform(keys[1], truth.shape)
        other = jax.random.randint(keys[2], truth.shape, 0, self.vocabulary, truth.dtype)
        changed = jnp.where(fate < MASKED, self.mask, jnp.where(fate < MASKED + RANDOM, other, truth))
        return asked, jnp.where(asked, changed, truth)

    def sample(
        self,
        params: Params,
        extra: Extra,
        key: Array,
        n: int,
        *,
        length: int | None = None,
        steps: int | None = None,
        sampler: Sampler = Sampling(),
        order: Order = "random",
    ) -> Array:
        """``n`` sequences [n, length] from masks alone (``length``: ``context``). `zoo.infilling.infill` fills any
        part of given ones."""
        del extra
        shape = (n, self.context if length is None else length)
        return infill(
            self, params, key, tokens=jnp.zeros(shape, jnp.int32), missing=jnp.ones(shape, bool), steps=steps,
            sampler=sampler, order=order,
        )  # fmt: skip


class Block(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x)): Vaswani et al. 2017, section 3.1."""

    heads: int
    width: int
    inner: int
    epsilon: float
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, x: Array, lengths: Array, *, train: bool) -> Array:
        """x [B, T, D] -> [B, T, D]."""
        dtype = jnp.dtype(self.dtype)
        init = nn.initializers.truncated_normal(0.02)
        dense = partial(Dense, kernel_init=init, dtype=dtype)
        norm = partial(LayerNorm, epsilon=self.epsilon, dtype=dtype)
        drop = partial(nn.Dropout(self.dropout), deterministic=not train)
        parts = DenseParts(3 * self.width, parts=3, kernel_init=init, dtype=dtype, name="qkv")(x)
        q, k, v = (part.reshape(*x.shape[:-1], self.heads, -1) for part in parts)
        mixed = dense(self.width, name="project")(full_attention(q, k, v, lengths=lengths).reshape(x.shape))
        x = norm(name="norm_1")(x + drop(mixed))
        hidden = nn.gelu(dense(self.inner, name="expand")(x), approximate=False)
        return norm(name="norm_2")(x + drop(dense(self.width, name="contract")(hidden)))


class Encoder(nn.Module):
    """Embeddings of tokens and of T positions, blocks, and the head of the published code: a dense layer, a norm,
    the embeddings again and a bias."""

    vocabulary: int
    rows: int
    """Of the embeddings: V, or V + 1."""
    context: int
    layers: int
    heads: int
    width: int
    inner: int
    epsilon: float
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, tokens: Array, lengths: Array, *, train: bool = False) -> Array:
        """tokens [B, T] -> logits [B, T, V]."""
        dtype, small = jnp.dtype(self.dtype), nn.initializers.truncated_normal(0.02)
        norm = partial(LayerNorm, epsilon=self.epsilon, dtype=dtype)
        embed = Embed(self.rows, self.width, embedding_init=small, dtype=dtype, name="tokens")
        places = Embed(self.context, self.width, embedding_init=small, dtype=dtype, name="positions")
        x = norm(name="norm_0")(embed(tokens) + places(jnp.arange(tokens.shape[1]))[None])
        x = nn.Dropout(self.dropout)(x, deterministic=not train)
        for index in range(self.layers):
            block = Block(
                self.heads, self.width, self.inner, self.epsilon, self.dropout, self.dtype, name=f"blocks_{index}"
            )
            x = block(x, lengths, train=train)
        x = nn.gelu(Dense(self.width, kernel_init=small, dtype=dtype, name="transform")(x), approximate=False)
        logits = embed.attend(norm(name="norm")(x))[..., : self.vocabulary]
        bias = self.param("bias", nn.initializers.zeros, (self.vocabulary,))
        return logits + bias.astype(logits.dtype)[None, None, :]
