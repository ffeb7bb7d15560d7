"""Lines of results: one row each, in files by device."""

import json
import re
from pathlib import Path
from typing import Any

from zoo.errors import UserError

RESULTS = Path(__file__).parent / "results"
Key = tuple[str, str, int]


def key_of(line: dict[str, Any]) -> Key:
    """(row, kind, dispatch)."""
    return line["row"], line["kind"], line["dispatch"]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Of a file, or of all in a folder. UserError where it is none."""
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    try:
        lines = [json.loads(text) for file in files for text in file.read_text().splitlines()]
        return [line for line in lines if "ratio" in line and key_of(line)]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is no file of results: {error}") from error


def save(line: dict[str, Any], out: Path, *, name: str = "speed") -> None:
    """Puts the line into ``out/DEVICE/NAME.jsonl``, in the place of the same row's older one."""
    file = out / slug(line["device"]) / f"{name}.jsonl"
    kept = [old for old in (read_lines(file) if file.exists() else []) if key_of(old) != key_of(line)]
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text("".join(json.dumps(one) + "\n" for one in [*kept, line]))
    new.replace(file)  # whoever is stopped here loses no row


def slug(device: str) -> str:
    """ "cpu, 2 cores, AMD EPYC" -> "cpu-2-cores-amd-epyc"."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def describe(line: dict[str, Any]) -> str:
    """A line for people."""
    low, median, high = (line["ratio"][key] for key in ("low", "median", "high"))
    steps = f", {line['dispatch']} steps a dispatch" if line["dispatch"] > 1 else ""
    found = f"{median:.2f}x [{low:.2f}, {high:.2f}] of {peer(line)}"
    return f"{line['row']} ({line['kind']}{steps}): {show(line['ours'])} {line['unit']}, {found}"


def peer(line: dict[str, Any]) -> str:
    """Whom it was measured against."""
    return line["best"] if line.get("unit") == "runs/s" else f"PyTorch {line['best']}"


def show(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}"
