"""The same curve: both sides train from the same weights on the same batches, and their losses fall alike."""

from typing import Any

import jax
import numpy as np

from benchmarks import ours, theirs
from benchmarks.workloads import Workload

STEPS, TAIL = 200, 50


def curves(workload: Workload, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """({player: losses [STEPS]} of ours, the same of PyTorch's): same weights, same batches, noise of their own."""
    mine = ours.Training(workload, "cpu", 1, seed)
    its = theirs.Training(workload, "cpu", "eager", (mine.state.params, mine.state.extra))
    tables, found = workload.tables(mine.engine.config.model), ({}, {})
    for step in range(STEPS):
        rows = mine.loaders[0].indices(step)
        mine.turn()
        ours_now = jax.device_get(mine.report[0])
        theirs_now = its.step(theirs.batch_of(tables, rows, its.device))
        for player in its.twin.players:
            found[0].setdefault(player, []).append(float(ours_now[f"{player}/loss"][0]))
            found[1].setdefault(player, []).append(float(theirs_now[player]))
    return tuple({player: np.array(values) for player, values in side.items()} for side in found)  # type: ignore[return-value]


def parity(workload: Workload, seeds: range) -> dict[str, dict[str, Any]]:
    """{player: both sides' first and last losses, means over the seeds, and the standard error of how far apart they
    end}."""
    runs = [curves(workload, seed) for seed in seeds]
    found = {}
    for player in runs[0][0]:
        sides = [np.array([run[side][player] for run in runs]) for side in (0, 1)]  # [seed, step]
        ends = [side[:, -TAIL:].mean(1) for side in sides]
        spread = np.sqrt(sum(end.var(ddof=1) / len(end) for end in ends))
        found[player] = {
            "first": [float(side[:, 0].mean()) for side in sides],
            "last": [float(end.mean()) for end in ends],
            "spread": float(spread),
        }
    return found
