"""idx: the format of MNIST and its kin."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from train.data.pictures import table_source
from train.data.source import Source
from train.data.spec import Spec
from zoo.errors import UserError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
WORDS = {"train": ("train",), "valid": ("valid", "val"), "test": ("t10k", "test")}


def open_idx(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """idx:DIR?size=N&channels=1|3|4, a folder with MNIST's files, gzipped or not: train-images-idx3-ubyte,
    t10k-images-idx3-ubyte, and labels-idx1 beside each.

    "valid" is the test set where there is no third. A slightly larger size pads: 28 -> 32 keeps the pixels.
    """
    spec.allow("size", "channels")
    files = sorted(path for path in spec.folder().iterdir() if path.is_file())
    tables = {}
    for name, words in WORDS.items():
        images = _find(files, "images", words)
        labels = _find(files, "labels", words)
        if images is not None:
            tables[name] = (read_idx(images), None if labels is None else read_idx(labels))
    if not tables:
        raise UserError(f"{spec.text}: no idx files such as train-images-idx3-ubyte.gz in the folder")
    return table_source(spec, split, tables, image_size=image_size)


def read_idx(path: Path) -> np.ndarray:
    """The array in an idx file: two zero bytes, a type, a rank, big-endian sizes, values; gzipped or not.

    Raises UserError on a file that is truncated or no idx file.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: {error}; fetch the file again") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or len(data) < 4 + 4 * data[3]:
        raise UserError(f"{path}: not an idx file")
    shape = tuple(np.frombuffer(data, ">u4", data[3], 4).tolist())
    values = data[4 + 4 * data[3] :]
    dtype = np.dtype(TYPES[data[2]])
    if len(values) != math.prod(shape) * dtype.itemsize:
        wanted = math.prod(shape) * dtype.itemsize
        raise UserError(f"{path}: {len(values):,} bytes of values where {shape} needs {wanted:,}; fetch the file again")
    return np.frombuffer(values, dtype).astype(dtype.newbyteorder("=")).reshape(shape)


def _find(files: list[Path], kind: str, words: tuple[str, ...]) -> Path | None:
    named = (path for path in files if kind in path.name and "idx" in path.name)
    return next((path for path in named if any(word in path.name for word in words)), None)
