"""``python -m benchmarks quality | speed | agree | forms | flags | compare | profile | doctor | aot | readme``: how
good, how fast, how large; and the README's tables of it."""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.machine import Busy
from benchmarks.quality import ROWS, run_row
from benchmarks.readme import write_all, write_sizes
from benchmarks.results import RESULTS
from train.pages import restart_with_large_pages
from zoo.codecs import CodecError
from zoo.errors import UserError

TRY_LATER = 75  # EX_TEMPFAIL of sysexits.h


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except (UserError, CodecError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return TRY_LATER if isinstance(error, Busy) else 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as in ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = top.add_subparsers(required=True)
    quality = commands.add_parser("quality", help="one row: our number beside the published one")
    quality.set_defaults(run=run_quality)
    quality.add_argument("row", metavar="ROW", help=", ".join(ROWS))
    quality.add_argument("--seeds", type=int, default=3, metavar="K", help="how many trainings (default 3)")
    quality.add_argument("--seed", type=int, default=0, metavar="FIRST", help="seed of the first one (default 0)")
    quality.add_argument("--data", default=os.environ.get("ZOO_DATA"), metavar="DIR", help="default $ZOO_DATA")
    quality.add_argument("--arms", type=words, metavar="ARM,...", help="only these of what the row compares")
    quality.add_argument("--budget", choices=("cpu", "full"), default="cpu", help="cpu: minutes on two cores")
    quality.add_argument("--missing", action="store_true", help="only trainings that --out has no numbers of yet")
    quality.add_argument("--out", default=RESULTS / "quality", type=Path, metavar="DIR")
    speed = commands.add_parser("speed", help="our throughput against PyTorch's, in one run")
    speed.set_defaults(run=run_speed)
    speed.add_argument("--suite", choices=("cpu", "gpu"), default="cpu", help="which rows, and in which precision")
    speed.add_argument("--rows", type=words, metavar="ROW,...", help="only these (default: all of the suite)")
    speed.add_argument("--peers", type=words, metavar="MODE,...", help="only these modes of PyTorch")
    speed.add_argument("--quick", action="store_true", help="two rows and short windows")
    speed.add_argument("--missing", action="store_true", help="only rows that --out has no line of yet")
    speed.add_argument(
        "--minutes", type=float, metavar="M", help="begin no row that would end later (default 9 for gpu, none for cpu)"
    )
    speed.add_argument("--out", default=RESULTS, type=Path, metavar="DIR")
    agree = commands.add_parser("agree", help="whether the rows' two sides compute the same; speed asks first, too")
    agree.set_defaults(run=run_agree)
    agree.add_argument("--suite", choices=("cpu", "gpu"), default="cpu", help="of whose rows")
    agree.add_argument("--rows", type=words, metavar="ROW,...", help="only these (default: all of the suite)")
    forms = commands.add_parser("forms", help="what each fast form gains over the plain one")
    forms.set_defaults(run=run_forms)
    forms.add_argument("--rows", type=words, metavar="ROW,...", help="only these (default: all of this device)")
    forms.add_argument("--quick", action="store_true", help="a fifth of the time a row")
    forms.add_argument("--out", default=RESULTS, type=Path, metavar="DIR")
    flags = commands.add_parser("flags", help="what the compiler's flags gain a row of speed")
    flags.set_defaults(run=run_flags)
    flags.add_argument("rows", nargs="+", metavar="ROW", help="of speed")
    flags.add_argument("--suite", choices=("cpu", "gpu"), default="cpu")
    flags.add_argument(
        "--try",
        dest="sets",
        action="append",
        default=[],
        metavar="'NAME=VALUE ...'",
        help="flags that are told together; once for each set (default: some that may be worth it)",
    )
    flags.add_argument("--dispatch", type=int, default=1, metavar="K", help="steps in one dispatch (default 1)")
    flags.add_argument("--quick", action="store_true", help="short windows")
    flags.add_argument("--out", default=RESULTS, type=Path, metavar="DIR")
    compare = commands.add_parser("compare", help="fails where a row became slower, beyond the noise")
    compare.set_defaults(run=run_compare)
    compare.add_argument("old", type=Path, metavar="OLD", help="a file of results, or a folder of them")
    compare.add_argument("new", type=Path, metavar="NEW")
    profile = commands.add_parser("profile", help="where the time of a row's step goes, on both sides")
    profile.set_defaults(run=run_profile)
    profile.add_argument("rows", nargs="+", metavar="ROW", help="training rows of speed")
    profile.add_argument("--suite", choices=("cpu", "gpu"), default="cpu")
    profile.add_argument("--peer", default="eager", metavar="MODE", help="PyTorch's mode (default eager)")
    profile.add_argument("--out", type=Path, metavar="DIR", help="default results/DEVICE/profiles")
    doctor = commands.add_parser("doctor", help="why a run is as slow as it is", add_help=False)
    doctor.set_defaults(run=run_doctor)
    doctor.add_argument("words", nargs=argparse.REMAINDER, metavar="NAME ...", help="as for zoo-train")
    aot = commands.add_parser("aot", help="train steps compiled for TPU pods, without having one")
    aot.set_defaults(run=run_aot)
    aot.add_argument("--topology", nargs="+", default=["v5e:4x4"], metavar="CHIP:AxB", help="default v5e:4x4")
    aot.add_argument("--models", nargs="+", default=["all"], metavar="NAME", help="default all of the catalogue")
    aot.add_argument("--parallel", type=words, default=["jit", "fsdp"], metavar="MODE,...", help="default jit,fsdp")
    aot.add_argument("--batch", type=int, metavar="N", help="examples a chip (default the most that fit)")
    aot.add_argument(
        "--effort",
        type=float,
        default=-1.0,
        metavar="E",
        help="of the compiler for speed, -1 to 1 (default -1: soonest)",
    )
    aot.add_argument("--out", default=RESULTS / "aot", type=Path, metavar="DIR")
    readme = commands.add_parser("readme", help="write the READMEs' tables and the plot from the results")
    readme.set_defaults(run=lambda _: run_readme())
    return top


def words(text: str) -> list[str]:
    return text.split(",")


def run_quality(arguments: argparse.Namespace) -> None:
    if arguments.row not in ROWS:
        raise UserError(f"no row is called {arguments.row!r}; the rows are {', '.join(ROWS)}")
    if arguments.seeds < 1:
        raise UserError(f"--seeds {arguments.seeds}: it must be at least 1")
    if arguments.data is None:
        raise UserError("say where the data sets are: --data DIR, or set ZOO_DATA")
    run_row(
        arguments.row, data=Path(arguments.data), seeds=range(arguments.seed, arguments.seed + arguments.seeds),
        budget=arguments.budget, out=arguments.out, arms=arguments.arms, missing=arguments.missing,
    )  # fmt: skip


def run_speed(arguments: argparse.Namespace) -> None:
    needs_torch()
    from benchmarks.peers import QUICK, Method
    from benchmarks.speed import run

    minutes = arguments.minutes or {"cpu": None, "gpu": 9.0}[arguments.suite]
    run(
        arguments.suite, arguments.rows, arguments.peers, QUICK if arguments.quick else Method(), arguments.out,
        quick=arguments.quick, missing=arguments.missing, minutes=minutes,
    )  # fmt: skip


def needs_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise UserError("PyTorch is what it is timed against: pip install torch")


def run_agree(arguments: argparse.Namespace) -> None:
    needs_torch()
    from benchmarks.peers import Method, Session, agree
    from benchmarks.speed import rows

    session = Session(arguments.suite, Method(), None, Path())
    failed = 0
    asked = {row.name: row for row, _ in rows(arguments.suite, arguments.rows, session.method, quick=False)}
    for row in (row for row in asked.values() if row.kind == "train" and hasattr(row, "model")):
        try:
            agree(session, row)
            print(f"{row.name}: the two sides agree", flush=True)
        except UserError as error:
            failed += 1
            print(f"{row.name}: {error}", flush=True)
    if failed:
        raise UserError(f"{failed} rows have two sides that differ; they are named above")


def run_forms(arguments: argparse.Namespace) -> None:
    from benchmarks.forms import FULL, QUICK, run

    run(arguments.rows, QUICK if arguments.quick else FULL, arguments.out)


def run_flags(arguments: argparse.Namespace) -> None:
    from benchmarks.flags import run
    from benchmarks.peers import QUICK, Method

    if arguments.dispatch < 1:
        raise UserError(f"--dispatch {arguments.dispatch}: it must be at least 1")
    method = QUICK if arguments.quick else Method()
    run(arguments.suite, arguments.rows, arguments.sets, method, arguments.out, dispatch=arguments.dispatch)


def run_profile(arguments: argparse.Namespace) -> None:
    from benchmarks.machine import facts_apart
    from benchmarks.profile import page
    from benchmarks.results import slug
    from benchmarks.workloads import WORKLOADS

    rows = [one.name for one in WORKLOADS if one.kind == "train" and arguments.suite in one.suites]
    for name in arguments.rows:
        if name not in rows:
            raise UserError(f"no training row is called {name!r}; the rows are {', '.join(rows)}")
    out = arguments.out or RESULTS / slug(facts_apart()["device"]) / "profiles"
    for name in arguments.rows:
        print(page(name, arguments.suite, arguments.peer, out), flush=True)


def run_compare(arguments: argparse.Namespace) -> int:
    from benchmarks.compare import compare

    lines = compare(arguments.old, arguments.new)
    print("\n".join(lines))
    return int(any(line.strip().startswith("slower") for line in lines))


def run_doctor(arguments: argparse.Namespace) -> None:
    from benchmarks.doctor import examine

    if not arguments.words:
        raise UserError("doctor wants to know which run: a model's name and the options of zoo-train")
    print(examine(arguments.words))


def run_readme() -> None:
    write_sizes()
    write_all()


def run_aot(arguments: argparse.Namespace) -> None:
    from benchmarks.aot import run
    from zoo.catalog import CATALOG, entry

    if arguments.batch is not None and arguments.batch < 1:
        raise UserError(f"--batch {arguments.batch}: it must be at least 1")
    if not -1 <= arguments.effort <= 1:
        raise UserError(f"--effort {arguments.effort:g}: it must be from -1 to 1")
    names = list(CATALOG) if arguments.models == ["all"] else arguments.models
    for name in names:
        entry(name)  # UserError for a name that is none
    for topology in arguments.topology:
        run(topology, names, arguments.parallel, arguments.out, batch=arguments.batch, effort=arguments.effort)


if __name__ == "__main__":
    restart_with_large_pages()
    sys.exit(main())
