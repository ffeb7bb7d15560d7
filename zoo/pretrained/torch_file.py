"""What ``torch.save`` wrote of a state dict, without PyTorch: both of its formats, the zip archive of version 1.6 and
the row of pickles before it.

Such a file is a pickle, and a pickle may run anything. This one may make tensors and ordered dicts, and nothing else.
"""

import io
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from zoo.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older format
STORAGES: Mapping[str, np.dtype] = {
    "DoubleStorage": np.dtype("<f8"), "FloatStorage": np.dtype("<f4"), "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16), "LongStorage": np.dtype("<i8"), "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"), "CharStorage": np.dtype("i1"), "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}  # fmt: skip


def read_torch(file: Path) -> dict[str, np.ndarray]:
    """name -> array of a state dict, or of the one that a checkpoint keeps as ``state_dict`` or ``model``. UserError
    where the file is none."""
    try:
        with file.open("rb") as stream:
            read = from_archive if zipfile.is_zipfile(stream) else from_pickles
            stream.seek(0)
            found = read(stream)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}") from None
    except Forbidden as error:
        raise UserError(f"{file}: {error}; save a state dict alone, or as safetensors") from None
    except Exception as error:  # a pickle's errors are of any kind
        raise UserError(f"{file} is no state dict of PyTorch's: {' '.join(str(error).split())}") from None
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    arrays = {str(name): value for name, value in found.items() if isinstance(value, np.ndarray)}
    if not arrays:
        raise UserError(f"{file} holds no tensors by name")
    return arrays


class Forbidden(Exception):
    """The pickle asks for what is no tensor."""


class Tensors(pickle.Unpickler):
    """Unpickles tensors as arrays; ``storage_of`` (kind, key, numbers) is where their numbers come from."""

    def __init__(self, stream: BinaryIO, storage_of: Callable[[np.dtype, str, int], np.ndarray]):
        super().__init__(stream)
        self.storage_of = storage_of

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in REBUILD:
            return REBUILD[name]
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise Forbidden(f"it asks for {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, dtype, key, _, count, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise ValueError("what should be a storage is none")
        return self.storage_of(dtype, str(key), int(count))


def tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *rest: Any) -> Any:
    """A view of a storage, all of whose numbers must be in it."""
    del rest
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or (math.prod(shape) and last >= len(storage)):
        raise ValueError("a tensor is larger than its storage")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


REBUILD = {"_rebuild_tensor_v2": tensor, "_rebuild_parameter": lambda data, *rest: data}


def from_archive(stream: BinaryIO) -> Any:
    """The newer format: ARCHIVE/data.pkl, and a file ARCHIVE/data/KEY for each storage."""
    with zipfile.ZipFile(stream) as archive:
        if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):  # it might be a bomb
            raise ValueError("it is compressed")
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        root, cache = pickled.removesuffix("data.pkl"), {}

        def storage_of(dtype: np.dtype, key: str, count: int) -> np.ndarray:
            if key not in cache:
                cache[key] = np.frombuffer(archive.read(f"{root}data/{key}"), dtype)
            if len(cache[key]) < count:
                raise ValueError(f"storage {key} is cut off")
            return cache[key]

        return Tensors(io.BytesIO(archive.read(pickled)), storage_of).load()


def from_pickles(stream: BinaryIO) -> Any:
    """The older format: a magic number, a version, facts of the system, the tensors, the storages' keys; then each
    storage as a count and its numbers."""
    size, storages = os.fstat(stream.fileno()).st_size, {}

    def storage_of(dtype: np.dtype, key: str, count: int) -> np.ndarray:
        """Zeros that are filled when all tensors are known."""
        if key not in storages:
            if count * dtype.itemsize > size:
                raise ValueError(f"storage {key} is cut off")
            storages[key] = np.zeros(count, dtype)
        return storages[key]

    if Tensors(stream, storage_of).load() != MAGIC:
        raise ValueError("it does not begin as one")
    for _ in range(2):
        Tensors(stream, storage_of).load()
    found, keys = Tensors(stream, storage_of).load(), Tensors(stream, storage_of).load()
    for key in keys:
        storage = storages[str(key)]
        (count,) = np.frombuffer(stream.read(8), "<i8")
        numbers = stream.read(int(count) * storage.itemsize)
        storage[:] = np.frombuffer(numbers, storage.dtype)
    return found
