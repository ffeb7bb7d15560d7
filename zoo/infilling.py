"""Infilling: what is missing anywhere in a sequence, written by a model that reads both sides of it."""

import functools
from typing import Literal, Protocol

import jax
import jax.numpy as jnp

from zoo.decoding import Sampler, Sampling
from zoo.model import Array, Params

Order = Literal["random", "confident"]
ORDER = 1  # what a position's key is folded with to say when its turn is


class MaskedModel(Protocol):
    """What infilling asks of a model."""

    def denoise(self, params: Params, tokens: Array, missing: Array, lengths: Array) -> Array:
        """tokens [B, T], bool [B, T] of those that the model may not see, lengths [B] -> logits [B, T, V]."""
        ...


@functools.partial(jax.jit, static_argnums=0, static_argnames=("steps", "order"))
def infill(
    model: MaskedModel,
    params: Params,
    key: Array,
    *,
    tokens: Array,
    missing: Array,
    lengths: Array | None = None,
    rows: Array | None = None,
    steps: int | None = None,
    sampler: Sampler = Sampling(),
    order: Order = "random",
) -> Array:
    """tokens [B, T] with those at ``missing`` (bool [B, T]) drawn anew, and the others as they are.

    The gaps close over ``steps`` readings, evenly (Ghazvininejad et al. 2019, arXiv:1904.09324, section 3); None is a
    reading a token. ``order``: "random" is ancestral sampling in an order drawn for each row (Uria et al. 2014,
    arXiv:1310.1757, section 4); "confident" keeps at each reading the draws that the model finds most probable (Chang
    et al. 2022, arXiv:2202.04200, section 3.2). ``lengths``: the tokens of a row that are real (T). A row's draws
    depend on ``key``, its number in ``rows`` (0..B-1) and their positions only.
    """
    size = tokens.shape[1]
    steps = size if steps is None else steps
    lengths = jnp.full(tokens.shape[0], size) if lengths is None else lengths
    rows = jnp.arange(tokens.shape[0]) if rows is None else rows
    missing = missing & (jnp.arange(size)[None, :] < lengths[:, None])
    at_first = jnp.sum(missing, axis=1)
    of_row = lambda row: jax.vmap(functools.partial(jax.random.fold_in, jax.random.fold_in(key, row)))(jnp.arange(size))
    keys = jax.vmap(of_row)(rows)  # [B, T]
    chance = jax.vmap(jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, ORDER))))(keys)

    def step(state: tuple[Array, Array], index: Array) -> tuple[tuple[Array, Array], None]:
        tokens, missing = state
        logits = model.denoise(params, tokens, missing, lengths)
        drawn = jax.vmap(jax.vmap(sampler.draw))(logits, keys).astype(tokens.dtype)
        nats = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
        certain = jnp.take_along_axis(nats, drawn[..., None], axis=-1)[..., 0]
        score = jnp.where(missing, certain if order == "confident" else chance, -jnp.inf)
        left = at_first - (at_first * (index + 1) + steps - 1) // steps
        rank = jnp.argsort(jnp.argsort(score, axis=1, descending=True), axis=1)
        now = missing & (rank < (jnp.sum(missing, axis=1) - left)[:, None])
        return (jnp.where(now, drawn, tokens), missing & ~now), None

    return jax.lax.scan(step, (tokens, missing), jnp.arange(steps))[0][0]


@functools.partial(jax.jit, static_argnums=0, static_argnames=("steps", "share"))
def gibbs(
    model: MaskedModel,
    params: Params,
    key: Array,
    *,
    tokens: Array,
    missing: Array,
    lengths: Array | None = None,
    rows: Array | None = None,
    steps: int = 64,
    share: tuple[float, float] = (0.9, 0.05),
    sampler: Sampler = Sampling(),
) -> Array:
    """tokens [B, T] with those at ``missing`` rewritten again and again: blocked Gibbs sampling with an annealed share
    (Yao et al. 2014, as Huang et al. 2017, arXiv:1903.07227, do it).

    At each of ``steps`` every missing token is erased with a probability that falls evenly from ``share[0]`` to
    ``share[1]`` over the first four fifths of them, and all that is erased is drawn at once, each token on its own, of
    what is left. The first step erases all that is missing. ``lengths``, ``rows`` and ``key`` as for `infill`.
    """
    size = tokens.shape[1]
    lengths = jnp.full(tokens.shape[0], size) if lengths is None else lengths
    rows = jnp.arange(tokens.shape[0]) if rows is None else rows
    missing = missing & (jnp.arange(size)[None, :] < lengths[:, None])
    row_keys = jax.vmap(functools.partial(jax.random.fold_in, key))(rows)

    at = lambda key: jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(size))  # a key a position

    def step(tokens: Array, index: Array) -> tuple[Array, None]:
        first, last = share
        alpha = jnp.maximum(last, first - index * (first - last) / (0.8 * steps))
        keys = jax.vmap(lambda key: at(jax.random.fold_in(key, index)))(row_keys)  # [B, T]
        chance = jax.vmap(jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, ORDER))))(keys)
        erased = missing & ((chance < alpha) | (index == 0))
        drawn = jax.vmap(jax.vmap(sampler.draw))(model.denoise(params, tokens, erased, lengths), keys)
        return jnp.where(erased, drawn.astype(tokens.dtype), tokens), None

    return jax.lax.scan(step, tokens, jnp.arange(steps))[0]
