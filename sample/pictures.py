"""Grids, single pictures, films and reconstructions of a run."""

from collections.abc import Iterator
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.classes import label_of
from sample.complete import completed
from sample.genes import has_styles
from sample.latent import CHUNK, along, film, lerp, paint_all, reconstruct, render_all, style_film, styles_of
from sample.options import FILMS, SECONDS_EACH, THROUGH, Options, Target, flag, wanted
from train.flags import jit
from zoo.codecs.images import ImageCodec, grid, read_image
from zoo.codecs.media import with_suffix, write_each, write_grid
from zoo.errors import UserError
from zoo.model import LatentModel

COUNTS = {"image": 36, "points": 2500}
GROWTH = 144  # frames of a film of growth
CHILDREN = 14  # which with their parents fill a sheet
PICTURE_FILES = (".png", ".jpg", ".jpeg", ".webp")


def write_pictures(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """What the options ask of a model of images; returns the files."""
    if options.translate is not None:
        from sample.films import write_translated
        from sample.translation import asked, is_film, write_translations

        write = write_translated if is_film(options.translate) else write_translations
        return write(run, options, place, meta, asked(run, options))
    if options.held_out:
        from sample.judged import write_judged

        return write_judged(run, options, place, meta)
    if options.caption:
        from sample.captioned import write_captioned

        return write_captioned(run, options, place, meta)
    if place.kinds == (".svg",):
        from sample.strokes import write_strokes

        return write_strokes(run, options, place, meta)
    if options.reconstruct is not None or options.project is not None:
        return write_beside(run, options, place, meta)
    if any(getattr(options, name) is not None for name in ("mix", "genes", "breed")):
        return write_sheet(run, options, place, meta)
    if options.music is not None or options.interpolate is not None or (place.kinds or ("",))[0] in FILMS:
        return write_film(run, options, place, meta)
    for option in ("frames", "fps"):
        if option in options.told():
            raise UserError(f"{flag(option)} is for films: add --interpolate K, or --out FILE.mp4")
    wanted(place, [".png"], what="pictures")
    count = options.n or getattr(run.model, "works", COUNTS[run.codec.media])
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
            raise UserError(f"{flag(name)} {value}: {run.config.name} knows no {name}")
        kept[name] = label_of(run, options) if name == "label" else value
    return found


def write_film(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """A walk through latents that ends where it began, ``-n`` of them side by side; or one that moves with music."""
    if options.images:
        raise UserError("--images writes pictures; leave it out for a film")
    if hasattr(run.model, "unfold"):
        return write_growth(run, options, place, meta)
    if not isinstance(run.model, LatentModel):
        raise UserError(f"{run.config.name} has no latent space to walk through")
    through, loops = options.interpolate or THROUGH, options.n or 1
    frames = options.frames or max(1, round(SECONDS_EACH * options.fps * through))
    chosen, shown = controls(run, options)
    latents = run.model.latents(jax.random.key(options.seed), loops * through, **chosen)
    walk = film if options.space == "z" else style_film
    if options.space == "w" and not has_styles(run.model):
        raise UserError(f"--space w: {run.config.name} has no styles; stylegan and stylegan2 have")
    if options.music is not None:
        return write_moved(run, options, place, meta, latents, shown)
    images = walk(run.model, run.params, run.extra, latents, frames=frames, loops=loops, **shown)
    return write_films(tiles(run.codec, images), options, place, meta)


def write_growth(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """A film of how a picture comes about, of models that know it step by step."""
    for option in ("interpolate", "music", "n"):
        if getattr(options, option) is not None:
            raise UserError(
                f"{flag(option)}: {run.config.name} has no latent space to walk through; it shows how it grows"
            )
    frames = options.frames or GROWTH
    unfold = jit(run.model.unfold, static_argnums=3)
    images = np.asarray(unfold(run.params, run.extra, jax.random.key(options.seed), frames))
    return write_films(run.codec.decode(images), options, place, meta)


def write_films(pixels: np.ndarray, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """uint8 [frames, H, W, C] as GIF and MP4, or the one that is asked for."""
    from zoo.codecs import film as films

    files = [with_suffix(place.stem, kind) for kind in wanted(place, FILMS, what="a film")]
    for path in files:
        films.write_film(pixels, path, fps=options.fps, meta=meta)
    return files


def write_moved(
    run: Any, options: Options, place: Target, meta: dict[str, Any], latents: Any, shown: dict[str, Any]
) -> list[Path]:
    """A film whose walk through ``latents`` [K, ...] moves with music, which it carries. Of a model that knows classes
    the harmony says how much of each there is."""
    from sample.moved import harmony, heard, places, spread
    from zoo.codecs.film import write_mp4

    (kind,) = wanted(place, [".mp4"], what="a film with sound")
    model, path = run.model, with_suffix(place.stem, kind)
    music = heard(options.music or "", fps=options.fps, frames=options.frames)
    way = places(music, options.fps)
    classes = getattr(model, "classes", None) if options.label is None else None
    shares = None if classes is None else spread(harmony(music, options.fps), classes)
    styled = options.space == "w"
    stops = styles_of(model, run.params, run.extra, latents, **shown) if styled else latents

    def frames() -> Iterator[np.ndarray]:
        for at in range(0, len(way), CHUNK):
            part = slice(at, at + CHUNK)
            if styled:
                images = paint_all(model, run.params, along(stops, way[part], lerp))
            else:
                here = along(stops, way[part])
                if shares is not None:
                    here = jnp.concatenate([here[:, : model.latent_size], shares[part]], axis=-1)
                images = render_all(model, run.params, run.extra, here, **shown)
            yield from run.codec.decode(images)

    write_mp4(frames(), path, fps=options.fps, meta=meta, sound=(music.sound, music.rate))
    return [path]


def tiles(codec: ImageCodec, images: np.ndarray) -> np.ndarray:
    """Images [frames, n, H, W, C] -> uint8 [frames, H', W', C], a grid where n > 1."""
    pixels = codec.decode(images)
    return pixels[:, 0] if pixels.shape[1] == 1 else np.stack([grid(frame) for frame in pixels])


def write_beside(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """Rows of pictures, and under each row what the model makes of it, or the nearest that it can make."""
    wanted(place, [".png"], what="reconstructions")
    size = run.model.batch_spec(1)["image"].shape[1]
    if options.project is not None:
        from sample.projection import project

        if not isinstance(run.model, LatentModel):
            raise UserError(f"--project: {run.config.name} has no latent space to look in")
        images = pictures_at(f"--project {options.project}", options.project, run.codec, size, options.n)
        again, distances = project(run, images, effort=options.effort, seed=options.seed)
        meta = {**meta, "distances": [round(float(distance), 5) for distance in distances]}
    else:
        if not hasattr(run.model, "encode"):
            raise UserError(f"{run.config.name} has no encoder; --reconstruct is for autoencoders")
        place_of = options.reconstruct or ""
        images = pictures_at(f"--reconstruct {place_of}", place_of, run.codec, size, options.n)
        again = reconstruct(run.model, run.params, run.extra, images)
    both, columns = pairs(images, again)
    return [write_grid(run.codec, both, with_suffix(place.stem, ".png"), meta=meta, columns=columns)]


def write_sheet(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """A table of mixed styles, sliders of genes, or a family."""
    from sample.breeding import bred, parents_of, table
    from sample.genes import STOPS, genes, sliders

    if not isinstance(run.model, LatentModel):
        raise UserError(f"{run.config.name} has no latent space")
    kinds = wanted(place, [".png", ".npz"] if options.genes else [".png"], what="a sheet")
    chosen, shown = controls(run, options)
    sheet = partial(write_grid, run.codec, path=with_suffix(place.stem, ".png"))
    if options.mix is not None:
        images, columns = table(run, options.seed, options.mix, options.cross, shown)
        return [sheet(images, meta=meta, columns=columns)]
    if options.breed is not None:
        family = options.ratio, options.mutation, chosen, shown
        images, lineage = bred(run, options.seed, parents_of(options.breed), options.n or CHILDREN, *family)
        if options.images:
            whole = [*({"parent": number} for number in parents_of(options.breed)), *lineage]
            return write_each(run.codec, images, place.stem, meta, whole)
        return [sheet(images, meta={**meta, "lineage": lineage[0]})]
    directions, scales = genes(run, options.genes or 1, options.by, options.seed)
    files = []
    if ".png" in kinds:
        bases = run.model.latents(jax.random.key(options.seed), options.n or 1, **chosen)
        images = sliders(run, bases, directions, scales, **shown)
        files.append(sheet(images.reshape(-1, *images.shape[2:]), meta=meta, columns=STOPS))
    if ".npz" in kinds:
        files.append(with_suffix(place.stem, ".npz"))
        np.savez(files[-1], directions=directions, scales=scales)
    return files


def pairs(images: np.ndarray, again: np.ndarray, *, most: int = 12) -> tuple[np.ndarray, int]:
    """Rows of ``images`` alternating with rows of ``again`` [n, H, W, C], white where the last ones are not full; and
    how many are in a row."""
    columns = min(most, len(images))
    fill = ((0, -len(images) % columns), (0, 0), (0, 0), (0, 0))
    rows = [np.pad(x, fill, constant_values=1).reshape(-1, columns, *x.shape[1:]) for x in (images, again)]
    return np.stack(rows, axis=1).reshape(-1, *images.shape[1:]), columns


def pictures_at(asked: str, place: str, codec: ImageCodec, size: int, most: int | None) -> np.ndarray:
    """A picture, or the first ``most`` (36) of a folder, as images [n, size, size, C] in [-1, 1]. ``asked``: the option
    that named it."""
    path, most = Path(place).expanduser(), most or COUNTS["image"]
    if not path.exists():
        raise UserError(f"{asked}: no such file or folder")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURE_FILES) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{asked}: no {', '.join(PICTURE_FILES)} in this folder")
    return codec.encode(np.stack([read_image(file, channels=codec.channels, size=size) for file in files[:most]]))
