"""``python -m benchmarks speed``: our throughput against PyTorch's, in fresh processes that take turns.

For every row: PyTorch's modes are tried in a process each, and the quickest is the peer. Then, pair by pair, two fresh
processes (ours, the peer's) measure windows of at least two seconds in turn, A-B-A-B, with one synchronisation at a
window's end; on a CPU both have large pages (`train.pages`). The ratio is the median over windows, with a hierarchical
bootstrap's 95 % interval.
"""

import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from benchmarks.machine import cpu_pressure
from benchmarks.process import alone, workers
from benchmarks.ratios import geometric_mean, ratio
from benchmarks.results import describe, key_of, read_lines, save
from zoo.errors import UserError

BUSY = 10.0  # per cent of CPU pressure above which nothing is timed on a CPU
Suite = Literal["cpu", "gpu"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """How long each row is measured."""

    pairs: int = 3
    windows: int = 3
    seconds: float = 2.0
    patience: float = 45.0
    """Seconds after which no third pair of processes is begun."""
    trial: float = 1.0
    """Seconds in which a mode of PyTorch shows how quick it is, twice."""
    many: int = 50
    """Steps of the rows with many steps in one dispatch."""


QUICK = Method(pairs=1, windows=3, trial=0.5)


@dataclass
class Session:
    """What is shared by the rows of one run."""

    suite: Suite
    method: Method
    peers: list[str] | None
    folder: Path
    """For files that rows read."""
    ceilings: dict[str, dict[str, float]] = field(default_factory=dict)
    """dtype -> what a large product and a large copy reached in this run."""
    agreed: set[Any] = field(default_factory=set)
    tried: dict[str, dict[str, float | str]] = field(default_factory=dict)
    """row -> of `modes_of`."""
    won: dict[Any, list[str]] = field(default_factory=dict)
    """A model that decodes -> its quickest modes at the batch sizes so far."""

    def ceiling(self, dtype: str) -> dict[str, float]:
        if dtype not in self.ceilings:
            environment = {"JAX_PLATFORMS": "cpu"} if self.suite == "cpu" else {}
            self.ceilings[dtype] = json.loads(alone("benchmarks.ceilings", dtype, **environment))
        return self.ceilings[dtype]

    def asked(self, workload: Any, side: str, dispatch: int = 1) -> dict[str, Any]:
        """What a worker is asked. On a CPU both sides may use every core that this process may."""
        threads = len(os.sched_getaffinity(0)) if self.suite == "cpu" else None
        return {
            "row": workload.name, "suite": self.suite, "side": side, "dispatch": dispatch, "threads": threads,
            "folder": str(self.folder),
        }  # fmt: skip


# -- a row -------------------------------------------------------------------------------------------------------------


def measure(session: Session, workload: Any, dispatch: int) -> dict[str, Any]:
    """Everything that is known of a row, as its line in the results."""
    pressure = wait_until_quiet(session.suite)
    if workload.name not in session.tried:
        session.tried[workload.name] = modes_of(session, workload)
    tried = session.tried[workload.name]
    best = quickest(workload.name, tried)
    ours, theirs, facts = turns(session, workload, dispatch, best)
    middle, its = (float(np.median(np.concatenate(speeds))) for speeds in (ours, theirs))
    session.won.setdefault(family(workload), []).append(best)
    return {
        "row": workload.name, "kind": workload.kind, "dispatch": dispatch,
        "ratio": ratio(ours, theirs), "ours": middle, "peers": {**tried, best: its}, "best": best,
        "unit": f"{workload.unit}/s", **accounts(session, workload, middle / workload.units, facts["device"]), **facts,
        "windows": {"ours": ours, "theirs": theirs}, "pressure": pressure, "date": date.today().isoformat(),
    }  # fmt: skip


def accounts(session: Session, workload: Any, rate: float, device: str) -> dict[str, Any]:
    """Operations and, of decoding, bytes of a step; and which share of what the device can do ``rate`` steps a second
    are. A step of decoding makes a token in each row."""
    from benchmarks.ceilings import shares, sheet_of
    from benchmarks.flops import FORMULA, READING, decode_bytes, sample_flops, step_flops
    from benchmarks.ours import sampler

    model = workload.model(session.suite)
    sheet, ceiling = sheet_of(device, model.dtype), session.ceiling(model.dtype)
    if workload.kind == "train":
        flops = step_flops(model, workload.batch)
    else:
        flops = sample_flops(model, sampler(workload, model))
    found: dict[str, Any] = {
        "flops": flops, "mfu": shares(flops * rate, sheet["flops"], ceiling["flops"], "matmul"),
        "bytes": None, "bandwidth": None, "formula": {"flops": FORMULA},
    }  # fmt: skip
    if workload.decodes:
        size = decode_bytes(model, workload.batch, workload.length)
        reached = size * rate * workload.length
        found |= {"bytes": size, "bandwidth": shares(reached, sheet["bytes"], ceiling["bytes"], "copy")}
        found["formula"]["bytes"] = READING
    return found


def quickest(name: str, tried: dict[str, float | str]) -> str:
    working = {mode: speed for mode, speed in tried.items() if isinstance(speed, float)}
    if not working:
        raise UserError(f"{name}: no mode of PyTorch ran: {tried}")
    return max(working, key=lambda mode: working[mode])


def family(workload: Any) -> Any:
    return workload.kind, workload.preset, tuple(sorted(workload.fields.items())), workload.unit


def modes_of(session: Session, workload: Any) -> dict[str, float | str]:
    """{mode of PyTorch: its speed, or why it does not run}. UserError unless the two sides compute the same.

    The compiled modes are tried in the layout that is quickest in eager mode. A model whose decoding was quickest in
    some modes at a batch of 1 and of 128 is tried in these at those between."""
    agree(session, workload)
    if session.peers:
        return {mode: trial(session, workload, mode) for mode in session.peers}
    from benchmarks.theirs import compilers, layouts

    won = session.won.get(family(workload), ())
    if workload.decodes and len(won) > 1:
        modes = sorted(set(won[:2]))
        return {mode: trial(session, workload, mode) for mode in modes} if len(modes) > 1 else {modes[0]: 0.0}
    tried = {mode: trial(session, workload, mode) for mode in layouts(workload)}
    layout = quickest(workload.name, tried).removeprefix("eager")
    return tried | {kind + layout: trial(session, workload, kind + layout) for kind in compilers(session.suite)}


def agree(session: Session, workload: Any) -> None:
    """UserError unless the two sides compute the same, on the CPU and in a process of its own; once a model. (For rows
    of samples, of which only the network is compared, one size of it will do.)"""
    model = workload.model("cpu")
    same = {type(one) for one in session.agreed} if workload.kind == "sample" else set()
    if model not in session.agreed and type(model) not in same:
        alone("benchmarks.agree", workload.name, session.suite, JAX_PLATFORMS="cpu")
        session.agreed.add(model)


def trial(session: Session, workload: Any, mode: str) -> float | str:
    """A mode's speed, or why it does not run."""
    try:
        with workers((session.asked(workload, mode), None)) as (one,):
            one.warm()
            return max(one.window(session.method.trial) for _ in range(2))
    except UserError as error:
        return str(error)


def turns(session: Session, workload: Any, dispatch: int, mode: str) -> tuple[Any, Any, dict[str, Any]]:
    """Both sides' speeds [pair][window], and what our processes said of themselves."""
    method, began = session.method, time.monotonic()
    speeds: tuple[list, list] = ([], [])
    starts, ends = [], []
    with tempfile.TemporaryDirectory() as cache:
        sides = (session.asked(workload, "jax", dispatch), Path(cache)), (session.asked(workload, mode), None)
        for pair in range(method.pairs):
            if pair > 1 and time.monotonic() - began > method.patience:
                break
            with workers(*sides) as (a, b):
                starts.append(a.warm())
                b.warm()
                rounds = [(a.window(method.seconds), b.window(method.seconds)) for _ in range(method.windows)]
                ends.append((a.end(), b.end()))
            for side, of_side in zip(speeds, zip(*rounds, strict=True), strict=True):
                side.append(list(of_side))
    compiling = [start["first"] - start["turn"] for start in starts]
    first = starts[0]
    return (
        *speeds,
        {
            **{name: first[name] for name in ("device", "versions", "flags", "cores")},
            "first_step": first["first"],
            "compile_cold": compiling[0],  # with an empty cache
            "compile_warm": min(compiling[1:], default=None),  # with what the first process left in it
            "compiles": ends[0][0]["compiles"],
            "peak_memory": max(mine["peak_memory"] for mine, _ in ends),
            "peak_memory_peer": max(its["peak_memory"] for _, its in ends),
        },
    )


def wait_until_quiet(suite: str, patience: float = 60.0) -> float | None:
    """The CPU pressure, as soon as it is low. UserError where other work would still be timed with ours."""
    until = time.monotonic() + patience
    while (pressure := cpu_pressure()) is not None and pressure > BUSY and suite == "cpu":
        if time.monotonic() > until:
            raise UserError(
                f"the machine is busy (CPU pressure {pressure:.0f} %, at most {BUSY:.0f} %): stop what runs"
            )
    return pressure


# -- all rows ----------------------------------------------------------------------------------------------------------


def run(
    suite: Suite, names: list[str] | None, peers: list[str] | None, method: Method, out: Path, *,
    quick: bool = False, missing: bool = False, minutes: float | None = None,
) -> None:  # fmt: skip
    """Measures the rows, writes each as soon as it is known, and prints what came out. A row that fails is told, and
    the others are measured. ``missing``: only rows that ``out`` has no line of. ``minutes``: no row is begun that
    would not end by then, if it took as long as the longest so far."""
    began, longest = time.monotonic(), 0.0
    todo = rows(suite, names, method, quick=quick)
    if missing:
        have = {key_of(line) for line in (read_lines(out) if out.is_dir() else [])}
        todo = [(row, dispatch) for row, dispatch in todo if (row.name, row.kind, dispatch) not in have]
    found, left = [], []
    with tempfile.TemporaryDirectory() as folder:
        session = Session(suite, method, peers, Path(folder))
        jax.config.update("jax_platforms", "cpu")  # this process only counts: its workers want the GPU's memory
        for row, dispatch in todo:
            start = time.monotonic()
            if minutes is not None and start - began + longest > 60 * minutes:
                left.append(row.name)
                continue
            try:
                line = row.measure(session) if hasattr(row, "measure") else measure(session, row, dispatch)
            except UserError as error:
                print(f"{row.name}: {error}", flush=True)
                continue
            longest = max(longest, time.monotonic() - start)
            line["took"] = round(time.monotonic() - start, 1)
            save(line, out)
            print(describe(line), flush=True)
            found.append(line)
    single = [line["ratio"]["median"] for line in found if line["kind"] == "train" and line["dispatch"] == 1]
    if single:
        print(f"geometric mean of {len(single)} training rows, one step a dispatch: {geometric_mean(single):.2f}")
    if left:
        print(f"not begun, for want of time: {', '.join(left)}; --missing goes on with them")
    if len(found) + len(left) < len(todo):
        raise UserError(f"{len(todo) - len(found) - len(left)} of {len(todo)} rows failed; they are named above")


def rows(suite: Suite, names: list[str] | None, method: Method, *, quick: bool) -> list[tuple[Any, int]]:
    """(workload, steps a dispatch) of what was asked for. UserError for a name that no row has, or one that this
    machine cannot measure."""
    from benchmarks.population import POPULATIONS
    from benchmarks.workloads import WORKLOADS

    mine = [one for one in (*WORKLOADS, *POPULATIONS) if suite in one.suites]
    for name in names or ():
        if name not in {one.name for one in mine}:
            raise UserError(f"--rows {name}: the rows of the suite {suite} are {', '.join(one.name for one in mine)}")
    if names:
        mine = [one for one in mine if one.name in names]
    elif quick:
        mine = [one for one in mine if one.quick]
    for one in mine:
        if one.lacks:
            print(f"{one.name}: not measured, since it needs {', '.join(one.lacks)}")
    return [(one, dispatch) for one in mine if not one.lacks for dispatch in one.dispatches(method.many)]
