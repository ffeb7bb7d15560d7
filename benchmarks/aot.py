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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.errors import UserError

# For a machine without TPUs: libtpu must not look for one, and JAX must compute on the CPU.
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")


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
    """Bytes a second between chips, all links of a chip together, both directions."""


CHIPS = {
    "v5e": Chip(197e12, 819e9, 16 * 2**30, 400e9 / 2),
    "v6e": Chip(918e12, 1640e9, 32 * 2**30, 800e9 / 2),
    "v5p": Chip(459e12, 2765e9, 95 * 2**30, 1200e9 / 2),
}
A_CHIP = 8
"""Examples of the batch on each chip, where the recipe's batch is smaller."""
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8}
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def run(topology: str, names: list[str], modes: list[str], out: Path) -> None:
    """Compiles, writes ``out/TOPOLOGY.jsonl`` a line at a time, prints a line each and one about all."""
    kind, devices = chips_of(topology)
    file, compiled, fitting = out / f"{topology.replace(':', '-')}.jsonl", 0, 0
    out.mkdir(parents=True, exist_ok=True)
    lines = {(old["model"], old["parallel"]): old for old in read(file)}
    for name in names:
        for mode in modes:
            line = describe(name, mode, devices, CHIPS[kind]) | {"topology": topology}
            lines[name, mode] = line
            file.write_text("".join(json.dumps(one) + "\n" for one in lines.values()))
            compiled, fitting = compiled + 1, fitting + bool(line["fits"])
            print(show(line), flush=True)
    print(
        f"{topology}: {compiled} train steps compiled, {fitting} fit into {CHIPS[kind].memory / 2**30:.0f} GiB a chip"
    )


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def chips_of(topology: str) -> tuple[str, list[Any]]:
    """("v5e", its chips) of "v5e:4x4". UserError where libtpu is not installed or has no such topology."""
    from importlib.util import find_spec

    kind = topology.partition(":")[0]
    if kind not in CHIPS:
        raise UserError(f"--topology {topology}: the chips are {', '.join(CHIPS)}, as in v5e:4x4")
    if find_spec("libtpu") is None:
        raise UserError("libtpu compiles for TPUs: pip install 'artzoo[tpu]', or libtpu alone")
    from jax.experimental import topologies

    try:
        return kind, list(topologies.get_topology_desc(platform="tpu", topology_name=topology).devices)
    except Exception as error:
        raise UserError(f"--topology {topology}: {str(error).splitlines()[0]}") from error


def compile_for(name: str, mode: str, devices: list[Any]) -> tuple[Any, int]:
    """The preset's train step in bfloat16, one step a dispatch, and the examples of its batch."""
    import jax

    from train.config import default_config
    from train.engine import Engine
    from train.placement import place

    config = default_config(name)
    rows = max(A_CHIP, -(-(config.options.batch_size or 1) // len(devices))) * len(devices)
    options = replace(config.options, batch_size=rows, steps=config.options.steps or 1, accumulate=1)
    config = replace(config, model=replace(config.model, dtype="bfloat16"), options=options)
    placement = place(mode, devices)  # type: ignore[arg-type]
    engine, split = Engine(config, placement, None), placement.batch_sharding(axis=1)
    batch = {
        field: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype, sharding=split)
        for field, leaf in config.model.batch_spec(rows).items()
    }
    return engine.compiled.lower(engine.abstract(), {}, batch).compile(), rows


def describe(name: str, mode: str, devices: list[Any], chip: Chip) -> dict[str, Any]:
    """A line of the results."""
    from benchmarks.flops import step_flops
    from zoo.catalog import create

    began = time.perf_counter()
    compiled, rows = compile_for(name, mode, devices)
    seconds, memory = time.perf_counter() - began, compiled.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    peak = held + memory.temp_size_in_bytes
    found = list(collectives(compiled.as_text()))
    moved = sum(size for _, size in found)
    flops = step_flops(create(name), rows) / len(devices)
    cost = compiled.cost_analysis() or {}
    touched = float(cost.get("bytes accessed", 0.0))
    parts = {
        "compute": flops / chip.flops, "memory": touched / chip.bandwidth,
        "network": 2 * moved * (len(devices) - 1) / len(devices) / chip.links,
    }  # fmt: skip
    return {
        "model": name, "parallel": mode, "chips": len(devices), "batch": rows, "compile_seconds": round(seconds, 1),
        "memory": peak, "fits": bool(peak <= chip.memory), "flops": flops, "bytes": touched,
        "collectives": {kind: [size for other, size in found if other == kind] for kind in sorted(dict(found))},
        "estimate": {"seconds": max(parts.values()), "bound": max(parts, key=lambda part: parts[part]), **parts},
    }  # fmt: skip


def collectives(text: str) -> Iterator[tuple[str, int]]:
    """(kind, bytes of its result) of every collective in a compiled program; the step's loop holds each once."""
    for line in text.splitlines():
        match = re.match(r"\s*(?:ROOT )?%?\S+ = (.*?) (" + "|".join(COLLECTIVES) + r")(-start)?\(", line)
        if match:
            # What starts an asynchronous one returns its operands too, in front of the results.
            sizes = result_sizes(match[1])
            yield match[2], sum(sizes[len(sizes) // 2 :] if match[3] and match[2] != "all-reduce" else sizes)


def result_sizes(shapes: str) -> list[int]:
    """Bytes of "f32[3,4]{1,0}", or of each part of a tuple of such."""
    found = re.findall(r"([a-z]+\d*)\[([\d,]*)\]", shapes)
    return [BYTES.get(kind, 4) * math.prod(map(int, filter(None, sides.split(",")))) for kind, sides in found]


def show(line: dict[str, Any]) -> str:
    moved = ", ".join(
        f"{len(sizes)} {kind} of {sum(sizes) / 2**20:.1f} MiB" for kind, sizes in line["collectives"].items()
    )
    estimate = line["estimate"]
    return (
        f"{line['model']} {line['parallel']}: {line['memory'] / 2**30:.2f} GiB a chip"
        f"{'' if line['fits'] else ' (does not fit)'}; {moved or 'no collective'}; "
        f"estimate {1e3 * estimate['seconds']:.2f} ms a step, bound by {estimate['bound']}"
    )
