"""What every model over tokens that decodes from left to right does alike, written once.

Functions of the model, to be methods of it: ``loss = tokens.loss`` in the class's body. Such a model says how many
tokens there are, how many a window predicts, what a sample begins with, and its ``logits``.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from zoo.decoding import Sampler
from zoo.losses import next_token_nll
from zoo.model import Array, Batch, Extra, Metrics, Params

DROPOUT = 1  # what the step's key is folded with


class TokenModel(Protocol):
    """What the functions below ask of a model."""

    @property
    def vocabulary(self) -> int: ...

    @property
    def context(self) -> int: ...

    @property
    def start_token(self) -> int: ...

    def logits(self, params: Params, tokens: Array, key: Array | None = None) -> Array:
        """tokens [B, T] -> logits [B, T, V] of the tokens after; with dropout where there is a ``key``."""
        ...


def batch_spec(model: TokenModel, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """``context`` positions are predicted, so that a window holds one token more."""
    return {
        "tokens": jax.ShapeDtypeStruct((batch_size, model.context + 1), jnp.int32),
        "length": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
    }


def loss(
    model: TokenModel, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
) -> tuple[Array, tuple[Extra, Metrics]]:
    """Mean nats of a token given those before it, over the real positions of the batch."""
    del step
    logits = model.logits(params, batch["tokens"][:, :-1], jax.random.fold_in(key, DROPOUT))
    total, count = next_token_nll(logits, batch)
    return total / count, (extra, {})


def evaluate(
    model: TokenModel, params: Params, extra: Extra, batch: Batch, key: Array
) -> dict[str, tuple[Array, Array]]:
    """``nll``: nats of all predicted tokens, and how many."""
    del extra, key
    return {"nll": next_token_nll(model.logits(params, batch["tokens"][:, :-1]), batch)}


def outputs(model: TokenModel, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
    """tokens [B, T] -> logits [B, T, V]."""
    del extra, cond
    return model.logits(params, tokens)


def emit(model: Any, params: Params, output: Array, key: Array, sampler: Sampler) -> Array:
    """The next token of one row, drawn from its logits [V]."""
    del model, params
    return sampler.draw(output, key)


def start(model: Any, n: int) -> Array:
    """[n, 1] start tokens."""
    return jnp.full((n, 1), model.start_token, jnp.int32)
