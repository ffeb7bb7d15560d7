"""The train step on a model small enough to be worked out by hand."""

import dataclasses
import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.placement import batch_of
from train.step import Learner, dispatch, init_state, train_step
from zoo.model import Phase
from zoo.nn.platform import traced_for


@dataclass(frozen=True)
class Duel:
    """Two players on one number each; the second sees what the first did."""

    every: int = 1

    @property
    def phases(self):
        return Phase("first", self.first), Phase("second", self.second, every=self.every)

    def init(self, key, batch=None):
        return {"first": {"w": jnp.ones(3)}, "second": {"v": jnp.zeros(3)}}, {"calls": jnp.zeros(())}

    def first(self, params, extra, batch, key, step):
        loss = jnp.mean(jnp.square(batch["x"] @ params["first"]["w"][:, None]))
        return loss, ({"calls": extra["calls"] + 1}, {"noise": jax.random.normal(key)})

    def second(self, params, extra, batch, key, step):
        return jnp.sum(jnp.square(params["second"]["v"] - params["first"]["w"])), (extra, {})


RATE = 0.1
X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)


def learner(model=None, rule=optax.sgd, **fields):
    model = Duel() if model is None else model
    optimizers = {name: optax.with_extra_args_support(rule(RATE)) for name in ("first", "second")}
    return Learner(model=model, optimizers=optimizers, **fields)


def state_of(learn, seed=0):
    return init_state(learn, jax.random.key(seed))


def one_step(learn, state, x):
    return jax.jit(functools.partial(train_step, learn))(state, {"x": x})


def test_the_second_player_sees_the_first_one_s_update():
    learn = learner()
    state, metrics = one_step(learn, state_of(learn), X)
    w = np.ones(3)
    w = w - RATE * 2 * X.T @ (X @ w) / len(X)
    np.testing.assert_allclose(state.params["first"]["w"], w, rtol=1e-5)
    np.testing.assert_allclose(state.params["second"]["v"], RATE * 2 * w, rtol=1e-5)
    assert metrics["first/loss"] == pytest.approx(np.mean((X @ np.ones(3)) ** 2), rel=1e-5)
    assert int(state.step) == 1 and float(state.extra["calls"]) == 1


def test_a_phase_runs_when_it_is_due_and_says_nothing_otherwise():
    learn = learner(Duel(every=2))
    state, seen, moved = state_of(learn), [], []
    for _ in range(4):
        before = state.params["second"]["v"]
        state, metrics = one_step(learn, state, X)
        seen.append(bool(np.isfinite(metrics["second/loss"])))
        moved.append(not np.array_equal(before, state.params["second"]["v"]))
    assert seen == moved == [True, False, True, False]


def run(learn, sizes, state=None, seed=0):
    """Dispatches of the given sizes over a resident table."""
    make = batch_of(lambda tables, index: {"x": tables["x"][index]})
    go = jax.jit(functools.partial(dispatch, learn, make))
    state = state_of(learn, seed) if state is None else state
    indices = np.random.default_rng(1).integers(0, len(X), (sum(sizes), 8)).astype(np.int32)
    reports, at = [], int(state.step)
    for size in sizes:
        state, report = go(state, {"x": X}, indices[at : at + size])
        reports.append(report)
        at += size
    return state, jax.tree.map(lambda *parts: np.concatenate(parts), *reports)


@pytest.mark.parametrize("sizes", [(3, 7), (1,) * 10])
def test_dispatches_of_any_size_are_the_same_run_bit_for_bit(sizes):
    learn = learner(Duel(every=3), optax.adam, ema={"first": 0.9})
    one, one_report = run(learn, (10,))
    parts, parts_report = run(learn, sizes)
    jax.tree.map(np.testing.assert_array_equal, values(one), values(parts))
    jax.tree.map(np.testing.assert_array_equal, one_report, parts_report)


def test_beside_a_gpu_a_single_step_is_no_loop_that_the_host_waits_for():
    learn = learner(Duel(every=3), optax.adam, ema={"first": 0.9})
    looped, looped_report = run(learn, (1,) * 4)
    with traced_for("gpu"):
        make = batch_of(lambda tables, index: {"x": tables["x"][index]})
        go = functools.partial(dispatch, learn, make)
        indices = np.zeros((1, 8), np.int32)
        assert "while" not in str(jax.make_jaxpr(go)(state_of(learn, 0), {"x": X}, indices))
        alone, report = run(learn, (1,) * 4)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, values(looped), values(alone))
    jax.tree.map(close, looped_report, report)


def test_every_step_has_a_key_of_its_own_that_does_not_depend_on_the_dispatch():
    _, (metrics, _) = run(learner(), (2, 2))
    assert len(set(metrics["first/noise"].tolist())) == 4
    _, (other, _) = run(learner(), (4,), seed=1)
    assert not np.isin(other["first/noise"], metrics["first/noise"]).any()


@pytest.mark.parametrize(
    ("phase", "due", "wild"),
    [(0, True, None), (1, True, None), (0, True, "first"), (1, True, "second"), (1, False, None)],
    ids=["loss of the first", "loss of the last", "update of the first", "update of the last", "a phase that waits"],
)
def test_a_nan_in_any_phase_undoes_the_whole_step_and_names_it(phase, due, wild):
    """Two good steps, then one whose loss, or whose update of a finite gradient, is not finite: all that there is must
    be as it was. ``wild``: the player whose optimizer divides by zero; else the batch holds the NaN."""

    @dataclass(frozen=True)
    class Late(Duel):
        def first(self, params, extra, batch, key, step):
            poison = batch["poison"] if phase == 0 and wild is None else 0
            loss, more = super().first(params, extra, batch, key, step)
            return loss + poison, more

        def second(self, params, extra, batch, key, step):
            poison = batch["poison"] if phase == 1 and wild is None else 0
            loss, _ = super().second(params, extra, batch, key, step)
            return loss + poison, ({"calls": extra["calls"] + 1}, {})

    def division(rate):  # by what is 0 at the third update
        return optax.chain(optax.adam(rate), optax.scale_by_schedule(lambda count: 1.0 / (2.0 - count)))

    rules = {name: (division if name == wild else optax.adam)(RATE) for name in ("first", "second")}
    learn = Learner(
        model=Late(every=1 if due else 2), ema={"first": 0.9, "second": 0.9}, tame={"first", "second"} - {wild},
        optimizers={name: optax.with_extra_args_support(rule) for name, rule in rules.items()},
    )  # fmt: skip
    step = jax.jit(functools.partial(train_step, learn))
    state = state_of(learn)
    for _ in range(2):
        state, _ = step(state, {"x": X, "poison": jnp.zeros(())})
    after, _ = step(state, {"x": X, "poison": jnp.asarray(jnp.nan)})
    assert int(after.failed) == phase
    again, _ = step(after, {"x": X, "poison": jnp.zeros(())})
    for later in (after, again):
        moved = values(dataclasses.replace(later, failed=state.failed))
        jax.tree.map(np.testing.assert_array_equal, moved, values(state))


def values(state):
    """Keys as the numbers that they are."""
    return jax.tree.map(
        lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x, state
    )


def test_an_infinite_gradient_with_a_finite_loss_is_caught():
    @dataclass(frozen=True)
    class Cliff(Duel):
        def second(self, params, extra, batch, key, step):
            return jnp.sum(jnp.sqrt(jnp.abs(params["second"]["v"]))), (extra, {})  # slope at 0 is not finite

    learn = learner(Cliff())
    state, metrics = one_step(learn, state_of(learn), X)
    assert np.isfinite(metrics["second/loss"]) and int(state.failed) == 1


def test_accumulated_gradients_are_those_of_the_whole_batch():
    whole, parts = learner(), learner(accumulate=4)
    a, metrics_a = one_step(whole, state_of(whole), X)
    b, metrics_b = one_step(parts, state_of(parts), X)
    np.testing.assert_allclose(a.params["first"]["w"], b.params["first"]["w"], rtol=1e-5)
    assert metrics_b["first/loss"] == pytest.approx(float(metrics_a["first/loss"]), rel=1e-5)
    assert float(b.extra["calls"]) == 4  # extra passes from one micro-batch to the next


def test_the_moving_average_follows_and_warms_up():
    learn = learner(ema={"first": 0.9})
    first, _ = one_step(learn, state_of(learn), X)
    decay = 1 / 10  # (1 + 0) / (10 + 0)
    want = decay * np.ones(3) + (1 - decay) * np.asarray(first.params["first"]["w"])
    np.testing.assert_allclose(first.ema["first"]["w"], want, rtol=1e-5)
    assert list(first.ema) == ["first"]


def test_a_line_search_gets_value_grad_and_value_fn():
    learn = learner(rule=lambda rate: optax.lbfgs())
    state = state_of(learn)
    for _ in range(8):
        state, metrics = one_step(learn, state, X)
    assert float(metrics["first/loss"]) < 1e-6


def test_a_population_computes_a_lazy_phase_only_when_it_is_due():
    """And for no member in vain that has failed: its own step stands still at one that was due."""

    class Counted(Duel):
        def second(self, params, extra, batch, key, step):
            jax.debug.callback(lambda step: computed.append(int(step)), step)
            return super().second(params, extra, batch, key, step)

    computed, members = [], 3
    learn = learner(Counted(every=4), members="members")
    seeds = jnp.arange(members)
    state = jax.vmap(lambda seed: init_state(learn, jax.random.key(seed)))(seeds)
    step = jax.jit(jax.vmap(functools.partial(train_step, learn), (0, 0), axis_name="members"))
    x = np.stack([X] * members)
    for at in range(6):
        if at == 4:
            x[1, 0] = np.nan
        state, metrics = step(state, {"x": x})
        finite = np.isfinite(metrics["second/loss"])
        assert list(finite) == {0: [True] * 3, 4: [True, False, True]}.get(at, [False] * 3)
    jax.effects_barrier()
    assert sorted(computed) == [0] * members + [4] * members
    assert list(state.step) == [6, 4, 6] and list(state.failed) == [-1, 0, -1]


def test_members_of_a_population_are_what_each_would_be_alone_and_one_nan_stays_alone():
    def member(rate, seed, x):
        learn = dataclasses.replace(
            learner(), optimizers={n: optax.with_extra_args_support(optax.adam(rate)) for n in ("first", "second")}
        )
        state = init_state(learn, jax.random.key(seed))
        for _ in range(3):
            state, metrics = train_step(learn, state, {"x": x})
        return state, metrics

    rates, seeds = jnp.array([0.1, 0.01, 0.001]), jnp.arange(3)
    data = np.stack([X, X * np.nan, X])
    many, _ = jax.jit(jax.vmap(member))(rates, seeds, data)
    assert many.failed.tolist() == [-1, 0, -1] and many.step.tolist() == [3, 0, 3]
    for index in (0, 2):
        alone, _ = member(float(rates[index]), index, X)
        np.testing.assert_allclose(many.params["first"]["w"][index], alone.params["first"]["w"], rtol=1e-5)
