"""Grids, single pictures, films and reconstructions of a run."""

from inspect import signature
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sample.complete import completed
from sample.latent import film, reconstruct, render_all
from sample.options import FILMS, SECONDS_EACH, THROUGH, Options, Target, flag, wanted
from zoo.codecs.images import ImageCodec, grid, read_image, write_png
from zoo.codecs.media import with_suffix, write_grid
from zoo.errors import UserError
from zoo.model import LatentModel

COUNTS = {"image": 36, "points": 2500}
PICTURE_FILES = (".png", ".jpg", ".jpeg", ".webp")


def write_pictures(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """What the options ask of a model of images; returns the files."""
    if options.translate is not None:
        from sample.translation import write_translations

        return write_translations(run, options, place, meta)
    if options.reconstruct is not None:
        return write_reconstructions(run, options, place, meta)
    if options.interpolate is not None or (place.kinds or ("",))[0] in FILMS:
        return write_film(run, options, place, meta)
    for option in ("frames", "fps"):
        if option in options.told():
            raise UserError(f"{flag(option)} is for films: add --interpolate K, or --out FILE.mp4")
    wanted(place, [".png"], what="pictures")
    count = options.n or COUNTS[run.codec.media]
    images = draw(run, options.seed, count, options) if options.complete is None else completed(run, options, count)
    if not options.images:
        return [write_grid(run.codec, images, with_suffix(place.stem, ".png"), meta=meta)]
    if place.kinds is not None:
        raise UserError("--images writes several files: let --out be a folder")
    return write_each(run.codec, images, place.stem, meta)


def draw(run: Any, seed: int, n: int, options: Options | None = None) -> np.ndarray:
    """Images [n, H, W, C] in [-1, 1], or points [n, D]. Number i is the same whatever ``n``."""
    key = jax.random.key(seed)
    chosen, shown = controls(run, options or Options())
    if isinstance(run.model, LatentModel):
        return render_all(run.model, run.params, run.extra, run.model.latents(key, n, **chosen), **shown)
    return np.asarray(run.model.sample(run.params, run.extra, key, n))


def controls(run: Any, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the options ask of the model's ``latents``, and of its ``render``; UserError where it has no such thing."""
    model, found = run.model, ({}, {})
    for name, method, kept in (("label", "latents", found[0]), ("truncation", "render", found[1])):
        value = getattr(options, name)
        if value is None:
            continue
        if not hasattr(model, method) or name not in signature(getattr(model, method)).parameters:
            raise UserError(f"{flag(name)} {value:g}: {run.config.name} knows no {name}")
        kept[name] = value
    if options.label is not None and not 0 <= options.label < model.classes:
        raise UserError(f"--label {options.label}: {run.config.name} knows classes 0 to {model.classes - 1}")
    return found


def write_each(codec: ImageCodec, images: np.ndarray, stem: Path, meta: dict[str, Any]) -> list[Path]:
    """A file each, numbered, so that they sort."""
    digits = len(str(len(images) - 1))
    files = []
    for number, pixels in enumerate(codec.decode(images)):
        files.append(with_suffix(stem, f"_{number:0{digits}d}.png"))
        write_png(pixels, files[-1], meta={**meta, "sample": number})
    return files


def write_film(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """A walk through latents that ends where it began; ``-n`` of them side by side."""
    from zoo.codecs.film import write_gif, write_mp4

    if not isinstance(run.model, LatentModel):
        raise UserError(f"{run.config.name} has no latent space to walk through")
    if options.images:
        raise UserError("--images writes pictures; leave it out for a film")
    through, loops = options.interpolate or THROUGH, options.n or 1
    frames = options.frames or max(1, round(SECONDS_EACH * options.fps * through))
    chosen, shown = controls(run, options)
    latents = run.model.latents(jax.random.key(options.seed), loops * through, **chosen)
    images = film(run.model, run.params, run.extra, latents, frames=frames, loops=loops, **shown)
    pixels = tiles(run.codec, images)
    files = [with_suffix(place.stem, kind) for kind in wanted(place, FILMS, what="a film")]
    for path in files:
        write = write_gif if path.suffix == ".gif" else write_mp4
        write(pixels, path, fps=options.fps, meta=meta)
    return files


def tiles(codec: ImageCodec, images: np.ndarray) -> np.ndarray:
    """Images [frames, n, H, W, C] -> uint8 [frames, H', W', C], a grid where n > 1."""
    pixels = codec.decode(images)
    return pixels[:, 0] if pixels.shape[1] == 1 else np.stack([grid(frame) for frame in pixels])


def write_reconstructions(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """Rows of pictures, and under each row what the model makes of it."""
    if not hasattr(run.model, "encode"):
        raise UserError(f"{run.config.name} has no encoder; --reconstruct is for autoencoders")
    wanted(place, [".png"], what="reconstructions")
    size = run.model.batch_spec(1)["image"].shape[1]
    images = pictures_at(options.reconstruct or "", run.codec, size, options.n or COUNTS["image"])
    again = reconstruct(run.model, run.params, run.extra, images)
    both, columns = pairs(images, again)
    return [write_grid(run.codec, both, with_suffix(place.stem, ".png"), meta=meta, columns=columns)]


def pairs(images: np.ndarray, again: np.ndarray, *, most: int = 12) -> tuple[np.ndarray, int]:
    """Rows of ``images`` alternating with rows of ``again`` [n, H, W, C], white where the last ones are not full; and
    how many are in a row."""
    columns = min(most, len(images))
    fill = ((0, -len(images) % columns), (0, 0), (0, 0), (0, 0))
    rows = [np.pad(x, fill, constant_values=1).reshape(-1, columns, *x.shape[1:]) for x in (images, again)]
    return np.stack(rows, axis=1).reshape(-1, *images.shape[1:]), columns


def pictures_at(place: str, codec: ImageCodec, size: int, most: int) -> np.ndarray:
    """A picture, or the first ``most`` of a folder, as images [n, size, size, C] in [-1, 1]."""
    path = Path(place).expanduser()
    if not path.exists():
        raise UserError(f"--reconstruct {place}: no such file or folder")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURE_FILES) if path.is_dir() else [path]
    if not files:
        raise UserError(f"--reconstruct {place}: no {', '.join(PICTURE_FILES)} in this folder")
    return codec.encode(np.stack([read_image(file, channels=codec.channels, size=size) for file in files[:most]]))
