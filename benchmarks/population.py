"""Seeds side by side: the same trainings as one population, and as runs one after another, by the real command.

Whole commands are timed, from the shell and back: start-up, compilation, checkpoints and previews counted. A population
begins with an empty compilation cache; of the runs one after another the first does, and leaves it to those after it,
as on a user's machine.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import facts_apart
from benchmarks.process import ROOT, surroundings
from benchmarks.workloads import missing
from zoo.errors import UserError

ALONE = "one after another"


@dataclass(frozen=True, kw_only=True)
class Population:
    """A row of the table whose two sides are both ours."""

    name: str
    preset: str
    options: tuple[str, ...]
    """Of ``zoo-train``."""
    shape: tuple[int, ...]
    """Of a picture."""
    members: int = 16
    repeats: int = 3
    """Of the population."""
    steps: int = 300
    dispatch: int = 50
    pictures: int = 4096
    suites: tuple[str, ...] = ("cpu", "gpu")
    quick: bool = False
    kind: str = "train"

    @property
    def lacks(self) -> list[str]:
        return missing("tyro", "orbax", "tensorboardX", "rich", "PIL")

    def dispatches(self, suite: str, many: int) -> tuple[int, ...]:
        del suite, many
        return (self.dispatch,)

    def measure(self, session: Any) -> dict[str, Any]:
        """Its line in the results."""
        folder = session.folder / self.name
        folder.mkdir()
        np.savez(
            folder / "pictures.npz",
            image=np.random.default_rng(0).integers(0, 256, (self.pictures, *self.shape), np.uint8),
        )
        singles = [self.run(folder, folder / "cache", seed=seed) for seed in range(self.members)]
        together = []
        for turn in range(self.repeats):
            more = ("--population", str(self.members))
            together.append(self.run(folder, folder / f"cache-{turn}", *more, seed=0))
        return self.line(*(list(zip(*side, strict=True)) for side in (together, singles))) | facts_apart()

    def run(self, folder: Path, cache: Path, *more: str, seed: int) -> tuple[float, int]:
        """(seconds, peak memory in bytes) of the command."""
        environment = surroundings(JAX_COMPILATION_CACHE_DIR=str(cache))
        with tempfile.TemporaryDirectory(dir=folder) as out, tempfile.TemporaryFile("w+") as said:
            words = {
                "--data": f"npz:{folder / 'pictures.npz'}", "--out": f"{out}/run", "--steps": self.steps,
                "--dispatch": self.dispatch, "--seed": seed,
            }  # fmt: skip
            options = [str(part) for pair in words.items() for part in pair]
            command = [sys.executable, "-m", "train", self.preset, *options, *self.options, *more]
            began = time.perf_counter()
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise UserError((said.read().strip().splitlines() or ["zoo-train failed without a word"])[-1])
        return seconds, usage.ru_maxrss * 1024

    def line(self, together: Sequence[Any], singles: Sequence[Any]) -> dict[str, Any]:
        """``together``, ``singles``: (seconds, bytes) of the commands."""
        rate = lambda seconds: self.members / seconds
        middle, whole = float(np.median(together[0])), float(np.sum(singles[0]))
        return {
            "row": self.name, "kind": self.kind, "dispatch": self.dispatch, "ratio": gain(together[0], singles[0]),
            "ours": rate(middle), "peers": {ALONE: rate(whole)}, "best": ALONE, "unit": "runs/s",
            "flops": None, "mfu": None, "bytes": None, "bandwidth": None, "formula": None, "compile_cold": None,
            "compile_warm": None, "compiles": None,
            "peak_memory": max(together[1]), "peak_memory_peer": max(singles[1]),
            "seconds": {"ours": list(together[0]), "theirs": list(singles[0])}, "date": date.today().isoformat(),
        }  # fmt: skip


def gain(together: Sequence[float], singles: Sequence[float], *, seed: int = 0) -> dict[str, float]:
    """{low, median, high} of the seconds of all ``singles`` / those of ``together``, with a bootstrap's 95 % interval
    over the commands of both."""
    rng = np.random.default_rng(seed)
    draw = lambda: rng.choice(singles, len(singles)).sum() / np.median(rng.choice(together, len(together)))
    low, high = np.percentile([draw() for _ in range(10_000)], [2.5, 97.5])
    return {"low": float(low), "median": float(np.sum(singles) / np.median(together)), "high": float(high)}


POPULATIONS = (Population(name="vae-16-seeds", preset="vae", options=(), shape=(28, 28, 1)),)
