"""npz: arrays that numpy saved."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from train.data.pictures import table_source
from train.data.sequences import KEYS, sequence_source
from train.data.source import Source
from train.data.spec import Spec
from train.data.splits import ALIASES, SPLITS
from zoo.errors import UserError

IMAGE_KEYS = ("image", "images", "x", "X", "data", "arr_0")
LABEL_KEYS = ("label", "labels", "y", "Y", "targets", "arr_1")
CAPTION_KEYS = ("caption", "captions", "text", "texts")
NAME_KEYS = ("label_names", "class_names", "classes")


def open_npz(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """npz:FILE?key=NAME&size=N&channels=1|3|4&caption=NAME, also a single .npy file. Nothing is unpickled.

    Pictures: ``image`` (or images, x, data, or key=NAME), see ``pictures.normalise``; classes in ``label`` (or labels,
    y) [N], their names in ``label_names``. What is said of them: strings or names of picture files in ``caption``
    (or captions, text, or caption=NAME) [N].

    Tokens: ``tokens`` [N, T] with ``length`` [N], or flat [T] with ``offsets`` [P + 1]; they are bytes, or those of the
    codec whose JSON is in ``codec``. Rolls: ``roll`` [N, T, 88] with
    ``length``, or [T, 88] with ``offsets``. A split's arrays are called ``image_train``, ``train_image`` or
    ``trainimage``, and so on.
    """
    spec.allow("key", "size", "channels", "caption")
    arrays = read_npz(spec, spec.file())
    key = spec.options.get("key")
    if key is None and (kind := next((k for k in ("tokens", "roll") if split_keys(arrays, (k,))), None)):
        own = sequences_of(spec, arrays, kind)
        return sequence_source(spec, _codec(spec, arrays, kind, own), own, split=split, length=length)
    images = split_keys(arrays, (key,) if key else IMAGE_KEYS)
    if not images:
        wanted = f"array {key!r}" if key else "image, tokens or roll"
        raise UserError(f"{spec.text}: no {wanted}; it holds {', '.join(arrays)}: add ?key=NAME")
    labels = split_keys(arrays, LABEL_KEYS)
    tables = {name: (arrays[k], arrays[labels[name]] if name in labels else None) for name, k in images.items()}
    names = next((tuple(map(str, arrays[k])) for k in NAME_KEYS if k in arrays and arrays[k].dtype.kind in "US"), ())
    said = spec.options.get("caption")
    captions = {name: arrays[k] for name, k in split_keys(arrays, (said,) if said else CAPTION_KEYS).items()}
    if said and not captions:
        raise UserError(f"{spec.text}: no array {said!r}; it holds {', '.join(arrays)}")
    return table_source(spec, split, tables, image_size=image_size, names=names, captions=captions)


def read_npz(spec: Spec, path: Path) -> dict[str, np.ndarray]:
    """All arrays of the file, without unpickling. Raises UserError."""
    try:
        with path.open("rb") as file:  # numpy leaves it open where it is no zip file
            arrays = np.load(file, allow_pickle=False)
            return dict(arrays) if isinstance(arrays, np.lib.npyio.NpzFile) else {"image": arrays}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        why = " ".join(str(error).split())
        if "pickle" in why.lower():
            why = "it holds Python objects, or is no npz file: save plain arrays with numpy.savez"
        raise UserError(f"{spec.text}: {why}") from None


def split_keys(arrays: Mapping[str, np.ndarray], names: tuple[str, ...]) -> dict[str, str]:
    """{split: key} for the first of ``names`` that is there: under its own name, or once a split (``x_train``)."""
    words = dict(zip(SPLITS, SPLITS, strict=True)) | ALIASES
    for name in names:
        if name in arrays:
            return {"train": name}
        forms = {
            key: split
            for word, split in words.items()
            for key in (f"{name}_{word}", f"{word}_{name}", f"{word}{name}", f"{name}{word}")
        }
        if found := {split: key for key, split in forms.items() if key in arrays}:
            return found
    return {}


def sequences_of(spec: Spec, arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, list[np.ndarray]]:
    """{split: pieces [T] or [T, 88]} of tables that are padded, with lengths, or flat, with offsets."""
    lengths, offsets = split_keys(arrays, ("length", "lengths")), split_keys(arrays, ("offsets",))
    own = {}
    for name, key in split_keys(arrays, (kind,)).items():
        table = arrays[key]
        rank = 1 if kind == "tokens" else 2
        right = table.dtype.kind in "iu" if kind == "tokens" else table.shape[-1:] == (KEYS,)
        if table.ndim not in (rank, rank + 1) or not right or table.min(initial=0) < 0:
            raise UserError(
                f"{spec.text}: {key} of shape {table.shape} and type {table.dtype} cannot be read as {kind}"
            )
        if table.ndim == rank:
            pieces = _between(spec, table, arrays[offsets[name]] if name in offsets else np.array([0, len(table)]))
        else:
            pieces = _up_to(spec, table, arrays[lengths[name]] if name in lengths else None)
        own[name] = [piece for piece in pieces if len(piece)]
    return own


def _between(spec: Spec, table: np.ndarray, offsets: np.ndarray) -> list[np.ndarray]:
    if np.any(np.diff(offsets) < 0) or offsets[0] < 0 or offsets[-1] > len(table):
        raise UserError(f"{spec.text}: offsets should rise from 0 to at most {len(table)}")
    return [table[a:b] for a, b in pairwise(offsets)]


def _up_to(spec: Spec, table: np.ndarray, lengths: np.ndarray | None) -> list[np.ndarray]:
    if lengths is None:
        return list(table)
    if lengths.shape != (len(table),) or lengths.min(initial=0) < 0 or lengths.max(initial=0) > table.shape[1]:
        raise UserError(f"{spec.text}: {len(table)} lengths from 0 to {table.shape[1]} are wanted")
    return [row[:n] for row, n in zip(table, lengths, strict=True)]


def _codec(spec: Spec, arrays: Mapping[str, np.ndarray], kind: str, own: Mapping[str, list[np.ndarray]]) -> Any:
    from zoo.codecs import from_config
    from zoo.codecs.text import ByteCodec

    if "codec" in arrays:
        try:
            return from_config(json.loads(str(arrays["codec"])))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{spec.text}: array 'codec': {error}") from None
    if kind == "roll":
        return from_config({"codec": "roll"})
    most = max((int(piece.max()) for pieces in own.values() for piece in pieces), default=0)
    if most > 255:
        raise UserError(f"{spec.text}: tokens up to {most} are no bytes: save their codec's JSON as array 'codec'")
    return ByteCodec()
