"""GPT-2 against its formulas in float64 NumPy, written down a second time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from tiny import initialised, jitted, random_like, tiny

import zoo
from zoo.errors import UserError


def dense(tree, x):
    return x @ tree["kernel"] + tree["bias"]


def layer_norm(tree, x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * tree["scale"] + tree["bias"]


def gelu(x):
    """GPT-2's: Hendrycks & Gimpel 2016, section 2, the tanh approximation."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gpt2(tree, tokens, *, layers, heads):
    """tokens [T] -> logits [T, V], one head and one layer after the other."""
    x = tree["tokens"]["embedding"][tokens] + tree["positions"]["embedding"][: len(tokens)]
    for number in range(layers):
        block = tree[f"blocks_{number}"]
        qkv = np.split(dense(block["qkv"], layer_norm(block["norm_1"], x)), 3, axis=-1)
        mixed = []
        for q, k, v in zip(*(np.split(part, heads, axis=-1) for part in qkv), strict=True):
            scores = q @ k.T / np.sqrt(q.shape[-1])
            scores[np.triu_indices(len(tokens), 1)] = -np.inf
            mixed.append(softmax(scores, axis=-1) @ v)
        x = x + dense(block["project"], np.concatenate(mixed, axis=-1))
        x = x + dense(block["contract"], gelu(dense(block["expand"], layer_norm(block["norm_2"], x))))
    return layer_norm(tree["norm"], x) @ tree["tokens"]["embedding"].T


@pytest.fixture(scope="module")
def written_twice():
    """(the model, its parameters, the same in float64)."""
    model = tiny("gpt")
    params = random_like(initialised(model)[0], scale=0.3)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["gpt"])


def test_outputs_are_gpt2_s(written_twice):
    model, params, tree = written_twice
    tokens = np.random.default_rng(1).integers(0, model.vocabulary, (3, 16))
    ours = np.asarray(jitted(model, "outputs")(params, {}, tokens))
    for row, logits in zip(tokens, ours, strict=True):
        np.testing.assert_allclose(logits, gpt2(tree, row, layers=2, heads=2), atol=2e-4, rtol=1e-4)


def test_loss_counts_what_is_real(written_twice):
    model, params, tree = written_twice
    tokens = np.random.default_rng(2).integers(0, model.vocabulary, (2, 17))
    batch = {"tokens": jnp.asarray(tokens, jnp.int32), "length": jnp.array([17, 6], jnp.int32)}
    nll = []
    for row, length in zip(tokens, (17, 6), strict=True):
        logp = log_softmax(gpt2(tree, row[:-1], layers=2, heads=2), axis=-1)
        nll += [-logp[at, row[at + 1]] for at in range(length - 1)]
    loss, _ = jitted(model, "loss")(params, {}, batch, jax.random.key(0), jnp.int32(0))
    assert float(loss) == pytest.approx(np.mean(nll), rel=1e-4)
    total, count = jitted(model, "evaluate")(params, {}, batch, jax.random.key(0))["nll"]
    assert int(count) == 21 and float(total) == pytest.approx(np.sum(nll), rel=1e-4)


def test_initialised_as_published():
    model = zoo.create("gpt", vocabulary=500, context=300, layers=8, heads=2, width=128)
    tree = initialised(model)[0]["gpt"]
    assert np.std(tree["tokens"]["embedding"]) == pytest.approx(0.02, rel=0.03)
    assert np.std(tree["positions"]["embedding"]) == pytest.approx(0.01, rel=0.03)
    for name in ("project", "contract"):
        assert np.std(tree["blocks_3"][name]["kernel"]) == pytest.approx(0.02 / np.sqrt(16), rel=0.03)
    assert np.std(tree["blocks_3"]["expand"]["kernel"]) == pytest.approx(0.02, rel=0.03)
    assert not np.any(tree["blocks_3"]["qkv"]["bias"])


def test_dropout_only_in_training(written_twice):
    _, params, _ = written_twice
    model = tiny("gpt", dropout=0.5)
    batch = {"tokens": jnp.ones((2, 17), jnp.int32), "length": jnp.array([17, 17], jnp.int32)}
    loss = lambda key: float(jitted(model, "loss")(params, {}, batch, jax.random.key(key), jnp.int32(0))[0])
    assert loss(0) == loss(0) != loss(1)
    nll = lambda key: float(jitted(model, "evaluate")(params, {}, batch, jax.random.key(key))["nll"][0])
    assert nll(0) == nll(1)


@pytest.mark.parametrize("preset", ["gpt", "music-transformer"])
def test_remat_keeps_less_and_computes_the_same(preset):
    """With dropout, whose masks must be drawn alike both times."""
    fields = {"layers": 4, "width": 32, "dropout": 0.3}
    model = tiny(preset, **fields)
    params, extra = initialised(model)
    batch = {"tokens": jnp.ones((8, 17), jnp.int32), "length": jnp.full((8,), 17, jnp.int32)}
    found, kept = [], []
    for remat in (False, True):
        loss = lambda params, model=dataclasses.replace(model, remat=remat): model.loss(
            params, extra, batch, jax.random.key(0), jnp.int32(0)
        )[0]
        found.append(jax.jit(jax.value_and_grad(loss))(params))
        # Of the way back, all that it is given. (XLA:CPU computes nothing twice, whatever it is told.)
        given = jax.tree.leaves(jax.eval_shape(lambda params, loss=loss: jax.vjp(loss, params)[1], params))
        kept.append(sum(leaf.size for leaf in given))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *found)
    assert kept[1] < 0.5 * kept[0]


def test_more_than_the_context_holds_is_one_line(written_twice):
    model, params, _ = written_twice
    with pytest.raises(UserError, match="17 tokens do not fit into a context of 16"):
        model.prefill(params, {}, jnp.ones((1, 4), jnp.int32), jnp.array([4]), capacity=17)
    with pytest.raises(UserError, match=r"does not divide by --model\.heads 3"):
        tiny("gpt", heads=3)
