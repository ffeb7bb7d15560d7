"""A fresh process that times one side of one row, a window at a time, whenever it is told to.

``python -m benchmarks.worker '{"row": ..., "suite": ..., "side": ..., "dispatch": ..., "threads": ...}'``: the side is
"jax", or a mode of PyTorch. It prints one JSON line when it is warm, then one for each line ``SECONDS`` that it reads,
and one more at its end.
"""

import json
import os
import sys
import time
from typing import Any

WARM = 10  # turns before anything is timed


def main() -> None:
    asked = json.loads(sys.argv[1])
    began = time.perf_counter()
    side, first = warm(asked)
    say(first | {"ready": time.perf_counter() - began} | machine(asked["side"]))
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


def warm(asked: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """The side after ``WARM`` turns, with what its first turn and a warm one took in seconds."""
    if asked["side"] == "jax":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        from benchmarks.ours import prepare
    else:
        os.environ["JAX_PLATFORMS"] = "cpu"  # the twin takes its weights from our model, and nothing else
        import torch

        from benchmarks.theirs import prepare

        if asked["threads"]:
            torch.set_num_threads(asked["threads"])
    from benchmarks.workloads import find

    how = asked["dispatch"] if asked["side"] == "jax" else asked["side"]
    side = prepare(find(asked["row"], asked["suite"]), asked["suite"], how)
    first = timed(side)
    for _ in range(WARM - 1):
        turn = timed(side)
        if turn > 5:
            break
    return side, {"first": first, "turn": turn}


def timed(side: Any) -> float:
    """Seconds of one turn, waited for."""
    began = time.perf_counter()
    side.turn()
    side.wait()
    return time.perf_counter() - began


def machine(side: str) -> dict[str, Any]:
    """Asked here, since whoever asks a GPU for its name has taken its memory."""
    from benchmarks.machine import device, versions

    flags = {name: os.environ[name] for name in ("XLA_FLAGS", "GLIBC_TUNABLES") if name in os.environ}
    return {"device": device(), "versions": versions(), "flags": flags} if side == "jax" else {}


def peak(side: str) -> int:
    if side != "jax":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    from benchmarks.machine import peak_memory

    return peak_memory()


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
