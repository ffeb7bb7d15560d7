"""metrics.jsonl: the numbers of a run, one JSON object a line."""

import contextlib
import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from io import RawIOBase
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import UserError


class MetricsFile:
    """One line a logged step. A resumed run first drops what lies after its checkpoint: those steps come again."""

    def __init__(self, path: Path, *, after: int):
        self.path = path
        with written(path):
            if path.exists():
                keep_until(path, after)
            self._file = path.open("ab", buffering=0)  # a line is on its way at once

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """A NaN is left out: JSON has none, and a phase that was not due has nothing to say."""
        line = {"step": step, **{name: plain(value) for name, value in values.items() if finite(value)}}
        append(self._file, json.dumps(line).encode() + b"\n", self.path)

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Turns what the file system refuses into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make room, then go on with --resume") from error


def append(file: RawIOBase, data: bytes, path: Path) -> None:
    """All of ``data`` at the end of an unbuffered file: what did not fit is not tried again when the file is closed."""
    with written(path):
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def keep_until(path: Path, step: int) -> None:
    """Drops the lines after ``step``. Atomically: a process that is killed here leaves the old file."""
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    part = path.with_name(path.name + ".part")
    part.write_text("".join(json.dumps(line) + "\n" for line in kept))
    os.replace(part, path)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; one that a killed process left half-written is not there yet."""
    lines = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            found = json.loads(line)
            if isinstance(found, dict) and isinstance(found.get("step"), int):
                lines.append(found)
    return lines


def plain(value: Any) -> Any:
    """A number, or a list of a population's numbers (NaN as null)."""
    array = np.asarray(value, np.float64)
    if array.ndim == 0:
        return float(f"{array:.7g}")
    return [float(f"{item:.7g}") if math.isfinite(item) else None for item in array]


def finite(value: Any) -> bool:
    return bool(np.isfinite(np.asarray(value)).any())
