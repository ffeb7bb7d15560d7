"""What a run shows to whoever watches: a bar on a terminal, a plain line elsewhere."""

import contextlib
import datetime
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

SECONDS = 5.0  # between two plain lines


class Watcher:
    """Progress on stderr. A run does not end because nobody reads it any more."""

    def __init__(self, name: str, steps: int, *, quiet: bool = False):
        self.name, self.steps, self.quiet = name, steps, quiet
        self._from: tuple[int, float] | None = None
        self._spoke = -np.inf
        self._bar = self._task = None
        if not quiet and sys.stderr.isatty():
            self._bar, self._task = make_bar(name, steps)

    def at(self, step: int) -> None:
        """Where a run begins or goes on."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def measure_from(self, step: int) -> None:
        """The pace is taken from here on: what came before was compiled first."""
        self._from = (step, time.monotonic())

    def show(self, step: int, values: Mapping[str, Any]) -> None:
        """The newest numbers."""
        if self.quiet:
            return
        due = {key: value for key, value in values.items() if np.ndim(value) or np.isfinite(value)}
        losses = "  ".join(f"{key} {short(value)}" for key, value in due.items() if key.endswith("/loss"))
        pace = self._pace(step)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, text=losses, pace=pace)
        elif time.monotonic() - self._spoke > SECONDS or step >= self.steps:
            self._spoke = time.monotonic()
            self.say("  ".join(filter(None, [self.name, f"step {step}/{self.steps}", losses, pace])))

    def _pace(self, step: int) -> str:
        """Steps a second and the time left; empty where too little is known."""
        if self._from is None or step <= self._from[0]:
            return ""
        rate = (step - self._from[0]) / max(time.monotonic() - self._from[1], 1e-9)
        left = datetime.timedelta(seconds=round(max(self.steps - step, 0) / rate))
        return f"{rate:.3g} steps/s  {left} left"

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.quiet:
            return
        with contextlib.suppress(OSError):
            if self._bar is not None:
                self._bar.console.print(line, highlight=False, markup=False)
            else:
                print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def make_bar(name: str, steps: int) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"),
        TextColumn("{task.fields[pace]}"), console=Console(stderr=True),
    )  # fmt: skip
    bar.start()
    return bar, bar.add_task(name, total=steps, text="compiling", pace="")


def short(value: Any) -> str:
    """A number, or a population's mean and deviation."""
    array = np.asarray(value, np.float64)
    if array.ndim == 0:
        return f"{array:.4f}"
    good = array[np.isfinite(array)]
    return f"{good.mean():.4f}±{good.std():.4f}" if good.size else "all failed"
