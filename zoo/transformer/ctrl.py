"""CTRL (Keskar et al. 2019, arXiv:1909.05858): a language model that is told, by a first token, what kind of text to
write."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from zoo import decoding, tokens
from zoo.errors import UserError
from zoo.losses import token_nll
from zoo.model import Array, Batch, Carry, Extra, Metrics, Params, Phase
from zoo.tokens import DROPOUT
from zoo.transformer import decoder
from zoo.transformer.decoder import Decoder

WITHHELD = 2  # what the step's key is folded with


@dataclass(frozen=True, kw_only=True)
class CTRL:
    """Pre-norm blocks with ReLU and sinusoid positions (section 3.1). In front of every text stands the control code of
    the kind that it is of, p(x | c) (section 3); of some training texts the code is withheld, so that the model can
    write without one, or be guided by one (`zoo.guidance`). Codes are the batch's ``label``.

    Its paper's penalised sampling is `zoo.rules.RepetitionPenalty`, in three forms; its source attribution (section 5)
    is `attribution`.
    """

    vocabulary: int = 256
    """V, different tokens; codes are tokens behind them."""
    classes: int = 2
    """Different codes."""
    context: int = 256
    """T, positions that one token may see, itself included, its code aside."""
    layers: int = 4
    heads: int = 4
    width: int = 128
    """D."""
    inner: int | None = None
    """Units between the two layers of a block's MLP; None: four times ``width``."""
    dropout: float = 0.1
    withheld: float = 0.1
    """The share of texts whose code is not shown."""
    start_token: int = 0
    """What a sample without a prompt begins with, behind its code."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    player: ClassVar[str] = "ctrl"
    capacity = property(decoder.capacity)
    sample_length = property(decoder.sample_length)
    init = decoder.init
    emit, start, sample = tokens.emit, tokens.start, decoding.sample

    def __post_init__(self):
        decoder.check_heads(self.width, self.heads)

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(self.player, self.loss),)

    @property
    def network(self) -> Decoder:
        return Decoder(
            vocabulary=self.vocabulary + self.classes + 1, context=self.context + 1, layers=self.layers,
            heads=self.heads, width=self.width, inner=self.inner, placing="sines", activation="relu",
            dropout=self.dropout, dtype=self.dtype,
        )  # fmt: skip

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        label = jax.ShapeDtypeStruct((batch_size,), jnp.int32)
        return tokens.batch_spec(self, batch_size) | {"label": label}

    def codes(self, labels: Array | None, rows: int) -> Array:
        """Labels [B], or none -> control tokens [B, 1]."""
        none = jnp.full(rows, self.vocabulary + self.classes, jnp.int32)
        return (none if labels is None else self.vocabulary + jnp.asarray(labels, jnp.int32))[:, None]

    def logits(self, params: Params, tokens: Array, key: Array | None = None, *, codes: Array | None = None) -> Array:
        """tokens [B, T] behind control tokens [B, 1] -> logits [B, T, V] of the tokens after; with dropout where there
        is a ``key``."""
        codes = self.codes(None, tokens.shape[0]) if codes is None else codes
        rngs = None if key is None else {"dropout": key}
        whole = jnp.concatenate([codes, tokens], axis=1)
        found = decoder.apply(self, params, whole, train=key is not None, rngs=rngs)
        return found[:, 1:, : self.vocabulary]

    def loss(
        self, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
    ) -> tuple[Array, tuple[Extra, Metrics]]:
        """Mean nats of a token given its code and the tokens before it (equation 2)."""
        del step
        codes = self.codes(batch["label"], batch["label"].shape[0])
        hidden = jax.random.uniform(jax.random.fold_in(key, WITHHELD), codes.shape) < self.withheld
        codes = jnp.where(hidden, self.vocabulary + self.classes, codes)
        nats, real = self.nats(params, batch, jax.random.fold_in(key, DROPOUT), codes)
        return jnp.sum(nats) / jnp.sum(real), (extra, {})

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """``nll`` of a token given its code; ``attributed``: the share of texts whose own code explains them best."""
        del extra, key
        nats, real = self.nats(params, batch, None, self.codes(batch["label"], batch["label"].shape[0]))
        best = jnp.argmax(self.attribution(params, batch), axis=1)
        right = jnp.sum(best == batch["label"], dtype=nats.dtype)
        return {
            "nll": (jnp.sum(nats), jnp.sum(real, dtype=nats.dtype)),
            "attributed": (right, jnp.asarray(len(best), nats.dtype)),
        }

    def nats(self, params: Params, batch: Batch, key: Array | None, codes: Array) -> tuple[Array, Array]:
        """Nats [B, T] of tokens[:, 1:], 0 past ``length``, and which are real."""
        text = batch["tokens"]
        logits = self.logits(params, text[:, :-1], key, codes=codes)
        real = jnp.arange(1, text.shape[1])[None, :] < batch["length"][:, None]
        return jnp.where(real, token_nll(logits, text[:, 1:]), 0), real

    def attribution(self, params: Params, batch: Batch) -> Array:
        """log p(code | text) [B, codes] of texts (``tokens``, ``length``) by Bayes' rule, all codes being as likely:
        section 5."""
        rows = batch["tokens"].shape[0]
        of = lambda label: -jnp.sum(self.nats(params, batch, None, self.codes(jnp.full(rows, label), rows))[0], axis=1)
        return jax.nn.log_softmax(jax.lax.map(of, jnp.arange(self.classes)).T, axis=1)

    # ---- Writing: ``cond`` is labels [B] ---------------------------------------------------------------------------

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """tokens [B, T] -> logits [B, T, V]."""
        del extra
        return self.logits(params, tokens, codes=self.codes(cond, tokens.shape[0]))

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        """The carry is a `Decoder`'s, with the code in front."""
        whole = jnp.concatenate([self.codes(cond, prompt.shape[0]), prompt], axis=1)
        if capacity > self.context:
            raise UserError(f"{capacity} tokens do not fit into a context of {self.context}")
        carry, logits = decoder.apply(self, params, whole, lengths + 1, capacity + 1, method="prefill")
        return carry, logits[:, : self.vocabulary]

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        carry, logits = decoder.decode(self, params, extra, carry, token)
        return carry, logits[:, : self.vocabulary]
