"""Text and music that go on from a prompt, or begin from nothing."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.beam import beam_search
from zoo.decoding import Sampler, generate, ragged
from zoo.model import Array, Decodes, Extra, Params
from zoo.rules import Rule

CHUNK = 64  # rows decoded at once


def opening(model: Decodes) -> np.ndarray:
    """The prompt [1, ...] of a sample that begins from nothing."""
    return np.asarray(model.start(1))[0]


def prompt_of(model: Decodes, codec: Any, thing: Any) -> np.ndarray:
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
    model: Decodes,
    params: Params,
    extra: Extra,
    key: Array,
    prompts: Sequence[np.ndarray],
    *,
    length: int,
    sampler: Sampler,
    rules: tuple[Rule, ...] = (),
    numbers: Sequence[int] | None = None,
    stop: int | None = None,
    align: int = 1,
    cond: Any = None,
) -> list[np.ndarray]:
    """Each prompt [P_i, ...] with ``length`` more positions behind it.

    ``numbers``: what the rows' draws are keyed by (0, 1, ...); a row does not depend on the others. ``align``: as for
    `generate`. ``cond``: what the model is told, leaves [rows, ...]; of a model that reads primers otherwise than it
    writes, None is that all of a prompt is one.
    """
    keyed = jnp.asarray(range(len(prompts)) if numbers is None else numbers)
    whole = []
    for at in range(0, len(prompts), CHUNK):
        prompt, lengths = map(jnp.asarray, ragged(prompts[at : at + CHUNK]))
        more = generate(
            model, params, extra, key, prompt=prompt, lengths=lengths, length=length, sampler=sampler,
            rules=rules, rows=keyed[at : at + CHUNK], stop=stop, align=align,
            cond=told(model, prompt, lengths, jax.tree.map(lambda leaf, at=at: leaf[at : at + CHUNK], cond)),
        )  # fmt: skip
        whole += map(np.concatenate, zip(prompts[at : at + CHUNK], np.asarray(more), strict=True))
    return whole


def searched(
    model: Decodes,
    params: Params,
    extra: Extra,
    prompts: Sequence[np.ndarray],
    *,
    length: int,
    beams: int,
    best: int,
    rules: tuple[Rule, ...] = (),
    stop: int | None = None,
    cond: Any = None,
) -> list[np.ndarray]:
    """Each prompt with the ``best`` most probable continuations that ``beams`` beams find, one after the other."""
    prompt, lengths = map(jnp.asarray, ragged(prompts))
    found, _ = beam_search(
        model, params, extra, prompt=prompt, lengths=lengths, length=length, beams=beams, rules=rules, stop=stop,
        cond=told(model, prompt, lengths, cond),
    )  # fmt: skip
    return [
        np.concatenate([prompt, more])
        for prompt, rows in zip(prompts, np.asarray(found)[:, :best], strict=True)
        for more in rows
    ]


def told(model: Any, prompt: Array, lengths: Array, cond: Any) -> Any:
    """``cond``, or where there is none what a model that reads primers otherwise than it writes makes of prompts."""
    return model.primed(prompt, lengths) if cond is None and hasattr(model, "primed") else cond
