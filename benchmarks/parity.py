"""The same curve: both sides train from the same weights on the same batches and noise, and their losses fall alike."""

from typing import Any

import jax
import numpy as np

from benchmarks import ours, theirs
from benchmarks.draws import draws_of
from benchmarks.workloads import Workload

STEPS, TAIL = 200, 4  # the last quarter is a curve's end


def curves(workload: Workload, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """({phase: its losses on the steps that are its own} of ours, the same of PyTorch's)."""
    mine = ours.Training(workload, "cpu", 1, seed)
    its = theirs.Training(workload, "cpu", "eager", (mine.state.params, mine.state.extra))
    model = workload.model("cpu")
    draws = jax.jit(
        lambda key: {name: draws_of(workload.preset, model, name, key, workload.batch) for name in its.phases}
    )
    tables, found = workload.tables(model), ({}, {})
    for step in range(STEPS):
        batch = theirs.batch_of(tables, mine.loaders[0].indices(step), its.device)
        noise = draws(jax.random.fold_in(mine.state.key, step))
        theirs_now = its.step(batch, jax.tree.map(lambda leaf: theirs.tensor_of(leaf, its.device), noise).get)
        mine.step()
        ours_now = jax.device_get(mine.report[0])
        for phase, loss in theirs_now.items():
            found[0].setdefault(phase, []).append(float(ours_now[f"{phase}/loss"][0]))
            found[1].setdefault(phase, []).append(float(loss))
    return tuple({phase: np.array(values) for phase, values in side.items()} for side in found)  # type: ignore[return-value]


def parity(workload: Workload, seeds: range) -> dict[str, dict[str, Any]]:
    """{phase: both sides' first and last losses, means over the seeds, and the standard error of how far apart they
    end}."""
    runs = [curves(workload, seed) for seed in seeds]
    found = {}
    for phase in runs[0][0]:
        sides = [np.array([run[side][phase] for run in runs]) for side in (0, 1)]  # [seed, step]
        ends = [side[:, -(side.shape[1] // TAIL) :].mean(1) for side in sides]
        spread = np.sqrt(sum(end.var(ddof=1) / len(end) for end in ends))
        found[phase] = {
            "first": [float(side[:, 0].mean()) for side in sides],
            "last": [float(end.mean()) for end in ends],
            "spread": float(spread),
        }
    return found
