"""A finished (or stopped) run, opened again: for samplers, for fine-tuning, for benchmarks."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax

from train.checkpoint import Checkpoints
from train.config import Config
from train.engine import Engine
from train.folder import RunFolder
from train.placement import place
from train.step import State
from zoo.errors import UserError


@dataclass(frozen=True)
class Restored:
    """A run as its newest whole checkpoint has it."""

    config: Config
    data: dict[str, Any]
    """What the run recorded of its data: ``codec`` and ``fields``."""
    step: int
    params: Any
    """With the moving averages in the place of the players that keep one."""
    raw: Any
    """As they were trained."""
    extra: Any

    @property
    def model(self) -> Any:
        return self.config.model

    @property
    def codec(self) -> Any:
        from zoo.codecs import from_config

        return from_config(self.data["codec"])


def restore_run(path: Path | str, *, step: int | None = None, member: int = 0, report: Any = print) -> Restored:
    """Opens ``path`` at ``step`` (its newest whole checkpoint). ``member``: which one of a population."""
    folder = RunFolder(Path(path))
    if not folder.path.exists():
        raise UserError(f"{path} does not exist; a run folder is what zoo-train writes to --out")
    config, data = folder.load()
    alone = replace(config.options, parallel="jit", batch_size=jax.device_count(), accumulate=1)
    engine = Engine(replace(config, options=alone), place("jit"), None)
    checkpoints = Checkpoints(folder.checkpoints)
    if step is not None and step not in checkpoints.steps():
        kept = ", ".join(map(str, sorted(checkpoints.steps()))) or "none"
        raise UserError(f"--step {step} is not among the checkpoints of {path}: {kept} (zoo-train --keep keeps more)")
    found = checkpoints.restore(engine.abstract(), only=step, report=report)
    if found is None:
        raise UserError(f"{path} has no checkpoint yet; let zoo-train reach --save-every, or --resume it")
    step, state = found
    if config.members is not None:
        if not 0 <= member < config.members:
            raise UserError(f"--member {member}: the population of {path} has members 0 to {config.members - 1}")
        state = jax.tree.map(lambda leaf: leaf[member], state)
    return Restored(config, data, step, sampling_params(state), state.params, state.extra)


def sampling_params(state: State) -> Any:
    """What samples are drawn with: the moving averages where there are any."""
    return {**state.params, **state.ema}
