"""``python -m benchmarks flags``: what the compiler's flags gain a row, each set of them in a fresh process.

What wins belongs into `train.flags`. A flag that this jaxlib does not know ends its process, and is told.
"""

import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import Method, Session, Suite, answer
from benchmarks.process import workers
from benchmarks.ratios import ratio
from benchmarks.results import save, show
from benchmarks.speed import rows, undisturbed, wait_until_quiet
from zoo.errors import UserError

# What is tried unasked, by suite; several flags of a set have spaces between them.
TRIES: dict[Suite, tuple[str, ...]] = {
    "cpu": ("xla_cpu_use_fusion_emitters=false", "xla_cpu_enable_concurrency_optimized_scheduler=false"),
    "gpu": (
        "xla_gpu_command_buffer_update_mode=SKIP_TEMP",
        "xla_gpu_command_buffer_update_mode=SKIP_PROFILED",
        "xla_gpu_enable_command_buffer=+WHILE",
        "xla_gpu_enable_command_buffer=",
        "xla_gpu_enable_triton_gemm=false",
        "xla_gpu_enable_cublaslt=true",
    ),
}
NONE = ""


def run(suite: Suite, names: Sequence[str], sets: Sequence[str], method: Method, out: Path, *, dispatch: int) -> None:
    """Measures every set of flags on every row, saves and prints each. UserError for a name that no row has."""
    found = {row.name: row for row, _ in rows(suite, list(names), method, quick=False)}
    if strange := [name for name, row in found.items() if not hasattr(row, "model")]:
        raise UserError(f"{strange[0]} has no step of its own")
    with tempfile.TemporaryDirectory() as folder:
        session = Session(suite, method, None, Path(folder))
        for row in found.values():
            for line in measure(session, row, sets or TRIES[suite], dispatch):
                save(line, out, name="flags")
                multiple = "{median:.2f}x [{low:.2f}, {high:.2f}]".format(**line["ratio"])
                print(f"{line['row']}: {show(line['ours'])} {row.unit}/s, {multiple} of none", flush=True)


def measure(session: Session, row: Any, sets: Sequence[str], dispatch: int) -> Iterator[dict[str, Any]]:
    """A line for each set that runs. As many as cores allow compile at a time, beside one process without flags; then
    that one and each of them take turns."""
    pressure, each = wait_until_quiet(session.suite), max(1, session.at_once - 1)
    for some in (sets[at : at + each] for at in range(0, len(sets), each)):
        asked = [session.asked(row, "jax", dispatch) | {"flags": flags} for flags in (NONE, *some)]
        with workers(*((one, None) for one in asked)) as (base, *others):
            for one in (base, *others):
                one.tell("warm")
            start = base.read()
            for flags, one in zip(some, others, strict=True):
                warm = answer(one)
                if isinstance(warm, str):
                    print(f"{row.name} {flags}: {warm}", flush=True)
                    continue
                theirs, plain = zip(*undisturbed(session, one, base), strict=True)
                yield {
                    "row": f"{row.name} {flags}", "kind": "flags", "dispatch": dispatch,
                    "ratio": ratio([theirs], [plain]), "ours": float(np.median(theirs)), "unit": f"{row.unit}/s",
                    "compile": {"with": warm["first"] - warm["turn"], "without": start["first"] - start["turn"]},
                    **{name: start[name] for name in ("device", "versions", "cores")},
                    "windows": {"with": theirs, "without": plain}, "pressure": pressure,
                    "date": date.today().isoformat(),
                }  # fmt: skip
