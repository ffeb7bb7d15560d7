"""Files of named arrays: ``.npz``, ``.safetensors``, and the ``.pth`` and ``.pt`` that PyTorch writes."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from zoo.errors import UserError
from zoo.pretrained.files import read_safetensors
from zoo.pretrained.torch_file import read_torch


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """name -> array. Nothing in the file is run. UserError where it is none of these."""
    if file.suffix == ".safetensors":
        return read_safetensors(file)
    return read_npz(file) if file.suffix == ".npz" else read_torch(file)


def read_npz(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}") from None
    except (ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{file} is no npz file: {' '.join(str(error).split())}") from None
