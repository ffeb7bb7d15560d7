"""``python -m benchmarks doctor NAME``: why a run is as slow as it is, on one page, and what would mend it.

Takes what ``zoo-train`` takes, and trains for some seconds on the same engine, data and placement; writes nothing.
"""

import re
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.ceilings import best_copy, best_product, sheet_of
from benchmarks.flops import step_flops
from benchmarks.machine import device
from benchmarks.watching import recompilations, waits
from train.checkpoint import Checkpoints
from train.cli import parse
from train.engine import Engine, engine_for
from train.feed import loaders
from train.fit import fit_to_data
from train.folder import RunFolder
from train.loop import Run
from train.pace import Pace
from train.watch import Watcher

SECONDS = 3.0  # of each measurement
DISPATCHES = 20  # in which waits are counted
HALF = ("bf16", "f16")


@dataclass
class Finding:
    """What was measured of a run."""

    title: str
    lines: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def say(self, line: str, advice: str | None = None) -> None:
        self.lines.append(line)
        if advice:
            self.advice.append(advice)


def examine(words: Sequence[str]) -> str:
    """The page. ``words``: as after ``zoo-train``."""
    config, source = fit_to_data(*parse(list(words)))
    engine = engine_for(config, source)
    feed, tables = loaders(config, source, 0), engine.placement.put_tables(source.arrays)
    run = Running(engine, source, feed, tables, config.options.dispatch or 1)
    found = Finding(f"{config.name} on {device()}, batch {config.options.batch_size}, {config.options.parallel}")
    with recompilations() as told:
        run.turn()
        first = len(told)
        run.warm()
        seconds = pace(found, run)
    later = told[first:]
    found.say(
        "\n    ".join([f"compiled {first} program{'s' * (first != 1)} at the start and {len(later)} later", *later]),
        "a program was compiled again while training: keep shapes, dtypes and shardings the same" if later else None,
    )
    synchronisations(found, run)
    compiled = run.compiled.lower(run.state, run.tables, run.same).compile()
    program(found, run, compiled)
    ceilings(found, run, compiled, seconds)
    memory(found, run, compiled)
    advice = found.advice or ["nothing stands out: the time goes into the model's own mathematics"]
    lines = [f"  {line}" for line in found.lines], [f"  - {line}" for line in advice]
    return "\n".join([found.title, *lines[0], "what to change:", *lines[1]])


class Running:
    """The engine, a dispatch at a time."""

    def __init__(self, engine: Engine, source: Any, feed: list[Any], tables: Any, count: int):
        self.engine, self.source, self.feed, self.tables, self.count = engine, source, feed, tables, count
        self.state, self.at = engine.init(), 0
        self.compiled = engine.compiled  # made here: it asks the compiler, by a program, which options it knows
        self.same: Any = None

    def inputs(self) -> Any:
        self.same = self.engine.inputs(self.feed, self.at, self.count)
        self.at += self.count
        return self.same

    def step(self, inputs: Any) -> None:
        self.state, self.report = self.compiled(self.state, self.tables, inputs)

    def turn(self) -> None:
        self.step(self.inputs())

    def wait(self) -> None:
        jax.block_until_ready((self.state.step, self.report))

    def warm(self) -> None:
        for _ in range(3):
            self.turn()
        self.wait()


def rate(turn: Callable[[], None], wait: Callable[[], None]) -> float:
    """Seconds of a turn, with one wait at the end of many."""
    turns, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        turn()
        turns += 1
        if turns % 16 == 0:
            wait()  # the queue of a device is endless
    wait()
    return (time.perf_counter() - began) / turns


def pace(found: Finding, run: Running) -> float:
    """Where a step's time goes: input, device, host. Returns its seconds on the device."""
    whole = rate(run.turn, run.wait) / run.count
    fixed = rate(lambda: run.step(run.same), run.wait) / run.count
    waiting = max(0.0, 1 - fixed / whole)
    began = time.perf_counter()
    run.step(run.same)
    returned = time.perf_counter() - began
    run.wait()
    ended = time.perf_counter() - began
    found.say(f"{1 / whole:,.1f} steps/s; {1e3 * whole:.2f} ms a step, of which {1e3 * fixed:.2f} ms on the device")
    found.say(
        f"waiting for input: {100 * waiting:.0f} % of a step",
        None if waiting < 0.1
        else "the input is the bottleneck: keep the data in memory (leave out ?from=disk), or make its files smaller"
        if run.engine.example is None
        else "steps are so short that choosing their examples counts: more of them in a dispatch (--dispatch 50)",
    )  # fmt: skip
    found.say(
        f"host: a dispatch returns after {1e3 * returned:.2f} ms of {1e3 * ended:.2f} ms",
        "the host does not run ahead of the device: more steps in a dispatch would hide it (--dispatch 50)"
        if returned > 0.5 * ended and run.count == 1 and fixed < 5e-3 else None,
    )  # fmt: skip
    return fixed


def synchronisations(found: Finding, run: Running) -> None:
    """How often the loop of `train.loop`, which logs and watches for NaN, waits for the device, and where."""
    config = run.engine.config
    with tempfile.TemporaryDirectory() as folder:
        there, quiet = RunFolder(Path(folder)), Watcher(config.name, 0, quiet=True)
        checkpoints = Checkpoints(there.checkpoints)
        with closing(Run(run.engine, there, checkpoints, quiet, run.source, 0, run.state)) as loop:
            size = run.count * DISPATCHES
            paced = replace(config.options, dispatch=run.count, steps=2 * size, save_every=size, sample_every=size)
            loop.pace = Pace(paced, agree=lambda seconds: seconds)
            for _ in range(3):
                run.state = loop.advance(run.state)
            with waits() as places:
                for _ in range(DISPATCHES):
                    run.state = loop.advance(run.state)
            loop.settle()
    each = [f"{count / DISPATCHES:.1f} at {place}" for place, count in places.most_common() if count > 1]
    found.say(
        "\n    ".join([f"the host waits {places.total() / DISPATCHES:.1f} times in a dispatch", *each]),
        "the host waits for the device more than once in a dispatch: read numbers together, a dispatch later"
        if places.total() > 1.5 * DISPATCHES else None,
    )  # fmt: skip


def program(found: Finding, run: Running, compiled: Any) -> None:
    """What the compiled step multiplies in, and how it attends."""
    text = compiled.as_text()
    dtypes = re.findall(r"= ([a-z]+\d+)\[[^\]]*\]\S* (?:dot|convolution)\(", text)
    counted = {kind: dtypes.count(kind) for kind in sorted(set(dtypes))}
    calls = sorted(set(re.findall(r'custom_call_target="([^"]+)"', text)))
    attends = any("fmha" in call or "flash" in call for call in calls)
    shown = ", ".join(f"{number} in {kind}" for kind, number in counted.items()) or "none visible (in library calls)"
    gpu = jax.default_backend() == "gpu"
    found.say(
        f"products and convolutions of the compiled step: {shown}",
        "products run in float32: --precision bf16 is several times as fast on this device"
        if jax.default_backend() != "cpu" and not set(counted) & set(HALF) else None,
    )  # fmt: skip
    if hasattr(run.engine.config.model, "heads"):
        found.say(
            "attention: " + ("fused by cuDNN" if attends else "products and a softmax"),
            "attention is not fused: --precision bf16 lets cuDNN do it" if gpu and not attends else None,
        )
    if calls:
        found.say(
            f"library calls: {', '.join(calls)}",
            "the step calls back into Python, and the device waits for it: take debug prints and callbacks out"
            if any("callback" in call for call in calls) else None,
        )  # fmt: skip


def ceilings(found: Finding, run: Running, compiled: Any, seconds: float) -> None:
    """Operations and bytes a second, beside what this device reached just now on a product and on a copy."""
    config = run.engine.config
    flops = step_flops(config.model, config.options.batch_size or 1) * (config.members or 1)
    cost = compiled.cost_analysis() or {}
    dtype = jnp.dtype(getattr(config.model, "dtype", "float32"))
    peak, bandwidth = best_product(dtype), best_copy()
    reached, moved = flops / seconds, cost.get("bytes accessed", 0.0) / run.count / seconds
    share = f"{100 * reached / peak:.0f} % of the {peak / 1e9:,.0f} of a large {dtype} product here"
    sheet = sheet_of(device(), str(dtype))["flops"]
    share += f", {100 * reached / sheet:.0f} % of the data sheet's {sheet / 1e9:,.0f}" if sheet else ""
    found.say(
        f"{reached / 1e9:,.1f} GFLOP/s, {share}",
        "small products leave the device idle: a larger --batch-size, or --population, would fill it"
        if reached < 0.2 * peak else None,
    )  # fmt: skip
    found.say(f"{moved / 1e9:,.1f} GB/s by XLA's count, beside {bandwidth / 1e9:,.0f} GB/s of a large copy here")


def memory(found: Finding, run: Running, compiled: Any) -> None:
    """Bytes by kind."""
    state = run.state
    kinds = {
        "parameters": state.params, "optimizer": state.opt, "averages": state.ema, "extra": state.extra,
        "data": run.tables,
    }  # fmt: skip
    sizes = {kind: sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) for kind, tree in kinds.items()}
    analysis = compiled.memory_analysis()
    sizes["activations and scratch"] = getattr(analysis, "temp_size_in_bytes", 0)
    shown = ", ".join(f"{kind} {size / 2**20:,.1f} MiB" for kind, size in sizes.items() if size)
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    full = limit is not None and sum(sizes.values()) > 0.8 * limit
    found.say(f"memory: {shown}", "memory is nearly full: --accumulate 2, or --parallel fsdp" if full else None)
