"""``python -m zoo``: the models of the zoo, its formulas, and what else the models can do. ``--json`` for programs."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from zoo.algorithmic.formulas import FORMULAS
from zoo.catalog import CATALOG, describe
from zoo.ways import WAYS


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m zoo", description="Lists what is in the zoo.")
    parser.add_argument("--json", action="store_true", help="a JSON list instead of a table")
    arguments = parser.parse_args(argv)
    models = [{"kind": "model", **describe(name), "command": f"zoo-train {name}"} for name in CATALOG]
    formulas = [
        {"kind": "formula", "name": name, "says": formula.says, "command": f"zoo-draw {name}"}
        for name, formula in FORMULAS.items()
    ]
    ways = [{"kind": "way", "name": name, **asdict(way)} for name, way in WAYS.items()]
    if arguments.json:
        print(json.dumps([*models, *formulas, *ways], indent=2))
        return 0
    show(models, ("name", "family", "parameters", "data", "paper"))
    print("\nFormulas, for zoo-draw")
    show(formulas, ("name", "says"))
    print("\nWhat else they can do")
    show(ways, ("name", "says", "of", "command"))
    return 0


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table; numbers to the right."""
    texts = [[f"{row[name]:,}" if isinstance(row[name], int) else row[name] for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    numbers = [isinstance(rows[0][name], int) for name in columns]
    for line in (columns, *texts):
        cells = [
            f"{cell:{'>' if number else '<'}{width}}" for cell, width, number in zip(line, widths, numbers, strict=True)
        ]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    sys.exit(main())
