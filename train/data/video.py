"""video: clips of films, and of folders of frames, brought to one size."""

import warnings
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from train.data import pixels
from train.data.folders import by_folder, find
from train.data.progress import track
from train.data.source import RESIDENT_BYTES, Source
from train.data.spec import Spec
from train.data.splits import ALIASES, SPLITS, select
from zoo.codecs.clips import ClipCodec
from zoo.codecs.errors import CodecError
from zoo.codecs.film import read_film
from zoo.errors import UserError

FILMS = frozenset([".gif", ".mp4", ".webm", ".mov", ".avi", ".mkv", ".m4v"])
FRAMES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".bmp"])
CHANNELS = (1, 3)
LENGTH = 16  # frames, unless the model says
FPS = 12.0  # of frames in folders, which do not tell


def open_video(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """video:DIR?size=N&channels=1|3&length=N&every=N, the films (GIF, MP4, ...) under DIR, and each of its folders of
    numbered pictures as one, at any depth.

    ``size``: by default that of the frames where all agree, else at most 64; frames are cropped to their centre.
    ``every``: of the frames of a film each N-th is taken. ``length``: frames of an example, unless the model says; in
    training one begins at every frame. Folders train, valid and test at the top are splits.
    """
    spec.allow("size", "channels", "length", "every")
    channels, every = int(spec.choice("channels", map(str, CHANNELS), "3")), spec.integer("every", 1) or 1
    length = length or spec.integer("length", LENGTH, least=2) or LENGTH
    folder = spec.folder()
    films, skipped = _films(folder)
    size = image_size or spec.integer("size") or _natural(folder, films)
    clips: dict[str, np.ndarray] = {}
    speeds, total = [], 0
    for name, frames in track(list(films.items()), f"reading {folder}", len(films)):
        try:
            clip, fps = _clip(folder, name, frames, size=size, channels=channels, every=every)
            if len(clip) < length:
                raise CodecError(name, f"{len(clip)} frames are fewer than the {length} of an example")
        except CodecError as error:
            skipped.append(f"{name}: {error.cause}")
            continue
        clips[name], total = clip, total + clip.nbytes
        speeds.append(fps / every)
        if total > RESIDENT_BYTES:
            raise UserError(f"{spec.text}: more than 2 GiB of frames: a smaller size=N, or every=N, makes them fewer")
    if not clips:
        raise UserError(f"{spec.text}: no film that can be read" + (f"; first: {skipped[0]}" if skipped else ""))
    names = [*clips]
    own = by_folder(names)
    part, index = select({name: [names[i] for i in rows] for name, rows in own.items()}, split, spec=spec.text)
    chosen = [clips[names[own[part][i]]] for i in index]
    fps = float(np.clip(np.median(speeds), 1, 60))
    return clip_source(spec, split, chosen, length, fps, skipped=skipped)


def clip_source(
    spec: Spec, split: str, clips: Sequence[np.ndarray], length: int, fps: float, *, skipped: Sequence[str] = ()
) -> Source:
    """Clips uint8 [F, S, S, C] of ``length`` frames at least as a source that is resident on the device."""
    starts, offset = [], 0
    for clip in clips:
        last = len(clip) - length
        every = (
            np.arange(last + 1) if split == "train" else np.unique(np.minimum(np.arange(0, len(clip), length), last))
        )
        starts.append(offset + every)
        offset += len(clip)
    arrays = {"frames": np.concatenate([*clips]), "start": np.concatenate(starts).astype(np.int32)}

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        import jax

        clip = jax.lax.dynamic_slice_in_dim(arrays["frames"], arrays["start"][index], length)
        return {"video": pixels.to_unit(clip)}

    size, channels = clips[0].shape[2:]
    return Source(
        spec=spec.text,
        codec=ClipCodec(channels=channels, fps=fps),
        size=len(arrays["start"]),
        fields={"image_size": size, "channels": channels, "length": length},
        arrays=arrays,
        example=example,
        skipped=tuple(skipped),
    )


def _films(folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """({name of a film: [], name of a folder: its pictures}, "FOLDER: why" of what cannot be entered)."""
    files, lost = find(folder, FILMS | FRAMES)
    found: dict[str, list[str]] = {}
    loose = []
    for name in files:
        path = PurePath(name)
        if path.suffix.lower() in FILMS:
            found[name] = []
        elif path.parent.as_posix() in (".", *SPLITS, *ALIASES):
            loose.append(f"{name}: a picture is no film: frames of one lie in a folder of their own")
        else:
            found.setdefault(path.parent.as_posix() + "/", []).append(name)
    return dict(sorted(found.items())), [*lost, *loose]


def _natural(folder: Path, films: dict[str, list[str]]) -> int:
    """Pixels a side, from the first frame of each film that can be read."""
    sizes = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        for name, frames in films.items():
            try:
                if frames or name.lower().endswith(".gif"):
                    sizes.append(pixels.header(folder / (frames[0] if frames else name)))
                else:
                    sizes.append(read_film(folder / name).frames.shape[2:0:-1])
            except (OSError, CodecError):
                continue
    return pixels.natural_size(sizes) if sizes else pixels.MODEST


def _clip(
    folder: Path, name: str, frames: list[str], *, size: int, channels: int, every: int
) -> tuple[np.ndarray, float]:
    """(uint8 [F, size, size, channels], frames a second). Raises CodecError."""
    if not frames:
        film = read_film(folder / name)
        return pixels.fit(film.frames[::every], size=size, channels=channels), film.fps
    ordered = sorted(frames, key=_numbered)[::every]
    return np.stack([pixels.read(folder / file, size=size, channels=channels) for file in ordered]), FPS


def _numbered(name: str) -> tuple[Any, ...]:
    """Sorts frame9.png before frame10.png."""
    words = "".join(c if c.isdecimal() else f" {c} " for c in PurePath(name).stem).split()
    return tuple((0, int(word), "") if word.isdecimal() else (1, 0, word) for word in words)
