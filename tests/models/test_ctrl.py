"""CTRL against its formulas, codes by what they change, attribution by Bayes' rule; texts of several kinds."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from tiny import initialised, jitted, random_batch, random_like, tiny

from sample.options import Options
from sample.scores import draw
from train.data.source import open_source
from zoo.codecs.text import CharCodec
from zoo.decoding import generate
from zoo.errors import UserError
from zoo.guidance import Guided


@pytest.fixture(scope="module")
def net():
    model = tiny("ctrl")
    params = random_like(initialised(model)[0], scale=0.5)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["ctrl"])


def written_out(tree, tokens):
    """A code and tokens [T] -> logits [T, V]: section 3.1 with the norm before each part."""
    dense = lambda layer, x: x @ layer["kernel"] + layer["bias"]

    def norm(layer, x):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * layer["scale"] + layer["bias"]

    x = 4 * tree["tokens"]["embedding"][tokens]  # the root of the width
    for time in range(len(tokens)):
        for at in range(8):
            angle = time / 10000 ** (2 * at / 16)
            x[time, 2 * at : 2 * at + 2] += np.sin(angle), np.cos(angle)
    block = tree["blocks_0"]
    qkv = np.split(dense(block["qkv"], norm(block["norm_1"], x)), 3, axis=-1)
    mixed = []
    for q, k, v in zip(*(np.split(part, 2, axis=-1) for part in qkv), strict=True):
        scores = q @ k.T / np.sqrt(8)
        scores[np.triu_indices(len(tokens), 1)] = -np.inf
        mixed.append(softmax(scores, axis=-1) @ v)
    x = x + dense(block["project"], np.concatenate(mixed, axis=-1))
    x = x + dense(block["contract"], np.maximum(dense(block["expand"], norm(block["norm_2"], x)), 0))
    return (norm(tree["norm"], x) @ tree["tokens"]["embedding"].T)[1:, :11]


def test_logits_are_those_of_the_formulas(net):
    model, params, tree = net
    tokens = np.random.default_rng(0).integers(0, 11, (3, 16))
    for cond, codes in ((np.array([0, 1, 1]), [11, 12, 12]), (None, [13, 13, 13])):
        ours = np.asarray(jitted(model, "outputs")(params, {}, tokens, cond))
        for row, code, logits in zip(tokens, codes, ours, strict=True):
            np.testing.assert_allclose(logits, written_out(tree, np.array([code, *row])), atol=5e-3)


def test_attribution_is_bayes_rule(net):
    model, params, _ = net
    batch = random_batch(model, 4)
    log_p = np.zeros((4, 2))
    for label in range(2):
        logits = jitted(model, "outputs")(params, {}, batch["tokens"][:, :-1], np.full(4, label))
        nats = log_softmax(np.asarray(logits, np.float64), axis=-1)
        for row in range(4):
            text = batch["tokens"][row, 1 : batch["length"][row]]
            log_p[row, label] = nats[row, np.arange(len(text)), text].sum()
    np.testing.assert_allclose(jitted(model, "attribution")(params, batch), log_softmax(log_p, axis=1), atol=1e-3)
    found = jitted(model, "evaluate")(params, {}, batch, jax.random.key(0))
    assert float(found["attributed"][0]) == np.sum(log_p.argmax(1) == batch["label"])
    own = log_p[np.arange(4), batch["label"]].sum()
    assert float(found["nll"][0]) == pytest.approx(-own, rel=1e-4)


def test_text_follows_its_code(net):
    model, params, _ = net
    write = lambda model, cond: np.asarray(
        generate(
            model, params, {}, jax.random.key(0), prompt=jnp.array([[1, 2], [1, 2]]), lengths=jnp.array([2, 1]),
            length=12, cond=cond,
        )
    )  # fmt: skip
    zero, one = write(model, jnp.zeros(2, jnp.int32)), write(model, jnp.ones(2, jnp.int32))
    mixed, none = write(model, jnp.arange(2)), write(model, None)
    assert zero.max() < 11 and np.any(zero != one) and np.any(none != zero)
    np.testing.assert_array_equal(mixed, np.stack([zero[0], one[1]]))
    np.testing.assert_array_equal(write(Guided(model, 1.0), jnp.arange(2)), mixed)
    assert np.any(write(Guided(model, 9.0), jnp.arange(2)) != mixed)


def test_sampling_by_the_code_s_name(net):
    model, params, _ = net
    codec = CharCodec.of("abcdefghij\n")
    run = SimpleNamespace(
        model=model, params=params, extra={}, codec=codec, data={"labels": ["prose", "verse"]},
        config=SimpleNamespace(name="ctrl"),
    )  # fmt: skip
    text = lambda **words: [codec.decode(row) for row in draw(run, Options(length=40, n=4, **words))]
    assert text(code="prose") != text(code="verse") != text(code="verse", guidance=30.0)
    assert text(code="verse", prompt=("ab",))[0].startswith("ab")
    with pytest.raises(UserError, match="its codes are prose, verse"):
        text(code="drama")


def test_texts_of_several_kinds(tmp_path):
    (tmp_path / "a.txt").write_text("abcab" * 40)
    (tmp_path / "b.txt").write_text("xyzxyw" * 60)
    source = open_source(f"texts:{tmp_path}", "train", length=9)
    assert source.labels == ("a", "b") and source.fields["classes"] == 2
    batch = source.read(np.arange(source.size, dtype=np.int32))
    texts = [source.codec.decode(np.asarray(row)) for row in batch["tokens"]]
    assert all(set(text) <= set("xyzw" if label else "abc") for text, label in zip(texts, batch["label"], strict=True))
    assert source.size == (180 - 9 + 1) + (324 - 9 + 1) and set(np.asarray(batch["label"]).tolist()) == {0, 1}
    held = open_source(f"texts:{tmp_path}", "valid", length=9)
    assert set(np.asarray(held.read(np.arange(held.size, dtype=np.int32))["label"]).tolist()) == {0, 1}
    (tmp_path / "b.txt").unlink()
    with pytest.raises(UserError, match=r"1 \.txt files"):
        open_source(f"texts:{tmp_path}", "train", length=9)
    both = open_source("docs?codes=1", "train", length=100)
    assert both.labels == ("manual", "python") and both.size > 500_000
