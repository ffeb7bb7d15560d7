"""The two piano composers: the repository's network by its formulas, and an encoder that reads its primer both ways."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax
from tiny import random_batch, random_like, tiny

import zoo
from sample.sequences import continued
from sample.tempo import paced
from zoo.codecs.notes import Notes
from zoo.codecs.performance import Performance
from zoo.codecs.voices import VoiceGrid
from zoo.decoding import Greedy


def as64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def lstm(tree, x, state):
    """x [T, D] -> hidden [T, H], one step after the other; gates input, forget, cell, output."""
    (cell, hidden), out = state, []
    for row in x:
        i, f, g, o = np.split(row @ tree["kernel"] + tree["bias"] + hidden @ tree["recurrent"], 4)
        cell = expit(f) * cell + expit(i) * np.tanh(g)
        hidden = expit(o) * np.tanh(cell)
        out.append(hidden)
    return np.stack(out)


def dense(tree, x):
    return x @ tree["kernel"] + tree["bias"]


# ---- The repository's network ---------------------------------------------------------------------------------------


def test_it_has_as_many_parameters_as_the_repository_s():
    """5 457 175 with one number a word, of which 1536 are the running statistics; counted in Keras."""
    shapes = jax.eval_shape(zoo.create("piano-composer", embed=None).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 5_457_175


@pytest.mark.parametrize("embed", [4, None])
def test_words_through_the_repository_s_layers(embed):
    model = tiny("piano-composer", embed=embed)
    params, extra = random_like(jax.jit(model.init)(jax.random.key(0)), scale=0.3)
    extra = jax.tree.map(jnp.abs, extra)  # variances among them
    tree, running = as64(params["composer"]), as64(extra["batch_stats"])
    words = np.random.default_rng(1).integers(0, 11, (2, 7))
    for row, logits in zip(words, jax.jit(model.outputs)(params, extra, jnp.asarray(words)), strict=True):
        x = tree["Embed_0"]["embedding"][row] if embed else row[:, None] / 11
        for layer in range(3):
            x = lstm(tree[f"LSTMLayer_{layer}"], x, (np.zeros(16), np.zeros(16)))
        for at in range(2):
            norm, stats = tree[f"MaskedBatchNorm_{at}"], running[f"MaskedBatchNorm_{at}"]
            x = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-3) * norm["scale"] + norm["bias"]
            x = dense(tree[f"Dense_{at}"], x)
            x = np.maximum(x, 0) if at == 0 else x
        np.testing.assert_allclose(logits, x, atol=1e-4)


def test_what_pads_a_piece_is_no_part_of_its_statistics():
    model = tiny("piano-composer", dropout=0.0)
    params, extra = random_like(jax.jit(model.init)(jax.random.key(0)), scale=0.3)
    extra, batch = jax.tree.map(jnp.abs, extra), random_batch(model, 3)
    real = np.arange(17)[None] < batch["length"][:, None]
    other = batch | {"tokens": np.where(real, batch["tokens"], 7).astype(np.int32)}
    loss = jax.jit(lambda batch: model.loss(params, extra, batch, jax.random.key(1), jnp.int32(0)))
    (one, (after, _)), (two, (same, _)) = loss(batch), loss(other)
    assert float(one) == pytest.approx(float(two), rel=1e-6)
    stats, before = after["batch_stats"]["MaskedBatchNorm_0"], extra["batch_stats"]["MaskedBatchNorm_0"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), after, same)
    hidden = hidden_of(model, params, batch["tokens"][:, :-1])[real[:, 1:]]
    np.testing.assert_allclose(stats["mean"], 0.99 * before["mean"] + 0.01 * hidden.mean(0), atol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.99 * before["var"] + 0.01 * hidden.var(0), atol=1e-5)


def hidden_of(model, params, words):
    tree = as64(params["composer"])
    rows = []
    for row in np.asarray(words):
        x = tree["Embed_0"]["embedding"][row]
        for layer in range(3):
            x = lstm(tree[f"LSTMLayer_{layer}"], x, (np.zeros(16), np.zeros(16)))
        rows.append(x)
    return np.stack(rows)


# ---- The one that reads its primer both ways ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def primed():
    model = tiny("piano-composer-events")
    params = random_like(jax.jit(model.init)(jax.random.key(0))[0], scale=0.3)
    return model, params, as64(params["composer"])


def written(tree, row, primer):
    """Logits [T - primer + 1, V] from a primer's last event on; the encoder reads at most eight events."""
    heard = tree["events"]["embedding"][row[max(primer - 8, 0) : primer]]
    zero = np.zeros(8), np.zeros(8)
    both = [lstm(tree["forwards"], heard, zero)[-1], lstm(tree["backwards"], heard[::-1], zero)[-1]]
    states = np.split(np.tanh(dense(tree["beginning"], np.concatenate(both))), 4)
    x = tree["events"]["embedding"][row[primer - 1 :]]
    for layer in range(2):
        x = lstm(tree["writer"][f"layer_{layer}"], x, states[2 * layer : 2 * layer + 2])
    return dense(tree["head"], x)


def test_a_primer_is_read_both_ways(primed):
    model, params, tree = primed
    rows = np.random.default_rng(2).integers(0, 11, (4, 13))
    primers = np.array([1, 5, 8, 12])  # the last is longer than the encoder's window
    ours = np.asarray(jax.jit(model.outputs)(params, {}, jnp.asarray(rows), jnp.asarray(primers)))
    for row, primer, logits in zip(rows, primers, ours, strict=True):
        np.testing.assert_allclose(logits[primer - 1 :], written(tree, row, primer), atol=1e-4)
        assert not logits[: primer - 1].any()


def test_what_follows_a_primer_is_the_parallel_form(primed):
    model, params, _ = primed
    rows, lengths, primers = np.random.default_rng(3).integers(0, 11, (3, 9)), np.array([6, 3, 5]), jnp.array([4, 3, 1])
    want = jax.jit(model.outputs)(params, {}, jnp.asarray(rows), primers)
    decode = jax.jit(model.decode)
    carry, output = model.prefill(params, {}, jnp.asarray(rows[:, :6]), lengths, capacity=9, cond=primers)
    for step in range(3):
        np.testing.assert_allclose(output, want[np.arange(3), lengths - 1 + step], atol=2e-5)
        carry, output = decode(params, {}, carry, jnp.asarray(rows[np.arange(3), lengths + step]))


def test_only_what_is_behind_a_primer_is_learnt(primed):
    model, params, tree = primed
    batch = random_batch(model, 3)
    batch["length"] = np.array([17, 9, 4], np.int32)
    nats = {"nll": [], "nll_primed": []}
    for row, length in zip(batch["tokens"], batch["length"], strict=True):
        for name, primer in (("nll", 1), ("nll_primed", min(length // 2, 8))):
            logits = log_softmax(written(tree, row[:length], primer), axis=-1)[:-1]
            nats[name] += list(-logits[np.arange(length - primer), row[primer:length]])
    for name, (total, count) in jax.jit(model.evaluate)(params, {}, batch, jax.random.key(0)).items():
        assert int(count) == len(nats[name]) and float(total) == pytest.approx(np.sum(nats[name]), rel=1e-4)
    loss = jax.jit(model.loss)
    drawn = {float(loss(params, {}, batch, jax.random.key(k), jnp.int32(0))[0]) for k in range(3)}
    assert len(drawn) == 3  # another key, another primer


# ---- What goes on from a file keeps its tempo -----------------------------------------------------------------------


def test_a_continuation_is_played_as_its_primer_counts_time():
    primer = Notes(
        [0.0, 1.0, 2.0], [1.0, 2.0, 2.5], [60, 62, 64], tempo=((0.0, 60.0), (2.0, 120.0)), metre=((0, 3, 4),)
    )
    codec = VoiceGrid(tempo=84.0)
    tokens = codec.encode(primer)
    longer = np.concatenate([tokens[:-1], *[[65, 128, 128, 128]] * 2])
    again = paced(codec, codec.decode(longer), primer)
    np.testing.assert_allclose(again.start, [0, 1, 2, 2.5, 2.625])  # sixteenths at 120 a minute
    assert again.tempo == primer.tempo and again.metre == primer.metre
    np.testing.assert_array_equal(codec.encode(again)[: len(longer)], longer)
    events = Performance()
    kept = paced(events, events.decode(events.encode(primer)), primer)
    np.testing.assert_allclose(kept.start, primer.start)
    assert kept.tempo == primer.tempo and replace(kept, tempo=((0, 120),)).tempo != primer.tempo


def test_a_primer_from_a_file_is_the_encoder_s(primed):
    model, params, _ = primed
    prompts = [np.array([0, 3, 5, 7, 2], np.int32), np.array([0, 4], np.int32)]
    rows = continued(model, params, {}, jax.random.key(0), prompts, length=6, sampler=Greedy())
    for row, prompt in zip(rows, prompts, strict=True):
        np.testing.assert_array_equal(row[: len(prompt)], prompt)
        want = jax.jit(model.outputs)(params, {}, jnp.asarray(row[None]), jnp.array([len(prompt)]))[0]
        np.testing.assert_array_equal(np.argmax(want[len(prompt) - 1 : -1], axis=-1), row[len(prompt) :])
