"""Rows: our numbers beside published ones, by a stated protocol, over several seeds."""

import importlib
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.machine import device, versions
from zoo.errors import UserError

# row -> the module whose ``ROWS`` has it
ROWS = {
    **dict.fromkeys(("shakespeare-small", "shakespeare"), "benchmarks.rows.shakespeare"),
    **dict.fromkeys(
        (
            "jsb-lstm", "jsb-gru", "jsb-nade", "nottingham-lstm", "nottingham-gru", "musedata-lstm", "piano-midi-lstm",
        ),
        "benchmarks.rows.rolls",
    ),
    "tang": "benchmarks.rows.poems",
    "groove": "benchmarks.rows.grooves",
    "music-vae": "benchmarks.rows.melodies",
    "music-to-picture": "benchmarks.rows.moving",
    "midi-style": "benchmarks.rows.midi_style",
    "jsb-16th": "benchmarks.rows.chorales",
    "mnist-vae": "benchmarks.rows.mnist_vae",
    "mnist-iwae": "benchmarks.rows.mnist_vae",
    **dict.fromkeys(("vqvae", "stylegan2-tiles"), "benchmarks.rows.tiles"),
    **dict.fromkeys(("stacked-mnist", "mnist-gans"), "benchmarks.rows.digits"),
    "beta-sweep": "benchmarks.rows.sprites",
    **dict.fromkeys(("video-style", "fast-style-import"), "benchmarks.rows.films"),
    "pix2pix-ablation": "benchmarks.rows.ablation",
    **dict.fromkeys(("fusion", "tower"), "benchmarks.rows.fusion"),
    "text-to-image": "benchmarks.rows.words",
    "ring": "benchmarks.rows.mixtures",
    "grid": "benchmarks.rows.mixtures",
}  # fmt: skip

Run = dict[str, Any]
"""What one training gave: a number for each of the row's metrics, and whatever else should be kept."""
Means = Mapping[str, Mapping[str, float]]
"""arm -> metric -> the mean over seeds."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row; the docstring of its module is the protocol."""

    metrics: Mapping[str, str]
    """name -> what it is, and its unit."""
    published: Mapping[str, Mapping[str, float]]
    """arm -> metric -> the published number, where there is one. Arms are what is compared; most rows have one."""
    source: str
    """Where the published numbers stand, and what differs from our protocol."""
    measure: Callable[[Path, Sequence[int], str, str], Iterable[Run]]
    """(data folder, seeds, budget, arm) -> a run for each seed, in their order; one at a time, or all at the end."""
    verdict: Callable[[Means], str] | None = None
    """What the means of all arms say of the published claim, in a sentence."""
    budgets: Mapping[str, str] = field(default_factory=dict)
    """budget -> what it leaves out."""


def of_one(measure: Callable[[Path, int, str], Run]) -> Callable[[Path, Sequence[int], str, str], Iterable[Run]]:
    """The ``measure`` of a row with one arm that trains one seed after another."""
    return lambda data, seeds, budget, arm: (measure(data, seed, budget) for seed in seeds)


def load(name: str) -> Row:
    return importlib.import_module(ROWS[name]).ROWS[name]


def run_row(
    name: str,
    *,
    data: Path,
    seeds: Sequence[int],
    budget: str,
    out: Path,
    arms: Sequence[str] | None = None,
    missing: bool = False,
) -> dict[str, Any]:
    """Trains and evaluates every arm with every seed, writes ``out/NAME-BUDGET.json`` after each of them, so that what
    is cut off loses no more than one, and prints the row as the last lines. ``arms``: only these; the file keeps what
    it has of the others. ``missing``: only what the file lacks.

    Raises UserError for an unknown arm, and when what is missing would be added to numbers of another device or
    other versions of the libraries.
    """
    row, file = load(name), out / f"{name}-{budget}.json"
    for arm in arms or ():
        if arm not in row.published:
            raise UserError(f"{name} has no arm {arm!r}; it has {', '.join(row.published)}")
    out.mkdir(parents=True, exist_ok=True)
    here = {"device": device(), "versions": versions()}
    result = json.loads(file.read_text()) if file.exists() else {"runs": [], **here}
    for what, now in here.items():
        if missing and result[what] != now:
            raise UserError(f"{file} is of {result[what]}, and this is {now}: measure it anew, or give another --out")
    runs = [run for run in result["runs"] if missing or (arms is not None and run["arm"] not in arms)]
    have = {(run["arm"], run["seed"]) for run in runs}
    for arm in arms or row.published:
        asked = [seed for seed in seeds if (arm, seed) not in have]
        start = time.monotonic()
        for seed, found in zip(asked, row.measure(data, asked, budget, arm) if asked else (), strict=True):
            print(
                title(name, arm) + f" seed {seed}: " + ", ".join(f"{k} {show(v)}" for k, v in found.items()), flush=True
            )
            # Of a population all come at once: the first one has all the time.
            took, start = time.monotonic() - start, time.monotonic()
            runs.append({"arm": arm, "seed": seed, **found, "seconds": round(took, 1)})
            result = write(file, name, budget, row, runs)
    print("\n".join(lines(result)))
    return result


def write(file: Path, name: str, budget: str, row: Row, runs: Sequence[Run]) -> dict[str, Any]:
    result = {
        "row": name, "budget": budget, "source": row.source, "short": row.budgets.get(budget), "device": device(),
        "versions": versions(), "date": date.today().isoformat(), **summary(row, runs),
    }  # fmt: skip
    whole = file.with_suffix(".part")  # a kill while it is written must not cost what was there
    whole.write_text(json.dumps(result, indent=2) + "\n")
    whole.replace(file)
    return result


def summary(row: Row, runs: Sequence[Run]) -> dict[str, Any]:
    """{"arms": arm -> metric -> {what, mean, stderr, seeds, published}, "verdict", "seconds", "runs"}. ``stderr`` is
    that of the mean over seeds; None where there is one."""
    arms: dict[str, dict[str, Any]] = {}
    for arm in (arm for arm in row.published if any(run["arm"] == arm for run in runs)):
        mine = [run for run in runs if run["arm"] == arm]
        arms[arm] = {
            metric: {
                "what": what, **mean_of([run[metric] for run in mine]), "seeds": [run["seed"] for run in mine],
                "published": row.published[arm].get(metric),
            }
            for metric, what in row.metrics.items()
        }  # fmt: skip
    means = {arm: {metric: one["mean"] for metric, one in found.items()} for arm, found in arms.items()}
    whole = row.verdict is not None and set(means) == set(row.published)
    return {
        "arms": arms, "verdict": row.verdict(means) if whole and row.verdict else None,
        "seconds": round(sum(run["seconds"] for run in runs), 1), "runs": list(runs),
    }  # fmt: skip


def mean_of(values: Sequence[float]) -> dict[str, float | None]:
    stderr = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "stderr": stderr}


def lines(result: Mapping[str, Any]) -> Iterable[str]:
    """The result in words: a line an arm and metric, then what they say."""
    for arm, found in result["arms"].items():
        for one in found.values():
            spread = f" ({one['stderr']:.4f})" if one["stderr"] is not None else ""
            published = "" if one["published"] is None else f" | {one['published']}"
            yield f"{title(result['row'], arm)}: {one['what']} {one['mean']:.4f}{spread}{published}"
    if result["verdict"]:
        yield f"{result['row']}: {result['verdict']}"
    yield f"{result['row']}: {result['seconds']:.0f} s"


def title(name: str, arm: str) -> str:
    return f"{name} {arm}" if arm else name


def show(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
