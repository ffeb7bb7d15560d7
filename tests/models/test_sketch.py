"""Sketch-RNN: its mixture against scipy, its cells and its objective against their formulas; and doodles."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax, logsumexp, softmax
from scipy.stats import multivariate_normal
from tiny import random_batch, random_like, tiny

from train.data.source import open_source
from zoo.codecs.strokes import END, START
from zoo.decoding import Greedy, Sampling
from zoo.nn.mixture import BOUND, FLOOR, mixture_draw, mixture_mode, mixture_nll, mixture_of
from zoo.nn.norm_lstm import NormLSTMLayer

RNG = np.random.default_rng(0)


# ---- The mixture ----------------------------------------------------------------------------------------------------


def normals(outputs):
    """(weight, scipy's normal) of every component of outputs [6 M]."""
    weight, x, y, sx, sy, rho = np.split(np.asarray(outputs, np.float64), 6)
    sx, sy, rho = np.hypot(np.exp(sx), FLOOR), np.hypot(np.exp(sy), FLOOR), BOUND * np.tanh(rho)
    for at, w in enumerate(softmax(weight)):
        cross = rho[at] * sx[at] * sy[at]
        yield w, multivariate_normal([x[at], y[at]], [[sx[at] ** 2, cross], [cross, sy[at] ** 2]])


def test_the_mixture_is_scipy_s():
    for scale in (0.5, 2.0):
        outputs, x = RNG.normal(0, scale, (5, 6 * 4)), RNG.normal(size=(5, 2))
        ours = mixture_nll(mixture_of(jnp.asarray(outputs, jnp.float32)), jnp.asarray(x, jnp.float32))
        want = [-logsumexp([np.log(w) + n.logpdf(p) for w, n in normals(o)]) for o, p in zip(outputs, x, strict=True)]
        np.testing.assert_allclose(ours, want, rtol=2e-4)


def test_lines_that_are_exactly_straight_have_bounded_nats():
    """Deviations to nothing, correlations to one: what data on a line drives a mixture to."""
    outputs = jnp.array([[0.0, 0, 0, -40, -40, 30], [0.0, 0, 0, -40, 2, 0], [0.0, 0, 0, 5, 5, -30]])
    nats = lambda outputs: jnp.sum(mixture_nll(mixture_of(outputs), jnp.zeros((3, 2))))
    nll, slope = jax.jit(jax.value_and_grad(nats))(outputs)
    assert np.isfinite(nll) and np.isfinite(slope).all() and float(nll) > -60


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_draws_have_the_moments_of_the_paper_s_temperature(temperature):
    outputs = jnp.array([0.3, -0.4, 2.0, -2.0, 1.0, 0.5, -0.5, 0.2, -0.3, 0.1, 0.8, -0.6])
    keys = jax.random.split(jax.random.key(0), 20_000)
    drawn = jax.jit(jax.vmap(lambda key: mixture_draw(mixture_of(outputs), key, temperature)))(keys)
    weights = softmax(np.array([0.3, -0.4]) / temperature)
    parts = list(normals(outputs))
    for at, (_, normal) in enumerate(parts):
        mine = np.asarray(drawn)[(drawn[:, 0] > 0) == (at == 0)]
        if temperature == 0.25:  # the two lie apart: each has its own mean and covariance
            assert len(mine) / len(drawn) == pytest.approx(weights[at], abs=0.02)
            np.testing.assert_allclose(mine.mean(0), normal.mean, atol=0.06)
            np.testing.assert_allclose(np.cov(mine.T), temperature * normal.cov, atol=0.06)
    means = np.stack([normal.mean for _, normal in parts])
    covariance = sum(
        w * (temperature * n.cov + np.outer(n.mean, n.mean)) for w, (_, n) in zip(weights, parts, strict=True)
    )
    np.testing.assert_allclose(np.mean(drawn, axis=0), weights @ means, atol=0.06)
    np.testing.assert_allclose(np.einsum("ni,nj->ij", drawn, drawn) / len(drawn), covariance, atol=0.12)
    np.testing.assert_allclose(mixture_mode(mixture_of(outputs)), parts[0][1].mean, rtol=1e-6)


# ---- The cells ------------------------------------------------------------------------------------------------------


def normalised(x, scale, bias=0.0):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * scale + bias


def lstm(tree, x, state, kept=None):
    """x [T, D] -> hidden [T, H]; with layer normalisation where there are scales; ``kept`` [T, H]: what is left of what
    enters the cell."""
    (cell, hidden), out, norm = state, [], "scale_x" in tree
    for at, row in enumerate(x):
        enters, recurs = row @ tree["kernel"], hidden @ tree["recurrent"]
        if norm:
            enters, recurs = normalised(enters, tree["scale_x"]), normalised(recurs, tree["scale_h"])
        i, f, g, o = np.split(enters + recurs + tree["bias"], 4)
        cell = expit(f) * cell + expit(i) * np.tanh(g) * (1 if kept is None else kept[at])
        leaves = normalised(cell, tree["scale_c"], tree["bias_c"]) if norm else cell
        hidden = expit(o) * np.tanh(leaves)
        out.append(hidden)
    return np.stack(out)


@pytest.mark.parametrize("norm", [False, True])
def test_layers_are_those_of_the_formulas(norm):
    layer, x = NormLSTMLayer(5, norm, 0.4), RNG.normal(size=(2, 6, 3)).astype(np.float32)
    state = tuple(jnp.asarray(RNG.normal(size=(2, 5)), jnp.float32) for _ in range(2))
    params = random_like(layer.init(jax.random.key(0), x, state), scale=0.3)
    tree = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["params"])
    rngs = {"dropout": jax.random.key(1)}
    ours, _ = jax.jit(layer.apply)(params, x, state)
    ragged, after = jax.jit(layer.apply)(params, x, state, jnp.array([6, 2]))
    dropped, _ = jax.jit(lambda params: layer.apply(params, x, state, train=True, rngs=rngs))(params)
    rng = layer.bind(params, rngs=rngs).make_rng("dropout")
    kept = np.asarray(jax.random.bernoulli(rng, 0.6, (6, 2, 5))) / 0.6
    for row in range(2):
        begin = [np.asarray(leaf[row], np.float64) for leaf in state]
        want = lstm(tree, x[row], begin)
        np.testing.assert_allclose(ours[row], want, atol=1e-5)
        np.testing.assert_allclose(dropped[row], lstm(tree, x[row], begin, kept[:, row]), atol=1e-5)
        np.testing.assert_allclose(after[1][row], want[[5, 1][row]], atol=1e-5)
    assert np.abs(np.asarray(dropped) - ours).max() > 1e-2 and (kept == 0).any() and np.isfinite(ragged).all()


# ---- The model ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net():
    model = tiny("sketch-rnn", cell="layer-norm", dropout=None)
    params = random_like(jax.jit(model.init)(jax.random.key(0))[0], scale=0.3)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["sketch"])


def dense(tree, x):
    return x @ tree["kernel"] + tree["bias"]


def test_latents_and_outputs_are_those_of_the_formulas(net):
    model, params, tree = net
    batch, zero = random_batch(model, 4), (np.zeros(8), np.zeros(8))
    latents = RNG.normal(size=(4, 4)).astype(np.float32)
    both = lambda rows, z: (model.outputs(params, {}, rows, z), model.encode(params, {}, rows))
    ours, means = jax.jit(both)(jnp.asarray(batch["strokes"]), jnp.asarray(latents))
    for row, length, z, outputs, mean in zip(batch["strokes"], batch["length"], latents, ours, means, strict=True):
        real = row[1:length].astype(np.float64)
        both = [lstm(tree["forwards"], real, zero)[-1], lstm(tree["backwards"], real[::-1], zero)[-1]]
        np.testing.assert_allclose(mean, dense(tree["mean"], np.concatenate(both)), atol=1e-4)
        state = np.split(np.tanh(dense(tree["beginning"], z)), 2)
        x = np.concatenate([row, np.tile(z, (len(row), 1))], axis=1)
        np.testing.assert_allclose(outputs, dense(tree["head"], lstm(tree["drawing"], x, state)), atol=1e-4)


def test_the_objective(net):
    model, params, _ = net
    batch, key = random_batch(model, 5), jax.random.key(1)
    strokes = np.array(batch["strokes"], np.float64)
    sides = jax.random.uniform(jax.random.fold_in(key, 2), (5, 1, 2), minval=-1.0)
    strokes[..., :2] *= 1 + 0.15 * np.asarray(sides)
    seen = jnp.asarray(strokes, jnp.float32)

    @jax.jit
    def parts(seen):
        mean, log_variance = model.apply(params, seen[:, 1:], jnp.asarray(batch["length"] - 1), method="read")
        noise = jax.random.normal(jax.random.fold_in(key, 1), mean.shape)
        return mean, log_variance, model.outputs(params, {}, seen[:, :-1], mean + jnp.exp(log_variance / 2) * noise)

    mean, log_variance, outputs = (np.asarray(part, np.float64) for part in parts(seen))
    total, nats = 0.0, {"offset": 0.0, "pen": 0.0}
    for row, target, length in zip(outputs, strokes[:, 1:], batch["length"], strict=True):
        for at, (output, x) in enumerate(zip(row, target, strict=True)):
            offset = -logsumexp([np.log(w) + n.logpdf(x[:2]) for w, n in normals(output[3:])])
            pen = -log_softmax(output[:3])[np.argmax(x[2:])]
            total += pen + (offset if x[4] == 0 else 0)
            nats["offset"] += offset if at + 1 < length else 0
            nats["pen"] += pen if at + 1 <= length else 0
    variance = np.exp(log_variance)
    kl = 0.5 * np.mean(mean**2 + variance - np.log(variance) - 1)
    changed = lambda floor: replace(model, kl_floor=floor)  # as in a population, where the floor is traced
    objective = jax.jit(lambda floor, step: changed(floor).loss(params, {}, batch, key, step))
    for floor, step in ((0.0, 0), (0.0, 3000), (9.0, 10**6)):
        loss, (_, metrics) = objective(floor, jnp.int32(step))
        eta = 1 - 0.99 * 0.99995**step
        assert float(loss) == pytest.approx(total / (5 * 12) + eta * 0.5 * max(kl, floor), rel=1e-3)
        assert float(metrics["kl"]) == pytest.approx(kl, rel=1e-4)
    found = jax.jit(model.evaluate)(params, {}, {**batch, "strokes": seen}, key)
    for name in nats:
        assert float(found[name][0]) == pytest.approx(nats[name], rel=1e-3)
    told = np.minimum(batch["length"], 12)
    assert [int(found[name][1]) for name in ("offset", "pen", "kl")] == [batch["length"].sum() - 5, told.sum(), 5]
    whole = -(nats["offset"] + nats["pen"] + kl * 4 * 5)
    assert float(found["elbo"][0]) == pytest.approx(whole, rel=1e-3)


def test_a_latent_knows_nothing_of_what_is_behind_the_end(net):
    model, params, _ = net
    batch = random_batch(model, 3)
    noisy = np.where(np.arange(13)[None, :, None] > batch["length"][:, None, None], 9, batch["strokes"])
    encode = jax.jit(model.encode)
    clean, other = (encode(params, {}, jnp.asarray(x, jnp.float32)) for x in (batch["strokes"], noisy))
    np.testing.assert_array_equal(clean, other)


def test_rows_are_drawn_and_end(net):
    model, params, _ = net
    output = jnp.concatenate([jnp.array([0.2, -0.3, 0.1]), jnp.zeros(18)])
    keys = jax.random.split(jax.random.key(0), 3000)
    rows = np.asarray(jax.jit(jax.vmap(lambda key: model.emit(params, output, key, Sampling(temperature=0.5))))(keys))
    np.testing.assert_allclose(rows[:, 2:].mean(0), softmax(np.array([0.2, -0.3, 0.1]) / 0.5), atol=0.03)
    assert (rows[:, 2:].sum(1) == 1).all() and not rows[rows[:, 4] == 1, :2].any()
    np.testing.assert_array_equal(model.emit(params, output, keys[0], Greedy()), [0, 0, 1, 0, 0])
    drawn = np.asarray(jax.jit(model.sample, static_argnums=3)(params, {}, jax.random.key(3), 6))
    over = np.cumsum(drawn[..., 4], axis=1) > 0
    assert drawn.shape == (6, 12, 5) and over.any() and (drawn[over] == END).all()


def test_a_decoder_alone_has_no_latents():
    model = tiny("sketch-rnn", conditional=False)
    params = random_like(jax.jit(model.init)(jax.random.key(0))[0], scale=0.3)
    assert set(params["sketch"]) == {"drawing", "head"} and model.latents(jax.random.key(0), 3).shape == (3, 0)
    loss, (_, metrics) = jax.jit(model.loss)(params, {}, random_batch(model, 4), jax.random.key(0), jnp.int32(0))
    assert np.isfinite(loss) and not metrics
    sample = jax.jit(model.sample, static_argnums=3)
    one, two = (np.asarray(sample(params, {}, jax.random.key(k), 3)) for k in (0, 1))
    assert one.shape == (3, 12, 5) and np.abs(one - two).max() > 0.1 and np.abs(one[0] - one[1]).max() > 0.1


def test_doodles_are_drawn_at_the_model_s_scale():
    source = open_source("doodles", length=97)
    batch = source.read(np.arange(400, dtype=np.int32))
    rows, length, label = batch["strokes"], batch["length"], batch["label"]
    at = np.arange(97)[None]
    real = (at > 0) & (at < length[:, None])
    assert rows.shape == (400, 97, 5) and rows.dtype == np.float32 and np.isfinite(rows).all()
    assert (rows[:, 0] == START).all() and (rows[at >= length[:, None]] == END).all()
    assert (rows[real][:, 2:4].sum(1) == 1).all() and rows[real][:, :2].std() == pytest.approx(1, abs=0.05)
    assert (rows[np.arange(400), length - 1, 3] == 1).all()  # the pen is lifted at last
    assert set(label) == set(range(8)) and source.labels[0] == "spiral" and length.min() > 8
    strokes = {name: set() for name in source.labels}
    for row, kind in zip(rows, label, strict=True):
        strokes[source.labels[kind]].add(len(source.codec.decode(row)))
    assert strokes["spiral"] == strokes["star"] == {1} and strokes["face"] == strokes["house"] == {4}
    assert (
        strokes["fish"] == {2} and strokes["flower"] == strokes["tree"] == {3} and strokes["sun"] == {9, 10, 11, 12, 13}
    )
