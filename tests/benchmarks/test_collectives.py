"""What the devices of a step send one another: as read from a program's text, and as it should be."""

import dataclasses
import functools
from importlib.util import find_spec

import jax
import pytest
from tiny import BATCH, tiny_config

from benchmarks.aot import chips_of, compile_for, engine_of
from benchmarks.collectives import Collective, collectives, result_sizes
from train import placement
from train.engine import Engine
from train.placement import place

ALL = tuple(jax.devices())
SMALLEST = placement.SMALLEST_SPLIT
PROGRAM = """
HloModule jit_step, num_partitions=16

%body.1 (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %all-to-all.4 = f32[4]{0} all-to-all(%x), channel_id=9
}

%condition.1 (p: (s32[], f32[4])) -> pred[] {
  %constant.1 = s32[]{:T(128)} constant(5)
  ROOT %compare.1 = pred[] compare(%i, %constant.1), direction=LT
}

%wide.windowed_dot_general_body_rs.3 (p: (f32[8,4])) -> f32[8,4] {
  %collective-permute.1 = f32[8,4]{1,0} collective-permute(%x), channel_id=20
  %collective-permute.2 = f32[8,4]{1,0} collective-permute(%y), channel_id=21
}

%async.1 (p: f32[16]) -> f32[64] {
  ROOT %all-gather.8 = f32[64]{0} all-gather(%p), channel_id=5
}

ENTRY %main (p: f32[4]) -> f32[16] {
  %all-reduce.1 = (f32[128,4]{1,0}, bf16[16]{0}) all-reduce(%a, %b), channel_id=1, to_apply=%add
  %all-gather-start.2 = (f32[16,8]{1,0}, f32[128,8]{1,0}) all-gather-start(%c), channel_id=2
  %all-gather-done.2 = f32[128,8]{1,0} all-gather-done(%all-gather-start.2)
  %collective-permute-start.1 = (f32[6]{0}, f32[6]{0}, u32[], u32[]) collective-permute-start(%c), channel_id=7
  %fusion.1 = f32[64]{0} fusion(%c), kind=kCustom, calls=%async.1
  %fusion.2 = f32[64]{0} fusion(%c), kind=kCustom, calls=%async.1
  %while.1 = (s32[], f32[4]) while(%init), condition=%condition.1, body=%body.1
  %while.2 = f32[8,4] while(%init), condition=%condition.2, body=%wide.windowed_dot_general_body_rs.3
  ROOT %reduce-scatter.7 = f32[16]{0} reduce-scatter(%d), channel_id=3
  %fusion.3 = f32[4]{0} fusion(%all-reduce.1), kind=kLoop
}
"""


def test_collectives_of_a_program():
    found = sorted(collectives(PROGRAM), key=lambda one: (one.kind, one.sizes))
    assert found == [
        Collective("all-gather", (64 * 4,), 2),  # in a computation that runs twice
        Collective("all-gather", (128 * 8 * 4,), 1),  # asynchronous: the result, not its operand
        Collective("all-reduce", (128 * 4 * 4, 16 * 2), 1),
        Collective("all-to-all", (16,), 5),  # in a loop
        Collective("collective-permute", (24,), 1),
        Collective("reduce-scatter", (64,), 1),
        Collective("reduce-scatter", (8 * 4 * 4,), 1),  # a ring
    ]
    assert [one.bytes for one in found][3] == 80
    assert result_sizes("pred[3]{0}") == [3] and result_sizes("(f32[], s8[2,3])") == [4, 6]


def test_what_a_device_sends_around_a_ring():
    sent = lambda kind: Collective(kind, (64,), 2).sent(16)
    assert sent("all-reduce") == 2 * 2 * 60 and sent("all-gather") == sent("all-to-all") == 2 * 60
    assert sent("reduce-scatter") == 2 * 64 * 15 and sent("collective-permute") == 2 * 64
    assert Collective("all-reduce", (64,), 1).sent(1) == 0


@pytest.fixture(autouse=True)
def split_small_leaves_too(monkeypatch):
    monkeypatch.setattr(placement, "SMALLEST_SPLIT", 64)


@functools.cache
def step(name, mode, devices):
    """The compiled step of a tiny model, and its state's shapes and shardings."""
    config = tiny_config(name)
    config = dataclasses.replace(config, options=dataclasses.replace(config.options, batch_size=2 * BATCH))
    engine = Engine(config, place(mode, devices), None)
    split = engine.placement.batch_sharding(axis=1)
    batch = {
        field: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype, sharding=split)
        for field, leaf in config.model.batch_spec(2 * BATCH).items()
    }
    state = engine.abstract()
    return engine.compiled.lower(state, {}, batch).compile(), state


def weight(tree, *, split):
    """Bytes of the leaves that are split, or of those that are not."""
    return sum(leaf.size * 4 for leaf in jax.tree.leaves(tree) if split != leaf.sharding.is_fully_replicated)


def read_twice(state):
    """Bytes of a table of tokens that is the last layer too: XLA sums the gradients of its two uses apart."""
    table = state.params.get("gpt", {}).get("tokens", {}).get("embedding")
    return 0 if table is None else table.size * 4


def by_kind(compiled):
    found = {}
    for one in collectives(compiled.as_text()):
        found.setdefault(one.kind, []).append(one)
    return found


SCALARS = 128
"""Bytes: a step's loss, metrics, counts of tokens and norms of gradients, each summed over the devices."""


@pytest.mark.parametrize("name", ["gpt", "vae"])
def test_under_jit_one_all_reduce_sums_the_gradients(name):
    compiled, state = step(name, "jit", ALL)
    found = by_kind(compiled)
    assert set(found) == {"all-reduce"}
    large = [one for one in found["all-reduce"] if one.bytes > SCALARS]
    gradients = weight(state.params, split=False) + read_twice(state)
    assert len(large) == 1 and 0 <= large[0].bytes - gradients <= SCALARS


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "rnn-nade", "sketch-rnn", "piano-composer-events"])
def test_recurrent_nets_do_not_sum_at_every_step(name):
    compiled, _ = step(name, "jit", ALL)
    assert 1 <= sum(one.times for one in by_kind(compiled)["all-reduce"]) <= 3


@pytest.mark.parametrize("name", ["adain", "fast-style", "video-style"])
def test_pictures_that_are_kept_to_be_seen_are_not_gathered(name):
    compiled, _ = step(name, "jit", ALL)
    assert set(by_kind(compiled)) == {"all-reduce"}


@pytest.mark.parametrize("name", ["gpt", "vae"])
def test_under_fsdp_parameters_are_gathered_once_and_activations_stay(name):
    """XLA for CPUs scatters a sum as all-reduce and slice: it is the bytes that count."""
    compiled, state = step(name, "fsdp", ALL)
    found = by_kind(compiled)
    assert set(found) == {"all-gather", "all-reduce"}
    assert sum(one.bytes for one in found["all-gather"]) == weight(state.params, split=True) > 0
    gradients = weight(state.params, split=True) + weight(state.params, split=False) + read_twice(state)
    assert 0 <= sum(one.bytes for one in found["all-reduce"]) - gradients <= 4 * SCALARS


@pytest.mark.parametrize("mode", ["jit", "fsdp"])
def test_a_generator_s_work_is_split_though_it_sees_no_data(mode):
    """Two phases: the critic's parameters are gathered for each, as they change between; the norms' statistics are
    those of the whole batch, and are sums over the devices too."""
    compiled, state = step("dcgan", mode, ALL)
    found = by_kind(compiled)
    assert set(found) <= {"all-gather", "all-reduce"}
    gathered = sum(one.bytes for one in found.get("all-gather", []))
    assert gathered == weight(state.params["generator"], split=True) + 2 * weight(state.params["critic"], split=True)
    alone, _ = step("dcgan", "jit", ALL[:1])
    assert compiled.cost_analysis()["flops"] < 0.25 * alone.cost_analysis()["flops"]


# -- on TPUs, for which tiny models would be compiled otherwise --------------------------------------------------------


needs_libtpu = pytest.mark.skipif(find_spec("libtpu") is None, reason="libtpu compiles for TPUs and is not installed")
EXAMPLES = 64  # on each chip; with few XLA sums and takes a part


def preset_s_step(name, mode):
    """kind -> collectives of a preset's own step on sixteen chips, and its state."""
    chips = chips_of("v5e:4x4")[1]
    return by_kind(compile_for(name, mode, chips, EXAMPLES)), engine_of(name, mode, chips, EXAMPLES).abstract()


@needs_libtpu
def test_time_and_batch_do_not_become_one_axis_on_tpus():
    """Where the first is whole and the second split, they could not without being gathered."""
    found, _ = preset_s_step("seqgan", "jit")
    assert set(found) == {"all-reduce"}


@needs_libtpu
@pytest.mark.parametrize("name", ["gpt", "dcgan"])
def test_on_tpus_gradients_are_scattered_around_rings(name, monkeypatch):
    """XLA for TPUs multiplies and scatters at once, around a ring that ends with one permutation."""
    monkeypatch.setattr(placement, "SMALLEST_SPLIT", SMALLEST)
    found, state = preset_s_step(name, "fsdp")
    assert {"all-gather", "reduce-scatter"} <= set(found) and "all-to-all" not in found
    assert len(found.get("collective-permute", [])) <= len(found["reduce-scatter"])
    assert sum(one.bytes for one in found["all-gather"]) < 2.5 * weight(state.params, split=True)
