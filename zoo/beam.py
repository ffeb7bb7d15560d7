"""Beam search: the most probable continuations, instead of draws."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from zoo.decoding import begin, repeated
from zoo.errors import UserError
from zoo.model import Array, Decodes, Extra, Params
from zoo.rules import Rule, apply_rules, read_token


def beam_search(
    model: Decodes,
    params: Params,
    extra: Extra,
    *,
    prompt: Array,
    lengths: Array,
    length: int,
    beams: int = 4,
    length_penalty: float | Array = 0.6,
    rules: tuple[Rule, ...] = (),
    stop: int | None = None,
    cond: Any = None,
) -> tuple[Array, Array]:
    """The best ``beams`` continuations of ragged prompts [B, P], as `zoo.decoding.generate` takes them.

    Returns tokens [B, beams, length], the best first, ``stop`` behind each one's end, and scores [B, beams] in nats:
    log p(Y | X) / ((5 + |Y|) / 6) ** length_penalty, Wu et al. 2016 (arXiv:1609.08144), equation 14 without coverage;
    |Y| counts ``stop``. What has ended waits beside the beams that go on and is displaced by better ends only; so with
    beams enough the search is exact. UserError where prompt and continuation do not fit into the model.
    """
    if model.capacity is not None and prompt.shape[1] + length > model.capacity:
        raise UserError(f"beams do not slide: {prompt.shape[1] + length} tokens in a context of {model.capacity}")
    prompt, lengths = jnp.asarray(prompt), jnp.asarray(lengths, jnp.int32)
    states = begin(model, params, extra, rules, prompt, lengths, room=length, cond=cond)
    return _search(
        model, params, extra, prompt, lengths, states, length_penalty,
        rules=rules, cond=cond, length=length, beams=beams, stop=stop,
    )  # fmt: skip


@functools.partial(jax.jit, static_argnums=0, static_argnames=("length", "beams", "stop"))
def _search(
    model, params, extra, prompt, lengths, states, length_penalty, *, rules, cond, length, beams, stop
) -> tuple[Array, Array]:
    rows = prompt.shape[0]
    penalty = lambda count: ((5 + count) / 6) ** length_penalty
    carry, output = model.prefill(params, extra, prompt, lengths, capacity=prompt.shape[1] + length, cond=cond)
    carry, output, states = repeated((carry, output, states), beams)
    fresh = jnp.full((rows, beams, length), 0 if stop is None else stop, jnp.int32)
    none = jnp.full((rows, beams), -jnp.inf, jnp.promote_types(output.dtype, jnp.float32))
    search = {
        "tokens": fresh,
        "log_p": none.at[:, 0].set(0),  # the beams are one until they part
        "ended": fresh,
        "scores": none,
    }

    def step(state, index):
        carry, output, states, search = state
        logits = jax.vmap(functools.partial(apply_rules, rules))(states, output)
        nats = jax.nn.log_softmax(logits.astype(none.dtype)).reshape(rows, beams, -1)
        search, parent, token = _extend(search, nats, index, penalty(index + 1), stop)
        flat = (jnp.arange(rows)[:, None] * beams + parent).reshape(-1)
        carry, states = jax.tree.map(lambda leaf: leaf[flat], (carry, states))
        states = jax.vmap(functools.partial(read_token, rules))(states, token.reshape(-1))
        carry, output = model.decode(params, extra, carry, token.reshape(-1))
        return (carry, output, states, search), None

    (_, _, _, search), _ = jax.lax.scan(step, (carry, output, states, search), jnp.arange(length))
    tokens = jnp.concatenate([search["ended"], search["tokens"]], axis=1)
    scores = jnp.concatenate([search["scores"], search["log_p"] / penalty(length)], axis=1)
    return _best(tokens, scores, beams)


def _extend(search, nats: Array, index: Array, penalty: Array, stop: int | None):
    """One more token: nats [B, K, V] of it -> the search, and of every beam that goes on its parent and token [B, K].

    Twice as many candidates as beams: however many of them end, enough are left to go on.
    """
    rows, beams, size = nats.shape
    total = (search["log_p"][:, :, None] + nats).reshape(rows, beams * size)
    log_p, best = jax.lax.top_k(total, min(2 * beams, beams * size))
    parent, token = best // size, (best % size).astype(jnp.int32)
    tokens = jnp.take_along_axis(search["tokens"], parent[:, :, None], axis=1)
    tokens = jax.lax.dynamic_update_index_in_dim(tokens, token, index, 2)
    ends = jnp.zeros(token.shape, bool) if stop is None else token == stop
    ended, scores = _best(
        jnp.concatenate([search["ended"], tokens], axis=1),
        jnp.concatenate([search["scores"], jnp.where(ends, log_p / penalty, -jnp.inf)], axis=1),
        beams,
    )
    log_p, going = jax.lax.top_k(jnp.where(ends, -jnp.inf, log_p), beams)
    of = lambda array: jnp.take_along_axis(array, going, axis=1)
    tokens = jnp.take_along_axis(tokens, going[:, :, None], axis=1)
    return {"tokens": tokens, "log_p": log_p, "ended": ended, "scores": scores}, of(parent), of(token)


def _best(tokens: Array, scores: Array, count: int) -> tuple[Array, Array]:
    """The ``count`` best of tokens [B, N, T] by scores [B, N], in order."""
    scores, best = jax.lax.top_k(scores, count)
    return jnp.take_along_axis(tokens, best[:, :, None], axis=1), scores
