"""Drums played anew: a score humanised, taps drummed, a groove as its model understands it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.options import DRAWS, Options
from sample.steer import sampler_of
from zoo.codecs.drums import CLASSES, PITCHES, DrumGrid
from zoo.codecs.midi import read_midi
from zoo.decoding import Greedy, Sampler
from zoo.errors import UserError


def played(run: Any, options: Options) -> list[np.ndarray]:
    """Grooves [T, 27] of ``options.n`` (1) performances of --play's file, window by window.

    Each window is encoded by its mean. A model that has learnt from scores strikes what the score has; every other
    one what it would. Several performances, or one with --temperature, are draws; else it is the most probable one.
    """
    model, codec = run.model, run.codec
    if not (isinstance(codec, DrumGrid) and hasattr(model, "hears")):
        raise UserError(f"--play: {run.config.name} has not learnt to drum; groovae has")
    count, grid = options.n or 1, groove_of(model, codec, Path(options.play or "").expanduser())
    pad = -len(grid) % model.length
    windows = np.pad(grid, ((0, pad), (0, 0))).reshape(-1, model.length, grid.shape[1])
    latents = model.encode(run.params, run.extra, jnp.asarray(windows))
    hits = jnp.asarray(windows[..., :CLASSES]) if model.hears == "score" else None
    rows = []
    for number in range(count):
        key = jax.random.fold_in(jax.random.key(options.seed), number)
        how = {"sampler": chosen(options, drawn=count > 1), "key": key, "hits": hits}
        rows.append(np.asarray(model.render(run.params, run.extra, latents, **how)).reshape(-1, grid.shape[1]))
    return rows


def groove_of(model: Any, codec: DrumGrid, path: Path) -> np.ndarray:
    """A file's drums as a groove [T, 27], T at least 1; to a model that hears taps, notes of any pitch are taps."""
    notes = read_midi(path)
    if model.hears == "taps" and not notes.drum.any():
        notes = replace(notes, drum=np.ones(len(notes), bool), pitch=np.full(len(notes), PITCHES[0]))
    grid = codec.encode(notes)
    if not len(grid):
        raise UserError(f"{path} holds no drums")
    return grid


def chosen(options: Options, *, drawn: bool = False) -> Sampler:
    """Draws where the options ask for them, or where they must differ; else the most probable."""
    asked = drawn or any(getattr(options, name) != getattr(Options(), name) for name in DRAWS)
    return sampler_of(options, rolls=False) if asked and not options.greedy else Greedy()
