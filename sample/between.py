"""From one melody, or one groove, to another through a latent space."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.grooves import chosen, groove_of
from sample.latent import slerp
from sample.options import Options, flag
from sample.voices import melody_of
from zoo.codecs.drums import DrumGrid
from zoo.codecs.midi import read_midi
from zoo.codecs.voices import REST, START, VOICES, VoiceGrid
from zoo.errors import UserError
from zoo.music.grid import tokens_of


def interpolated(run: Any, options: Options) -> np.ndarray:
    """--primer's two pieces and what lies between them, --interpolate of them in all, one after the other: tokens [T],
    or a groove [T, 27].

    Each is read as far as the model reads and encoded by its mean; the way between is a great circle. What a latent
    means is written by its most probable cells, or by draws where the options ask for them.
    """
    model, params, extra = run.model, run.params, run.extra
    drums = isinstance(run.codec, DrumGrid)
    if not (hasattr(model, "encode") and isinstance(run.codec, DrumGrid | VoiceGrid)):
        raise UserError(f"{flag('interpolate')}: {run.config.name} has no latent space; music-vae and groovae have")
    if len(options.primer) != 2:
        raise UserError(f"{flag('interpolate')} needs the two ends: --primer FROM.mid TO.mid")
    first: Any = first_steps if drums else opening_of
    pieces = jnp.asarray(np.stack([first(model, run.codec, Path(file).expanduser()) for file in options.primer]))
    ends = model.encode(params, extra, pieces if drums else tokens_of(pieces))
    way = jnp.linspace(0, 1, options.interpolate or 2)
    latents = slerp(jnp.broadcast_to(ends[0], (len(way), ends.shape[1])), ends[1][None], way)
    rows = model.render(params, extra, latents, sampler=chosen(options), key=jax.random.key(options.seed))
    return np.concatenate(np.asarray(rows)) if drums else np.concatenate([[START], np.asarray(rows)[:, 1:].ravel()])


def opening_of(model: Any, codec: VoiceGrid, path: Path) -> np.ndarray:
    """The first steps of a file that the model reads, as a grid [S, 4]: a melody alone, or all four voices."""
    notes = read_midi(path)
    grid = melody_of(codec, notes) if model.voices == "S" else codec.to_grid(codec.encode(notes))
    if not len(grid):
        raise UserError(f"{path} holds no music")
    size = model.context // VOICES
    return np.concatenate([grid[:size], np.full((max(size - len(grid), 0), VOICES), REST)]).astype(np.int32)


def first_steps(model: Any, codec: DrumGrid, path: Path) -> np.ndarray:
    """The first steps of a file's drums that the model reads, [length, 27]."""
    grid = groove_of(model, codec, path)[: model.length]
    return np.pad(grid, ((0, model.length - len(grid)), (0, 0)))
