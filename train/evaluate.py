"""A model's metrics over a whole split: every example once, means exact whatever the batch size."""

import functools
from typing import Any

import jax

from train.data.loader import sweep
from train.data.source import Source
from train.flags import jit
from zoo.model import Batch, Model


def evaluate(
    model: Model, params: Any, extra: Any, source: Source, *, batch_size: int = 100, key: Any = None
) -> dict[str, float]:
    """{metric: mean} over every example of ``source``, once. Compiles once for a model, and once more where the last
    batch is smaller."""
    key = jax.random.key(0) if key is None else key
    totals: dict[str, tuple[float, float]] = {}
    for number, batch in enumerate(sweep(source, batch_size)):
        for name, (total, count) in _sums(model, params, extra, batch, jax.random.fold_in(key, number)).items():
            before = totals.get(name, (0.0, 0.0))
            totals[name] = before[0] + float(total), before[1] + float(count)
    return {name: total / count for name, (total, count) in totals.items()}


@functools.partial(jit, static_argnums=0)
def _sums(model: Model, params: Any, extra: Any, batch: Batch, key: Any) -> Any:
    return model.evaluate(params, extra, batch, key)
