"""Batches are a pure function of (seed, step, process)."""

import math

import numpy as np
import pytest

from train.data.loader import Loader, permute, sweep
from train.data.source import ENDLESS, Source
from zoo.errors import UserError


def numbers(size: int) -> Source:
    """Example i is i."""
    return Source("numbers", None, size, {}, example=lambda arrays, index: {"i": index})


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 31, 100, 1000, 4096, 4097, 60_000])
def test_every_epoch_is_a_permutation(size: int) -> None:
    for seed in (0, 1, -1, 2**63, 2**70 + 5):
        assert np.array_equal(np.sort(permute(np.arange(size), size, seed)), np.arange(size))


def test_permutations_have_no_pattern() -> None:
    size = 10_000
    one, other = permute(np.arange(size), size, 7), permute(np.arange(size), size, 8)
    bound = 4 / math.sqrt(size)  # four standard deviations of a correlation of independent draws
    ramp = np.arange(size)
    for a, b in [(one, other), (one, ramp), (one[1:], one[:-1]), (one[: size // 2], one[size // 2 :])]:
        assert abs(np.corrcoef(a, b)[0, 1]) < bound
    fixed = (one == ramp).sum() + (one == other).sum()
    assert fixed < 20  # 2 are expected


def test_every_order_of_four_occurs_about_as_often() -> None:
    seeds = permute(np.arange(24_000), ENDLESS, 3).astype(np.uint64)
    orders = np.stack([permute(np.full(24_000, i), 4, seeds) for i in range(4)], axis=1)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24 and counts.min() > 700 and counts.max() < 1300  # 1000 each, 31 standard deviation


def test_permute_keeps_shapes() -> None:
    assert permute(3, 10, 0).shape == () and permute(np.zeros((2, 3), int), 10, 0).shape == (2, 3)


def test_epochs_follow_one_another_without_a_gap() -> None:
    loader = Loader(numbers(10), 4, seed=5)
    seen = np.concatenate([loader.indices(step) for step in range(10)])
    epochs = seen.reshape(4, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4


def test_a_step_is_all_it_needs() -> None:
    first, second = Loader(numbers(1000), 32, seed=1), Loader(numbers(1000), 32, seed=1)
    for step in range(70):
        first.indices(step)
    assert np.array_equal(first.indices(71), second.indices(71))
    assert not np.array_equal(first.indices(71), first.indices(72))
    assert not np.array_equal(first.indices(71), Loader(numbers(1000), 32, seed=2).indices(71))
    steps = np.arange(70, 75)
    assert np.array_equal(first.indices(steps), np.stack([first.indices(step) for step in steps]))
    assert first.indices(0).dtype == np.int32 and first.indices(10**9).shape == (32,)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_processes_share_one_global_batch(count: int) -> None:
    whole = Loader(numbers(100), 24, seed=3)
    parts = [Loader(numbers(100), 24, 3, index, count) for index in range(count)]
    for step in (0, 5, 11):
        assert np.array_equal(np.concatenate([part.indices(step) for part in parts]), whole.indices(step))


def test_batch_reads_what_indices_say() -> None:
    loader = Loader(numbers(50), 8, seed=0)
    assert np.array_equal(loader.batch(9)["i"], loader.indices(9))
    stream = loader.stream(4)
    assert all(np.array_equal(next(stream)["i"], loader.indices(step)) for step in range(4, 8))


def test_endless_sources_repeat_nothing_soon() -> None:
    drawn = Loader(numbers(ENDLESS), 64, seed=0).indices(np.arange(1000))
    assert len(np.unique(drawn)) == drawn.size and drawn.min() >= 0


def test_batches_that_cannot_be() -> None:
    with pytest.raises(UserError, match="batch of 11 is more than the 10 examples of numbers"):
        Loader(numbers(10), 11, 0)
    with pytest.raises(UserError, match="does not divide among 3"):
        Loader(numbers(10), 4, 0, 0, 3)
    with pytest.raises(UserError, match="at least 1"):
        Loader(numbers(10), 0, 0)


def test_a_sweep_sees_each_example_once() -> None:
    batches = [batch["i"] for batch in sweep(numbers(10), 4)]
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert np.array_equal(np.concatenate(batches), np.arange(10))


def test_threads_read_ahead_in_order() -> None:
    source = Source("disk", None, 40, {}, fetch=lambda indices: {"i": indices})
    loader = Loader(source, 8, seed=4)
    stream = loader.stream(3)
    for step in range(3, 23):
        assert np.array_equal(next(stream)["i"], loader.indices(step))
    stream.close()


def test_an_error_while_reading_ahead_arrives() -> None:
    def broken(indices: np.ndarray) -> dict[str, np.ndarray]:
        raise UserError("a.png: broken")

    with pytest.raises(UserError, match="broken"):
        next(Loader(Source("disk", None, 40, {}, fetch=broken), 8, seed=4).stream())
