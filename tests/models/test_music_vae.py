"""MusicVAE: its objective put together from its parts, bars that start anew, and a space that one can walk through."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit, log_softmax
from tiny import initialised, jitted, random_batch, random_like, tiny

from zoo.codecs.voices import REST, START, VoiceGrid
from zoo.decoding import Sampling
from zoo.errors import UserError


@functools.cache
def applied(model, method):
    return jax.jit(functools.partial(model.apply, method=method))


def teach(model, *inputs):
    return np.asarray(applied(model, "teach")(*inputs))


@pytest.fixture(scope="module")
def net():
    model = tiny("music-vae")
    params = random_like(initialised(model)[0], scale=0.3)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["music_vae"])


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


def test_latents_and_cells_are_those_of_the_formulas(net):
    model, params, tree = net
    rng = np.random.default_rng(0)
    cells = rng.choice([0, 5, 8, 128, 129], (8, 2))  # soprano and bass of eight steps in two bars
    x = sum(tree[f"heard_{v}"]["embedding"][cells[:, v]] for v in range(2))
    zero = np.zeros(8), np.zeros(8)
    both = np.concatenate([lstm(tree["forwards"], x, zero)[-1], lstm(tree["backwards"], x[::-1], zero)[-1]])
    mean, sigma = dense(tree["mean"], both), np.logaddexp(0, dense(tree["spread"], both))
    ours = applied(model, "encode")(params, cells[None])
    np.testing.assert_allclose(ours[0][0], mean, atol=1e-4)
    np.testing.assert_allclose(ours[1][0], 2 * np.log(sigma), atol=1e-4)

    latent = rng.normal(size=4)
    state = np.split(np.tanh(dense(tree["conductor_begun"], latent)), 2)
    codes = lstm(tree["conducting"], np.stack([latent, latent]), state)
    logits = np.zeros((8, 2, 132))
    for voice in range(2):
        before = np.concatenate([[START], cells[:-1, voice]])
        for bar, code in enumerate(codes):
            layers = np.split(dense(tree[f"beginnings_{voice}"], code), 2)
            part = slice(4 * bar, 4 * bar + 4)
            x = np.concatenate([tree[f"sung_{voice}"]["embedding"][before[part]], np.tile(code, (4, 1))], axis=1)
            for at, layer in enumerate(layers):
                x = lstm(tree[f"writers_{voice}"][f"layer_{at}"], x, np.split(np.tanh(layer), 2))
            logits[part, voice] = dense(tree[f"heads_{voice}"], x)
    ours = teach(model, params, latent[None].astype(np.float32), cells[None])[0]
    np.testing.assert_allclose(ours, logits, atol=1e-3)


def test_the_objective_and_its_free_bits(net):
    model, params, _ = net
    batch, key = random_batch(model, 5), jax.random.key(1)
    mean, log_variance, (truth, real) = jax.device_get(jitted(model, "posterior")(params, batch))
    z = mean + np.exp(log_variance / 2) * jax.random.normal(jax.random.fold_in(key, 1), mean.shape)
    logits = teach(model, params, z, truth).astype(np.float64)
    picked = np.take_along_axis(log_softmax(logits, axis=-1), np.asarray(truth)[..., None], axis=-1)[..., 0]
    nats = -np.where(real, picked, 0).sum((1, 2))
    variance = np.exp(np.asarray(log_variance, np.float64))
    kl = 0.5 * (np.square(mean) + variance - log_variance - 1).sum(-1)
    assert np.asarray(real).sum() == 2 * ((batch["length"] - 1) // 4).sum()
    loss = jax.jit(lambda free, step: dataclasses.replace(model, free_bits=free).loss(params, {}, batch, key, step)[0])
    for free, step in ((0.0, 0), (0.0, 3), (2.0, 10**6), (1e6, 10**6)):
        ours = loss(free, jnp.int32(step))
        beta = 0.2 * (1 - 0.999**step)
        assert float(ours) == pytest.approx(np.mean(nats + beta * np.maximum(kl - free * np.log(2), 0)), rel=1e-4)


def test_what_is_written_freely_is_what_the_parallel_form_says(net):
    model, params, _ = net
    latent = jax.random.normal(jax.random.key(2), (3, 4))
    render = lambda latent, **how: np.asarray(jitted(model, "render")(params, {}, latent, **how))
    tokens = render(latent)
    grid = tokens[:, 1:].reshape(3, 8, 4)
    assert np.all(tokens[:, 0] == START) and np.all(grid[:, :, [1, 2]] == REST)
    logits = teach(model, params, latent, grid[:, :, [0, 3]])
    np.testing.assert_array_equal(np.argmax(logits, axis=-1), grid[:, :, [0, 3]])
    drawn = render(latent, sampler=Sampling(), key=jax.random.key(3))
    assert np.any(drawn != tokens)
    others = render(latent[np.array([0, 2, 1])], sampler=Sampling(), key=jax.random.key(3))
    np.testing.assert_array_equal(others[0], drawn[0])
    assert np.any(others[1] != drawn[1])


def test_only_one_cell_crosses_a_bar_line(net):
    model, params, _ = net
    cells, seven = np.full((8, 2), 5), np.full((8, 1), 7)
    logits = lambda cells: teach(model, params, np.ones((1, 4), np.float32), cells[None])[0]
    changed = lambda at: np.where(np.arange(8)[:, None] == at, seven, cells)
    before, earlier, last = logits(cells), logits(changed(1)), logits(changed(3))
    np.testing.assert_array_equal(before[4:], earlier[4:])
    assert np.abs(before[2:4] - earlier[2:4]).max() > 1e-3 and np.abs(before[4:] - last[4:]).max() > 1e-3


def test_it_learns_to_bring_back_what_it_read():
    model = tiny("music-vae", voices="S", bars=1, conductor=None, latent_size=8, encoder_width=32, width=32, layers=1)
    rng = np.random.default_rng(0)
    lines = rng.choice([3, 4, 5, 6], (8, 8))
    tokens = np.full((8, 33), REST, np.int32)
    tokens[:, 0], tokens[:, 1::4] = START, lines
    batch = {"tokens": jnp.asarray(tokens), "length": jnp.full(8, 33)}
    params, extra = initialised(model)
    rule = optax.adam(1e-2)

    def step(state, index):
        params, opt = state
        loss = lambda params: model.loss(params, extra, batch, jax.random.fold_in(jax.random.key(1), index), index)[0]
        updates, opt = rule.update(jax.grad(loss)(params), opt)
        return (optax.apply_updates(params, updates), opt), None

    params = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(250)))((params, rule.init(params)))[0][0]
    found = jitted(model, "evaluate")(params, extra, batch, jax.random.key(2))
    assert float(found["free_accuracy"][0] / found["free_accuracy"][1]) > 0.95
    bring_back = lambda params, tokens: model.render(params, extra, model.encode(params, extra, tokens))
    again = jax.jit(bring_back)(params, batch["tokens"])
    assert np.mean(np.asarray(again)[:, 1::4] == lines) > 0.95
    assert len(VoiceGrid().decode(np.asarray(again)[0])) > 3


def test_wrong_shapes_are_one_line():
    for fields, message in (
        ({"voices": "SX"}, "some of SATB"),
        ({"voices": "SS"}, "some of SATB"),
        ({"bars": 3}, "must divide 8"),
        ({"conductor": None}, "needs a --model.conductor"),
        ({"context": 30}, "multiple of 4"),
    ):
        with pytest.raises(UserError, match=message):
            tiny("music-vae", **fields)
