"""LSTMs against their formulas in float64 NumPy, and PyTorch's with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from tiny import random_like, tiny

from zoo.decoding import Greedy, Sampling
from zoo.nn.recurrence import LSTMStack, zero_states


def lstm_layer(tree, x):
    """x [T, D] -> hidden [T, H], one gate after the other (Gers et al. 2000)."""
    width = tree["recurrent"].shape[0]
    cell, hidden, out = np.zeros(width), np.zeros(width), []
    for frame in x:
        gates = frame @ tree["kernel"] + hidden @ tree["recurrent"] + tree["bias"]
        i, f, g, o = (gates[at * width : (at + 1) * width] for at in range(4))
        cell = expit(f) * cell + expit(i) * np.tanh(g)
        hidden = expit(o) * np.tanh(cell)
        out.append(hidden)
    return np.stack(out)


def network(tree, x):
    for number in range(len(tree["stack"])):
        x = lstm_layer(tree["stack"][f"layer_{number}"], x)
    return x @ tree["head"]["kernel"] + tree["head"]["bias"]


def both(name, **fields):
    """(the model, its parameters, the same in float64)."""
    model = tiny(name, **fields)
    params = random_like(model.init(jax.random.key(0))[0], scale=0.3)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["lstm"])


def test_tokens():
    model, params, tree = both("lstm")
    tokens = np.random.default_rng(1).integers(0, model.vocabulary, (3, 16))
    for row, logits in zip(tokens, model.outputs(params, {}, jnp.asarray(tokens)), strict=True):
        np.testing.assert_allclose(logits, network(tree, tree["tokens"]["embedding"][row]), atol=1e-5)


def test_rolls_predict_every_frame_from_those_before():
    model, params, tree = both("lstm-roll")
    roll = np.random.default_rng(1).binomial(1, 0.2, (2, 12, 88)).astype(np.float64)
    lengths, nll = (12, 7), []
    for piece, length in zip(roll, lengths, strict=True):
        logits = network(tree, np.concatenate([np.zeros((1, 88)), piece[:-1]]))
        p = expit(logits)
        nll += list(-(piece * np.log(p) + (1 - piece) * np.log1p(-p)).sum(-1)[:length])
    batch = {"roll": jnp.asarray(roll, jnp.float32), "length": jnp.array(lengths, jnp.int32)}
    found = model.evaluate(params, {}, batch, jax.random.key(0))
    assert [int(count) for _, count in found.values()] == [19, 17]
    assert float(found["nll"][0]) == pytest.approx(np.sum(nll), rel=1e-5)
    assert float(found["nll_after_first"][0]) == pytest.approx(np.sum(nll) - nll[0] - nll[12], rel=1e-5)
    loss, _ = model.loss(params, {}, batch, jax.random.key(0), jnp.int32(0))
    assert float(loss) == pytest.approx(np.mean(nll), rel=1e-5)


@pytest.mark.reference
def test_stack_is_pytorch_s():
    torch = pytest.importorskip("torch")
    stack = LSTMStack(width=5, layers=2)
    x = jax.random.normal(jax.random.key(0), (3, 7, 4))
    states = zero_states(3, width=5, layers=2, dtype="float32")
    tree = random_like(stack.init(jax.random.key(1), x, states)["params"], scale=0.3)
    theirs = torch.nn.LSTM(4, 5, num_layers=2, batch_first=True)
    with torch.no_grad():
        for number in range(2):
            layer = jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf)), tree[f"layer_{number}"])
            getattr(theirs, f"weight_ih_l{number}").copy_(layer["kernel"].T)
            getattr(theirs, f"weight_hh_l{number}").copy_(layer["recurrent"].T)
            getattr(theirs, f"bias_ih_l{number}").copy_(layer["bias"])
            getattr(theirs, f"bias_hh_l{number}").zero_()
        want, (hidden, cell) = theirs(torch.tensor(np.asarray(x)))
    ours, after = stack.apply({"params": tree}, x, states)
    np.testing.assert_allclose(ours, want, atol=1e-6)
    np.testing.assert_allclose([state[0] for state in after], cell, atol=1e-6)
    np.testing.assert_allclose([state[1] for state in after], hidden, atol=1e-6)


def test_state_is_that_of_each_row_s_own_last_step():
    stack = LSTMStack(width=5, layers=2)
    x, states = jax.random.normal(jax.random.key(0), (2, 6, 4)), zero_states(2, width=5, layers=2, dtype="float32")
    tree = stack.init(jax.random.key(1), x, states)
    _, ragged = stack.apply(tree, x, states, jnp.array([6, 2]))
    _, short = stack.apply(tree, x[:, :2], states)
    _, whole = stack.apply(tree, x, states)
    for mine, two, six in zip(*map(jax.tree.leaves, (ragged, short, whole)), strict=True):
        np.testing.assert_allclose(mine[1], two[1], atol=1e-6)
        np.testing.assert_allclose(mine[0], six[0], atol=1e-6)
        assert np.abs(two - six).max() > 1e-3


def test_initialised_for_long_memory():
    model = tiny("lstm", width=32)
    layer = model.init(jax.random.key(0))[0]["lstm"]["stack"]["layer_0"]
    np.testing.assert_array_equal(layer["bias"], np.repeat([0.0, 1.0, 0.0, 0.0], 32))
    for gate in np.split(np.asarray(layer["recurrent"]), 4, axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(32), atol=1e-5)


def test_keys_are_drawn_one_by_one():
    model, logits = tiny("lstm-roll"), jnp.linspace(-3, 3, 88)
    keys = jax.random.split(jax.random.key(0), 2000)
    draw = lambda sampler: np.asarray(jax.vmap(lambda key: model.emit(logits, key, sampler))(keys))
    for temperature in (0.5, 1.0, 2.0):
        on = draw(Sampling(temperature=temperature)).mean(0)
        np.testing.assert_allclose(on, expit(np.linspace(-3, 3, 88) / temperature), atol=0.05)
    assert draw(Sampling(top_k=4)).sum(1).max() <= 4 and not draw(Sampling(top_k=4))[:, :84].any()
    np.testing.assert_array_equal(draw(Greedy())[0], np.linspace(-3, 3, 88) > 0)
