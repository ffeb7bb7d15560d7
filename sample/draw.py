"""``python -m sample.draw FORMULA`` and ``zoo-draw FORMULA``: pictures from formulas, without a run.

Imports nothing heavy until something is drawn: ``--help`` answers at once.
"""

import re
import sys
from pathlib import Path
from typing import Any

from sample.command import ended, understood
from sample.draw_options import MOST, Options, described
from zoo.errors import UserError

FILMS, SUFFIXES = (".gif", ".mp4"), (".png", ".gif", ".mp4", ".svg")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return ended("zoo-draw", lambda: shown(*parse(sys.argv[1:] if argv is None else argv)))


def shown(name: str | None, options: Options) -> list[Any]:
    """What the command prints."""
    return [listed(name) if name is None or options.list else draw(name, options)]


def parse(argv: list[str]) -> tuple[str | None, Options]:
    """(the formula, the options). Needs no jax; ``--help`` ends the process."""
    from dataclasses import field
    from typing import Annotated

    import tyro

    said = "What to draw; without it, all formulas are listed."
    formula = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="FORMULA", help=said)]
    help_n = "How many pictures: more than one make a sheet (default: 1; with --grid rows and columns, 5)."
    count = Annotated[int | None, tyro.conf.arg(aliases=["-n"], help=help_n)]
    listing = Annotated[bool, tyro.conf.FlagCreatePairsOff]
    words: list[tuple[str, Any, Any]] = [
        ("formula", formula, field(default=None)),
        ("n", count, field(default=None)),
        ("list", listing, field(default=False)),
    ]
    says = "Draws pictures from formulas. The same command writes the same file."
    given, options = understood(Options, words, argv, prog="zoo-draw", says=says)
    return given.formula, options


def listed(name: str | None) -> str:
    """All formulas with a line each, or the parameters of one."""
    from sample.painting import formula_of
    from zoo.algorithmic.canvas import ranges
    from zoo.algorithmic.colour import PALETTES
    from zoo.algorithmic.formulas import FORMULAS

    if name is not None:
        parameters = ranges(formula_of(name).parameters)
        width = max(map(len, parameters))
        return "\n".join(f"{each:{width}}  {described(space)}" for each, space in parameters.items())
    width = max(map(len, FORMULAS))
    lines = [f"{each:{width}}  {formula.says}" for each, formula in FORMULAS.items()]
    return "\n".join([*lines, "", f"palettes: {', '.join(PALETTES)}"])


def draw(name: str, options: Options) -> Path:
    """Draws what the options say, and returns the file."""
    path = target(name, options)
    check(options, path)
    from sample.painting import made_by, write_film, write_lines, write_picture
    from train.__main__ import compilation_cache

    compilation_cache()
    meta = made_by(name, options)
    write = write_lines if path.suffix == ".svg" else write_film if path.suffix in FILMS else write_picture
    write(name, options, path, meta)
    return path


def target(name: str, options: Options) -> Path:
    """Where the file goes; its suffix is one of SUFFIXES."""
    moves = any(value is not None for value in (options.zoom, options.film, options.music))
    usual = ".mp4" if options.music is not None else ".gif" if moves else ".png"
    stem = f"{re.sub(r'[^a-z]', '', name)}_seed{options.seed}"
    if options.out is None:
        return Path(f"{stem}{usual}")
    path = Path(options.out).expanduser()
    if path.is_dir():
        path = path / f"{stem}{usual}"
    if path.suffix not in SUFFIXES:
        raise UserError(f"--out {options.out}: a picture can be written as {', '.join(SUFFIXES)}")
    if options.music is not None and path.suffix != ".mp4":
        raise UserError(f"--out {options.out}: a film with sound can be written as .mp4")
    if moves and path.suffix not in FILMS:
        raise UserError(f"--out {options.out}: a film can be written as {', '.join(FILMS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path.parent}: {error.strerror}; choose another --out") from error
    return path


def check(options: Options, path: Path) -> None:
    """UserError where a value is out of its range, or two options leave each other no room."""
    for option, least in (("n", 1), ("seed", 0), ("size", 8), ("film", 2), ("frames", 1), ("zoom", 0.1)):
        value = getattr(options, option)
        flag = "-n" if option == "n" else f"--{option}"
        if value is not None and not value >= least:
            raise UserError(f"{flag} {value}: it must be at least {least}")
        if option in ("n", "film") and value is not None and value > MOST:
            raise UserError(f"{flag} {value}: it must be at most {MOST}")
    if options.seed >= 2**32:
        raise UserError(f"--seed {options.seed}: it must be below 2**32")
    if not 0.1 <= options.fps <= 1000:
        raise UserError(f"--fps {options.fps:g}: it must be in 0.1 .. 1000")
    if options.zoom is not None and (options.film is not None or options.music is not None):
        raise UserError(
            f"--zoom and --{'film' if options.film is not None else 'music'} are films of two kinds: leave one out"
        )
    if path.suffix in FILMS and (options.grid is not None or options.n is not None):
        raise UserError("a film shows one picture at a time: leave out --grid and -n, or let --out be a .png")
    if options.frames is not None and path.suffix not in FILMS:
        raise UserError("--frames is for films: add --film N, --zoom N, or --out FILE.gif")


if __name__ == "__main__":
    sys.exit(main())
