"""From steps to batches: a pure function of (seed, step, process), so that the data cursor is the step."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.data.source import Source
from zoo.errors import UserError

ROUNDS = 8
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def permute(i: int | np.ndarray, size: int, seed: int | np.ndarray) -> np.ndarray:
    """Position -> index in a permutation of range(size) that ``seed`` picks; nothing is stored, any size below 2**62.

    ``i``: int [...], each in [0, size). ``seed``: one for all, or one each. Returns int64 [...].

    A Feistel network over Z_a x Z_b, where a * b is at least ``size`` and larger by sqrt(size) at most; the few values
    past the end are sent through again: the generalised Feistel network and the cycle walking of Black & Rogaway 2002,
    "Ciphers with arbitrary finite domains".
    """
    a = math.isqrt(size - 1) + 1
    b = -(-size // a)
    values, seeds = np.broadcast_arrays(np.asarray(i).astype(np.uint64), _bits(seed))
    out, seeds = values.flatten(), seeds.flatten()  # one dimension: of overflow in scalars numpy warns
    todo = np.arange(out.size)
    while todo.size:
        out[todo] = _feistel(out[todo], a, b, seeds[todo])
        todo = todo[out[todo] >= size]
    return out.astype(np.int64).reshape(values.shape)


@dataclass(frozen=True)
class Loader:
    """Batches of a source. Example n of a run, counted from 0 over all steps, is position n % size of epoch n // size;
    every epoch is another permutation of the source. A process gets consecutive rows of the global batch.

    Raises UserError when the batch is larger than the source, or does not divide among the processes.
    """

    source: Source
    batch_size: int
    seed: int
    process_index: int = 0
    process_count: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch size {self.batch_size} should be at least 1")
        if self.batch_size > self.source.size:
            raise UserError(
                f"a batch of {self.batch_size} is more than the {self.source.size} examples of {self.source.spec}: "
                "use a smaller batch"
            )
        if self.batch_size % self.process_count:
            raise UserError(f"a batch of {self.batch_size} does not divide among {self.process_count} processes")

    def indices(self, step: int | np.ndarray) -> np.ndarray:
        """int32 [batch_size // process_count]: this process's examples at ``step``; [K, ...] for steps [K]."""
        rows = self.batch_size // self.process_count
        row = np.arange(rows, dtype=np.int64) + rows * self.process_index
        n = np.asarray(step, np.int64)[..., None] * self.batch_size + row
        epoch, position = np.divmod(n, self.source.size)
        return permute(position, self.source.size, _mix(_bits(self.seed) + _mix(epoch.astype(np.uint64)))).astype(
            np.int32
        )

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The examples of ``step`` as arrays of the host."""
        return self.source.read(self.indices(step))

    def stream(self, start: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """``batch(start)``, ``batch(start + 1)``, ... without end; threads read ahead where the source is on disk."""
        if self.source.fetch is None:
            return map(self.batch, range(start, 2**62))
        return _read_ahead(self.batch, start)


def sweep(source: Source, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Every example once, in order; the last batch may be smaller, so that sums over a sweep are exact."""
    for start in range(0, source.size, batch_size):
        rows = np.arange(start, start + batch_size, dtype=np.int32)
        batch = source.read(np.minimum(rows, source.size - 1))  # one shape, compiled once
        yield {key: value[: source.size - start] for key, value in batch.items()}


def _read_ahead(batch: Callable[[int], Any], start: int) -> Iterator[Any]:
    import grain

    steps = grain.MapDataset.range(start, 2**31).map(batch)
    yield from steps.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=8))


def _bits(seed: int | np.ndarray) -> np.ndarray:
    return seed if isinstance(seed, np.ndarray) else np.array(seed % 2**64, np.uint64)


def _mix(x: np.ndarray) -> np.ndarray:
    """uint64 [...] -> uint64 [...], a bijection without pattern: the finaliser of SplitMix64 (Steele et al. 2014)."""
    x = x + GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _feistel(values: np.ndarray, a: int, b: int, seeds: np.ndarray) -> np.ndarray:
    left, right = np.divmod(values, np.uint64(b))
    key = seeds
    for turn in range(ROUNDS):
        key = _mix(key)
        if turn % 2:
            right = (right + _mix(left ^ key) % np.uint64(b)) % np.uint64(b)
        else:
            left = (left + _mix(right ^ key) % np.uint64(a)) % np.uint64(a)
    return left * np.uint64(b) + right
