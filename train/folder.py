"""A run's folder: config.json, metrics.jsonl, checkpoints/, samples/, report.html."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.config import Config, difference, from_json, to_json
from zoo.errors import UserError


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
        """The run's config, and the facts of its data (``data``: codec and fields)."""
        if not self.config_file.is_file():
            raise UserError(f"{self.path} is not a run folder: it has no config.json")
        try:
            saved = json.loads(self.config_file.read_text())
            return from_json(saved["run"]), saved["data"]
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{self.config_file} is not a config of this version ({error})") from error

    def claim(self, config: Config, *, resume: bool) -> bool:
        """Makes the folder ours, or goes on with what it holds. True when there is a run to go on with."""
        existing = self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))
        if existing and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; choose another --out")
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
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise UserError(f"cannot write to {self.path}: {error.strerror}; choose another --out") from error
        return going_on

    def unborn(self) -> bool:
        """Whether a run was killed here before it had written its config."""
        return {entry.name for entry in self.path.iterdir()} <= {"samples", "config.json.part", ".writable"}

    def write_config(self, config: Config, data: Mapping[str, Any]) -> None:
        """Atomically."""
        import jax

        versions = {"jax": jax.__version__, "artzoo": version()}
        text = json.dumps({"run": to_json(config), "data": dict(data), "versions": versions}, indent=2)
        write_text(self.config_file, text)


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
