"""Many small files read by several processes."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from train.data.progress import track

A = TypeVar("A")
R = TypeVar("R")
FEW = 32  # files that are read before a worker process has even imported its libraries


def map_files(read: Callable[[A], R], items: Sequence[A], what: str) -> Iterator[R]:
    """``read(item)`` of each item, in order. ``read`` is a function of a module, which spawned processes can import."""
    return track(_map(read, items), what, len(items))


def _map(read: Callable[[A], R], items: Sequence[A]) -> Iterator[R]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    done = 0
    if len(items) > FEW and cores() > 1:
        pool = ProcessPoolExecutor(min(cores(), 8), multiprocessing.get_context("spawn"))
        try:
            for result in pool.map(read, items, chunksize=8):
                yield result
                done += 1
        except BrokenProcessPool:
            pass  # a script without ``if __name__ == "__main__"``, or too little memory: the rest is read here
        finally:
            pool.shutdown(cancel_futures=True)
    for item in items[done:]:
        yield read(item)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
