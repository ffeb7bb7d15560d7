"""Steps in one dispatch: how many never changes the result, and many are worth it."""

import time

import jax
import numpy as np
import pytest
from running import words

from train.cli import parse
from train.config import Options
from train.engine import Engine
from train.feed import loaders
from train.fit import fit_to_data
from train.pace import Pace
from train.placement import place

ONE = jax.devices()[:1]


def prepared(name, *more):
    """(engine, loaders, tables) of a tiny run on one device."""
    config, source = fit_to_data(*parse(words(name, "unused", *more)))
    engine = Engine(config, place("jit", ONE), source.example)
    return engine, loaders(config, source, 0), engine.placement.put_tables(source.arrays)


def trained(begin, engine, feed, tables, sizes):
    """All bits of the state, and of every step's report."""
    state, at, reports = begin(engine.seeds), 0, []
    for size in sizes:
        state, report = engine.compiled(state, tables, engine.inputs(feed, at, size))
        reports.append(jax.device_get(report))
        at += size
    key = jax.random.key_data(state.key)
    leaves = [*jax.tree.leaves((state.params, state.extra, state.opt, state.ema, state.step)), key]
    return [
        *map(np.asarray, leaves),
        *jax.tree.leaves(jax.tree.map(lambda *parts: np.concatenate(parts, -1), *reports)),
    ]


@pytest.mark.parametrize("name", ["dcgan", "gpt", "lstm", pytest.param("vae-conv", marks=pytest.mark.slow)])
def test_one_and_nine_are_ten_and_so_are_ten_single_ones(name):
    assert_dispatches_do_not_matter(*prepared(name), (10,), (1, 9), (1,) * 10)


def test_of_a_population_too():
    assert_dispatches_do_not_matter(*prepared("gpt", "--population", 2), (4,), (1, 3))


def assert_dispatches_do_not_matter(engine, feed, tables, sizes, *others):
    shardings = engine.placement.state_shardings(jax.eval_shape(engine.make_state, engine.seeds))
    begin = jax.jit(engine.make_state, out_shardings=shardings)  # once for all
    whole = trained(begin, engine, feed, tables, sizes)
    for other in others:
        for a, b in zip(whole, trained(begin, engine, feed, tables, other), strict=True):
            np.testing.assert_array_equal(a, b)


def test_fifty_steps_in_one_dispatch_are_at_least_four_times_as_fast():
    engine, feed, tables = prepared("gpt", "--model.width", 8, "--model.context", 4, "--batch-size", 1)
    state, best, deadline = engine.init(), {1: np.inf, 50: np.inf}, time.monotonic() + 30
    turns = 0
    # Both at their quickest; on a busy machine that takes many turns.
    while turns < 40 or (best[1] <= 4 * best[50] and time.monotonic() < deadline):
        turns += 1
        for size in best:
            began = time.perf_counter()
            for at in range(0, 50, size):
                state, _ = engine.compiled(state, tables, engine.inputs(feed, at, size))
            jax.block_until_ready(state.step)
            best[size] = min(best[size], time.perf_counter() - began)
    assert best[1] > 4 * best[50], best


def sizes(steps, **options):
    """The dispatches of a whole run, when a step takes a millisecond."""
    pace = Pace(Options(steps=steps, **options), agree=lambda number: number)
    step, out = 0, []
    while step < steps:
        if len(out) == 3 and pace.size is None:
            pace.size = pace.full(1e-3)
        out.append(pace.count(step))
        step += out[-1]
    assert step == steps
    return out


def test_dispatches_end_where_something_is_due():
    assert sizes(200, log_every=50, save_every=100) == [1] * 50 + [50] * 3
    assert set(sizes(60, log_every=50, save_every=20)) == {1, 10}
    ends = np.cumsum(sizes(200, log_every=10, save_every=35, sample_every=15))
    assert {*range(35, 200, 35), *range(15, 200, 15)} <= set(ends.tolist())
    assert sizes(20, dispatch=50, save_every=10) == [10, 10]
    assert sizes(23, dispatch=7, save_every=10)[:4] == [7, 1, 1, 1]
    assert Pace(Options(steps=100), agree=float).full(3.0) == 1
