"""The encoder-decoder transformer against its formulas, harmonies by their melodies, guidance by its arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from tiny import initialised, jitted, random_batch, random_like, tiny

from zoo.codecs.voices import HOLD, REST, VoiceGrid
from zoo.decoding import Greedy, generate
from zoo.guidance import Guided


def dense(tree, x):
    return x @ tree["kernel"] + tree["bias"]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def norm(tree, x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * tree["scale"] + tree["bias"]


def mixed(*qkv, heads, causal):
    parts = []
    for q, k, v in zip(*(np.split(x, heads, axis=-1) for x in qkv), strict=True):
        scores = q @ k.T / np.sqrt(q.shape[-1])
        if causal:
            scores[np.triu_indices(len(q), 1)] = -np.inf
        parts.append(softmax(scores, axis=-1) @ v)
    return np.concatenate(parts, axis=-1)


def block(tree, x, *, causal):
    qkv = np.split(dense(tree["qkv"], norm(tree["norm_1"], x)), 3, axis=-1)
    x = x + dense(tree["project"], mixed(*qkv, heads=2, causal=causal))
    return x + dense(tree["contract"], gelu(dense(tree["expand"], norm(tree["norm_2"], x))))


def written_out(tree, source, target, *, stride, layers):
    """Source [S], target [N] behind its start -> logits [N, V]."""
    table = {name: tree[name]["embedding"] for name in ("tokens", "positions", "due", "sides")}
    x = table["tokens"][source] + table["positions"][: len(source)] + table["sides"][0]
    for at in range(layers):
        x = block(tree[f"encoder_{at}"], x, causal=False)
    memory, times = norm(tree["norm_source"], x), np.arange(len(target))
    x = table["tokens"][target] + table["positions"][times // stride] + table["due"][times % stride] + table["sides"][1]
    for at in range(layers):
        cross = tree[f"cross_{at}"]
        k, v = np.split(dense(cross["key_value"], memory), 2, axis=-1)
        x = x + dense(
            cross["project"], mixed(dense(cross["query"], norm(cross["norm"], x)), k, v, heads=2, causal=False)
        )
        x = block(tree[f"decoder_{at}"], x, causal=True)
    return norm(tree["norm"], x) @ table["tokens"].T


@pytest.fixture(scope="module")
def net():
    model = tiny("seq2seq", layers=2)
    params = random_like(initialised(model)[0], scale=0.3)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["seq2seq"])


def test_logits_and_loss_are_those_of_the_formulas(net):
    model, params, tree = net
    batch = random_batch(model, 3)
    tokens, lengths = batch["tokens"], batch["length"]
    nats, outputs = [], jitted(model, "outputs")
    for row, length in zip(tokens, lengths, strict=True):
        grid = row[1:].reshape(4, 4)[: (length - 1) // 4]
        target = grid[:, 1:].ravel()
        begun = np.concatenate([[130], target[:-1]])
        logits = written_out(tree, grid[:, 0], begun, stride=3, layers=2)
        cond = {"source": jnp.asarray(grid[None, :, 0]), "length": jnp.array([len(grid)])}
        np.testing.assert_allclose(outputs(params, {}, jnp.asarray(begun[None]), cond)[0], logits, atol=2e-3)
        nats += (-log_softmax(logits, axis=-1)[np.arange(len(target)), target]).tolist()
    total, count = jitted(model, "evaluate")(params, {}, batch, jax.random.key(0))["nll"]
    assert int(count) == len(nats) and float(total) == pytest.approx(np.sum(nats), rel=1e-3)


def test_without_a_source_nothing_of_it_is_seen(net):
    model, params, _ = net
    batch = random_batch(model, 3)
    source, target, _ = jax.device_get(jitted(model, "parts")(batch))
    other = batch | {"tokens": batch["tokens"].copy()}
    other["tokens"][:, 1::4] = 5
    nats_of = jax.jit(lambda params, batch, shown: model.nats(params, batch, None, shown)[0])
    for shown, same in ((np.zeros(3, bool), True), (np.ones(3, bool), False)):
        nats = [float(nats_of(params, b, shown)) for b in (batch, other)]
        assert (nats[0] == nats[1]) == same
    none, some = (jitted(model, "outputs")(params, {}, target, cond) for cond in (None, source))
    assert np.abs(none - some).max() > 0.01
    withheld = lambda seed: jitted(model, "loss")(params, {}, batch, jax.random.key(seed), 0)[0]
    plain = [float(withheld(seed)) for seed in range(4)]
    assert len(set(plain)) > 1  # sources come and go


def test_a_melody_is_kept_and_harmonised(net):
    model, params, _ = net
    melody = jnp.array([[60, HOLD, 62, REST], [64, 65, HOLD, HOLD]])
    write = lambda **more: np.asarray(model.sample(params, {}, jax.random.key(1), 2, **more))
    tokens = write(source=melody).reshape(2, 4, 4)
    np.testing.assert_array_equal(tokens[:, :, 0], melody)
    again = write(source=melody, sampler=Greedy())
    other = write(source=melody.at[0].set(70), sampler=Greedy())
    assert np.any(again[0] != other[0])
    np.testing.assert_array_equal(again[1], other[1])
    assert np.all(write().reshape(2, 4, 4)[:, :, 0] == REST)
    assert len(VoiceGrid().decode(tokens[0].ravel())) > 1


def test_the_other_half(net):
    model = tiny("seq2seq", part="half", vocabulary=11, start_token=0)
    batch = random_batch(model, 4)
    source, target, real = model.parts({name: jnp.asarray(value) for name, value in batch.items()})
    np.testing.assert_array_equal(source["source"], batch["tokens"][:, :8])
    np.testing.assert_array_equal(target, batch["tokens"][:, 8:16])
    np.testing.assert_array_equal(real.sum(1), np.clip(batch["length"] - 8, 0, 8))
    assert np.array_equal(model.together(source["source"], target), batch["tokens"][:, :16])


def test_guidance_is_arithmetic_of_logits(net):
    model, params, _ = net
    target = jnp.asarray(np.random.default_rng(0).integers(0, 132, (2, 7)))
    cond = {"source": jnp.array([[60, 129, 62, 64], [50, 51, 128, 128]]), "length": jnp.array([4, 2])}
    guided = Guided(model, 3.0)

    @jax.jit  # of arguments: what is constant would be computed while compiling, very slowly
    def answers(params, target, cond):
        c, u = model.outputs(params, {}, target, cond), model.outputs(params, {}, target)
        carry, first = guided.prefill(params, {}, target[:, :4], jnp.array([4, 4]), capacity=8, cond=cond)
        _, second = guided.decode(params, {}, carry, target[:, 4])
        return u + 3 * (c - u), guided.outputs(params, {}, target, cond), first, second

    mixed, whole, first, second = answers(params, target, cond)
    for ours, its in ((whole, mixed), (first, mixed[:, 3]), (second, mixed[:, 4])):
        np.testing.assert_allclose(ours, its, atol=1e-4)
    write = lambda model: generate(
        model, params, {}, jax.random.key(0), prompt=model.start(2), lengths=jnp.ones(2), length=9, cond=cond
    )  # fmt: skip
    np.testing.assert_array_equal(write(Guided(model, 1.0)), write(model))
