"""Pictures of words."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.options import Options, Target, wanted
from train.flags import jit
from zoo.codecs.captions import Captions
from zoo.codecs.errors import CodecError
from zoo.codecs.media import with_suffix, write_each, write_grid
from zoo.errors import UserError

EACH = 8  # pictures of a caption
CANDIDATES, GUIDANCE = 8, 3.0  # when nothing is said


def write_captioned(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """A row of ``-n`` pictures for each --caption, or with --images a file each."""
    table = captions_of(run, options)
    wanted(place, [".png"], what="pictures")
    each = options.n or EACH
    images = drawn(run, options, np.repeat(table, each, axis=0))
    if not options.images:
        told = {**meta, "captions": list(options.caption)}
        return [write_grid(run.codec, images, with_suffix(place.stem, ".png"), meta=told, columns=each)]
    if place.kinds is not None:
        raise UserError("--images writes several files: let --out be a folder")
    own = [{"sample": at, "caption": options.caption[at // each]} for at in range(len(images))]
    return write_each(run.codec, images, place.stem, meta, own)


def captions_of(run: Any, options: Options) -> np.ndarray:
    """--caption's texts as the model reads them, int32 [N, L]."""
    if "captions" not in run.data or "caption" not in run.model.batch_spec(1):
        raise UserError(f"--caption: {run.config.name} has learnt no words; text-to-image has")
    known, rows = Captions(**{**run.data["captions"], "words": tuple(run.data["captions"]["words"])}), []
    for caption in options.caption:
        try:
            rows.append(known.encode(caption))
        except CodecError as error:
            raise UserError(f"--caption: {error.cause}") from None
    return np.stack(rows)


def drawn(run: Any, options: Options, captions: np.ndarray) -> np.ndarray:
    """A picture [H, W, C] for each of the captions [N, L]; number i is the same whatever stands behind it."""
    guidance = GUIDANCE if options.guidance is None else options.guidance
    draw = jit(run.model.sample, static_argnums=3, static_argnames=("guidance", "candidates"))
    how = {"caption": jnp.asarray(captions), "guidance": guidance, "candidates": options.candidates or CANDIDATES}
    return np.asarray(draw(run.params, run.extra, jax.random.key(options.seed), len(captions), **how))
