"""A model's metrics over a whole split: every example once, means exact whatever the batch size."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from train.placement import batch_of, given
from zoo.model import Model


def evaluate(
    model: Model,
    params: Any,
    extra: Any,
    source: Any,
    *,
    batch_size: int = 100,
    key: Any = None,
    limit: int | None = None,
) -> dict[str, float]:
    """{metric: mean} over the first ``limit`` (all) examples of ``source``. Compiles once for a model and a source,
    and once more where the last batch is smaller."""
    key = jax.random.key(0) if key is None else key
    size = min(source.size, limit or source.size)
    make_batch = given if source.example is None else _batches(source.example)
    tables = jax.device_put(source.arrays) if source.example is not None else {}
    totals: dict[str, tuple[float, float]] = {}
    for number, begin in enumerate(range(0, size, batch_size)):
        indices = np.arange(begin, min(begin + batch_size, size), dtype=np.int32)
        inputs = indices if source.example is not None else source.fetch(indices)
        sums = _sums(model, make_batch, params, extra, tables, inputs, jax.random.fold_in(key, number))
        for name, (total, count) in sums.items():
            before = totals.get(name, (0.0, 0.0))
            totals[name] = before[0] + float(total), before[1] + float(count)
    return {name: total / count for name, (total, count) in totals.items()}


def examples(source: Any, *, batch_size: int) -> Iterator[Any]:
    """Every example of a source once, in order, as batches on the device; the last one may be smaller."""
    tables = jax.device_put(source.arrays)
    gather = jax.jit(_batches(source.example)) if source.example is not None else None
    for begin in range(0, source.size, batch_size):
        indices = np.arange(begin, min(begin + batch_size, source.size), dtype=np.int32)
        yield gather(tables, indices) if gather is not None else source.fetch(indices)


# The same function for the same source, so that what was compiled for it is found again.
_batches = functools.cache(batch_of)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _sums(model: Model, make_batch: Any, params: Any, extra: Any, tables: Any, inputs: Any, key: Any) -> Any:
    return model.evaluate(params, extra, make_batch(tables, inputs), key)
