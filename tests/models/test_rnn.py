"""Recurrent nets against their formulas in float64 NumPy, and PyTorch's with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from tiny import initialised, jitted, random_like, tiny

from zoo.decoding import Greedy, Sampling
from zoo.nn.cells import Stack, zero_states


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


def gru_layer(tree, x):
    """x [T, D] -> hidden [T, H], gate by gate; the reset gate on the product (PyTorch's manual, nn.GRU)."""
    width = tree["recurrent"].shape[0]
    hidden, out = np.zeros(width), []
    part = lambda array, at: array[..., at * width : (at + 1) * width]
    for frame in x:
        enters = [frame @ part(tree["kernel"], at) + part(tree["bias"], at) for at in range(3)]
        recurs = [hidden @ part(tree["recurrent"], at) for at in range(3)]
        r, z = expit(enters[0] + recurs[0]), expit(enters[1] + recurs[1])
        n = np.tanh(enters[2] + r * (recurs[2] + tree["candidate"]))
        hidden = (1 - z) * n + z * hidden
        out.append(hidden)
    return np.stack(out)


def rnn_layer(tree, x):
    hidden, out = np.zeros(tree["recurrent"].shape[0]), []
    for frame in x:
        hidden = np.tanh(frame @ tree["kernel"] + hidden @ tree["recurrent"] + tree["bias"])
        out.append(hidden)
    return np.stack(out)


LAYERS = {"lstm": lstm_layer, "gru": gru_layer, "rnn": rnn_layer}


def network(cell, tree, x):
    for number in range(len(tree["stack"])):
        x = LAYERS[cell](tree["stack"][f"layer_{number}"], x)
    return x @ tree["head"]["kernel"] + tree["head"]["bias"]


def both(name, **fields):
    """(the model, its parameters, the same in float64)."""
    model = tiny(name, **fields)
    params = random_like(initialised(model)[0], scale=0.3)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params[model.cell])


@pytest.mark.parametrize("cell", LAYERS)
def test_tokens(cell):
    model, params, tree = both(cell)
    tokens = np.random.default_rng(1).integers(0, model.vocabulary, (3, 16))
    for row, logits in zip(tokens, np.asarray(jitted(model, "outputs")(params, {}, tokens)), strict=True):
        np.testing.assert_allclose(logits, network(cell, tree, tree["tokens"]["embedding"][row]), atol=1e-5)


@pytest.mark.parametrize("cell", LAYERS)
def test_rolls_predict_every_frame_from_those_before(cell):
    model, params, tree = both(f"{cell}-roll")
    roll = np.random.default_rng(1).binomial(1, 0.2, (2, 12, 88)).astype(np.float64)
    lengths, nll = (12, 7), []
    for piece, length in zip(roll, lengths, strict=True):
        logits = network(cell, tree, np.concatenate([np.zeros((1, 88)), piece[:-1]]))
        p = expit(logits)
        nll += list(-(piece * np.log(p) + (1 - piece) * np.log1p(-p)).sum(-1)[:length])
    batch = {"roll": jnp.asarray(roll, jnp.float32), "length": jnp.array(lengths, jnp.int32)}
    found = jitted(model, "evaluate")(params, {}, batch, jax.random.key(0))
    assert [int(count) for _, count in found.values()] == [19, 17]
    assert float(found["nll"][0]) == pytest.approx(np.sum(nll), rel=1e-5)
    assert float(found["nll_after_first"][0]) == pytest.approx(np.sum(nll) - nll[0] - nll[12], rel=1e-5)
    loss, _ = jitted(model, "loss")(params, {}, batch, jax.random.key(0), jnp.int32(0))
    assert float(loss) == pytest.approx(np.mean(nll), rel=1e-5)


def shaken(cell, rows):
    """(a stack of two layers, its parameters, states of its own shape that are not zero)."""
    stack = Stack(cell, width=5)
    states = random_like(zero_states(cell, rows, width=5, layers=2, dtype="float32"), seed=1)
    shapes = jax.eval_shape(stack.init, jax.random.key(1), jnp.zeros((rows, 1, 4)), states)["params"]
    tree = random_like(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes), scale=0.5)
    return stack, tree, states


@pytest.mark.reference
@pytest.mark.parametrize(("cell", "module"), [("lstm", "LSTM"), ("gru", "GRU"), ("rnn", "RNN")])
def test_stack_is_pytorch_s(cell, module):
    torch = pytest.importorskip("torch")
    x = jax.random.normal(jax.random.key(0), (3, 7, 4))
    stack, tree, states = shaken(cell, 3)
    theirs = getattr(torch.nn, module)(4, 5, num_layers=2, batch_first=True)
    with torch.no_grad():
        for number in range(2):
            layer = jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf)), tree[f"layer_{number}"])
            getattr(theirs, f"weight_ih_l{number}").copy_(layer["kernel"].T)
            getattr(theirs, f"weight_hh_l{number}").copy_(layer["recurrent"].T)
            getattr(theirs, f"bias_ih_l{number}").copy_(layer["bias"])
            second = getattr(theirs, f"bias_hh_l{number}").zero_()
            if cell == "gru":
                second[-5:] = layer["candidate"]
        stacked = [torch.tensor(np.stack(leaves)) for leaves in zip(*map(jax.tree.leaves, states), strict=True)]
        begin = (stacked[1], stacked[0]) if cell == "lstm" else stacked[0]  # torch has the hidden state first
        want, after = theirs(torch.tensor(np.asarray(x)), begin)
    ours, ended = jax.jit(stack.apply)({"params": tree}, x, states)
    np.testing.assert_allclose(ours, want, atol=1e-6)
    ended = [np.stack(leaves) for leaves in zip(*map(jax.tree.leaves, ended), strict=True)]
    for mine, its in zip(ended[::-1], after if cell == "lstm" else [after], strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-6)


@pytest.mark.parametrize("cell", LAYERS)
def test_state_is_that_of_each_row_s_own_last_step(cell):
    x = jax.random.normal(jax.random.key(0), (2, 6, 4))
    stack, tree, states = shaken(cell, 2)
    apply = lambda tree, x, states, *lengths: stack.apply({"params": tree}, x, states, *lengths)[1]
    both = lambda tree, x, states: (apply(tree, x, states, jnp.array([6, 2])), apply(tree, x[:, :2], states))
    (ragged, short), whole = jax.jit(lambda *given: (both(*given), apply(*given)))(tree, x, states)
    for mine, two, six in zip(*map(jax.tree.leaves, (ragged, short, whole)), strict=True):
        np.testing.assert_allclose(mine[1], two[1], atol=1e-6)
        np.testing.assert_allclose(mine[0], six[0], atol=1e-6)
        assert np.abs(two - six).max() > 1e-3


@pytest.mark.parametrize(("cell", "bias"), [("lstm", [0, 1, 0, 0]), ("gru", [0, 0, 0]), ("rnn", [0])])
def test_initialised_for_long_memory(cell, bias):
    model = tiny(cell, width=32)
    layer = initialised(model)[0][cell]["stack"]["layer_0"]
    np.testing.assert_array_equal(layer["bias"], np.repeat(np.array(bias, np.float32), 32))
    for gate in np.split(np.asarray(layer["recurrent"]), len(bias), axis=1):
        np.testing.assert_allclose(gate @ gate.T, np.eye(32), atol=1e-5)


def test_keys_are_drawn_one_by_one():
    model, logits = tiny("lstm-roll"), jnp.linspace(-3, 3, 88)
    keys = jax.random.split(jax.random.key(0), 2000)
    emit = jax.jit(lambda sampler: jax.vmap(lambda key: model.emit({}, logits, key, sampler))(keys))
    draw = lambda sampler: np.asarray(emit(sampler))
    for temperature in (0.5, 1.0, 2.0):
        on = draw(Sampling(temperature=temperature)).mean(0)
        np.testing.assert_allclose(on, expit(np.linspace(-3, 3, 88) / temperature), atol=0.05)
    assert draw(Sampling(top_k=4)).sum(1).max() <= 4 and not draw(Sampling(top_k=4))[:, :84].any()
    np.testing.assert_array_equal(draw(Greedy())[0], np.linspace(-3, 3, 88) > 0)
