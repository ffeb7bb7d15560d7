"""Music in another style: whole pieces, however long they are."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.classes import label_of
from sample.grooves import chosen
from sample.options import Options
from sample.translation import files_at
from train.data.music import SUFFIXES
from train.flags import jit
from zoo.codecs.midi import read_midi
from zoo.decoding import Sampler
from zoo.errors import UserError
from zoo.model import Array


def restyled(run: Any, options: Options) -> list[np.ndarray]:
    """Rolls [T, 88] of --translate's files in the style that --label names, of which each has the length of its file.

    The most probable notes, or draws where the options ask for them.
    """
    if not hasattr(run.model, "restyle"):
        raise UserError(f"{run.config.name} has learnt no styles; midi-style has")
    if options.translate is None or options.label is None:
        missing = "--translate FILE.mid" if options.translate is None else "--label NAME"
        names = ", ".join(run.data.get("labels", ()))
        raise UserError(f"music in another style takes a file and a style, of {names}: add {missing}")
    label, rows = label_of(run, options), []
    for number, file in enumerate(scores_of(options)):
        roll = run.codec.encode(read_midi(file))
        if not len(roll):
            raise UserError(f"--translate {file}: holds no music")
        key = jax.random.fold_in(jax.random.key(options.seed), number)
        rows.append(in_style(run, roll, label or 0, key, sampler=chosen(options)))
    return rows


def scores_of(options: Options) -> list[Path]:
    """The MIDI files that --translate names, in order."""
    return files_at(options.translate or "", options.n, suffixes=sorted(SUFFIXES))


def in_style(run: Any, roll: np.ndarray, label: int, key: Array, *, sampler: Sampler) -> np.ndarray:
    """A roll [T, 88] -> [T, 88] in a style. It is written in one go, so that there are no seams; behind its end it is
    silent up to a whole window, so that pieces of about one length are compiled for once."""
    padded = np.pad(roll, ((0, -len(roll) % run.model.length), (0, 0)))
    labels = jnp.full(1, label, jnp.int32)
    made = _restyle(run.model, sampler, run.params, run.extra, jnp.asarray(padded)[None], labels, key)
    return np.asarray(made)[0, : len(roll)]


@functools.partial(jit, static_argnums=(0, 1))
def _restyle(model: Any, sampler: Sampler, params: Any, extra: Any, roll: Array, label: Array, key: Array) -> Array:
    return model.restyle(params, extra, roll, label, key, sampler=sampler)
