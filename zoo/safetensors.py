"""The safetensors format, read and written with NumPy alone: a JSON header, then the tensors' bytes.

Eight bytes: the header's length, little-endian. The header: {name: {"dtype", "shape", "data_offsets": [from, to]}} and
"__metadata__": {string: string}. Offsets count from behind the header; together they cover the rest of the file.
Our own, because it is small and nothing can run from such a file; and because the library's NumPy side writes arrays
that are not contiguous wrongly, without a word. https://github.com/huggingface/safetensors#format
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from zoo.errors import UserError

DTYPES = {
    "BOOL": np.dtype(bool),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    **{f"F{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
    **{f"{kind}{bits}": np.dtype(f"<{kind.lower()}{bits // 8}") for kind in "IU" for bits in (8, 16, 32, 64)},
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LARGEST = 100_000_000  # bytes of a header, as the format's own reader has it


def load(path: Path) -> dict[str, np.ndarray]:
    """{name: array}, read-only views of the file, which is mapped and not read. UserError where it is not one."""
    try:
        data = np.memmap(path, np.uint8, mode="r")
        size = int.from_bytes(data[:8].tobytes(), "little")
        if size > min(LARGEST, len(data) - 8):
            raise ValueError(f"a header of {size} bytes in a file of {len(data)}")
        header = json.loads(data[8 : 8 + size].tobytes(), object_pairs_hook=_once)
        header.pop("__metadata__", None)
        return _views(header, data[8 + size :])
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is no safetensors file: {error}") from None


def save(path: Path, tensors: Mapping[str, np.ndarray], *, metadata: Mapping[str, str]) -> None:
    """Writes arrays of any layout. UserError for a dtype that the format has no name for, and for a full disk."""
    arrays, header, at = {}, {"__metadata__": dict(metadata)}, 0
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if array.dtype not in NAMES:
            raise UserError(f"{name}: safetensors has no {array.dtype}")
        arrays[name] = array.reshape(np.shape(tensor))
        entry = {"dtype": NAMES[array.dtype], "shape": list(np.shape(tensor)), "data_offsets": [at, at + array.nbytes]}
        header[name], at = entry, at + array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of eight
    try:
        with open(path, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for array in arrays.values():
                file.write(array.tobytes())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in its header")
    return found


def _views(header: Mapping[str, Any], data: np.ndarray) -> dict[str, np.ndarray]:
    """Checks that the tensors cover ``data`` without holes or overlaps."""
    tensors, at = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape, (begin, end) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if not all(isinstance(number, int) and number >= 0 for number in (*shape, begin, end)):
            raise ValueError(f"{name} has a negative or broken size")
        if begin != at or end > len(data) or end - begin != int(np.prod(shape, dtype=object)) * dtype.itemsize:
            raise ValueError(f"{name} is not where its header says")
        tensors[name], at = data[begin:end].view(dtype).reshape(shape), end
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes belong to no tensor")
    return tensors
