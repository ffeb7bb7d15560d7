"""``python -m benchmarks quality ROW``: trains, evaluates by the stated protocol, and compares with a published
number."""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.quality import ROWS, run_row
from benchmarks.readme import write_readme
from zoo.errors import UserError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    quality = commands.add_parser("quality", help="one row: our number beside the published one")
    quality.add_argument("row", metavar="ROW", help=", ".join(ROWS))
    quality.add_argument("--seeds", type=int, default=1, metavar="K", help="how many trainings (default 1)")
    quality.add_argument("--seed", type=int, default=0, metavar="FIRST", help="seed of the first one (default 0)")
    quality.add_argument("--data", default=os.environ.get("ZOO_DATA"), metavar="DIR", help="default $ZOO_DATA")
    quality.add_argument("--budget", choices=("cpu", "full"), default="cpu", help="cpu: minutes on two cores")
    quality.add_argument("--out", default=None, metavar="DIR", help="default benchmarks/results/quality")
    commands.add_parser("readme", help="write the tables of README.md from the catalogue and the results")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "readme":
            write_readme()
            return 0
        if arguments.row not in ROWS:
            raise UserError(f"no row is called {arguments.row!r}; the rows are {', '.join(ROWS)}")
        if arguments.seeds < 1:
            raise UserError(f"--seeds {arguments.seeds}: it must be at least 1")
        if arguments.data is None:
            raise UserError("say where the data sets are: --data DIR, or set ZOO_DATA")
        out = Path(arguments.out) if arguments.out else Path(__file__).parent / "results" / "quality"
        seeds = range(arguments.seed, arguments.seed + arguments.seeds)
        run_row(arguments.row, data=Path(arguments.data), seeds=seeds, budget=arguments.budget, out=out)
    except (UserError, ValueError) as error:
        if isinstance(error, ValueError) and type(error).__name__ != "CodecError":
            raise
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
