"""images: a folder of pictures."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np

from train.data import pixels
from train.data.folders import by_folder, find
from train.data.pictures import Said, disk_source, is_large, named, picture_source
from train.data.progress import track
from train.data.source import Source
from train.data.spec import Spec
from train.data.splits import select
from train.data.workers import cores
from zoo.codecs.errors import CodecError
from zoo.errors import UserError


def open_images(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """images:DIR?size=N&channels=1|3|4&from=memory|disk&captions=names|files, the pictures under DIR, at any depth.

    ``size``: by default that of the pictures where all agree, else at most 64. Non-square pictures are cropped to the
    centre. Transparency lies on white, or stays with channels=4. When every picture is in a subfolder, the subfolders
    are classes. Folders train, valid and test at the top are splits. Up to 2 GiB of pixels are kept in memory; more, or
    from=disk, is read at every step.

    ``captions``: what is said of a picture are the "names" of its folders and its file, without numbers and marks, or
    the text of a "file" beside it (cat.txt of cat.png).
    """
    spec.allow("size", "channels", "from", "captions")
    folder = spec.folder()
    channels = int(spec.choice("channels", map(str, pixels.CHANNELS), "3"))
    files, lost = find(folder, pixels.SUFFIXES)
    names, sizes, broken = _headers(folder, files)
    skipped = [*lost, *broken]
    if not names:
        raise UserError(f"{spec.text}: no picture that can be read" + (f"; first: {skipped[0]}" if skipped else ""))
    size = image_size or spec.integer("size") or pixels.natural_size(sizes)
    own = by_folder(names)
    part, index = select({name: [names[i] for i in rows] for name, rows in own.items()}, split, spec=spec.text)
    chosen = [own[part][i] for i in index]
    paths = [folder / names[i] for i in chosen]
    classes, labels = classes_of(names, nested=len(own) > 1)
    labels = labels[chosen] if classes else None
    said = said_of(spec, folder, names, chosen) if "captions" in spec.options else None
    store = spec.choice("from", ("memory", "disk"), "disk" if is_large(len(paths), size, channels) else "memory")
    if store == "disk":
        read = _reader(paths, labels, size, channels)
        return disk_source(spec, read, len(paths), classes, size=size, channels=channels, said=said, skipped=skipped)
    images, kept, broken = _decode(folder, paths, size=size, channels=channels)
    if not kept.size:
        raise UserError(f"{spec.text}: no picture that can be read; first: {broken[0]}")
    labels = None if labels is None else labels[kept]
    said = replace(said, table=said.table[kept]) if said else None
    return picture_source(spec, images, labels, classes, said=said, skipped=[*skipped, *broken])


def said_of(spec: Spec, folder: Path, names: Sequence[str], chosen: Sequence[int]) -> Said:
    """What is said of the ``chosen`` ones of the files ``names``."""
    how = spec.choice("captions", ("names", "files"), "names")
    texts = [named(name) if how == "names" else beside(spec, folder / name) for name in names]
    return Said.of(texts, [texts[at] for at in chosen], spec=spec.text)


def beside(spec: Spec, picture: Path) -> str:
    path = picture.with_suffix(".txt")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise UserError(f"{spec.text}: {path}: {why}; each picture wants its caption there") from None


def classes_of(names: Sequence[str], *, nested: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """(class names, int32 [N] class of each file) where every file is in one of at least two subfolders; else
    nothing of both. ``nested``: the subfolders are inside the folders of the splits."""
    parts = [PurePath(name).parts[nested:] for name in names]
    classes = sorted({part[0] for part in parts if len(part) > 1})
    if len(classes) < 2 or any(len(part) == 1 for part in parts):
        return (), np.zeros(0, np.int32)
    return tuple(classes), np.array([classes.index(part[0]) for part in parts], np.int32)


def _headers(folder: Path, files: Sequence[str]) -> tuple[list[str], list[tuple[int, int]], list[str]]:
    """(files whose header is a picture's, their sizes, "FILE: why" of the others)."""
    accepted, sizes, broken = [], [], []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of odd metadata, and of sizes that we check ourselves
        for name in track(files, f"looking through {folder}", len(files)):
            try:
                sizes.append(pixels.header(folder / name))
                accepted.append(name)
            except OSError as error:
                broken.append(f"{name}: {error.strerror or error}")
    return accepted, sizes, broken


def _decode(
    folder: Path, paths: Sequence[Path], *, size: int, channels: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(pixels uint8 [M, size, size, channels], which of the N files they are [M], "FILE: why" of the others)."""
    from concurrent.futures import ThreadPoolExecutor

    images = np.zeros((len(paths), size, size, channels), np.uint8)

    def read(i: int) -> str | None:
        try:
            images[i] = pixels.read(paths[i], size=size, channels=channels)
        except CodecError as error:
            return f"{paths[i].relative_to(folder).as_posix()}: {error.cause}"
        return None

    with warnings.catch_warnings(), ThreadPoolExecutor(cores()) as pool:
        warnings.filterwarnings("ignore", module="PIL")
        failures = list(track(pool.map(read, range(len(paths))), f"reading {folder}", len(paths)))
    kept = np.array([i for i, why in enumerate(failures) if why is None], np.int64)
    return (images if len(kept) == len(paths) else images[kept]), kept, [why for why in failures if why is not None]


def _reader(paths: Sequence[Path], labels: np.ndarray | None, size: int, channels: int):
    def read(i: int) -> tuple[np.ndarray, int | None]:
        try:
            return pixels.read(paths[i], size=size, channels=channels), None if labels is None else int(labels[i])
        except CodecError as error:
            raise UserError(f"{error}; take the file away and resume") from None

    return read
