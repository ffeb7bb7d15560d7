"""``python -m benchmarks aot``: the real train steps, compiled for TPU pods on a machine that has none.

`jax.experimental.topologies` describes the chips and libtpu (the ``tpu`` extra) compiles for them: memory a chip,
operations, collectives and their bytes are the compiler's; from these and from data sheets comes a roofline, which is
an estimate and is called one.
"""

import json
import math
import os
import re
import time
from dataclasses import dataclass, replace
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.collectives import Collective, collectives
from zoo.errors import UserError


@dataclass(frozen=True)
class Chip:
    """Of Google's data sheets (cloud.google.com/tpu/docs/v5e, v6e, v5p)."""

    flops: float
    """bfloat16, a second."""
    bandwidth: float
    """Bytes a second of HBM."""
    memory: float
    """Bytes of HBM."""
    links: float
    """Bytes a second that a chip sends on all its links; the data sheets count both directions."""


CHIPS = {
    "v5e": Chip(197e12, 819e9, 16 * 2**30, 400e9 / 2),
    "v6e": Chip(918e12, 1638e9, 32 * 2**30, 800e9 / 2),
    "v5p": Chip(459e12, 2765e9, 95 * 2**30, 1200e9 / 2),
}
MOST = 64
"""Examples a chip to begin with, where a recipe's batch is larger, which is then meant for many chips."""


LEAST = -1.0


def run(
    topology: str, names: list[str], modes: list[str], out: Path, *, batch: int | None = None, effort: float = LEAST
) -> None:
    """Compiles, writes ``out/TOPOLOGY.jsonl`` a line at a time, prints a line each and one about all.

    ``batch``: examples on each chip; None is what fits on another slice of these chips, by a file in ``out``, so that
    slices are compared at the same work a chip; or else the recipe's batch, halved until it fits. ``effort``: of the
    compiler for the program's speed, from -1 to 1. The least takes a third of the time, most of which goes into
    instructions that nobody will run; what a chip holds and sends is decided before.
    """
    import jax

    jax.config.update("jax_platforms", "cpu")
    kind, devices = chips_of(topology)
    jax.config.update("jax_exec_time_optimization_effort", effort)
    file = out / f"{topology.replace(':', '-')}.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    lines, done = {(old["model"], old["parallel"]): old for old in read(file)}, []
    fitting = elsewhere(out, kind)
    for name in names:
        for mode in modes:
            each = batch or fitting.get((name, mode)) or most(name)
            line = {"model": name, "parallel": mode, "topology": topology, "effort": effort} | describe(
                name, mode, devices, CHIPS[kind], each, fixed=batch is not None
            )
            lines[name, mode] = line
            file.write_text("".join(json.dumps(one) + "\n" for one in lines.values()))
            done.append(line)
            print(show(line), flush=True)
    print(summary(topology, done, CHIPS[kind]))


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def elsewhere(out: Path, kind: str) -> dict[tuple[str, str], int]:
    """(model, parallel) -> examples a chip that fit on every slice of several chips so far."""
    found: dict[tuple[str, str], int] = {}
    for line in (line for file in sorted(out.glob(f"{kind}-*.jsonl")) for line in read(file)):
        if line["fits"] and line["chips"] > 1:
            key = line["model"], line["parallel"]
            found[key] = min(line["examples"], found.get(key, MOST))
    return found


def most(name: str) -> int:
    """The recipe's batch, or the part of it that one chip would have."""
    from train.config import default_config

    return min(MOST, default_config(name).options.batch_size or 1)


def chips_of(topology: str) -> tuple[str, list[Any]]:
    """("v5e", its chips) of "v5e:4x4". UserError where libtpu is not installed or has no such topology."""
    from importlib.util import find_spec

    kind, _, shape = topology.partition(":")
    if kind not in CHIPS:
        raise UserError(f"--topology {topology}: the chips are {', '.join(CHIPS)}, as in v5e:4x4")
    if find_spec("libtpu") is None:
        raise UserError("libtpu compiles for TPUs: pip install 'artzoo[tpu]', or libtpu alone")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # libtpu does not look for chips
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # it only compiles: several topologies may at once
    from jax.experimental import topologies

    one = set(shape) <= set("1x")  # one chip of the smallest host: no topology has fewer
    name = f"{kind}:{re.sub('1', '2', shape)}" if one else topology
    try:
        found = list(topologies.get_topology_desc(platform="tpu", topology_name=name).devices)
    except Exception as error:
        raise UserError(f"--topology {topology}: {str(error).splitlines()[0]}") from error
    return kind, found[:1] if one else found


def engine_of(name: str, mode: str, devices: list[Any], each: int) -> Any:
    """The preset's engine in bfloat16, ``each`` examples a chip."""
    from train.config import default_config
    from train.engine import Engine
    from train.placement import place

    config, rows = default_config(name), each * len(devices)
    options = replace(config.options, batch_size=rows, steps=config.options.steps or 1, accumulate=1)
    config = replace(config, model=replace(config.model, dtype="bfloat16"), options=options)
    return Engine(config, place(mode, devices), None)  # type: ignore[arg-type]


def compile_for(name: str, mode: str, devices: list[Any], each: int) -> Any:
    """Its train step, one step a dispatch."""
    import jax

    engine = engine_of(name, mode, devices, each)
    split, rows = engine.placement.batch_sharding(axis=1), each * len(devices)
    batch = {
        field: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype, sharding=split)
        for field, leaf in engine.config.model.batch_spec(rows).items()
    }
    return engine.compiled.lower(engine.abstract(), {}, batch).compile()


def state_bytes(name: str, mode: str, devices: list[Any]) -> int:
    """What the state takes on one chip."""
    import jax

    leaves = jax.tree.leaves(engine_of(name, mode, devices, 1).abstract())
    return sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)


def describe(name: str, mode: str, devices: list[Any], chip: Chip, each: int, *, fixed: bool = False) -> dict[str, Any]:
    """What is known of a step with ``each`` examples a chip, or, unless ``fixed``, as many as fit: a line of the
    results. What a chip cannot even hold the state of is not compiled."""
    from benchmarks.flops import step_flops
    from zoo.catalog import create

    began, compiled, needed = time.perf_counter(), None, None
    if (held := state_bytes(name, mode, devices)) > chip.memory:
        each, needed = 1, held
    while compiled is None and held <= chip.memory:
        try:
            compiled = compile_for(name, mode, devices, each)
        except Exception as error:
            if (needed := too_large(error)) is None:
                raise
            if fixed or each == 1:
                break
            each = fewer(each, chip.memory / needed)
    line = {
        "chips": len(devices), "examples": each, "fits": compiled is not None, "memory": needed,
        "flops": step_flops(create(name), each * len(devices)) / len(devices),
        "compile_seconds": round(time.perf_counter() - began, 1), "date": date.today().isoformat(),
        "versions": {package: metadata.version(package) for package in ("jax", "libtpu")},
    }  # fmt: skip
    return line if compiled is None else line | measured(compiled, line["flops"], len(devices), chip)


def too_large(error: Exception) -> float | None:
    """Bytes that the compiler says a step needs and a chip lacks; None if the error says something else."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        return None
    found = re.search(r"([\d.]+)([KMGT])", str(error).partition("emory")[2])
    return float(found[1]) * 2 ** (10 * (1 + "KMGT".index(found[2]))) if found else float("inf")


def fewer(each: int, share: float) -> int:
    """The largest power of two below ``each`` that ``share`` of what it needs has room for; at least 1."""
    return 1 << max(0, min(int(each * share), each - 1).bit_length() - 1)


def measured(compiled: Any, flops: float, chips: int, chip: Chip) -> dict[str, Any]:
    """What the compiler says of its program, and the roofline of it: nothing that is sent overlaps with anything."""
    memory, found = compiled.memory_analysis(), collectives(compiled.as_text())
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    peak = memory.peak_memory_in_bytes or held + memory.temp_size_in_bytes
    touched = float((compiled.cost_analysis() or {}).get("bytes accessed", 0.0))
    sent = sum(one.sent(chips) for one in found)
    parts = {"compute": flops / chip.flops, "memory": touched / chip.bandwidth, "network": sent / chip.links}
    return {
        "memory": peak, "state": held, "temporary": memory.temp_size_in_bytes, "bytes": touched, "sent": sent,
        "collectives": totals(found),
        "estimate": {
            "seconds": max(parts["compute"], parts["memory"]) + parts["network"],
            "bound": max(parts, key=lambda part: parts[part]),
        } | parts,
    }  # fmt: skip


def totals(found: list[Collective]) -> dict[str, dict[str, int]]:
    """kind -> how many a step runs, and the bytes that they leave on each device."""
    kinds = sorted({one.kind for one in found})
    of = lambda kind: [one for one in found if one.kind == kind]
    return {
        kind: {"count": sum(one.times for one in of(kind)), "bytes": sum(one.bytes for one in of(kind))}
        for kind in kinds
    }


def show(line: dict[str, Any]) -> str:
    """A line of the results in words."""
    title = f"{line['model']} {line['parallel']}, {line['examples']} examples a chip: "
    needed = "" if line["memory"] is None else f"{line['memory'] / 2**30:.2f} GiB a chip"
    if not line["fits"]:
        return f"{title}does not fit: {needed}"
    moved = ", ".join(
        f"{one['count']} {kind} of {one['bytes'] / 2**20:.1f} MiB" for kind, one in line["collectives"].items()
    )
    estimate = line["estimate"]
    return (
        f"{title}{needed}; {moved or 'no collective'}; "
        f"estimate {1e3 * estimate['seconds']:.2f} ms a step, bound by {estimate['bound']}"
    )


def summary(topology: str, lines: list[dict[str, Any]], chip: Chip) -> str:
    """How many models were compiled, and how many fit."""
    models = {line["model"] for line in lines}
    modes = dict.fromkeys(line["parallel"] for line in lines)
    fitting = [f"{sum(line['fits'] for line in lines if line['parallel'] == mode)} fit under {mode}" for mode in modes]
    return f"{topology}: {len(models)} models compiled, {', '.join(fitting)} into {chip.memory / 2**30:.0f} GiB a chip"
