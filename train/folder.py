"""A run's folder: config.json, metrics.jsonl, checkpoints/, samples/, report.html."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from train.config import Config, difference, from_json, to_json
from zoo.errors import UserError

LOCK = ".lock"


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run, and the rules of who may write there."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    def load(self) -> tuple[Config, dict[str, Any]]:
        """The run's config, and the facts of its data (spec, codec, fields and size)."""
        if not exists(self.config_file):
            raise UserError(f"{self.path} is not a run folder: it has no config.json")
        try:
            saved = json.loads(self.config_file.read_text())
            return from_json(saved["run"]), dict(saved["data"])
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{self.config_file} is not a config of this version ({why})") from error

    @contextlib.contextmanager
    def claimed(self, config: Config, *, resume: bool) -> Iterator[bool]:
        """While it lasts the folder is ours; gives whether there is a run to go on with.

        Raises UserError for a folder that is something else, holds another run, or has another process training in it.
        """
        existing = exists(self.path)
        if existing and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; choose another --out")
        existing = existing and any(self.path.iterdir())
        if existing and not resume:
            raise UserError(f"{self.path} exists already; add --resume to go on with it, or choose another --out")
        going_on = existing and self.config_file.exists()
        if existing and not going_on and not self.unborn():
            raise UserError(f"{self.path} is not a run folder and is not empty; choose another --out")
        if going_on:
            saved, _ = self.load()
            wrong = difference(saved, config)
            if wrong:
                raise UserError(f"{self.path} holds another run: {wrong}; choose another --out or drop the option")
        with self.locked():
            yield going_on

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from training here. The lock ends with the process, however that ends."""
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
            lock = (self.path / LOCK).open("w")
        except OSError as error:
            raise UserError(f"cannot write to {self.path}: {error.strerror}; choose another --out") from error
        with lock:
            if taken(lock):
                raise UserError(f"another process is training in {self.path}; wait for it, or choose another --out")
            yield

    def unborn(self) -> bool:
        """Whether a run was killed here before it had written its config."""
        return {entry.name for entry in self.path.iterdir()} <= {"samples", f"{self.config_file.name}.part", LOCK}

    def write_config(self, config: Config, data: Mapping[str, Any]) -> None:
        """Atomically."""
        import jax

        versions = {"jax": jax.__version__, "artzoo": version()}
        text = json.dumps({"run": to_json(config), "data": dict(data), "versions": versions}, indent=2)
        write_text(self.config_file, text)


def taken(file: TextIO) -> bool:
    """Locks ``file``, or says that another process has. Where the system knows no locks, nobody has."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        pass
    return False


def exists(path: Path) -> bool:
    """Whether something is there; UserError for a path that cannot be."""
    try:
        return path.exists()
    except OSError as error:
        raise UserError(f"cannot use {path}: {error.strerror}; choose another --out") from error


def version() -> str:
    """Of the installed distribution; «source» where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("artzoo")
    except PackageNotFoundError:
        return "source"


def write_text(path: Path, text: str) -> None:
    """Whole or not at all: a killed process leaves the old file."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text)
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make room or choose another --out") from error
