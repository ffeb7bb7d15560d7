"""What a run tells: metrics.jsonl, TensorBoard events, and a line or a bar for whoever watches."""

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from zoo.errors import UserError


class MetricsFile:
    """metrics.jsonl: one object a line with ``step``. A resumed run first drops what lies after its checkpoint."""

    def __init__(self, path: Path, *, after: int):
        self.path = path
        try:
            kept = [line for line in read_metrics(path) if line["step"] <= after] if path.exists() else []
            self._file: TextIO = path.open("w")
            for line in kept:
                self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; make room or choose another --out") from error
        self.last = kept[-1]["step"] if kept else None

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """A NaN is left out: JSON has none, and a phase that was not due has nothing to say."""
        line = {"step": step, **{name: plain(value) for name, value in values.items() if finite(value)}}
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror}; make room, then go on with --resume"
            ) from error
        self.last = step

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; one that a killed process left half-written is not there yet."""
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines


def plain(value: Any) -> Any:
    """A number, or a list of a population's numbers (NaN as null)."""
    array = np.asarray(value, np.float64)
    if array.ndim == 0:
        return float(f"{array:.7g}")
    return [float(f"{item:.7g}") if math.isfinite(item) else None for item in array]


def finite(value: Any) -> bool:
    return bool(np.isfinite(np.asarray(value)).any())


class Events:
    """TensorBoard event files beside metrics.jsonl."""

    def __init__(self, folder: Path, *, after: int):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=after + 1 if after else None)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if finite(value):
                self._writer.add_scalar(name, float(np.nanmean(np.asarray(value))), step)

    def close(self) -> None:
        self._writer.close()


class Watcher:
    """A bar on a terminal, a plain line elsewhere."""

    def __init__(self, name: str, steps: int, *, start: int, quiet: bool = False):
        self.name, self.steps, self.quiet = name, steps, quiet
        self._began, self._start, self._spoke = time.monotonic(), start, 0.0
        self._bar = self._task = None
        if not quiet and sys.stderr.isatty():
            self._bar, self._task = make_bar(name, steps, start)

    def show(self, step: int, values: Mapping[str, Any]) -> None:
        """The newest numbers."""
        if self.quiet:
            return
        rate = (step - self._start) / max(time.monotonic() - self._began, 1e-9)
        text = "  ".join(f"{key} {short(value)}" for key, value in values.items() if key.endswith("/loss"))
        if self._bar is not None:
            self._bar.update(self._task, completed=step, text=text, rate=f"{rate:.1f} steps/s")
        elif time.monotonic() - self._spoke > 5 or step >= self.steps:
            self._spoke = time.monotonic()
            left = (self.steps - step) / max(rate, 1e-9)
            self.say(f"{self.name}  step {step}/{self.steps}  {text}  {rate:.1f} steps/s  {left:.0f} s left")

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def make_bar(name: str, steps: int, start: int) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=Console(stderr=True),
    )  # fmt: skip
    bar.start()
    return bar, bar.add_task(name, total=steps, completed=start, text="compiling", rate="")


def short(value: Any) -> str:
    array = np.asarray(value, np.float64)
    if array.ndim == 0:
        return f"{array:.4f}"
    good = array[np.isfinite(array)]
    return f"{good.mean():.4f}±{good.std():.4f}" if good.size else "all failed"
