"""Sources of pictures: tables in memory, and files on disk."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

import numpy as np

from train.data.pixels import CHANNELS, SUFFIXES, fit, to_unit
from train.data.source import RESIDENT_BYTES, Source
from train.data.spec import Spec
from train.data.splits import SPLITS, select
from zoo.codecs.captions import Captions, words_of
from zoo.codecs.errors import CodecError
from zoo.codecs.images import ImageCodec
from zoo.errors import UserError


@dataclass(frozen=True)
class Said:
    """What is said of N pictures: words' numbers [N, L], and how they are numbered in all splits."""

    table: np.ndarray
    codec: Captions

    @classmethod
    def of(cls, every: Iterable[str], own: Iterable[str], *, spec: str) -> "Said":
        """The captions ``own`` of a split, beside ``every`` one of the data."""
        try:
            codec = Captions.of(every)
        except CodecError as error:
            raise UserError(f"{spec}: {error}") from None
        return cls(codec.table(own), codec)

    @property
    def fields(self) -> dict[str, int]:
        return {"words": len(self.codec.words), "caption": self.codec.longest}


def picture_source(
    spec: Spec,
    images: np.ndarray,
    labels: np.ndarray | None,
    names: Sequence[str] = (),
    *,
    said: Said | None = None,
    skipped: Sequence[str] = (),
) -> Source:
    """uint8 [N, S, S, C], or float32 in [0, 1], int labels [N] of the classes ``names`` and what is ``said`` of them,
    as a source that is resident on the device."""

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        row = {key: table[index] for key, table in arrays.items()}
        return row | {"image": to_unit(row["image"]) if row["image"].dtype == np.uint8 else row["image"] * 2 - 1}

    return Source(
        spec=spec.text,
        codec=ImageCodec(channels=images.shape[-1]),
        size=len(images),
        fields=_fields(images.shape[1], images.shape[-1], len(names)) | (said.fields if said else {}),
        arrays={"image": images}
        | ({} if labels is None else {"label": labels.astype(np.int32)})
        | ({"caption": said.table} if said else {}),
        example=example,
        skipped=tuple(skipped),
        labels=tuple(names),
        captions=said.codec if said else None,
    )


def disk_source(
    spec: Spec,
    read: Callable[[int], tuple[np.ndarray, int | None]],
    count: int,
    names: Sequence[str] = (),
    *,
    size: int,
    channels: int,
    said: Said | None = None,
    skipped: Sequence[str] = (),
) -> Source:
    """``count`` pictures that ``read(i) -> (uint8 [size, size, channels], label)`` decodes whenever they are wanted.
    The label is None when there are no ``names`` of classes."""

    def fetch(indices: np.ndarray) -> dict[str, np.ndarray]:
        images, labels = zip(*(read(int(i)) for i in indices), strict=True)
        batch = {"image": to_unit(np.stack(images))}
        batch |= {"label": np.array(labels, np.int32)} if names else {}
        return batch | ({"caption": said.table[indices]} if said else {})

    return Source(
        spec=spec.text,
        codec=ImageCodec(channels=channels),
        size=count,
        fields=_fields(size, channels, len(names)) | (said.fields if said else {}),
        fetch=fetch,
        skipped=tuple(skipped),
        labels=tuple(names),
        captions=said.codec if said else None,
    )


def table_source(
    spec: Spec,
    split: str,
    tables: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
    *,
    image_size: int | None,
    names: tuple[str, ...] = (),
    captions: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Source:
    """{split: (images, labels)} and {split: captions} as they were found in files. Heeds options ``size`` and
    ``channels`` of the spec."""
    channels = spec.choice("channels", ["", *map(str, CHANNELS)], "")
    own = {name: [str(i) for i in range(len(images))] for name, (images, _) in tables.items()}
    part, index = select(own, split, spec=spec.text)
    images, labels = tables[part]
    if labels is not None and labels.shape != (len(images),):
        raise UserError(f"{spec.text}: {len(images)} pictures but labels of shape {labels.shape}")
    images = fit(
        normalise(spec, images)[index],
        size=image_size or spec.integer("size"),
        channels=int(channels) if channels else None,
    )
    labels, names = _classes(spec, labels, [y for _, y in tables.values() if y is not None], names)
    said = _said(spec, tables, captions, part, index) if captions else None
    return picture_source(spec, images, None if labels is None else labels[index], names, said=said)


def _said(
    spec: Spec,
    tables: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
    captions: Mapping[str, np.ndarray],
    part: str,
    index: np.ndarray,
) -> Said:
    for name, (images, _) in tables.items():
        texts = captions.get(name)
        if texts is None or texts.dtype.kind not in "US" or texts.shape != (len(images),):
            got = "none" if texts is None else f"an array of {texts.dtype} {list(texts.shape)}"
            raise UserError(f"{spec.text}: {len(images)} pictures want as many captions as strings, not {got}")
    texts = {name: [*map(named, array.astype(str).tolist())] for name, array in captions.items()}
    every = (text for own in texts.values() for text in own)
    return Said.of(every, (texts[part][at] for at in index), spec=spec.text)


def named(text: str) -> str:
    """What a picture's file is called, without numbers and marks: "monsters/orc_warrior_2.png" -> "monsters orc
    warrior". Of any other text, the text."""
    if PurePath(text).suffix.lower() not in SUFFIXES:
        return text
    words = words_of(PurePath(text).with_suffix("").as_posix())
    return " ".join(word for word in words if not word.isdecimal() and word not in SPLITS)


def is_large(examples: int, size: int, channels: int) -> bool:
    """Whether that many pictures are better left on disk."""
    return examples * size * size * channels > RESIDENT_BYTES


def normalise(spec: Spec, images: np.ndarray) -> np.ndarray:
    """Pictures in any of the usual layouts and ranges -> [N, H, W, C] uint8, or float32 in [0, 1].

    Layouts: [N, H, W], [N, H, W, C], [N, C, H, W]. Ranges: whole numbers in 0..255, uint16, bool; floats in [0, 1],
    [-1, 1] or [0, 255], told apart by their extremes.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[-1] not in CHANNELS and images.shape[1] in CHANNELS:
        images = np.moveaxis(images, 1, -1)
    if images.ndim != 4 or images.shape[-1] not in CHANNELS or 0 in images.shape:
        raise UserError(f"{spec.text}: an array of shape {images.shape} is no set of pictures [N, H, W, C]")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iubf":
        raise UserError(f"{spec.text}: pixels should be numbers, not {images.dtype}")
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind == "f":
        return _from_floats(spec, images.astype(np.float32), low, high)
    scale = {"bool": 255.0, "uint16": 1 / 257}.get(images.dtype.name, 1.0)
    if low < 0 or high * scale > 255:
        raise UserError(f"{spec.text}: pixels from {low:g} to {high:g} should lie in 0..255")
    return np.rint(images * scale).astype(np.uint8)


def _from_floats(spec: Spec, images: np.ndarray, low: float, high: float) -> np.ndarray:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f"{spec.text}: some pixels are NaN or infinite")
    if low < -1 or high > 255 or (low < 0 and high > 1):
        raise UserError(f"{spec.text}: pixels from {low:g} to {high:g} should lie in [0, 1], [-1, 1] or [0, 255]")
    return (images + 1) / 2 if low < 0 else images / 255 if high > 1 else images


def _classes(
    spec: Spec, labels: np.ndarray | None, every: Sequence[np.ndarray], names: tuple[str, ...]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels as int32 from 0, and a name for each class. ``every``: the labels of all splits."""
    if labels is None:
        return None, ()
    joined = np.concatenate(every)
    if joined.dtype.kind in "US":
        unique = np.unique(joined)
        return np.searchsorted(unique, labels).astype(np.int32), tuple(map(str, unique))
    if joined.dtype.kind not in "iub" or joined.min(initial=0) < 0:
        raise UserError(f"{spec.text}: labels should be whole numbers from 0")
    classes = max(int(joined.max(initial=0)) + 1, len(names))
    return labels.astype(np.int32), names if len(names) == classes else tuple(map(str, range(classes)))


def _fields(size: int, channels: int, classes: int) -> dict[str, int]:
    fields = {"image_size": size, "channels": channels}
    return fields | {"classes": classes} if classes else fields
