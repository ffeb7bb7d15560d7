"""``python -m benchmarks speed``: our throughput against PyTorch's, in fresh processes that take turns.

For every row: each of PyTorch's modes is tried in a process of its own, and the quickest is the peer. Then, pair by
pair, two fresh processes (ours, the peer's) measure windows of at least two seconds in turn, A-B-A-B, with one
synchronisation at a window's end; on a CPU both have large pages (`train.pages`). The ratio is the median over windows,
with a hierarchical bootstrap's 95 % interval.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.machine import cpu_pressure
from benchmarks.ratios import geometric_mean, ratio
from zoo.errors import UserError

BUSY = 10.0  # per cent of CPU pressure above which nothing is timed on a CPU
ROOT = Path(__file__).parents[1]
Suite = Literal["cpu", "gpu"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """How long each row is measured."""

    pairs: int = 3
    windows: int = 4
    seconds: float = 2.0
    trial: float = 2.0
    """Seconds in which a mode of PyTorch shows how quick it is."""
    many: int = 50
    """Steps of the rows with many steps in one dispatch."""


QUICK = Method(pairs=1, windows=2, seconds=1.0, trial=0.5)


class Worker:
    """A process of `benchmarks.worker`."""

    def __init__(self, asked: dict[str, Any], cache: Path | None):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if cache is not None:
            environment |= {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (not a pipe: nobody would read it in time)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(asked)], cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip
        self.ready = self.read()

    def read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            self.errors.seek(0)
            error = self.errors.read().strip().splitlines()
            raise UserError(f"a worker died: {error[-1] if error else 'without a word'}")
        return json.loads(line)

    def window(self, seconds: float) -> float:
        """Units a second over a window."""
        self.process.stdin.write(f"{seconds}\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        return self.read()["speed"]

    def end(self) -> dict[str, Any]:
        self.process.stdin.close()  # type: ignore[union-attr]
        return self.read()


@contextmanager
def worker(asked: dict[str, Any], cache: Path | None = None) -> Iterator[Worker]:
    one = None
    try:
        one = Worker(asked, cache)
        yield one
    finally:
        if one is not None:
            one.process.kill()
            one.process.wait()


# -- a row -------------------------------------------------------------------------------------------------------------


def measure(
    workload: Any, suite: Suite, dispatch: int, method: Method, tried: dict[str, float | str]
) -> dict[str, Any]:
    """Everything that is known of a row, as its line in the results. ``tried``: of `modes_of`."""
    from benchmarks.flops import step_flops

    asked = question(workload, suite, dispatch)
    working = {mode: speed for mode, speed in tried.items() if isinstance(speed, float)}
    if not working:
        raise UserError(f"no mode of PyTorch ran {workload.name}: {tried}")
    best = max(working, key=lambda mode: working[mode])
    ours, theirs, facts = turns({**asked, "side": "jax"}, {**asked, "side": best}, method)
    middle = float(np.median(np.concatenate(ours)))
    flops = step_flops(workload.model("cpu"), workload.batch) if workload.kind == "train" else None
    return {
        "row": workload.name, "kind": workload.kind, "dispatch": dispatch,
        "ratio": ratio(ours, theirs), "ours": middle, "peers": tried, "best": best, "unit": f"{workload.unit}/s",
        "flops": flops, "flops_per_second": flops and flops * middle / workload.units, **facts,
        "windows": {"ours": ours, "theirs": theirs}, "pressure": cpu_pressure(),
        "date": date.today().isoformat(),
    }  # fmt: skip


def agree(workload: Any, suite: Suite) -> None:
    """UserError unless the two sides compute the same, on the CPU and in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.agree", workload.name, suite]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True)
    if done.returncode:
        raise UserError(done.stderr.strip().splitlines()[-1])


def question(workload: Any, suite: Suite, dispatch: int = 1) -> dict[str, Any]:
    """What a worker is asked, but for the side."""
    return {"row": workload.name, "suite": suite, "dispatch": dispatch, "threads": threads(suite)}


def modes_of(workload: Any, suite: Suite, method: Method, peers: list[str] | None) -> dict[str, float | str]:
    """{mode of PyTorch: its speed, or why it does not run}. UserError unless the two sides compute the same."""
    from benchmarks.theirs import modes

    agree(workload, suite)
    asked = question(workload, suite)
    return {mode: trial({**asked, "side": mode}, method) for mode in peers or modes(workload, suite)}


def trial(asked: dict[str, Any], method: Method) -> float | str:
    """A mode's speed, or why it does not run."""
    try:
        with worker(asked) as one:
            return one.window(method.trial)
    except UserError as error:
        return str(error)


def turns(ours: dict[str, Any], theirs: dict[str, Any], method: Method) -> tuple[Any, Any, dict[str, Any]]:
    """Both sides' speeds [pair][window], and what our processes said of themselves."""
    speeds: tuple[list, list] = ([], [])
    starts, ends = [], []
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(method.pairs):
            with worker(ours, Path(cache)) as a, worker(theirs) as b:
                rounds = [(a.window(method.seconds), b.window(method.seconds)) for _ in range(method.windows)]
                starts.append(a.ready)
                ends.append((a.end(), b.end()))
            for side, of_side in zip(speeds, zip(*rounds, strict=True), strict=True):
                side.append(list(of_side))
    compiling = [start["first"] - start["turn"] for start in starts]
    return (
        *speeds,
        {
            "device": starts[0]["device"],
            "versions": starts[0]["versions"],
            "flags": starts[0]["flags"],
            "first_step": starts[0]["first"],
            "compile_cold": compiling[0],  # with an empty cache
            "compile_warm": min(compiling[1:], default=None),  # with what the first process left in it
            "compiles": ends[0][0]["compiles"],
            "peak_memory": max(mine["peak_memory"] for mine, _ in ends),
            "peak_memory_peer": max(its["peak_memory"] for _, its in ends),
        },
    )


def threads(suite: Suite) -> int | None:
    """On a CPU both sides may use every core that this process may."""
    return len(os.sched_getaffinity(0)) if suite == "cpu" else None


def wait_until_quiet(suite: str, patience: float = 60.0) -> None:
    """Lets the row before come to rest. UserError where other work would still be timed with ours."""
    until = time.monotonic() + patience
    while suite == "cpu" and (pressure := cpu_pressure() or 0.0) > BUSY:
        if time.monotonic() > until:
            raise UserError(
                f"the machine is busy (CPU pressure {pressure:.0f} %, at most {BUSY:.0f} %): stop what runs"
            )
        time.sleep(1)


# -- all rows ----------------------------------------------------------------------------------------------------------


def run(
    suite: Suite, names: list[str] | None, peers: list[str] | None, method: Method, out: Path, *, quick: bool
) -> None:
    """Measures the rows, writes each as soon as it is known, and prints what came out."""
    found, tried = [], {}
    for workload, dispatch in rows(suite, names, method, quick=quick):
        wait_until_quiet(suite)
        if workload.name not in tried:
            tried[workload.name] = modes_of(workload, suite, method, peers)
        line = measure(workload, suite, dispatch, method, tried[workload.name])
        file = out / slug(line["device"]) / "speed.jsonl"
        save(line, file)
        print(describe(line), flush=True)
        found.append(line)
    single = [line["ratio"]["median"] for line in found if line["kind"] == "train" and line["dispatch"] == 1]
    if single:
        print(f"geometric mean of {len(single)} training rows, one step a dispatch: {geometric_mean(single):.2f}")


def rows(suite: Suite, names: list[str] | None, method: Method, *, quick: bool) -> list[tuple[Any, int]]:
    """(workload, steps a dispatch) of what was asked for. UserError for a name that no row has."""
    from benchmarks.workloads import WORKLOADS

    mine = [one for one in WORKLOADS if suite in one.suites]
    for name in names or ():
        if name not in {one.name for one in mine}:
            raise UserError(f"--rows {name}: the rows of the suite {suite} are {', '.join(one.name for one in mine)}")
    if names:
        mine = [one for one in mine if one.name in names]
    elif quick:
        mine = [one for one in mine if one.quick]
    return [(one, dispatch) for one in mine for dispatch in ((1, method.many) if one.small else (1,))]


def save(line: dict[str, Any], file: Path) -> None:
    """Puts the line into the file, in the place of the same row's older one."""
    same = ("row", "kind", "dispatch")
    before = [json.loads(text) for text in file.read_text().splitlines()] if file.exists() else []
    kept = [old for old in before if any(old[key] != line[key] for key in same)]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(one) + "\n" for one in [*kept, line]))


def slug(device: str) -> str:
    """ "cpu, 2 cores, AMD EPYC" -> "cpu-2-cores-amd-epyc"."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def describe(line: dict[str, Any]) -> str:
    low, median, high = (line["ratio"][key] for key in ("low", "median", "high"))
    steps = f", {line['dispatch']} steps a dispatch" if line["dispatch"] > 1 else ""
    found = f"{median:.2f}x [{low:.2f}, {high:.2f}] of PyTorch {line['best']}"
    return f"{line['row']} ({line['kind']}{steps}): {line['ours']:,.0f} {line['unit']}, {found}"
