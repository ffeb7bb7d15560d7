"""What the dispatches of a run are fed with, so early that the device never waits for it."""

from collections.abc import Iterator
from typing import Any

import jax

from train.config import Config
from train.data.loader import Loader
from train.data.source import Source


class ReadAhead:
    """A loader of a source on disk whose batches are read before they are asked for, one after the other."""

    def __init__(self, loader: Loader, start: int):
        self._stream: Iterator[Any] = iter(loader.stream(start))
        self._next = start

    def batch(self, step: int) -> Any:
        """The batch of ``step``, which must be the one after the last."""
        if step != self._next:
            raise ValueError(f"batch {step} was asked for, but {self._next} comes next")
        self._next += 1
        return next(self._stream)


def loaders(config: Config, source: Source, start: int) -> list[Any]:
    """A loader a member, this process's share each: of indices where the device makes its own batches, else of batches
    from step ``start`` on."""
    shard = {"process_index": jax.process_index(), "process_count": jax.process_count()}
    mine = [Loader(source, config.options.batch_size or 1, seed, **shard) for seed in config.seeds]
    return [ReadAhead(loader, start) for loader in mine] if source.fetch is not None else mine
