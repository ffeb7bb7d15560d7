"""A film, translated frame by frame, and made steady where that is asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sample.flow import flow
from sample.options import FILMS, Options, Target, wanted
from sample.steady import steady
from sample.translation import Translation, controls_for, translated
from train.data.pixels import recolour
from zoo.codecs.film import read_film, read_sound, write_gif, write_mp4
from zoo.codecs.media import with_suffix
from zoo.errors import UserError


def write_translated(run: Any, options: Options, place: Target, meta: dict[str, Any], how: Translation) -> list[Path]:
    """A film of the film, of its kind (or of that of --out), as fast, with its sound, and with what it told of
    itself."""
    file = Path(options.translate or "").expanduser()
    own = ".gif" if file.suffix.lower() == ".gif" else ".mp4"
    (kind,) = wanted(place, FILMS, what="a film") if place.kinds else (own,)
    if how.maps is not None:
        raise UserError(f"{run.config.name} translates maps of labels, which are no films: let --translate be a folder")
    if not file.exists():
        raise UserError(f"--translate {options.translate}: no such file or folder")
    film = read_film(file)
    if len(film.frames) < 2:
        raise UserError(f"--translate {options.translate}: it has one frame only; save it as .png to translate it")
    sources = film.frames[: options.frames]
    sources = sources if how.size is None else squares(sources, how.size)
    made = frames_of(run, options, sources, how)
    if options.steady:
        made = steady(sources, made, share=options.steady, flow=flow)
    pixels = (how.end.decode(np.asarray(frame)) for frame in made)
    fps = options.fps if "fps" in options.told() else film.fps
    path = with_suffix(place.stem, kind)
    meta = {**meta, "size": "kept" if how.size is None else how.size, "source": file.name, "source_meta": film.meta}
    if kind == ".gif":
        write_gif(np.stack([*pixels]), path, fps=fps, meta=meta)
    else:
        write_mp4(pixels, path, fps=fps, meta=meta, sound=heard(file, len(sources) / fps) if fps == film.fps else None)
    return [path]


def frames_of(run: Any, options: Options, sources: np.ndarray, how: Translation) -> Iterator[np.ndarray]:
    """What becomes of each of ``sources``, uint8 [N, H, W, 3]: [H, W, C] in [-1, 1]. All by the same noise, or it would
    flicker."""
    key = jax.random.key(options.seed)
    for source in sources:
        shown = how.start.encode(recolour(source, how.start.channels))
        yield translated(run, shown, key, **controls_for(options, source, how))


def heard(file: Path, seconds: float) -> tuple[np.ndarray, int] | None:
    """The first seconds of what is heard in a film."""
    sound = read_sound(file)
    return None if sound is None else (sound[0][: round(seconds * sound[1])], sound[1])


def squares(frames: np.ndarray, size: int) -> np.ndarray:
    """uint8 [N, H, W, 3] -> their central squares, [N, size, size, 3], as `zoo.codecs.images.read_image` cuts them."""
    from PIL import Image, ImageOps

    fit = lambda frame: ImageOps.fit(Image.fromarray(frame), (size, size), Image.Resampling.LANCZOS)
    return np.stack([np.asarray(fit(frame)) for frame in frames])
