"""A picture, or a folder of pictures, translated."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.captioned import captions_of
from sample.options import Options, Target, flag, wanted
from train.data.pair import regions_of
from train.data.pixels import recolour
from train.data.video import FILMS
from train.flags import jit
from zoo.codecs.images import ImageCodec, grid, read_image, write_png
from zoo.codecs.maps import LabelMap
from zoo.codecs.media import with_suffix
from zoo.errors import UserError
from zoo.model import Array, TranslationModel

FILES = (".png", ".jpg", ".jpeg", ".webp")
ROW = 12  # pictures in a row of a sheet


@dataclass(frozen=True)
class Translation:
    """What is to be translated into what, and how."""

    start: Any
    """Codec of what is translated."""
    end: Any
    """Codec of what becomes of it."""
    maps: LabelMap | None
    """Of models that translate maps of labels."""
    size: int | None
    """Pixels a side; None: as they come."""
    controls: dict[str, Any]
    """What else ``translate`` is told."""


def asked(run: Any, options: Options) -> Translation:
    """UserError where the model knows no such thing."""
    if not isinstance(run.model, TranslationModel):
        raise UserError(f"{run.config.name} translates no pictures; --translate is for pix2pix, cyclegan and their kin")
    ways = "way" in signature(run.model.translate).parameters
    if options.back and not ways:
        raise UserError(f"--back: {run.config.name} has learnt one direction only")
    spec = run.model.batch_spec(1)
    shapes = [spec.get("input", spec["image"]).shape, spec["image"].shape]
    maps = LabelMap(shapes[0][-1]) if getattr(run.model, "maps", False) else None
    codecs: list[Any] = [maps or ImageCodec(channels=shapes[0][-1]), ImageCodec(channels=shapes[1][-1])]
    start, end = codecs[::-1] if options.back else codecs
    size = None if options.keep_size else shapes[0][1]
    controls = {"way": "back"} if options.back else words_of(run, options) or looks_of(run, options, size)
    return Translation(start, end, maps, size, controls)


def write_translations(run: Any, options: Options, place: Target, meta: dict[str, Any], how: Translation) -> list[Path]:
    """A picture for each picture, by its name; or, where --out is one file, a sheet with the sources above."""
    for option in ("steady", "frames", "fps"):
        if option in options.told():
            raise UserError(f"{flag(option)} is for films: --translate FILM.gif or FILM.mp4")
    wanted(place, [".png"], what="translations")
    if place.kinds and how.size is None:
        raise UserError("--keep-size gives pictures of many sizes: let --out be a folder")
    maps, size = how.maps, how.size
    sources, made, names = [], [], files_at(options.translate or "", options.n)
    for number, file in enumerate(names):
        key = jax.random.fold_in(jax.random.key(options.seed), number)
        source = maps.read(file, size=size) if maps else read_image(file, channels=how.start.channels, size=size)
        sources.append(maps.colours(source) if maps else source)
        made.append(
            how.end.decode(translated(run, how.start.encode(source), key, **controls_for(options, source, how)))
        )
    meta = {**meta, "size": "kept" if size is None else size}
    if place.kinds:
        path = with_suffix(place.stem, ".png")
        write_png(sheet(sources, made), path, meta={**meta, "sources": [file.name for file in names]})
        return [path]
    paths = []
    for file, pixels in zip(names, made, strict=True):
        paths.append(with_suffix(place.stem, f"_{file.stem}.png"))
        write_png(pixels, paths[-1], meta={**meta, "source": file.name})
    return paths


def translated(run: Any, source: np.ndarray, key: Array, **controls: Any) -> np.ndarray:
    """A picture [H, W, C'] of any size, in [-1, 1] -> [H, W, C]. What the network cannot halve often enough is mirrored
    at the ends, and cut off again."""
    height, width = source.shape[:2]
    ends = [(0, -side % run.model.granule) for side in (height, width)]
    padded = lambda x: jnp.asarray(np.pad(x, [*ends, (0, 0)], mode="symmetric"))
    if (guide := controls.get("guide")) is not None and guide.ndim == 3:
        controls["guide"] = padded(guide)
    made = _translate(run.model, run.params, run.extra, padded(source)[None], key, **controls)
    return np.asarray(made)[0, :height, :width]


def words_of(run: Any, options: Options) -> dict[str, Any]:
    """What a model that knows words is told; UserError where nothing is said to it, or where it has learnt none."""
    knows = "caption" in signature(run.model.translate).parameters
    if not options.caption and not knows:
        return {}
    if not options.caption:
        raise UserError(f"--translate: {run.config.name} goes by words: add --caption TEXT")
    if not knows or len(options.caption) > 1:
        why = "with --translate there should be one" if knows else f"{run.config.name} has learnt no words"
        raise UserError(f"--caption: {why}")
    return {"caption": jnp.asarray(captions_of(run, options)), "strength": options.strength}


def looks_of(run: Any, options: Options, size: int | None) -> dict[str, Any]:
    """What a model that takes any look is told: pictures, and how much each of them counts."""
    if not options.looks:
        return {}
    if "looks" not in signature(run.model.translate).parameters:
        raise UserError(f"--looks: {run.config.name} has learnt which look it gives; adain takes any")
    if options.shares and (len(options.shares) != len(options.looks) or not all(s > 0 for s in options.shares)):
        raise UserError(f"--shares: there should be {len(options.looks)}, one above 0 for each of --looks")
    codec, looks = ImageCodec(channels=3), []
    for place in options.looks:
        if not (file := Path(place).expanduser()).is_file():
            raise UserError(f"--looks {place}: no such file")
        looks.append(jnp.asarray(codec.encode(read_image(file, channels=3, size=size))))
    shares = {"guide": jnp.asarray(options.shares)} if options.shares else {}
    return {"looks": tuple(looks), "strength": options.strength, "keep_colours": options.keep_colours, **shares}


def controls_for(options: Options, source: np.ndarray, how: Translation) -> dict[str, Any]:
    """What ``translate`` is told of a picture [H, W, C]: also where each look is to be in it."""
    if options.regions is None:
        return how.controls
    told, file = f"--regions {options.regions}", Path(options.regions).expanduser()
    return {**how.controls, "guide": regions_of(told, file, source.shape[:2], len(options.looks))}


@functools.partial(jit, static_argnums=0, static_argnames=("way", "keep_colours"))
def _translate(model: TranslationModel, params: Any, extra: Any, source: Array, key: Array, **controls: Any) -> Array:
    return model.translate(params, extra, source, key, **controls)


def sheet(sources: list[np.ndarray], made: list[np.ndarray]) -> np.ndarray:
    """uint8 [H, W, C] of one size -> rows of sources, each above a row of what they became."""
    channels, columns = made[0].shape[-1], min(ROW, len(made))
    above, below = np.stack([recolour(source, channels) for source in sources]), np.stack(made)
    fill = ((0, -len(made) % columns), (0, 0), (0, 0), (0, 0))
    rows = [np.pad(x, fill, constant_values=255).reshape(-1, columns, *x.shape[1:]) for x in (above, below)]
    return grid(np.stack(rows, axis=1).reshape(-1, *below.shape[1:]), columns=columns)


def is_film(place: str) -> bool:
    return Path(place).suffix.lower() in FILMS and not Path(place).expanduser().is_dir()


def files_at(place: str, most: int | None, *, suffixes: Sequence[str] = FILES) -> list[Path]:
    """A file, or those of a folder with one of the ``suffixes`` (the first ``most`` of them), of which no two would be
    written to one file."""
    path = Path(place).expanduser()
    if not path.exists():
        raise UserError(f"--translate {place}: no such file or folder")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in suffixes) if path.is_dir() else [path]
    if not files:
        raise UserError(f"--translate {place}: no {', '.join(suffixes)} in this folder")
    stems = [file.stem for file in files]
    if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
        raise UserError(f"--translate {place}: two files are called {twice}; rename one")
    return files[:most]
