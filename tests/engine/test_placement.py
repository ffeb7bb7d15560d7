"""Eight devices compute what one does, however the state is split; and the three placements train."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from tiny import as_float64, random_batch, tiny_config

from train import placement
from train.config import Options
from train.engine import Engine
from train.optim import Optim
from train.placement import first_replica, fsdp_spec, place, read_report
from zoo.errors import UserError

ONE, ALL = jax.devices()[:1], jax.devices()
MODELS = [
    "dcgan",
    "vae",
    "gpt",
    "lstm",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("vae-conv", "lstm-roll", "fusion", "tower-invariant", "midi-style")
    ),
]


@pytest.fixture(autouse=True)
def split_small_leaves_too(monkeypatch):
    monkeypatch.setattr(placement, "SMALLEST_SPLIT", 1)


def trained(name, mode, devices, *, steps, optim, wide=False):
    """(state before, state after, metrics) of ``steps`` steps on host-fed batches."""
    fields = {"dtype": "float64"} if wide else {}
    config = dataclasses.replace(tiny_config(name, **fields), optim=optim, players={}, ema={})
    engine = Engine(config, place(mode, devices), None)
    state = engine.init()
    if wide:
        state = jax.jit(as_float64, out_shardings=engine.placement.state_shardings(jax.eval_shape(as_float64, state)))(
            state
        )
    before = jax.device_get((state.params, state.opt))
    batches = [random_batch(config.model, seed=step) for step in range(steps)]
    if wide:
        batches = as_float64(batches)
    inputs = engine.placement.put_inputs(jax.tree.map(lambda *leaves: np.stack(leaves), *batches), axis=1)
    state, report = engine.compiled(state, {}, inputs)
    return before[0], state, read_report(engine.placement, report)[0]


@functools.cache
def alone(name, **how):
    """`trained` on one device, which both ways to split are compared with."""
    return trained(name, "jit", ONE, **how)


@pytest.mark.parametrize("mode", ["jit", "fsdp"])
@pytest.mark.parametrize("name", MODELS)
def test_first_step_on_eight_devices_in_float32(name, mode):
    """Losses, and gradients as what one step of plain SGD takes away."""
    optim = Optim(rule="sgd", learning_rate=1.0, b1=0.0)
    before, one, metrics_one = alone(name, steps=1, optim=optim)
    _, many, metrics_many = trained(name, mode, ALL, steps=1, optim=optim)
    for key in metrics_one:
        np.testing.assert_allclose(metrics_one[key], metrics_many[key], rtol=1e-5, atol=1e-5)
    gradient = lambda state: jax.tree.map(
        lambda a, b: np.asarray(a) - np.asarray(b), before, jax.device_get(state.params)
    )
    scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient(one)))
    for a, b in zip(jax.tree.leaves(gradient(one)), jax.tree.leaves(gradient(many)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(scale, 1))
    split = [leaf for leaf in jax.tree.leaves(many.params) if not leaf.sharding.is_fully_replicated]
    assert bool(split) == (mode == "fsdp")


@pytest.mark.parametrize("mode", ["jit", "fsdp"])
@pytest.mark.parametrize("name", MODELS)
def test_five_steps_on_eight_devices_in_float64(name, mode):
    with jax.enable_x64(True):
        optim = Optim(rule="adam", learning_rate=1e-3)
        _, one, _ = alone(name, steps=5, optim=optim, wide=True)
        _, many, _ = trained(name, mode, ALL, steps=5, optim=optim, wide=True)
        for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(many.params), strict=True):
            assert a.dtype == jnp.float64
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_pmap_trains_replicas_that_agree_and_draw_noise_of_their_own(name):
    config = tiny_config(name)
    engine = Engine(config, place("pmap"), None)
    state = engine.init()
    keys = jax.random.key_data(state.key)
    assert len({tuple(row) for row in np.asarray(keys).tolist()}) == len(ALL)
    batches = jax.tree.map(lambda *leaves: np.stack(leaves), *[random_batch(config.model, seed=s) for s in range(3)])
    before = first_replica(state, jax.random.key(0))
    state, report = engine.compiled(state, {}, engine.placement.put_inputs(batches, axis=1))
    metrics, failed = read_report(engine.placement, report)
    assert (failed == -1).all() and all(value.shape == (3,) and np.isfinite(value).all() for value in metrics.values())
    for leaf in jax.tree.leaves(state.params):
        rows = np.asarray(leaf)
        np.testing.assert_array_equal(rows, np.broadcast_to(rows[:1], rows.shape))
    after = first_replica(state, jax.random.key(0))
    moved = [
        not np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(before.params), jax.tree.leaves(after.params), strict=True)
    ]
    assert any(moved) and int(after.step) == 3
    again = engine.from_saved(engine.to_saved(state))
    assert jax.tree.map(jnp.shape, again.params) == jax.tree.map(jnp.shape, state.params)


def test_fsdp_splits_the_largest_dimension_that_divides(monkeypatch):
    monkeypatch.setattr(placement, "SMALLEST_SPLIT", 4096)
    assert fsdp_spec((64, 256), 8) == PartitionSpec(None, "data")
    assert fsdp_spec((512, 30), 8) == PartitionSpec("data")
    assert fsdp_spec((8, 8), 8) == PartitionSpec()  # too small to be worth it
    assert fsdp_spec((4097, 3), 8) == PartitionSpec()  # does not divide
    assert fsdp_spec((), 8) == PartitionSpec()


def test_noise_is_drawn_where_its_examples_are():
    """For all rows of a batch, and for one in two, in a branch too; not for a part that does not divide."""

    def loss(params, extra, batch, key, step):
        shapes = [(16, 3), (8,), (4, 3), (12, 3), ()]
        drawn = sum(jnp.sum(jax.random.bits(key, shape)) for shape in shapes)  # in any order, exactly
        inside = jax.lax.cond(step > 0, lambda: jnp.sum(jax.random.bits(key, (16,))), lambda: drawn)
        return drawn + inside, ({}, {})

    where = place("jit", ALL).batch_sharding(axis=0)
    arguments = {}, {}, {"image": jnp.zeros((16, 2))}, jax.random.key(0), jnp.int32(1)
    placed = placement.with_split_work(loss, where)
    assert str(jax.make_jaxpr(placed)(*arguments)).count("sharding_constraint") == 3
    np.testing.assert_array_equal(loss(*arguments)[0], placed(*arguments)[0])


def test_products_of_the_batch_stay_where_its_examples_are():
    """Also inside of a rule of its own, of which the result is held; what is made of parameters alone is not."""

    @jax.custom_jvp
    def twice(x):
        return x @ jnp.ones((5, 5))

    def loss(params, extra, batch, key, step):
        x = batch["image"] @ (params["a"] @ params["b"])
        return jnp.sum(jax.nn.relu(twice(x))), ({}, {})

    twice.defjvp(lambda primals, tangents: (twice(*primals), twice(*tangents)))
    where = place("jit", ALL).batch_sharding(axis=0)
    params = {"a": jnp.ones((2, 3)), "b": jnp.ones((3, 5))}
    arguments = params, {}, {"image": jnp.ones((16, 2))}, jax.random.key(0), jnp.int32(1)
    placed = placement.with_split_work(loss, where)
    assert str(jax.make_jaxpr(placed)(*arguments)).count("sharding_constraint") == 3  # and of relu, a rule too
    assert loss(*arguments)[0] == placed(*arguments)[0]
    gradient = jax.grad(lambda params: placed(params, *arguments[1:])[0])(params)
    np.testing.assert_array_equal(gradient["a"], jax.grad(lambda p: loss(p, *arguments[1:])[0])(params)["a"])


def test_a_batch_that_does_not_divide_is_one_line():
    options = Options(batch_size=12, accumulate=1, steps=1)
    config = dataclasses.replace(tiny_config("gpt"), options=options)
    with pytest.raises(UserError, match=r"--batch-size 12 does not divide by 8 devices; 16 would"):
        Engine(config, place("jit"), None)


def test_pmap_refuses_a_population():
    config = tiny_config("gpt")
    config = dataclasses.replace(config, options=dataclasses.replace(config.options, population=2))
    with pytest.raises(UserError, match="population"):
        Engine(config, place("pmap"), None)
