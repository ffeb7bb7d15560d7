"""A run opened for drawing, and what its files say of themselves."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from train.folder import version
from train.runs import Restored, restore_run
from zoo.errors import UserError


def open_run(path: Path | str, *, step: int | None = None, member: int | None = None) -> Restored:
    """The run at ``path`` with its parameters on one device: what is drawn does not depend on how many there are.

    ``step``: of which checkpoint, the newest if None. ``member``: which one of a population, the first if None.
    UserError where there is no run, or no such checkpoint or member.
    """
    run = restore_run(path, step=step, member=member or 0, report=warn)
    if member is not None and run.config.members is None:
        raise UserError(f"--member {member}: {path} is a single run, not a population")
    host: Any = jax.device_get({"params": run.params, "raw": run.raw, "extra": run.extra})
    return replace(run, **host)


def made_by(run: Restored, path: Path | str, *, seed: int, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """The metadata of a file: all that it takes to make it again."""
    known = {"model": run.config.name, "run": str(path), "step": run.step, "seed": seed}
    return known | {"options": options or {}, "version": version()}


def warn(line: str) -> None:
    print(line, file=sys.stderr)
