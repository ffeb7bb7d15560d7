"""RNN-NADE: the chain rule over keys, by hand and by counting, and draws that follow it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from tiny import initialised, jitted, random_like, tiny

from zoo.codecs.rolls import LOWEST, PianoRoll
from zoo.decoding import Greedy, Sampling, generate
from zoo.lstm.nade import KEYS
from zoo.rules import in_key, scale


@pytest.fixture(scope="module")
def net():
    model = tiny("rnn-nade")
    params = random_like(initialised(model)[0], scale=0.4)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["rnn_nade"])


def chances(tree, output, frame):
    """p(x_k = 1 | keys below) [88], one key after the other."""
    bias, hidden, found = np.float64(output[:KEYS]), np.float64(output[KEYS:]), []
    for key in range(KEYS):
        found.append(expit(bias[key] + expit(hidden) @ tree["above"][key]))
        hidden = hidden + frame[key] * tree["below"][key]
    return np.array(found)


def test_nats_are_those_of_the_chain_rule(net):
    model, params, tree = net
    roll = np.random.default_rng(0).binomial(1, 0.2, (2, 12, KEYS)).astype(np.float32)
    before = np.concatenate([np.zeros((2, 1, KEYS), np.float32), roll[:, :-1]], axis=1)
    outputs = np.asarray(jitted(model, "outputs")(params, {}, before))
    want = np.zeros((2, 12))
    for row, time in np.ndindex(2, 12):
        p = chances(tree, outputs[row, time], roll[row, time])
        want[row, time] = -np.log(np.where(roll[row, time] > 0, p, 1 - p)).sum()
    np.testing.assert_allclose(jitted(model, "frame_nats")(params, roll), want, rtol=1e-4)
    batch = {"roll": jnp.asarray(roll), "length": jnp.array([12, 5])}
    total, count = jitted(model, "evaluate")(params, {}, batch, jax.random.key(0))["nll"]
    assert int(count) == 17 and float(total) == pytest.approx(want[0].sum() + want[1, :5].sum(), rel=1e-4)


def test_probabilities_of_all_frames_are_one(net):
    """Of four keys, the others being made impossible: 2^4 frames, and draws with their frequencies."""
    model, params, tree = net
    output = np.full(KEYS + 6, -60.0, np.float32)
    output[:4], output[KEYS:] = [0.5, -0.5, 0.2, 0.0], np.linspace(-1, 1, 6)
    exact = {}
    for keys in itertools.product((0, 1), repeat=4):
        frame = np.zeros(KEYS)
        frame[:4] = keys
        p = chances(tree, output, frame)
        exact[keys] = np.prod(np.where(frame > 0, p, 1 - p))
    assert sum(exact.values()) == pytest.approx(1, abs=1e-6)
    draw = jax.jit(jax.vmap(lambda key: model.emit(params, jnp.asarray(output), key, Sampling())))
    drawn = np.asarray(draw(jax.random.split(jax.random.key(0), 6000)))
    for keys, p in exact.items():
        assert np.mean(np.all(drawn[:, :4] == keys, axis=1)) == pytest.approx(p, abs=0.025)
    greedy = np.asarray(jitted(model, "emit")(params, output, jax.random.key(0), Greedy()))
    assert np.array_equal(greedy, (chances(tree, output, greedy) > 0.5).astype(np.float32))
    few = jax.jit(jax.vmap(lambda key: model.emit(params, jnp.asarray(output + 80), key, Sampling(top_k=3))))
    assert set(few(jax.random.split(jax.random.key(1), 20)).sum(-1).tolist()) == {3.0}


def test_it_stays_in_key(net):
    model, params, _ = net
    roll = generate(
        model, params, {}, jax.random.key(1), prompt=model.start(2), lengths=jnp.ones(2), length=20,
        rules=(in_key(PianoRoll(), "D minor"),),
    )  # fmt: skip
    assert roll.sum() > 20 and not np.asarray(roll)[..., ~scale("D minor")[LOWEST : LOWEST + KEYS]].any()
