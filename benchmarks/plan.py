"""What ahead-of-time compilation says of all models, and of 1 to 256 chips: the tables of benchmarks/README.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.aot import read
from benchmarks.results import RESULTS

AOT = RESULTS / "aot"
PODS = ("v5e:4x4", "v5e:16x16")
SIZES = ("v5e:1x1", "v5e:2x2", "v5e:4x4", "v5e:8x8", "v5e:16x16")
PLANNED = (
    ("dcgan", "jit"),
    ("vae-conv", "jit"),
    ("lstm", "jit"),
    ("gpt", "jit"),
    ("gpt2", "jit"),
    ("gpt2", "fsdp"),
    ("gpt2-large", "fsdp"),
)


def lines_of(topology: str, folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["model"], one["parallel"]): one for one in read(folder / f"{topology.replace(':', '-')}.jsonl")}


def pods_table(folder: Path = AOT) -> str:
    """One line a model and placement: what a chip holds, what it sends, on each pod."""
    pods = {pod: lines_of(pod, folder) for pod in PODS}
    lines = [
        "| model | placement | " + " | ".join(f"{pod}: examples a chip | GiB a chip | MiB sent" for pod in pods) + " |",
        "|---|---|" + "---:|---:|---:|" * len(pods),
    ]
    for model, mode in dict.fromkeys(key for found in pods.values() for key in found):
        cells = [cell for found in pods.values() for cell in cells_of(found.get((model, mode)))]
        lines.append(f"| `{model}` | {mode} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *pods_summary(folder)])


def pods_summary(folder: Path = AOT) -> list[str]:
    """One sentence a pod."""
    said = []
    for pod in PODS:
        found = lines_of(pod, folder)
        fitting = {mode: sum(one["fits"] for one in found.values() if one["parallel"] == mode) for _, mode in found}
        shown = ", ".join(f"{count} fit under {mode}" for mode, count in fitting.items())
        said.append(f"- {pod}: {len({model for model, _ in found})} models compiled, {shown}.")
    return said


def cells_of(line: dict[str, Any] | None) -> list[str]:
    if line is None:
        return ["not compiled", "", ""]
    memory = f"{line['memory'] / 2**30:.2f}"
    if not line["fits"]:
        return [f"{line['examples']}", f"does not fit: {memory}", ""]
    return [f"{line['examples']}", memory, f"{line['sent'] / 2**20:,.1f}"]


def scaling_table(folder: Path = AOT) -> str:
    """One table a model: the same work on every chip, on 1 to 256 of them."""
    found = {size: lines_of(size, folder) for size in SIZES}
    tables = []
    for model, mode in PLANNED:
        rows = [line for size in SIZES if (line := found[size].get((model, mode)))]
        if rows:
            tables.append("\n".join([f"`{model}`, {mode}:", "", *scaling(rows)]))
    return "\n\n".join(tables)


def scaling(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Efficiency is per example and chip, beside the fewest chips that it fits on."""
    yield "| chips | examples a chip | GiB a chip | MiB sent a step | ms a step, estimated | efficiency, estimated |"
    yield "|---:|---:|---:|---:|---:|---:|"
    pace = lambda row: row["examples"] / row["estimate"]["seconds"]
    first = next((row for row in rows if row["fits"]), None)
    for row in rows:
        cells = [str(row["chips"]), *cells_of(row)]
        if row["fits"] and first is not None:
            cells += [f"{1e3 * row['estimate']['seconds']:.2f}", f"{100 * pace(row) / pace(first):.0f} %"]
        else:
            cells += ["", ""]
        yield f"| {' | '.join(cells)} |"
