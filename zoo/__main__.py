"""``python -m zoo``: the models of the zoo. ``--json`` for programs."""

import argparse
import json
import sys

from zoo.catalog import CATALOG, describe


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m zoo", description="Lists the models of the zoo.")
    parser.add_argument("--json", action="store_true", help="a JSON list instead of a table")
    arguments = parser.parse_args(argv)
    rows = [describe(name) for name in CATALOG]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    table = [("name", "family", "parameters", "data", "paper")]
    table += [(r["name"], r["family"], f"{r['parameters']:,}", r["data"], r["paper"]) for r in rows]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    for name, family, count, data, paper in table:
        print(f"{name:{widths[0]}}  {family:{widths[1]}}  {count:>{widths[2]}}  {data:{widths[3]}}  {paper}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
