"""Films that a model of films makes: its own, one content with many motions, or one motion of many contents."""

from inspect import signature
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sample.latent import render_all
from sample.options import FILMS, Options, Target, flag, wanted
from zoo.codecs.clips import side_by_side, strips
from zoo.codecs.images import write_png
from zoo.codecs.media import with_suffix, write_arrays
from zoo.errors import UserError

COUNT = 9
KINDS = (*FILMS, ".png", ".npz")


def write_clips(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """All films side by side as a GIF and an MP4, or what the suffix says: .png has a row of frames for each, .npz the
    frames themselves."""
    kinds = wanted(place, KINDS, what="films")
    kinds = kinds if place.kinds else FILMS
    clips = run.codec.decode(draw(run, options))
    fps = options.fps if "fps" in options.told() else run.codec.fps
    files = [with_suffix(place.stem, kind) for kind in kinds]
    for path in files:
        if path.suffix in FILMS:
            from zoo.codecs.film import write_film

            write_film(side_by_side(clips), path, fps=fps, meta=meta)
        elif path.suffix == ".png":
            write_png(strips(clips), path, meta=meta)
        else:
            write_arrays(path, meta=meta, video=clips, fps=np.float32(fps))
    return files


def draw(run: Any, options: Options) -> np.ndarray:
    """Films [n, T, H, W, C] in [-1, 1]."""
    model, asked = run.model, {}
    for option, control in (("frames", "length"), ("vary", "vary")):
        value = getattr(options, option)
        if value is None:
            continue
        if control not in signature(model.latents).parameters:
            raise UserError(f"{flag(option)} {value}: {run.config.name} knows no {option}")
        asked[control] = value
    latents = model.latents(jax.random.key(options.seed), options.n or COUNT, **asked)
    return render_all(model, run.params, run.extra, latents)
