"""Line drawings of a run: new ones, what lies between two, what comes back from a latent, what goes on from a file."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.finishing import finished
from sample.latent import slerp
from sample.lines import check_latents, encoded, read, sampler
from sample.options import Options, Target, flag, wanted
from sample.sequences import continued
from zoo.codecs.media import DRAWING, write_drawings
from zoo.decoding import Greedy, Sampler
from zoo.errors import UserError
from zoo.model import Array

COUNT, ROW = 36, 12


def write_sketches(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """What the options ask of a model of drawings; returns the files."""
    kinds = wanted(place, DRAWING, what="drawings")
    columns = None
    if options.finish is not None:
        rows, columns = finished(run, options)
    elif options.reconstruct is not None:
        rows, columns = reconstructed(run, options)
    elif options.interpolate is not None:
        rows, columns = between(run, options), options.interpolate
    elif options.primer:
        rows = gone_on(run, options)
    else:
        rows = drawn(run, options, latents(run, options, options.n or COUNT))
    drawings = [run.codec.decode(row) for row in rows]
    if not options.images:
        return write_drawings(drawings, place.stem, meta=meta, kinds=kinds, columns=columns)
    if place.kinds is not None:
        raise UserError("--images writes several files: let --out be a folder")
    digits = len(str(len(drawings) - 1))
    name = lambda number: place.stem.with_name(f"{place.stem.name}_{number:0{digits}d}")
    return [
        path
        for number, drawing in enumerate(drawings)
        for path in write_drawings([drawing], name(number), meta={**meta, "sample": number}, kinds=kinds)
    ]


def latents(run: Any, options: Options, count: int) -> Array:
    return run.model.latents(jax.random.key(options.seed), count)


def drawn(run: Any, options: Options, latents: Array, how: Sampler | None = None) -> np.ndarray:
    """Strokes [n, T, 5] of latents [n, Z]."""
    how = sampler(options) if how is None else how
    render = jax.jit(run.model.render)
    return np.asarray(render(run.params, run.extra, latents, sampler=how, key=jax.random.key(options.seed)))


def gone_on(run: Any, options: Options) -> list[np.ndarray]:
    """--primer's drawings, as they are begun, and ``-n`` (1) ways on from each. What is drawn on is of no latent in
    particular: each row has one of its own."""
    prompts = [read(run, file)[:-1] for file in options.primer for _ in range(options.n or 1)]
    longest = max(map(len, prompts))
    if longest > run.model.context:
        raise UserError(f"{run.config.name} draws {run.model.context} points; --primer has {longest} already")
    return continued(
        run.model, run.params, run.extra, jax.random.key(options.seed), prompts, length=run.model.context,
        sampler=sampler(options), numbers=[*range(options.n or 1)] * len(options.primer),
        cond=latents(run, options, len(prompts)),
    )  # fmt: skip


def between(run: Any, options: Options) -> np.ndarray:
    """``-n`` (1) rows of --interpolate drawings each along a great circle: between --primer's two, or new ones."""
    check_latents(run, "interpolate")
    count, rows = options.interpolate or 2, options.n or 1
    if options.primer and len(options.primer) != 2:
        raise UserError(f"{flag('interpolate')} goes from one drawing to another: give two --primer files, or none")
    if options.primer:
        ends = encoded(run, [read(run, file) for file in options.primer])[None].repeat(rows, axis=0)
    else:
        ends = latents(run, options, 2 * rows).reshape(rows, 2, -1)
    way = jnp.broadcast_to(jnp.linspace(0, 1, count), (rows, count))
    path = slerp(jnp.repeat(ends[:, :1], count, axis=1), jnp.repeat(ends[:, 1:], count, axis=1), way)
    calm = "temperature" not in options.told()
    return drawn(run, options, path.reshape(rows * count, -1), Greedy() if calm else None)


def reconstructed(run: Any, options: Options) -> tuple[list[np.ndarray], int]:
    """Drawings and, beside each, what comes back from its latent; and how many are in a row."""
    check_latents(run, "reconstruct")
    place = Path(options.reconstruct or "").expanduser()
    if not place.exists():
        raise UserError(f"--reconstruct {place}: no such file or folder")
    files = sorted(place.glob("*.svg"))[: options.n or COUNT] if place.is_dir() else [place]
    if not files:
        raise UserError(f"--reconstruct {place}: no .svg in this folder")
    originals = [read(run, file) for file in files]
    calm = "temperature" not in options.told()
    again = drawn(run, options, encoded(run, originals), Greedy() if calm else None)
    return [row for pair in zip(originals, again, strict=True) for row in pair], min(ROW, 2 * len(originals))
