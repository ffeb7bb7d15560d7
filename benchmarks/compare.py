"""``python -m benchmarks compare OLD NEW``: which rows became slower, beyond the noise of both measurements."""

import json
from pathlib import Path
from typing import Any

from zoo.errors import UserError

Key = tuple[str, str, int]


def lines_of(path: Path) -> dict[Key, dict[str, Any]]:
    """{(row, kind, dispatch): line} of a results file, or of all in a folder."""
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    try:
        lines = [json.loads(text) for file in files for text in file.read_text().splitlines()]
        return {(line["row"], line["kind"], line["dispatch"]): line for line in lines if "ratio" in line}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is no file of results: {error}") from error


def compare(old: Path, new: Path) -> list[str]:
    """A line for each row that both have, those that became slower first. A row has when the interval of its ratio to
    PyTorch, measured in the same run, lies below the old one's: that way another machine is no regression."""
    before, after = lines_of(old), lines_of(new)
    both = sorted(before.keys() & after.keys())
    if not both:
        raise UserError(f"{old} and {new} have no row in common")
    told = [(verdict(before[key]["ratio"], after[key]["ratio"]), key) for key in both]
    return [
        f"{word:>7}  {row} ({kind}, {dispatch} a dispatch): "
        f"{show(before[row, kind, dispatch]['ratio'])} -> {show(after[row, kind, dispatch]['ratio'])}"
        for word, (row, kind, dispatch) in sorted(told, key=lambda one: ("slower", "faster", "same").index(one[0]))
    ]


def verdict(old: dict[str, float], new: dict[str, float]) -> str:
    if new["high"] < old["low"]:
        return "slower"
    return "faster" if new["low"] > old["high"] else "same"


def show(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
