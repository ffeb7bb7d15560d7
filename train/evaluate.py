"""A model's metrics over a whole split: every example once, means exact whatever the batch size."""

from typing import Any

import jax
import numpy as np

from zoo.model import Model


def evaluate(model: Model, params: Any, extra: Any, source: Any, *, batch_size: int = 100, key: Any = None, limit: int | None = None) -> dict[str, float]:
    """{metric: mean} over the first ``limit`` (all) examples of ``source``. Compiles once, and once more where the last
    batch is smaller."""
    key = jax.random.key(0) if key is None else key
    run = jax.jit(lambda params, extra, batch, key: model.evaluate(params, extra, batch, key))
    size = min(source.size, limit or source.size)
    totals: dict[str, tuple[float, float]] = {}
    for number, begin in enumerate(range(0, size, batch_size)):
        batch = read(source, np.arange(begin, min(begin + batch_size, size)))
        for name, (total, count) in run(params, extra, batch, jax.random.fold_in(key, number)).items():
            before = totals.get(name, (0.0, 0.0))
            totals[name] = before[0] + float(total), before[1] + float(count)
    return {name: total / count for name, (total, count) in totals.items()}


def read(source: Any, indices: np.ndarray) -> Any:
    """The examples at ``indices`` as one batch."""
    if source.fetch is not None:
        return source.fetch(indices)
    return gather(source.example, source.arrays, indices.astype(np.int32))


def gather(example: Any, arrays: Any, indices: Any) -> Any:
    return jax.vmap(example, (None, 0))(arrays, indices)
