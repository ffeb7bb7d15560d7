"""The one decode loop: every sequence model generates through `generate`, whole on the device.

A row's draws depend on the run's key, the row's number and the position only: not on the batch it is in, nor on how far
its neighbours' prompts reach. Rows of a ragged batch give what each would give alone.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.errors import UserError
from zoo.model import Array, Extra, Params, SequenceModel


@functools.partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=[])
@dataclass(frozen=True)
class Greedy:
    """The most probable token."""

    def draw(self, logits: Array, key: Array) -> Array:
        """logits [V] -> int32 []."""
        del key
        return jnp.argmax(logits).astype(jnp.int32)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["temperature", "top_p"], meta_fields=["top_k"])
@dataclass(frozen=True)
class Sampling:
    """A draw from softmax(logits / temperature), cut to the ``top_k`` most probable tokens (Fan et al. 2018) and then
    to the smallest set whose probability reaches ``top_p`` (Holtzman et al. 2020); None is no cut."""

    temperature: float | Array = 1.0
    top_p: float | Array | None = None
    top_k: int | None = field(default=None)

    def draw(self, logits: Array, key: Array) -> Array:
        """logits [V] -> int32 []."""
        return jax.random.categorical(key, self.cut(logits)).astype(jnp.int32)

    def cut(self, logits: Array) -> Array:
        """Tempered logits [V], with -inf for the tokens that are cut."""
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32)) / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = jax.lax.top_k(logits, self.top_k)[0][-1]
            logits = jnp.where(logits < least, -jnp.inf, logits)
        if self.top_p is not None:
            order = jnp.argsort(logits, descending=True)
            probabilities = jax.nn.softmax(logits[order])
            before = jnp.cumsum(probabilities) - probabilities  # mass of the strictly better tokens
            kept = jnp.zeros(logits.shape, bool).at[order].set(before < self.top_p)
            logits = jnp.where(kept, logits, -jnp.inf)
        return logits


Sampler = Greedy | Sampling


def generate(
    model: SequenceModel,
    params: Params,
    extra: Extra,
    key: Array,
    *,
    prompt: Array,
    lengths: Array,
    length: int,
    sampler: Sampler = Sampling(),
    rows: Array | None = None,
    stop: int | None = None,
    align: int = 1,
    cond: Any = None,
) -> Array:
    """Continues ragged prompts by ``length`` tokens each.

    prompt [B, P] holds ``lengths[b]`` >= 1 tokens a row, then padding. ``rows`` int32 [B] are the numbers that the
    rows' draws are keyed by (0..B-1). After ``stop`` a row repeats it. Returns the new tokens [B, length]. One
    compilation for each P, ``length`` and batch size; temperature and top-p may change without another.

    A row that does not fit into the model's ``capacity`` slides: whenever its window is full it goes on from the newest
    half of what it has, beginning at a multiple of ``align`` positions (where training windows begin: a beat, a bar)
    if half a window has room for that many.
    """
    rows = jnp.arange(prompt.shape[0]) if rows is None else jnp.asarray(rows)
    lengths = jnp.asarray(lengths, jnp.int32)
    decode = functools.partial(_decode, model, params, extra, key, sampler=sampler, cond=cond, stop=stop)
    if model.capacity is None or prompt.shape[1] + length <= model.capacity:
        return decode(jnp.asarray(prompt), lengths, lengths, rows, length=length)
    return _slide(decode, prompt, np.asarray(lengths), np.asarray(rows), length, model.capacity, align, stop)


@functools.partial(jax.jit, static_argnums=0, static_argnames=("length", "stop"))
def _decode(model, params, extra, key, prompt, lengths, origin, rows, *, sampler, cond, length, stop):
    """Prefill, then ``length`` steps in one scan. ``origin`` [B]: the absolute position of each row's first new
    token."""
    capacity = prompt.shape[1] + length
    carry, output = model.prefill(params, extra, prompt, lengths, capacity=capacity, cond=cond)
    row_keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)
    draw = jax.vmap(lambda output, key, at: model.emit(output, jax.random.fold_in(key, at), sampler))

    def step(state, index):
        carry, output, done = state
        token = draw(output, row_keys, origin + index)
        if stop is not None:
            token = jnp.where(done, stop, token)
            done = done | (token == stop)
        carry, output = model.decode(params, extra, carry, token)
        return (carry, output, done), token

    done = jnp.zeros(rows.shape, bool)
    _, tokens = jax.lax.scan(step, (carry, output, done), jnp.arange(length))
    return jnp.moveaxis(tokens, 0, 1)


def _slide(decode, prompt, lengths, rows, length, capacity, align, stop):
    """`generate` past the context. Rows that would fit alone are decoded whole, as they would be alone."""
    if capacity < 2:
        raise UserError(f"a context of {capacity} cannot slide; ask for at most {capacity} tokens in all")
    texts = [np.asarray(row)[:count] for row, count in zip(prompt, lengths, strict=True)]
    fits = lengths + length <= capacity
    for group, new in ((np.flatnonzero(fits), length), (np.flatnonzero(~fits), capacity // 2)):
        kept = capacity - new
        for made in range(0, length if group.size else 0, new):
            window, counts = ragged([newest(texts[row], kept, align) for row in group], None if new == length else kept)
            more = decode(jnp.asarray(window), counts, lengths[group] + made, rows[group], length=new)
            for row, tokens in zip(group, np.asarray(more), strict=True):
                texts[row] = np.concatenate([texts[row], tokens])
    fresh = [text[count : count + length] for text, count in zip(texts, lengths, strict=True)]
    return jnp.asarray(stopped(np.stack(fresh), stop))


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
