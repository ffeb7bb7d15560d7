"""Rows: our number beside a published one, by a stated protocol, over several seeds."""

import importlib
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.machine import device, versions

ROWS = {
    "shakespeare-small": "benchmarks.rows.shakespeare_small",
    "jsb-lstm": "benchmarks.rows.jsb_lstm",
    "mnist-vae": "benchmarks.rows.mnist_vae",
}


@dataclass(frozen=True)
class Row:
    """What a row's module calls ``ROW``."""

    metric: str
    unit: str
    published: float
    source: str
    """Where the published number stands, and what differs from our protocol."""
    measure: Callable[[Path, int, str], dict[str, Any]]
    """(data folder, seed, budget) -> {"value": number, and whatever else should be kept}."""


def run_row(name: str, *, data: Path, seeds: range, budget: str, out: Path) -> dict[str, Any]:
    """Trains and evaluates each seed, writes ``out/NAME.json`` and prints the row as the last line."""
    row: Row = importlib.import_module(ROWS[name]).ROW
    began, runs = time.monotonic(), []
    for seed in seeds:
        start = time.monotonic()
        found = row.measure(data, seed, budget)
        runs.append({"seed": seed, **found, "seconds": round(time.monotonic() - start, 1)})
        print(f"{name} seed {seed}: " + ", ".join(f"{key} {show(value)}" for key, value in found.items()), flush=True)
    values = [run["value"] for run in runs]
    stderr = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    result = {
        "row": name, "metric": row.metric, "unit": row.unit, "ours": statistics.mean(values), "stderr": stderr,
        "seeds": list(seeds), "published": row.published, "source": row.source, "budget": budget,
        "seconds": round(time.monotonic() - began, 1), "device": device(), "versions": versions(),
        "date": date.today().isoformat(), "runs": runs,
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    spread = f" ({stderr:.4f})" if stderr is not None else ""
    print(f"{name}: {row.metric} {result['ours']:.4f}{spread} | {row.published}, {result['seconds']:.0f} s")
    return result


def show(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
