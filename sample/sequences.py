"""Text and music that go on from a prompt, or begin from nothing."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from zoo.decoding import Sampler, generate, stopped
from zoo.model import Array, Extra, Params, SequenceModel

CHUNK = 64  # rows decoded at once


def opening(model: SequenceModel) -> np.ndarray:
    """The prompt [1, ...] of a sample that begins from nothing."""
    return np.asarray(model.start(1))[0]


def prompt_of(model: SequenceModel, codec: Any, thing: Any) -> np.ndarray:
    """Text or notes as the model reads them in training, open at the end: [P] tokens, or [P, 88] frames behind the
    silent one that rolls begin with. A text without characters is `opening`."""
    row = np.asarray(codec.encode(thing))
    if row.ndim == 2:
        return np.concatenate([opening(model).astype(row.dtype), row])
    if getattr(codec, "stop", None) is not None and len(row) and row[-1] == codec.stop:
        row = row[:-1]
    return row if len(row) else opening(model)


def own_part(codec: Any, row: np.ndarray, *, prompted: bool) -> np.ndarray:
    """A row without what only told the model to begin: the silent first frame of a roll, the newline before a text.
    Music codecs know their own START."""
    if row.ndim == 2 or (codec.media == "text" and not prompted):
        return row[1:]
    return row


def continued(
    model: SequenceModel,
    params: Params,
    extra: Extra,
    key: Array,
    prompts: Sequence[np.ndarray],
    *,
    length: int,
    sampler: Sampler,
    numbers: Sequence[int] | None = None,
    stop: int | None = None,
    align: int = 1,
) -> list[np.ndarray]:
    """Each prompt [P_i, ...] with ``length`` more positions behind it.

    ``numbers``: what the rows' draws are keyed by (0, 1, ...). A row does not depend on the others: those that fit into
    the model's context go on together, however long their prompts; the others with their equals in length.
    ``align``: positions from one place to the next where a training window may begin. A context that slides does so by
    whole windows, so it is filled up to such a place first.
    """
    numbers = range(len(prompts)) if numbers is None else numbers
    groups: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompts):
        fits = model.capacity is None or len(prompt) + length <= model.capacity
        groups.setdefault(0 if fits else len(prompt), []).append(row)
    whole: dict[int, np.ndarray] = {}
    for size, members in groups.items():
        head = min(-size % align, length)
        for part in (members[at : at + CHUNK] for at in range(0, len(members), CHUNK)):
            rows, keyed = [prompts[row] for row in part], np.array([numbers[row] for row in part], np.int32)
            for count in filter(None, (head, length - head)):
                prompt, lengths = ragged(rows)
                more = generate(
                    model,
                    params,
                    extra,
                    key,
                    prompt=jnp.asarray(prompt),
                    lengths=jnp.asarray(lengths),
                    length=count,
                    sampler=sampler,
                    rows=jnp.asarray(keyed),
                    stop=stop,
                )
                rows = [np.concatenate(both) for both in zip(rows, np.asarray(more), strict=True)]
            whole.update(zip(part, rows, strict=True))
    return [_ended(whole[row], len(prompt), stop) for row, prompt in enumerate(prompts)]


def ragged(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows [T_i, ...] -> [B, T, ...] padded with zeros, and int32 [B] lengths."""
    lengths = np.array([len(row) for row in rows], np.int32)
    padded = np.zeros((len(rows), lengths.max(), *rows[0].shape[1:]), rows[0].dtype)
    for at, row in enumerate(rows):
        padded[at, : len(row)] = row
    return padded, lengths


def _ended(row: np.ndarray, size: int, stop: int | None) -> np.ndarray:
    """The row, with nothing but ``stop`` behind the first one after its prompt of ``size``."""
    return np.concatenate([row[:size], stopped(row[None, size:], stop)[0]])
