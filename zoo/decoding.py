"""The one decode loop: every sequence model generates through `generate`, whole on the device.

A row's draws depend on the run's key, the row's number and the position only: not on the batch it is in, nor on how far
its neighbours' prompts reach. Rows of a ragged batch give what each would give alone.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from zoo.errors import UserError
from zoo.model import Array, Decodes, Extra, Params, SequenceModel
from zoo.rules import Rule, apply_rules, read_prompts, read_token

# ---- Samplers -------------------------------------------------------------------------------------------------------


@functools.partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=[])
@dataclass(frozen=True)
class Greedy:
    """The most probable token."""

    def draw(self, logits: Array, key: Array) -> Array:
        """logits [V] -> int32 []."""
        del key
        return jnp.argmax(logits).astype(jnp.int32)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["temperature", "top_p", "min_p", "typical"],
    meta_fields=["top_k"],
)
@dataclass(frozen=True)
class Sampling:
    """A draw from softmax(logits / temperature), cut to what every field leaves, one after the other in this order;
    None is no cut. What is left keeps its proportions."""

    temperature: float | Array = 1.0
    top_p: float | Array | None = None
    top_k: int | None = field(default=None)
    min_p: float | Array | None = None
    typical: float | Array | None = None

    def draw(self, logits: Array, key: Array) -> Array:
        """logits [V] -> int32 []."""
        return jax.random.categorical(key, self.cut(logits)).astype(jnp.int32)

    def cut(self, logits: Array) -> Array:
        """Tempered logits [V], with -inf for the tokens that are cut."""
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32)) / self.temperature
        if self.top_k is not None:
            logits = top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = top_p(logits, self.top_p)
        if self.min_p is not None:
            logits = min_p(logits, self.min_p)
        if self.typical is not None:
            logits = typical(logits, self.typical)
        return logits


Sampler = Greedy | Sampling


def top_k(logits: Array, k: int) -> Array:
    """Logits [V] cut to the ``k`` highest, and what equals the last of them. Fan et al. 2018 (arXiv:1805.04833),
    section 5.1."""
    if k >= logits.shape[-1]:
        return logits
    return jnp.where(logits < jax.lax.top_k(logits, k)[0][-1], -jnp.inf, logits)


def top_p(logits: Array, p: float | Array) -> Array:
    """Logits [V] cut to the nucleus: the smallest set of most probable tokens whose mass reaches ``p``. Holtzman et al.
    2020 (arXiv:1904.09751), section 3.1. (GPT-2's published code leaves out the token that reaches it.)"""
    order = jnp.argsort(logits, descending=True)
    return _smallest_set(logits, order, p)


def min_p(logits: Array, share: float | Array) -> Array:
    """Logits [V] cut to tokens at least ``share`` times as probable as the best. Nguyen et al. 2024
    (arXiv:2407.01082), section 3."""
    return jnp.where(logits < jnp.max(logits) + jnp.log(share), -jnp.inf, logits)


def typical(logits: Array, mass: float | Array) -> Array:
    """Logits [V] cut to the smallest set, of mass ``mass`` or more, of tokens whose surprise -log p is nearest to the
    entropy. Meister et al. 2023 (arXiv:2202.00666), section 4: locally typical sampling."""
    log_p = jax.nn.log_softmax(logits)
    entropy = -jnp.sum(jnp.where(log_p > -jnp.inf, jnp.exp(log_p) * log_p, 0))
    return _smallest_set(logits, jnp.argsort(jnp.abs(entropy + log_p)), mass)


def _smallest_set(logits: Array, order: Array, mass: float | Array) -> Array:
    """Logits [V] cut to the first tokens of ``order`` whose probability together reaches ``mass``; one is always
    kept."""
    probabilities = jax.nn.softmax(logits)[order]
    before = jnp.cumsum(probabilities) - probabilities
    kept = (before < mass).at[0].set(True)
    return jnp.where(jnp.zeros(logits.shape, bool).at[order].set(kept), logits, -jnp.inf)


# ---- The loop -------------------------------------------------------------------------------------------------------


class SampledModel(SequenceModel, Protocol):
    """One that knows how long a sample is when nothing is said."""

    @property
    def sample_length(self) -> int: ...


def generate(
    model: Decodes,
    params: Params,
    extra: Extra,
    key: Array,
    *,
    prompt: Array,
    lengths: Array,
    length: int,
    sampler: Sampler = Sampling(),
    rules: tuple[Rule, ...] = (),
    rows: Array | None = None,
    num_return: int = 1,
    stop: int | None = None,
    align: int = 1,
    cond: Any = None,
) -> Array:
    """Continues ragged prompts by ``length`` tokens each.

    prompt [B, P] holds ``lengths[b]`` >= 1 tokens a row, then padding. ``rows`` int32 [B] are the numbers that the
    rows' draws are keyed by (0..B-1). After ``stop`` a row repeats it. ``rules``: what a row has read and written says
    of what may come next (zoo/rules.py). Returns the new tokens [B, length]. One compilation for each P, ``length`` and
    batch size; temperature and top-p may change without another.

    ``num_return`` N: so many continuations of each prompt, side by side in [B N, length], from one reading of it; those
    of row number r are keyed by r N .. r N + N - 1.

    A row that does not fit into the model's ``capacity`` slides: whenever its window is full it goes on from the newest
    half of what it has, beginning at a multiple of ``align`` positions (where training windows begin: a beat, a bar)
    if half a window has room for that many.
    """
    rows = jnp.arange(prompt.shape[0]) if rows is None else jnp.asarray(rows)
    rows = (rows[:, None] * num_return + jnp.arange(num_return)[None, :]).reshape(-1)
    prompt, lengths = jnp.asarray(prompt), jnp.asarray(lengths, jnp.int32)
    states = repeated(begin(model, params, extra, rules, prompt, lengths, room=length, cond=cond), num_return)
    decode = functools.partial(_decode, model, params, extra, key, sampler=sampler, rules=rules, stop=stop)
    if model.capacity is None or prompt.shape[1] + length <= model.capacity:
        return decode(prompt, lengths, lengths, rows, states, cond=cond, length=length, copies=num_return)[0]
    arrays = repeated((prompt, lengths, cond), num_return)
    return _slide(decode, arrays, rows, states, length=length, capacity=model.capacity, align=align, stop=stop)


def sample(
    model: SampledModel,
    params: Params,
    extra: Extra,
    key: Array,
    n: int,
    *,
    length: int | None = None,
    sampler: Sampler = Sampling(),
) -> Array:
    """``n`` sequences [n, length, ...] from the model's start (``length``: its ``sample_length``). A method of every
    sequence model."""
    length = model.sample_length if length is None else length
    lengths = jnp.ones(n, jnp.int32)
    return generate(model, params, extra, key, prompt=model.start(n), lengths=lengths, length=length, sampler=sampler)


def begin(model, params, extra, rules, prompt, lengths, *, room, cond) -> tuple[Any, ...]:
    """Every rule's state after each row's prompt, batch first."""
    if not rules:
        return ()
    reads = functools.partial(model.prefill, capacity=1, cond=cond)
    output = jax.eval_shape(reads, params, extra, prompt[:, :1], jnp.ones_like(lengths))[1]
    return read_prompts(rules, prompt, lengths, size=output.shape[-1], room=room)


@functools.partial(jax.jit, static_argnums=0, static_argnames=("length", "stop", "copies"))
def _decode(
    model, params, extra, key, prompt, lengths, origin, rows, states, *, sampler, rules, cond, length, stop, copies=1
):
    """Prefill, then ``length`` steps in one scan, ``copies`` of each row. ``origin`` [B]: the absolute position of each
    row's first new token. Returns the tokens and the rules' states after them."""
    capacity = prompt.shape[1] + length
    carry, output, origin = repeated(
        (*model.prefill(params, extra, prompt, lengths, capacity=capacity, cond=cond), origin), copies
    )
    row_keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)

    def draw(states, output, key, at):
        output = apply_rules(rules, states, output)
        token = model.emit(params, output, jax.random.fold_in(key, at), sampler)
        return read_token(rules, states, token), token

    def step(state, index):
        carry, output, states, done = state
        states, token = jax.vmap(draw)(states, output, row_keys, origin + index)
        if stop is not None:
            token = jnp.where(done, stop, token)
            done = done | (token == stop)
        carry, output = model.decode(params, extra, carry, token)
        return (carry, output, states, done), token

    done = jnp.zeros(rows.shape, bool)
    (_, _, states, _), tokens = jax.lax.scan(step, (carry, output, states, done), jnp.arange(length))
    return jnp.moveaxis(tokens, 0, 1), states


def _slide(decode, arrays, rows, states, *, length, capacity, align, stop):
    """`generate` past the context. Rows that would fit alone are decoded whole, as they would be alone."""
    if capacity < 2:
        raise UserError(f"a context of {capacity} cannot slide; ask for at most {capacity} tokens in all")
    prompt, lengths, cond = arrays
    lengths, of = np.asarray(lengths), lambda tree, group: jax.tree.map(lambda leaf: jnp.asarray(leaf)[group], tree)
    texts = [np.asarray(row)[:count] for row, count in zip(prompt, lengths, strict=True)]
    fits = lengths + length <= capacity
    for group, new in ((np.flatnonzero(fits), length), (np.flatnonzero(~fits), capacity // 2)):
        kept, states_of = capacity - new, of(states, group)
        for made in range(0, length if group.size else 0, new):
            window, counts = ragged([newest(texts[row], kept, align) for row in group], None if new == length else kept)
            origin, numbers = jnp.asarray(lengths[group] + made), rows[group]
            more, states_of = decode(
                jnp.asarray(window), jnp.asarray(counts), origin, numbers, states_of, cond=of(cond, group), length=new
            )
            for row, tokens in zip(group, np.asarray(more), strict=True):
                texts[row] = np.concatenate([texts[row], tokens])
    fresh = [text[count : count + length] for text, count in zip(texts, lengths, strict=True)]
    return jnp.asarray(stopped(np.stack(fresh), stop))


def repeated(tree: Any, copies: int) -> Any:
    """Leaves [B, ...] -> [B copies, ...], the copies of a row side by side."""
    return tree if copies == 1 else jax.tree.map(lambda leaf: jnp.repeat(leaf, copies, axis=0), tree)


def newest(row: np.ndarray, kept: int, align: int) -> np.ndarray:
    """The last ``kept`` positions of a row [T, ...], or fewer: from a multiple of ``align`` on, if that leaves any."""
    start = max(len(row) - kept, 0)
    return row[-(-start // align) * align if align <= kept else start :]


def ragged(rows: Sequence[np.ndarray], width: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows [T_i, ...] -> [B, T, ...] padded with zeros to the longest or to ``width``, and int32 [B] lengths."""
    lengths = np.array([len(row) for row in rows], np.int32)
    padded = np.zeros((len(rows), width or lengths.max(), *rows[0].shape[1:]), rows[0].dtype)
    for at, row in enumerate(rows):
        padded[at, : len(row)] = row
    return padded, lengths


def stopped(tokens: np.ndarray, stop: int | None) -> np.ndarray:
    """tokens [B, N] with everything after a row's first ``stop`` turned into ``stop``."""
    if stop is None:
        return tokens
    ended = np.cumsum(tokens == stop, axis=1) > 0
    return np.where(ended, stop, tokens)
