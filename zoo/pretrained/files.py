"""A folder in Hugging Face's form: config.json, and weights in one safetensors file or in several."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import UserError

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def read_config(folder: Path) -> dict[str, Any]:
    return read_json(folder / CONFIG)


def read_tensors(folder: Path) -> dict[str, np.ndarray]:
    """All weights of a folder, of one file or of several."""
    index = folder / f"{WEIGHTS}.index.json"
    if not index.is_file():
        return read_safetensors(folder / WEIGHTS)
    shards = read_json(index).get("weight_map", {})
    tensors = {}
    for shard in sorted(set(shards.values())):
        if Path(shard).name != shard:
            raise UserError(f"{index}: {shard!r} is no file of this folder")
        tensors |= read_safetensors(folder / shard)
    return tensors


def write_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror}") from None
    write_safetensors(folder / WEIGHTS, tensors)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a file."""
    library = _library()
    try:
        return library.numpy.load_file(path)
    except OSError:
        raise UserError(f"cannot read {path}: No such file or directory") from None
    except library.SafetensorError as error:
        raise UserError(f"{path} is no safetensors file: {error}") from None


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    library = _library()
    # The library writes the memory of an array as if it were contiguous, whether it is or not.
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    try:
        library.numpy.save_file(contiguous, path, metadata={"format": "pt"})
    except (OSError, library.SafetensorError) as error:
        raise UserError(f"cannot write {path}: {error}") from None


def read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give the folder that config.json is in") from None
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} should hold an object")
    return found


def _library() -> Any:
    """The safetensors library, or a `UserError` that says how to get it."""
    try:
        import safetensors.numpy
    except ImportError:
        raise UserError("weights in Hugging Face's form need safetensors: pip install artzoo[pretrained]") from None
    return safetensors
