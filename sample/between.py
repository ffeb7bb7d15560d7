"""From one melody to another through a latent space."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.latent import slerp
from sample.options import DRAWS, Options, flag
from sample.steer import sampler_of
from sample.voices import melody_of
from zoo.codecs.midi import read_midi
from zoo.codecs.voices import REST, START, VOICES, VoiceGrid
from zoo.decoding import Greedy
from zoo.errors import UserError
from zoo.music.grid import tokens_of


def interpolated(run: Any, options: Options) -> np.ndarray:
    """--primer's two pieces and what lies between them, --interpolate of them in all, one after the other: tokens [T].

    Each is read as far as the model reads and encoded by its mean; the way between is a great circle. What a latent
    means is written by its most probable cells, or by draws where the options ask for them.
    """
    model, params, extra = run.model, run.params, run.extra
    if not (hasattr(model, "encode") and isinstance(run.codec, VoiceGrid)):
        raise UserError(f"{flag('interpolate')}: {run.config.name} has no latent space; a music-vae has")
    if len(options.primer) != 2:
        raise UserError(f"{flag('interpolate')} needs the two ends: --primer FROM.mid TO.mid")
    grids = [opening_of(model, run.codec, Path(file).expanduser()) for file in options.primer]
    ends = model.encode(params, extra, tokens_of(jnp.asarray(np.stack(grids))))
    way = jnp.linspace(0, 1, options.interpolate or 2)
    latents = slerp(jnp.broadcast_to(ends[0], (len(way), ends.shape[1])), ends[1][None], way)
    drawing = any(getattr(options, name) != getattr(Options(), name) for name in DRAWS)
    sampler = sampler_of(options, rolls=False) if drawing else Greedy()
    rows = model.render(params, extra, latents, sampler=sampler, key=jax.random.key(options.seed))
    return np.concatenate([[START], np.asarray(rows)[:, 1:].ravel()])


def opening_of(model: Any, codec: VoiceGrid, path: Path) -> np.ndarray:
    """The first steps of a file that the model reads, as a grid [S, 4]: a melody alone, or all four voices."""
    notes = read_midi(path)
    grid = melody_of(codec, notes) if model.voices == "S" else codec.to_grid(codec.encode(notes))
    if not len(grid):
        raise UserError(f"{path} holds no music")
    size = model.context // VOICES
    return np.concatenate([grid[:size], np.full((max(size - len(grid), 0), VOICES), REST)]).astype(np.int32)
