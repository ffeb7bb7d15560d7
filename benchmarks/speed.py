"""``python -m benchmarks speed``: our throughput against PyTorch's, in fresh processes that take turns.

For every row: PyTorch's modes are tried in a process each, and the quickest is the peer. Then, pair by pair, two fresh
processes (ours, the peer's) measure windows of at least two seconds in turn, A-B-A-B, with one synchronisation at a
window's end; on a CPU both have large pages (`train.pages`). The ratio is the median over windows, with a hierarchical
bootstrap's 95 % interval. Beside a GPU, where minutes are dear and cores are many, all modes and our side compile at
the same time, each is timed alone, and the quickest is the other side of the first pair.
"""

import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.machine import Busy, cpu_pressure, facts_apart, pressure_of
from benchmarks.peers import (
    Method,
    Session,
    Suite,
    agree,
    agree_ahead,
    answer,
    every_mode,
    family,
    modes_of,
    quickest,
    quickness,
)  # fmt: skip
from benchmarks.process import Worker, workers
from benchmarks.ratios import geometric_mean, ratio
from benchmarks.results import describe, key_of, read_lines, save, slug
from zoo.errors import UserError

BUSY = 10.0  # per cent of CPU pressure above which nothing is timed on a CPU
SPOILT = 30.0  # and above which a window is measured once more: one's own threads wait for each other too


# -- a row -------------------------------------------------------------------------------------------------------------


def measure(session: Session, workload: Any, dispatch: int) -> dict[str, Any]:
    """Everything that is known of a row, as its line in the results."""
    pressure = wait_until_quiet(session.suite)
    with tempfile.TemporaryDirectory() as cache:
        pairs = Pairs(session, workload, dispatch, Path(cache))
        if workload.name not in session.tried:
            agree(session, workload)
            session.tried[workload.name] = pairs.all_at_once() or modes_of(session, workload)
        tried = session.tried[workload.name]
        best = quickest(workload.name, tried)
        pairs.measure(best)
    middle, its = (float(np.median(np.concatenate(speeds))) for speeds in pairs.speeds)
    session.won.setdefault(family(workload), []).append(best)
    facts = pairs.facts()
    ours, theirs = pairs.speeds
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


class Pairs:
    """A row's pairs of processes: how fast both sides were in which window, and what ours said of itself."""

    def __init__(self, session: Session, workload: Any, dispatch: int, cache: Path):
        """``cache``: an empty folder, which the first of our processes leaves its compiled programs in."""
        self.session, self.workload = session, workload
        self.mine = session.asked(workload, "jax", dispatch), cache
        self.speeds: tuple[list[list[float]], list[list[float]]] = ([], [])  # ours, theirs [pair][window]
        self.starts: list[dict[str, Any]] = []
        self.ends: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def all_at_once(self) -> dict[str, float | str] | None:
        """{mode of PyTorch: its speed, or why it does not run} from processes that compile beside ours, of which ours
        and the quickest are the first pair. None where this machine has too few cores for that, or where the memory
        does not hold all."""
        modes = every_mode(self.session, self.workload)
        if not modes:
            return None
        method = self.session.method
        asked = [(self.session.asked(self.workload, mode), None) for mode in modes]
        with workers(self.mine, *asked) as (ours, *others):
            for one in (ours, *others):
                one.tell("warm")
            start = answer(ours)
            warm = {mode: answer(one) for mode, one in zip(modes, others, strict=True)}
            if isinstance(start, str) or all(isinstance(said, str) for said in warm.values()):
                self.mine = self.mine[0], Path(tempfile.mkdtemp(dir=self.mine[1]))  # some may be compiled by now
                return None
            theirs = dict(zip(modes, others, strict=True))
            tried = {mode: quickness(theirs[mode], warm[mode], method.trial, alone=False) for mode in modes}
            best = quickest(self.workload.name, tried)
            for mode in set(modes) - {best}:
                theirs[mode].stop()
            self.add(start, ours, theirs[best])
        return tried

    def measure(self, mode: str) -> None:
        """The pairs that are still missing, ours and PyTorch's in this mode, each in fresh processes."""
        method, began = self.session.method, time.monotonic()
        theirs = self.session.asked(self.workload, mode), None
        while len(self.ends) < method.pairs:
            if len(self.ends) > 1 and time.monotonic() - began > method.patience:
                break
            with workers(self.mine, theirs) as (a, b):
                start = a.told("warm")
                b.told("warm")
                self.add(start, a, b)

    def add(self, start: dict[str, Any], ours: Worker, theirs: Worker) -> None:
        """A pair's windows in turn. ``start`` is what ours said when it was warm."""
        rounds = list(undisturbed(self.session, ours, theirs))
        self.starts.append(start)
        self.ends.append((ours.end(), theirs.end()))
        for side, of_side in zip(self.speeds, zip(*rounds, strict=True), strict=True):
            side.append(list(of_side))

    def facts(self) -> dict[str, Any]:
        compiling = [start["first"] - start["turn"] for start in self.starts]
        first = self.starts[0]
        return {
            **{name: first[name] for name in ("device", "versions", "flags", "cores")},
            "first_step": first["first"],  # or the first cycle of steps, where phases are lazy
            "compile_cold": compiling[0],  # with an empty cache
            "compile_warm": min(compiling[1:], default=None),  # with what the first process left in it
            "compiles": self.ends[0][0]["compiles"],
            "peak_memory": max(mine["peak_memory"] for mine, _ in self.ends),
            "peak_memory_peer": max(its["peak_memory"] for _, its in self.ends),
        }


def undisturbed(session: Session, a: Worker, b: Worker) -> Iterator[tuple[float, float]]:
    """A window of each, again and again. Those in which something else ran on the CPU too are measured once more, as
    often as there are windows."""
    method, spare = session.method, session.method.windows
    left = method.windows
    while left:
        with pressure_of() as pressure:
            found = a.window(method.seconds), b.window(method.seconds)
        if session.suite == "cpu" and spare and pressure() > SPOILT:
            spare -= 1
            continue
        left -= 1
        yield found


def wait_until_quiet(suite: str, patience: float = 60.0) -> float:
    """The CPU pressure, as soon as it is low. Busy where other work would still be timed with ours."""
    until = time.monotonic() + patience
    while (pressure := cpu_pressure()) > BUSY and suite == "cpu":
        if time.monotonic() > until:
            raise Busy(f"the machine is busy (CPU pressure {pressure:.0f} %, at most {BUSY:.0f} %): stop what runs")
    return pressure


# -- all rows ----------------------------------------------------------------------------------------------------------


def run(
    suite: Suite, names: list[str] | None, peers: list[str] | None, method: Method, out: Path, *,
    quick: bool = False, missing: bool = False, minutes: float | None = None,
) -> None:  # fmt: skip
    """Measures the rows, writes each as soon as it is known, and prints what came out. A row that fails is told, and
    the others are measured; then it is a UserError, Busy where only other work was in the way.

    ``missing``: only rows that ``out`` has no line of, from this device. ``minutes``: begins no row that would not end
    by then, if it took as long as the longest so far. UserError where ``suite`` wants a GPU that JAX does not see."""
    began, longest = time.monotonic(), 0.0
    todo = rows(suite, names, method, quick=quick)
    device = facts_apart()["device"] if missing or suite == "gpu" else ""
    if suite == "gpu" and device.startswith("cpu"):
        raise UserError(
            f"--suite gpu: JAX sees no GPU here, only {device}; pip install 'jax[cuda13]' brings what it needs"
        )
    if missing:
        here = out / slug(device)
        have = {key_of(line) for line in (read_lines(here) if here.is_dir() else [])}
        todo = [(row, dispatch) for row, dispatch in todo if (row.name, row.kind, dispatch) not in have]
    found, left, failed = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        session = Session(suite, method, peers, Path(folder))
        jax.config.update("jax_platforms", "cpu")  # this process only counts: its workers want the GPU's memory
        agree_ahead(session, [row for row, _ in todo])
        for row, dispatch in todo:
            start = time.monotonic()
            if minutes is not None and start - began + longest > 60 * minutes:
                left.append(row.name)
                continue
            try:
                line = row.measure(session) if hasattr(row, "measure") else measure(session, row, dispatch)
            except UserError as error:
                print(f"{row.name}: {error}", flush=True)
                failed.append(error)
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
    if failed:
        kind = Busy if all(isinstance(error, Busy) for error in failed) else UserError
        raise kind(f"{len(failed)} of {len(todo)} rows failed; they are named above")


def rows(suite: Suite, names: list[str] | None, method: Method, *, quick: bool) -> list[tuple[Any, int]]:
    """(workload, steps a dispatch) of what was asked for, in that order. UserError for a name that no row has."""
    from benchmarks.population import POPULATIONS
    from benchmarks.workloads import WORKLOADS

    mine = [one for one in (*WORKLOADS, *POPULATIONS) if suite in one.suites]
    for name in names or ():
        if name not in {one.name for one in mine}:
            raise UserError(f"--rows {name}: the rows of the suite {suite} are {', '.join(one.name for one in mine)}")
    if names:
        mine = sorted((one for one in mine if one.name in names), key=lambda one: names.index(one.name))
    elif quick:
        mine = [one for one in mine if one.quick]
    for one in mine:
        if one.lacks:
            print(f"{one.name}: not measured, since it needs {', '.join(one.lacks)}")
    return [(one, dispatch) for one in mine if not one.lacks for dispatch in one.dispatches(suite, method.many)]
