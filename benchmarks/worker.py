"""A fresh process that times one side of one row, a window at a time, whenever it is told to.

``python -m benchmarks.worker QUESTION``: a JSON object with row, suite, side, dispatch, warm (steps before anything is
timed), threads, folder and, of ours, the compiler's flags.

The side is "jax", or a mode of PyTorch; the folder has the files of rows that read some. It prints one JSON line when
its libraries are imported, one more when it has read ``warm`` and is, then one for each line ``SECONDS`` that it reads,
and one more at its end.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import facts, peak_memory


def main() -> None:
    asked = json.loads(sys.argv[1])
    prepare = imported(asked)
    say({"imported": True})
    sys.stdin.readline()
    began = time.perf_counter()
    side, first = warm(prepare, asked)
    ready = first | {"ready": time.perf_counter() - began, "speed": side.units / first["turn"]}
    say(ready | facts() if asked["side"] == "jax" else ready)
    pace = first["turn"]
    for line in sys.stdin:
        count = max(1, round(float(line) / pace))
        start = time.perf_counter()
        for _ in range(count):
            side.turn()
        side.wait()
        seconds = time.perf_counter() - start
        pace = seconds / count
        say({"speed": side.units * count / seconds, "turns": count, "seconds": seconds})
    say({"peak_memory": peak(asked["side"])} | ({"compiles": side.compiles()} if asked["side"] == "jax" else {}))


def imported(asked: dict[str, Any]) -> Any:
    """The side's ``prepare``, with all that it imports."""
    if asked["side"] == "jax":
        told = [f"--{flag}" for flag in asked.get("flags", "").split()]
        os.environ["XLA_FLAGS"] = " ".join([*filter(None, [os.environ.get("XLA_FLAGS")]), *told])
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        from benchmarks.ours import prepare
    else:
        os.environ["JAX_PLATFORMS"] = "cpu"  # the twin takes its weights from our model, and nothing else
        import torch

        from benchmarks.theirs import prepare

        if asked["threads"]:
            torch.set_num_threads(asked["threads"])
    return prepare


def warm(prepare: Any, asked: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """The side after its warm turns, of ``asked["warm"]`` steps or more, with what its first turn and a warm one took
    in seconds."""
    from benchmarks.workloads import find

    how = asked["dispatch"] if asked["side"] == "jax" else asked["side"]
    folder = asked.get("folder")
    side = prepare(find(asked["row"], asked["suite"]), asked["suite"], how, folder=folder and Path(folder))
    first, turn = timed(side), timed(side)
    for _ in range(2, -(-asked["warm"] // side.steps)):
        turn = timed(side)
    return side, {"first": first, "turn": turn}


def timed(side: Any) -> float:
    """Seconds of one turn, waited for."""
    began = time.perf_counter()
    side.turn()
    side.wait()
    return time.perf_counter() - began


def peak(side: str) -> int:
    if side != "jax":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    return peak_memory()


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
