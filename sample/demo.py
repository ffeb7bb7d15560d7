"""``python -m sample.demo``: four models from nothing to a page of pictures and music, on two cores in minutes."""

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train.pages import restart_with_large_pages
from zoo.codecs import CodecError
from zoo.errors import UserError

Budget = Mapping[str, str | int | float]

# What each run is told: the options of zoo-train.
FULL: Mapping[str, Budget] = {
    "dcgan": {
        "data": "art", "steps": 3000, "batch-size": 32, "model.width": 32, "ema": 0.995,
        "optim.learning-rate": 8e-4,
    },
    "vae-conv": {
        "data": "art", "steps": 2500, "batch-size": 32, "model.width": 32,
        "ema": 0.99,
    },
    "gpt": {"data": "bach?steps=2", "steps": 1000, "batch-size": 16, "model.context": 128, "model.width": 128},
    "lstm": {"data": "bach?steps=2", "steps": 1200, "batch-size": 32, "model.context": 128, "model.width": 192},
}  # fmt: skip
QUICK: Mapping[str, Budget] = {
    "dcgan": {"data": "art", "steps": 20, "batch-size": 16, "model.width": 8, "model.image-size": 16},
    "vae-conv": {"data": "art", "steps": 20, "batch-size": 16, "model.width": 8, "model.image-size": 16},
    "gpt": {"data": "bach?steps=2", "steps": 20, "batch-size": 8, "model.context": 64, "model.width": 32},
    "lstm": {"data": "bach?steps=2", "steps": 20, "batch-size": 8, "model.context": 64, "model.width": 32},
}
# A dispatch of as many steps as lie between two lines of the log is the only one that is compiled; previews would
# compile a sampler of their own.
COMMON: Budget = {"log-every": 10, "dispatch": 10, "save-every": 500, "sample-every": 1_000_000}
STAMP = "demo.json"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sample.demo", description="Trains four models and shows them.")
    parser.add_argument("--quick", action="store_true", help="a minute of it, to see that everything works")
    parser.add_argument("--out", metavar="DIR", help="where to (default: runs/demo, or runs/demo-quick)")
    arguments = parser.parse_args(argv)
    folder = Path(arguments.out or ("runs/demo-quick" if arguments.quick else "runs/demo"))
    try:
        return run(folder, QUICK if arguments.quick else FULL)
    except (UserError, CodecError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def run(folder: Path, budgets: Mapping[str, Budget]) -> int:
    """Trains, draws, writes the report; returns the exit code."""
    began = time.monotonic()
    stamp = claim(folder, budgets)
    for number, (name, budget) in enumerate(budgets.items(), 1):
        say(f"[{number}/{len(budgets)}] zoo-train {name} {' '.join(words_of(budget))}")
        code = train(folder, name, budget, stamp)
        if code:
            return code
    path = show(folder, budgets, stamp["seconds"])
    say(f"done in {time.monotonic() - began:.0f} s. Open {path.resolve().as_uri()}")
    return 0


def claim(folder: Path, budgets: Mapping[str, Budget]) -> dict[str, Any]:
    """The folder's stamp: what its runs are told, and how long each has trained. An older demo is gone on with where it
    was told the same, else replaced; what is no demo is left alone."""
    told = {name: dict(budget) for name, budget in budgets.items()}
    stamp = read_stamp(folder)
    if stamp is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already and is no demo; choose another --out")
    if stamp is not None and stamp["told"] == told:
        say(f"{folder} is there: what is trained stays, the rest goes on (remove it for a fresh start)")
        return stamp
    if stamp is not None:
        say(f"{folder} holds a demo that was told otherwise: it is replaced")
        shutil.rmtree(folder, ignore_errors=True)
    stamp = {"told": told, "seconds": {}}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}; choose another --out") from error
    write_stamp(folder, stamp)
    return stamp


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """None where there is none that can be read."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
        return stamp if isinstance(stamp["told"], dict) and isinstance(stamp["seconds"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_stamp(folder: Path, stamp: dict[str, Any]) -> None:
    from train.folder import write_text

    write_text(folder / STAMP, json.dumps(stamp, indent=2))


def words_of(budget: Budget) -> list[str]:
    return [word for option, value in budget.items() for word in (f"--{option}", str(value))]


def train(folder: Path, name: str, budget: Budget, stamp: dict[str, Any]) -> int:
    """One run through the command that a user has; what it took is added to the stamp."""
    from train.__main__ import main as zoo_train

    out, began = folder / name, time.monotonic()
    before = steps_done(out)
    resume = ["--resume"] if out.exists() else []
    code = zoo_train([name, *words_of(budget), *words_of(COMMON), "--out", str(out), *resume])
    after = steps_done(out)
    if after > before:
        stamp["seconds"][name] = stamp["seconds"].get(name, 0.0) + time.monotonic() - began
        write_stamp(folder, stamp)
    if code == 0 and after < int(budget["steps"]):  # a SIGTERM, after which training exits with 0
        code = 128 + signal.SIGTERM
    if code:
        broken = f"{name} cannot go on: see above, or remove {folder} for a fresh start"
        say(broken if code == 2 else f"{name} stopped; the same command goes on from there")
    return code


def steps_done(out: Path) -> int:
    """Of a run, by its log."""
    from train.folder import RunFolder
    from train.log import read_metrics

    path = RunFolder(out).metrics_file
    lines = read_metrics(path) if path.is_file() else []
    return lines[-1]["step"] if lines else 0


def show(folder: Path, budgets: Mapping[str, Budget], seconds: Mapping[str, float]) -> Path:
    """Draws from every run, and puts it all on one page."""
    from sample.exhibits import music_exhibits, picture_exhibits
    from sample.report import Story, duration, write_report
    from zoo.catalog import entry

    stories = []
    for name in budgets:
        say(f"{name}: drawing")
        draw = picture_exhibits if entry(name).data == "art" else music_exhibits
        stories.append(Story(folder / name, draw(folder / name), seconds.get(name)))
    say("writing the report")
    trained = duration(sum(seconds.values()))
    lead = (
        "Two models that draw, after pictures made by formulas, and two that compose, after Bach's chorales: "
        f"trained on this machine, one after the other, in {trained}. Nothing was downloaded, nothing chosen by hand; "
        "every file says from which run, step and seed it can be made again."
    )
    return write_report(folder, stories, title="Four models, from nothing", lead=lead)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    restart_with_large_pages()
    sys.exit(main())
