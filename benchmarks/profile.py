"""``python -m benchmarks profile ROW``: where the time of a step goes, on both sides, as a page beside the results.

What was tried stands below the tables, is written by hand, and stays when the tables are made anew. In a process of its
own, ``python -m benchmarks.profile ROW SUITE SIDE`` prints one side's operations as JSON.
"""

import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.process import alone
from benchmarks.workloads import Suite, find

WARM, TIMED, TURNS, SHOWN = 4, 9, 5, 12
INSTRUCTION = re.compile(r"\s*(?:ROOT )?%(\S+) = (\S+) (\S+?)\(")
SCOPE = re.compile(r'op_name="([^"]*)"')
# The first whose pattern is found in an instruction's name says what it does.
KINDS = (
    ("sums", r"reduce-window|^reduce|wrapped_reduce"),
    ("products of matrices", r"ynn_fusion|^dot|gemm|cublas|nvjet|cutlass|fmha|flash"),
    ("convolutions", r"conv_general|^convolution|cudnn|[df]grad|implicit_convolve"),
    ("transposing and copying", r"transpose|copy|reverse|concatenate"),
    ("element by element", r"."),
)
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
TRIED = "\n## What was tried\n\nNothing yet.\n"


def page(name: str, suite: Suite, mode: str, out: Path) -> Path:
    """Profiles the row on both sides, PyTorch's in ``mode``, and writes ``out/ROW.md``. UserError where one fails."""
    ours, theirs = (json.loads(alone("benchmarks.profile", name, suite, side)) for side in ("jax", mode))
    path = out / f"{name}.md"
    kept = path.read_text().partition(END)[2] if path.exists() else TRIED
    out.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f"# `{name}`: where the time goes", "", BEGIN, *tables(ours, theirs, mode), END]) + kept)
    return path


def tables(ours: dict[str, Any], theirs: dict[str, Any], mode: str) -> Iterator[str]:
    yield f"On {ours['device']}; a step takes {ours['step']:.2f} ms, PyTorch's ({mode}) {theirs['step']:.2f} ms."
    yield from ("", "| ours, by kind | ms a step | share |", "|---|---:|---:|")
    kinds = Counter[str]()
    for one in ours["operations"]:
        kinds[kind_of(one["name"])] += one["ms"]
    pool = max(0.0, ours["step"] - sum(kinds.values()))
    rest = "on the thread pool, not timed one by one: convolutions and some products"
    for kind, ms in [*kinds.most_common(), (rest, pool)]:
        yield f"| {kind} | {ms:.2f} | {100 * ms / ours['step']:.0f} % |"
    yield from ("", "| ours, one by one | ms a step | times | shape | where |", "|---|---:|---:|---|---|")
    for one in ours["operations"][:SHOWN]:
        yield f"| `{one['name']}` | {one['ms']:.2f} | {one['times']:g} | `{one['shape']}` | {one['where']} |"
    yield from ("", "| PyTorch's | ms a step | times |", "|---|---:|---:|")
    for one in theirs["operations"][:SHOWN]:
        yield f"| `{one['name']}` | {one['ms']:.2f} | {one['times']:g} |"


def kind_of(name: str) -> str:
    return next(kind for kind, pattern in KINDS if re.search(pattern, name))


def operations(side: Any) -> tuple[list[dict[str, Any]], float]:
    """Our compiled step's instructions, the longest first, and ms of a step that nobody watches.

    Instructions that wait for nothing (XLA:CPU hands convolutions to its thread pool) show the time to begin them."""
    import jax

    step = milliseconds(side)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(TURNS):
                side.turn()
            side.wait()
        (file,) = Path(folder).rglob("*.xplane.pb")
        trace = jax.profiler.ProfileData.from_file(str(file))
        took = list(events(trace))
    inputs = side.engine.inputs(side.loaders, side.at, side.dispatch)
    known = instructions(side.engine.compiled.lower(side.state, side.tables, inputs).compile().as_text())
    total, count = defaultdict[str, float](float), Counter[str]()
    gpu = jax.default_backend() == "gpu"
    for name, ms in took:
        if (gpu or name in known) and not name.startswith(("while", "conditional", "call")):
            total[name] += ms / TURNS
            count[name] += 1
    found = []
    for name, ms in sorted(total.items(), key=lambda item: -item[1]):
        shape, where = known.get(name, ("", ""))
        found.append({"name": name, "ms": ms, "times": count[name] / TURNS, "shape": shape, "where": where})
    return found, step


def events(trace: Any) -> Iterator[tuple[str, float]]:
    """(instruction, ms) of all that a `jax.profiler.ProfileData` holds; beside a GPU of what ran there, not of its
    being sent there. Kernels of a library in a CUDA graph do not say of which instruction they are: they keep their
    own names."""
    gpus = [plane for plane in trace.planes if plane.name.startswith("/device:GPU")]
    for plane in gpus or trace.planes:
        for line in plane.lines:
            if gpus and not line.name.startswith("Stream"):
                continue  # what lies there is made of the streams
            for event in line.events:
                own = dict(event.stats).get("hlo_op") if gpus else None
                yield str(own or event.name), event.duration_ns / 1e6


def instructions(text: str) -> dict[str, tuple[str, str]]:
    """name -> (shape, where in the model) of a compiled program's instructions."""
    found = {}
    for line in text.splitlines():
        if match := INSTRUCTION.match(line):
            scope = SCOPE.search(line)
            parts = [part for part in (scope[1] if scope else "").split("/") if part not in BORING]
            found[match[1]] = match[2].partition("{")[0], "/".join(parts)
    return found


BORING = {"jit(compiled)", "while", "body", "closed_call", "cond", "branch_0_fun"}


def peers(side: Any) -> tuple[list[dict[str, Any]], float]:
    """The same of PyTorch's operators, by the time that they take themselves."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    step, gpu = milliseconds(side), torch.cuda.is_available()
    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if gpu else [])
    with profile(activities=kinds) as watched:
        for _ in range(TURNS):
            side.turn()
        side.wait()
    own = lambda event: event.self_device_time_total if gpu else event.self_cpu_time_total
    events = sorted(watched.key_averages(), key=own, reverse=True)
    return [{"name": event.key, "ms": own(event) / 1e3 / TURNS, "times": event.count / TURNS} for event in events], step


def milliseconds(side: Any) -> float:
    """Of a warm step: the median of some that are waited for."""
    found = []
    for _ in range(WARM + TIMED):
        began = time.perf_counter()
        side.turn()
        side.wait()
        found.append(1e3 * (time.perf_counter() - began))
    return statistics.median(found[WARM:])


def main() -> None:
    from benchmarks.machine import device

    name, suite, side = sys.argv[1:]
    workload = find(name, suite)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:  # for rows that read a file
        if side == "jax":
            from benchmarks.ours import prepare

            found, step = operations(prepare(workload, suite, 1, folder=Path(folder)))  # type: ignore[arg-type]
        else:
            from benchmarks.theirs import prepare

            found, step = peers(prepare(workload, suite, side, folder=Path(folder)))  # type: ignore[arg-type]
    print(json.dumps({"step": step, "operations": found, "device": device()}))


if __name__ == "__main__":
    main()
