"""Objects of voxels of a run: sheets, turntables, and the voxels themselves."""

from itertools import repeat
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sample.latent import film
from sample.options import FILMS, Options, Target, flag, wanted
from sample.pictures import draw
from zoo.codecs.images import grid, write_png
from zoo.codecs.media import with_suffix, write_arrays
from zoo.codecs.vox import write_vox
from zoo.codecs.voxels import turntable, views
from zoo.errors import UserError
from zoo.model import LatentModel

COUNT = 16
TURN = 3.0  # seconds of one turn
KINDS = (".png", ".gif", ".mp4", ".npz", ".vox")


def write_volumes(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """A sheet and a turntable of all objects, or what the suffix says: .npz has the voxels of all, .vox of each."""
    kinds = wanted(place, KINDS, what="objects of voxels")
    kinds = kinds if place.kinds else (".png", ".gif")
    if options.interpolate is not None:
        return _write_film(run, options, place, meta, kinds)
    if "frames" in options.told() or "fps" in options.told():
        kinds = tuple(kind for kind in kinds if kind in FILMS)
        if not kinds:
            raise UserError("--frames and --fps are for films: let --out be a FILE.gif, a FILE.mp4 or a folder")
    voxels = run.codec.decode(draw(run, options.seed, options.n or COUNT))
    files = []
    for kind in kinds:
        path = with_suffix(place.stem, kind)
        if kind == ".png":
            write_png(grid(views(voxels)), path, meta=meta)
        elif kind in FILMS:
            frames = options.frames or max(1, round(TURN * options.fps))
            _write(turntable(repeat(voxels, frames), frames), path, options, meta)
        elif kind == ".npz":
            write_arrays(path, meta=meta, voxel=voxels)
        else:
            files += _write_each(voxels, place.stem)
            continue
        files.append(path)
    return files


def _write_film(run: Any, options: Options, place: Target, meta: dict[str, Any], kinds: tuple[str, ...]) -> list[Path]:
    """Objects that turn while they become one another, and come home after one turn."""
    if not isinstance(run.model, LatentModel):
        raise UserError(f"{run.config.name} has no latent space to walk through")
    kinds = tuple(kind for kind in kinds if kind in FILMS)
    if not kinds:
        raise UserError(f"{flag('interpolate')} makes a film: let --out be a FILE.gif, a FILE.mp4 or a folder")
    through, loops = options.interpolate or 2, options.n or 1
    frames = options.frames or max(1, round(TURN * options.fps))
    latents = run.model.latents(jax.random.key(options.seed), loops * through)
    volumes = run.codec.decode(film(run.model, run.params, run.extra, latents, frames=frames, loops=loops))
    pictures, files = turntable(volumes, frames), [with_suffix(place.stem, kind) for kind in kinds]
    for path in files:
        _write(pictures, path, options, meta)
    return files


def _write(pictures: np.ndarray, path: Path, options: Options, meta: dict[str, Any]) -> None:
    """Pictures [frames, n, H, W, 3] as a film of a grid."""
    from zoo.codecs.film import write_film

    write_film(np.stack([grid(frame) for frame in pictures]), path, fps=options.fps, meta=meta)


def _write_each(voxels: np.ndarray, stem: Path) -> list[Path]:
    """A .vox each, numbered where there are several; the format has no place for how they were made."""
    digits, files = len(str(len(voxels) - 1)), []
    for number, one in enumerate(voxels):
        name = "" if len(voxels) == 1 else f"_{number:0{digits}d}"
        files.append(with_suffix(stem, f"{name}.vox"))
        write_vox(one, files[-1])
    return files
