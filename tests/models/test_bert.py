"""BERT against its formulas in float64 NumPy, its masks by their shares, and infilling by what it may do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, log_softmax, softmax
from tiny import initialised, jitted, random_like, tiny

from zoo.decoding import Greedy, Sampling
from zoo.infilling import infill


def dense(tree, x):
    return x @ tree["kernel"] + tree["bias"]


def norm(tree, x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12) * tree["scale"] + tree["bias"]


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def bert(tree, tokens, *, layers, heads):
    """tokens [T] -> logits [T, V], one head and one layer after the other."""
    table = tree["tokens"]["embedding"]
    x = norm(tree["norm_0"], table[tokens] + tree["positions"]["embedding"][: len(tokens)])
    for number in range(layers):
        block = tree[f"blocks_{number}"]
        qkv = np.split(dense(block["qkv"], x), 3, axis=-1)
        mixed = []
        for q, k, v in zip(*(np.split(part, heads, axis=-1) for part in qkv), strict=True):
            mixed.append(softmax(q @ k.T / np.sqrt(q.shape[-1]), axis=-1) @ v)
        x = norm(block["norm_1"], x + dense(block["project"], np.concatenate(mixed, axis=-1)))
        x = norm(block["norm_2"], x + dense(block["contract"], gelu(dense(block["expand"], x))))
    return norm(tree["norm"], gelu(dense(tree["transform"], x))) @ table[:-1].T + tree["bias"]


@pytest.fixture(scope="module")
def written_twice():
    model = tiny("bert")
    params = random_like(initialised(model)[0], scale=0.3)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["bert"])


def test_logits_are_bert_s_and_see_both_sides_but_no_padding(written_twice):
    model, params, tree = written_twice
    rows, lengths = np.random.default_rng(1).integers(0, 12, (3, 16)), np.array([16, 9, 1])
    ours = np.asarray(jitted(model, "logits")(params, rows, lengths))
    for row, length, logits in zip(rows, lengths, ours, strict=True):
        np.testing.assert_allclose(logits[:length], bert(tree, row[:length], layers=2, heads=2), atol=2e-4, rtol=1e-4)


def test_loss_counts_what_is_asked_for(written_twice):
    model, params, tree = written_twice
    tokens, lengths = np.random.default_rng(2).integers(0, 11, (40, 17)), np.full(40, 17)
    lengths[:20] = 6
    batch = {"tokens": jnp.asarray(tokens, jnp.int32), "length": jnp.asarray(lengths, jnp.int32)}
    key = jax.random.key(3)
    corrupt = jitted(model, "corrupt")
    asked, shown = corrupt(batch["tokens"][:, :16], np.minimum(lengths, 16), jax.random.fold_in(key, 2))
    assert not np.any(asked[:20, 6:]) and np.any(asked[:20, :6])
    nll, right = [], []
    for row, question, input_, length in zip(tokens, np.asarray(asked), np.asarray(shown), lengths, strict=True):
        logits = bert(tree, input_[: min(length, 16)], layers=2, heads=2)
        at = np.flatnonzero(question)
        nll += (-log_softmax(logits, axis=-1)[at, row[at]]).tolist()
        right += (logits[at].argmax(-1) == row[at]).tolist()
    found = jitted(model, "evaluate")(params, {}, batch, key)
    assert int(found["masked_nll"][1]) == int(found["masked_accuracy"][1]) == len(nll)
    assert float(found["masked_nll"][0]) == pytest.approx(np.sum(nll), rel=1e-4)
    assert int(found["masked_accuracy"][0]) == sum(right)
    loss, _ = jitted(model, "loss")(params, {}, batch, key, jnp.int32(0))
    assert float(loss) == pytest.approx(np.mean(nll), rel=1e-4)


def test_masks_have_the_published_shares():
    model = tiny("bert")
    truth = np.full((200, 500), 3)
    asked, shown = jitted(model, "corrupt")(truth, np.full(200, 500), jax.random.key(0))
    assert float(asked.mean()) == pytest.approx(0.15, abs=0.003)
    np.testing.assert_array_equal(np.asarray(shown)[~np.asarray(asked)], 3)
    counts = np.bincount(np.asarray(shown)[np.asarray(asked)], minlength=12) / int(asked.sum())
    assert counts[11] == pytest.approx(0.8, abs=0.01)  # [MASK]
    assert counts[3] == pytest.approx(0.1 + 0.1 / 11, abs=0.01)
    assert counts[0] == pytest.approx(0.1 / 11, abs=0.004)


@pytest.mark.parametrize("order", ["random", "confident"])
@pytest.mark.parametrize("steps", [None, 3, 1])
def test_infilling_changes_what_is_missing_and_nothing_else(written_twice, order, steps):
    model, params, _ = written_twice
    rng = np.random.default_rng(4)
    tokens, missing, lengths = rng.integers(0, 11, (4, 16)), rng.random((4, 16)) < 0.4, np.array([16, 10, 16, 3])
    fill = lambda rows, **more: np.asarray(
        infill(
            model, params, jax.random.key(5), tokens=jnp.asarray(tokens[rows]), missing=jnp.asarray(missing[rows]),
            lengths=jnp.asarray(lengths[rows]), rows=jnp.asarray(rows), steps=steps, order=order, **more,
        )
    )  # fmt: skip
    rows = np.arange(4)
    filled, real = fill(rows), np.arange(16) < lengths[:, None]
    np.testing.assert_array_equal(filled[~missing | ~real], tokens[~missing | ~real])
    assert filled.max() < 11 and np.any(filled[missing & real] != tokens[missing & real])
    for row in rows:  # a row does not depend on its neighbours, nor on what stood where it fills
        np.testing.assert_array_equal(fill(np.full(4, row)), filled[[row] * 4])
    if steps is None:
        np.testing.assert_array_equal(fill(rows[1:2])[0], filled[1])
    tokens = np.where(missing, 0, tokens)
    np.testing.assert_array_equal(np.where(real, fill(rows), 0), np.where(real, filled, 0))


class Chain:
    """A "model" that is certain of a token whose left neighbour is there: one more than it. Of others it is not."""

    def denoise(self, params, tokens, missing, lengths):
        known = jnp.pad(~missing, ((0, 0), (1, 0)))[:, :-1]
        left = jnp.pad(tokens, ((0, 0), (1, 0)))[:, :-1]
        return jnp.where(known[..., None], 9.0, 0.5) * jax.nn.one_hot((left + 1) % 7, 7)


def test_the_confident_fill_from_what_is_there():
    missing = jnp.arange(7)[None] > 0
    tokens = jnp.where(missing, 0, jnp.array([[2]]))
    ordered = infill(
        Chain(), {}, jax.random.key(0), tokens=tokens, missing=missing, sampler=Greedy(), order="confident"
    )  # fmt: skip
    assert ordered[0].tolist() == [2, 3, 4, 5, 6, 0, 1]
    at_once = infill(Chain(), {}, jax.random.key(0), tokens=tokens, missing=missing, sampler=Greedy(), steps=1)
    assert at_once[0].tolist() == [2, 3, 1, 1, 1, 1, 1]
    drawn = infill(Chain(), {}, jax.random.key(0), tokens=tokens, missing=missing, sampler=Sampling(), order="random")
    assert drawn[0].tolist() != ordered[0].tolist()
