"""Training without a run folder: the same engine, for whoever measures."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from train.config import Config
from train.data.loader import Loader
from train.engine import Engine
from train.evaluate import evaluate
from train.placement import place, read_report
from train.runs import sampling_params
from train.step import State
from zoo.errors import UserError


def fit(
    config: Config,
    source: Any,
    *,
    chunk: int = 50,
    every: int | None = None,
    check: Callable[[int, State], None] | None = None,
) -> State:
    """``config.options.steps`` steps on one device, ``chunk`` to a dispatch; ``check(step, state)`` after ``every``
    steps. Of a population (``options.population``) all members at once: leaves [N, ...].

    Raises UserError when a loss or gradient is not finite.
    """
    engine = Engine(config, place("jit", jax.devices()[:1]), source.example)
    loaders = [Loader(source, config.options.batch_size or 1, seed) for seed in config.seeds]
    state, tables = engine.init(), engine.placement.put_tables(source.arrays)
    steps = config.options.steps or 0
    for step in range(0, steps, chunk):
        count = min(chunk, steps - step)
        state, report = engine.compiled(state, tables, engine.inputs(loaders, step, count))
        if check is not None and every is not None and (step + count) % every == 0:
            check(step + count, state)
    _, failed = read_report(engine.placement, report)
    if failed.max() >= 0:
        raise UserError(f"{config.name} met a NaN or Inf at step {int(np.min(state.step)) + 1}")
    return state


def fit_best(config: Config, source: Any, valid: Any, *, checks: int, batch_size: int) -> tuple[Any, dict[str, float]]:
    """`fit`, of whose ``checks`` the parameters are kept that were best on ``valid``, and that nats and step."""
    best: dict[str, Any] = {"valid": np.inf}

    def check(step: int, state: State) -> None:
        params = sampling_params(state)
        nll = evaluate(config.model, params, state.extra, valid, batch_size=batch_size)["nll"]
        if nll < best["valid"]:
            # On the host: the next steps take the state's place.
            best.update(valid=nll, best_step=step, params=jax.device_get(params))

    every = (config.options.steps or 0) // checks
    fit(config, source, chunk=every, every=every, check=check)
    return best.pop("params"), best
