"""What a population tells at its end: each member's last losses, their mean and their spread."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from train.config import Config
from train.log import read_metrics


def summary(config: Config, metrics: Path, frozen: set[int]) -> Iterator[str]:
    """Lines for people; none of a single run. Frozen members are named and left out of the means."""
    lines = read_metrics(metrics)
    if config.members is None or not lines:
        return
    last = {name: value for line in lines for name, value in line.items()}  # a phase may not have been due at the end
    varied = config.varied()
    losses = [name for name in last if name.endswith("/loss")]
    for member, seed in enumerate(config.seeds):
        what = "  ".join([f"seed {seed}", *[f"{name} {values[member]:g}" for name, values in varied.items()]])
        if member in frozen:
            yield f"member {member}  {what}  frozen: it met a NaN or Inf"
        else:
            yield f"member {member}  {what}  " + "  ".join(f"{name} {last[name][member]:.4f}" for name in losses)
    alive = [member for member in range(len(config.seeds)) if member not in frozen]
    for name in losses:
        values = np.array([last[name][member] for member in alive], float)
        spread = values.std(ddof=1) if len(values) > 1 else 0.0
        yield f"{name}: mean {values.mean():.4f}, standard deviation {spread:.4f} over {len(values)} members"
