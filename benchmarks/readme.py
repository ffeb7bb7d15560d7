"""The README's tables, made from the catalogue and from the committed results: no number is typed by hand."""

import json
from pathlib import Path
from typing import Any

from zoo.catalog import CATALOG, describe

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- {name}: written by python -m benchmarks readme -->", "<!-- end of {name} -->"


def models_table() -> str:
    """One line a model."""
    lines = ["| model | family | parameters | learns from | paper |", "|---|---|---:|---|---|"]
    for name in CATALOG:
        row = describe(name)
        lines.append(f"| `{name}` | {row['family']} | {row['parameters']:,} | `{row['data']}` | {row['paper']} |")
    return "\n".join(lines)


def quality_table(folder: Path = RESULTS / "quality") -> str:
    """One line a measured row; below, where each published number stands and what differs."""
    lines = [
        "| row | metric | ours | published | seeds | time, all seeds | where |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    notes = []
    for file in sorted(folder.glob("*.json")):
        row: dict[str, Any] = json.loads(file.read_text())
        ours = f"{row['ours']:.3f}" + (f" ± {row['stderr']:.3f}" if row["stderr"] is not None else "")
        lines.append(
            f"| `{row['row']}` | {row['metric']}, {row['unit']} | {ours} | {row['published']} | {len(row['seeds'])} "
            f"| {row['seconds']:.0f} s | {row['device']}, jax {row['versions']['jax']} |"
        )
        notes.append(f"- `{row['row']}`, published: {row['source']}")
    return "\n".join(lines + [""] + notes)


def speed_table(folder: Path = RESULTS) -> str:
    """One line a timed row, device by device."""
    lines = [
        "| row | steps a dispatch | ours | as a multiple of PyTorch's best | which was | where |",
        "|---|---:|---:|---:|---|---|",
    ]
    for file in sorted(folder.glob("*/speed.jsonl")):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in sorted(rows, key=lambda row: (row["kind"] != "train", row["row"], row["dispatch"])):
            found = row["ratio"]
            lines.append(
                f"| `{row['row']}` | {row['dispatch']} | {row['ours']:,.0f} {row['unit']} | {found['median']:.2f} "
                f"[{found['low']:.2f}, {found['high']:.2f}] | {row['best']} | {where(row)} |"
            )
    return "\n".join(lines)


def where(row: dict[str, Any]) -> str:
    versions = row["versions"]
    return f"{row['device']}, jax {versions['jax']}, torch {versions['torch']}, {row['date']}"


def fill(text: str, name: str, body: str) -> str:
    """``text`` with what stands between the markers of ``name`` replaced."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"README.md has no place for {name!r}")
    return f"{before}{begin}\n{body}\n{end}{after}"


def write_readme(path: Path = ROOT / "README.md") -> None:
    """Puts the tables into the README."""
    text = path.read_text()
    for name, body in (("models", models_table()), ("quality", quality_table()), ("speed", speed_table())):
        text = fill(text, name, body)
    path.write_text(text)
