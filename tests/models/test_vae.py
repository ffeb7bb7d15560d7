"""What is the VAE's own: its shapes, its two likelihoods, beta, and the importance-sampled likelihood."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import initialised, jitted, random_like

from zoo.errors import UserError
from zoo.losses import bernoulli_nll, gaussian_kl, maximum_mean_discrepancy
from zoo.vae.vae import LATENT, PRIOR, SIGMA_PACE, VAE

KEY = jax.random.key(0)
TINY = {
    "bernoulli": VAE(image_size=6, channels=1, latent_size=3, width=8),
    "binarized": VAE(image_size=6, channels=1, latent_size=3, width=8, binarize=True),
    "gaussian": VAE(image_size=6, channels=2, latent_size=3, width=8, likelihood="gaussian"),
    "conv": VAE(image_size=16, channels=3, latent_size=5, width=2, network="conv", likelihood="gaussian", flow=2),
}


def batch_of(model, size=4, dtype=jnp.float32, seed=1):
    spec = model.batch_spec(size)["image"]
    return {"image": jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, spec.shape), dtype)}


def started(model, seed=0):
    """Parameters away from where they start, where the posterior is the prior."""
    params, extra = initialised(model)
    return random_like(params, seed), extra


@pytest.fixture(params=TINY)
def model(request):
    return TINY[request.param]


def test_the_dense_one_is_784_400_40():
    params, _ = jax.eval_shape(VAE().init, KEY)
    layers = [(784, 400), (400, 40), (400, 40), (40, 400), (400, 784)]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == sum(a * b + b for a, b in layers)


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
def test_conv_takes_any_power_of_two(size):
    model = VAE(network="conv", image_size=size, channels=4, width=8)
    params, extra = jax.eval_shape(model.init, KEY)
    images = jax.eval_shape(lambda *trees: model.sample(*trees, KEY, 2), params, extra)
    assert images.shape == (2, size, size, 4)
    latent = jax.eval_shape(model.encode, params, extra, images, KEY)
    assert latent.shape == (2, 40)


@pytest.mark.parametrize(
    "fields",
    [{"network": "conv", "image_size": 28}, {"network": "unet"}, {"likelihood": "laplace"},
     {"binarize": True, "likelihood": "gaussian"}, {"draws": 0}, {"draws": 5, "beta": 4.0}, {"draws": 5, "mmd": 1.0}],
)  # fmt: skip
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        VAE(**fields)
    assert "\n" not in str(error.value)


def test_loss_is_reconstruction_plus_beta_kl(model):
    """For a beta that is traced, too: a population may give each member its own."""
    params, extra = started(model)
    run = lambda beta: replace(model, beta=beta).loss(params, extra, batch_of(model), KEY, jnp.int32(0))
    losses, (_, metrics) = jax.jit(jax.vmap(run))(jnp.array([0.0, 4.0]))
    assert metrics["kl"][0] > 0.01
    np.testing.assert_allclose(losses, metrics["reconstruction"] + jnp.array([0, 4]) * metrics["kl"], rtol=1e-5)
    sums = jitted(model, "evaluate")(params, extra, batch_of(model), KEY)
    assert float(sums["elbo"][1]) == 4
    np.testing.assert_allclose(sums["elbo"][0] / 4, -losses[0] - metrics["kl"][0], rtol=1e-5)


def test_beta_rises_and_so_does_a_capacity():
    """In a straight line over ten steps; with a capacity it is |KL - C| that beta weighs. Both may be traced."""
    model = TINY["bernoulli"]
    params, extra = started(model)
    steps = jnp.array([0, 5, 10, 25])

    @jax.jit
    def run(beta, capacity):
        def one(step, **fields):
            return replace(model, beta=beta, anneal=10, **fields).loss(params, extra, batch_of(model), KEY, step)

        risen, (_, metrics) = jax.vmap(one)(steps)
        held, _ = jax.vmap(lambda step: one(step, capacity=capacity))(steps)
        return risen, held, metrics["reconstruction"][0], metrics["kl"][0]

    for beta, capacity in ((2.0, 30.0), (0.5, 1e-3)):
        risen, held, nll, kl = run(beta, capacity)
        share = np.array([0, 0.5, 1, 1])
        np.testing.assert_allclose(risen, nll + beta * share * kl, rtol=1e-5)
        np.testing.assert_allclose(held, nll + beta * np.abs(kl - share * capacity), rtol=1e-5)
    at_once = replace(model, beta=2.0, capacity=30.0).loss(params, extra, batch_of(model), KEY, jnp.int32(0))[0]
    np.testing.assert_allclose(at_once, nll + 2 * np.abs(kl - 30), rtol=1e-5)


def test_infovae_adds_the_discrepancy_of_latents_to_the_prior(model):
    """With latents that are all one point it is large, with draws of the prior about nothing; and it is in the loss."""
    params, extra = started(model)
    batch, plain = batch_of(model), replace(model, beta=0.5)

    @jax.jit
    def run(params):
        loss = lambda model: model.loss(params, extra, batch, KEY, jnp.int32(0))
        with_it, without = loss(replace(plain, mmd=7.0)), loss(plain)
        latent = plain._terms(params, batch["image"], KEY)[2]
        want = maximum_mean_discrepancy(latent, model.latents(jax.random.fold_in(KEY, PRIOR), 4))
        return with_it, without[0], latent, want

    (loss, (_, metrics)), without, latent, want = run(params)
    assert latent.shape == (4, model.latent_size)
    assert float(metrics["mmd"]) == pytest.approx(float(want), rel=1e-3, abs=1e-4)
    assert float(loss - without) == pytest.approx(7 * float(want), rel=1e-2, abs=1e-2)


def test_bernoulli_terms_from_their_parts():
    model = TINY["bernoulli"]
    params, extra = started(model)
    batch, tree = batch_of(model), params["vae"]
    grey = (batch["image"] + 1) / 2
    mean, log_variance = jax.jit(model.encoder.apply)({"params": tree["encoder"]}, grey)
    evaluate = jitted(model, "evaluate")
    sums = evaluate(params, extra, batch, KEY)
    np.testing.assert_allclose(sums["kl"][0], gaussian_kl(mean, log_variance).sum(), rtol=1e-5)
    # The same draw of z, by a posterior squeezed to its mean.
    tree = {**tree, "encoder": {**tree["encoder"], "log_variance": jax.tree.map(
        lambda leaf: leaf * 0 - 50.0 * (leaf.ndim == 1), tree["encoder"]["log_variance"])}}  # fmt: skip
    nll = bernoulli_nll(jax.jit(model.decoder.apply)({"params": tree["decoder"]}, mean), grey).sum()
    np.testing.assert_allclose(evaluate({"vae": tree}, extra, batch, KEY)["reconstruction"][0], nll, rtol=1e-5)


def test_binarize_draws_pixels_and_leaves_black_and_white_alone():
    grey, drawn = TINY["bernoulli"], TINY["binarized"]
    params, extra = started(grey)
    run = lambda model, batch, key: float(jitted(model, "loss")(params, extra, batch, key, jnp.int32(0))[0])
    batch = batch_of(grey)
    assert abs(run(grey, batch, KEY) - run(drawn, batch, KEY)) > 1e-3
    black_and_white = {"image": jnp.sign(batch["image"])}
    assert run(grey, black_and_white, KEY) == run(drawn, black_and_white, KEY)
    pixels = drawn._target(jnp.full((50, 20, 20, 1), 0.5), KEY)
    assert set(np.unique(pixels)) == {0, 1} and float(pixels.mean()) == pytest.approx(0.75, abs=0.01)


def test_learnt_sigma_is_best_at_the_error_s_size():
    """The derivative in sigma vanishes where sigma^2 is the mean squared error (Rybkin et al. 2021, equation 5)."""
    model = TINY["gaussian"]
    params, extra = started(model)
    batch = batch_of(model)
    of = lambda sigma: model.loss({"vae": {**params["vae"], "sigma": sigma}}, extra, batch, KEY, jnp.int32(0))[0]
    loss, slope = jax.jit(of), jax.jit(jax.grad(of))
    pixels = batch["image"][0].size
    # -log N is mse / (2 sigma^2) + log sigma + const, a pixel: two values give the error.
    at = {s: float(loss(jnp.log(s) / SIGMA_PACE)) / pixels for s in (0.5, 1.0)}
    error = 2 * (at[0.5] - at[1.0] - np.log(0.5)) / (4 - 1)
    best = np.log(np.sqrt(error)) / SIGMA_PACE
    assert abs(slope(best)) < 1e-2 < abs(slope(best + 0.01))
    fixed = replace(model, sigma=0.5)
    assert "sigma" not in jax.eval_shape(fixed.init, KEY)[0]["vae"]
    value = jitted(fixed, "loss")(params, extra, batch, KEY, jnp.int32(0))[0]
    assert float(value) == pytest.approx(at[0.5] * pixels, rel=1e-4)


@pytest.mark.parametrize("flow", [0, 2])
def test_log_likelihood_is_the_integral(flow):
    """Two latent dimensions, so that log p(x) can be integrated on a grid; fewer samples stay below."""
    model = replace(TINY["bernoulli"], latent_size=2, flow=flow)
    params, extra = started(model)
    # A q near N(0, I) is wider than the posterior, so that the weights have a variance.
    params["vae"]["encoder"] = jax.tree.map(lambda leaf: 0.3 * leaf, params["vae"]["encoder"])
    batch = {"image": jnp.sign(batch_of(model)["image"])}
    x = (batch["image"] + 1) / 2
    axis = jnp.linspace(-7, 7, 141)
    latent = jnp.stack(jnp.meshgrid(axis, axis), axis=-1).reshape(-1, 2)

    @jax.jit
    def run(params):
        logits = model._decode(params, model._flow(params, latent, inverse=True)[0])
        nll = bernoulli_nll(logits[:, None], x[None]).sum((2, 3, 4))  # [grid, B]
        prior = -jnp.sum(latent**2, axis=-1, keepdims=True) / 2 - np.log(2 * np.pi)
        exact = jax.nn.logsumexp(prior - nll, axis=0) + 2 * np.log(14 / 140)
        one = lambda key: model.log_likelihood(params, extra, batch, key, samples=1)
        terms = lambda key: model._terms(params, batch["image"], key)[:2]
        keys = jax.random.split(KEY, 4000)
        many = model.log_likelihood(params, extra, batch, KEY, samples=20_000)
        return exact, many, jax.vmap(one)(keys), jax.vmap(terms)(keys)

    exact, many, one, (nll, kl) = run(params)
    np.testing.assert_allclose(many, exact, atol=0.02)
    assert (one.mean(0) < exact - 0.02).all()
    np.testing.assert_allclose(-(nll + kl).mean(0), one.mean(0), atol=0.3)  # one sample's bound is the ELBO


def test_flow_is_invertible_and_knows_its_volume():
    model = TINY["conv"]
    params, _ = started(model)
    z = model.latents(KEY, 4)
    to_latent = lambda z: model._flow(params, z[None])[0][0]

    @jax.jit
    def run(z):
        latent, log_determinant = model._flow(params, z)
        return latent, log_determinant, model._flow(params, latent, inverse=True), jax.vmap(jax.jacobian(to_latent))(z)

    latent, log_determinant, (back, inverse_log_determinant), jacobian = run(z)
    assert np.abs(latent - z).max() > 0.1 and np.abs(log_determinant).min() > 1e-3
    np.testing.assert_allclose(back, z, atol=1e-5)
    np.testing.assert_allclose(inverse_log_determinant, -log_determinant, atol=1e-5)
    np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], log_determinant, atol=1e-5)


def test_encode_and_render(model):
    params, extra = started(model)
    images = batch_of(model)["image"]

    @jax.jit
    def run(params, images):
        mean, drawn = model.encode(params, extra, images), model.encode(params, extra, images, KEY)
        far = model.render(params, extra, mean * 30)
        return mean, drawn, far, model.render(params, extra, model.latents(KEY, 3)), model.sample(params, extra, KEY, 3)

    mean, drawn, far, rendered, sampled = run(params, images)
    assert mean.shape == drawn.shape == (4, model.latent_size) and np.abs(mean - drawn).max() > 0.1
    assert far.shape == images.shape and 0.3 < np.abs(far).max() <= 1
    np.testing.assert_array_equal(sampled, rendered)


@pytest.mark.parametrize("name", ["binarized", "conv"])
def test_it_learns(name):
    model = TINY[name]
    params, extra = initialised(model)
    rows = np.sin(np.add.outer(np.arange(4.0), np.arange(model.image_size)))  # four striped pictures
    batch = {"image": jnp.asarray(np.broadcast_to(rows[:, :, None, None], model.batch_spec(4)["image"].shape), "f")}
    optimizer = optax.adam(1e-2)

    def step(carry, key):
        params, state = carry
        loss, grads = jax.value_and_grad(lambda p: model.loss(p, extra, batch, key, jnp.int32(0))[0])(params)
        updates, state = optimizer.update(grads, state)
        return (optax.apply_updates(params, updates), state), loss

    run = jax.jit(lambda carry: jax.lax.scan(step, carry, jax.random.split(KEY, 150)))
    _, losses = run((params, optimizer.init(params)))
    assert losses[-10:].mean() < 0.9 * losses[:3].mean()


def gradient(model, params, batch):
    return jax.grad(lambda p: model.loss(p, {}, batch, KEY, jnp.int32(0))[0])(params)


@functools.cache
def slopes(model):
    return jax.jit(functools.partial(gradient, model))


@pytest.mark.parametrize("name", ["binarized", "conv"])
def test_a_population_is_its_members(name):
    model = TINY[name]
    members, batch = [started(model, seed)[0] for seed in range(2)], batch_of(model)
    run = jax.jit(jax.vmap(functools.partial(gradient, model), (0, None)))
    together = run(jax.tree.map(lambda *leaves: np.stack(leaves), *members), batch)
    alone = slopes(model)(members[1], batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, atol=1e-4, rtol=1e-3), together, alone)


@pytest.mark.parametrize("name", ["binarized", "conv"])
def test_float64_parameters_give_float64_results(name):
    model = TINY[name]
    params, _ = started(model)
    single = slopes(model)(params, batch_of(model))
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        double = slopes(model)(params, batch_of(model, dtype=jnp.float64))
        assert {leaf.dtype for leaf in jax.tree.leaves(double)} == {np.dtype("float64")}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-3), single, double)


def test_several_draws_are_the_importance_weighted_bound():
    """Of the same draws as its formula: log mean of the weights, each from densities written out."""
    model = replace(TINY["bernoulli"], draws=5)
    params, extra = started(model)
    batch = batch_of(model)
    loss, (_, metrics) = jitted(model, "loss")(params, extra, batch, KEY, jnp.int32(0))
    x = (batch["image"] + 1) / 2
    mean, log_variance = (np.asarray(one, np.float64) for one in model._posterior(params, x))
    noise = np.asarray(jax.random.normal(jax.random.fold_in(KEY, LATENT), (5, 4, 3)), np.float64)
    z = mean + np.exp(log_variance / 2) * noise
    log_q = -0.5 * (noise**2 + log_variance + np.log(2 * np.pi)).sum(-1)
    log_prior = -0.5 * (z**2 + np.log(2 * np.pi)).sum(-1)
    nll = np.stack([model._nll(params, jnp.float32(one), x) for one in z])
    want = -(jax.nn.logsumexp(log_prior - nll - log_q, axis=0) - np.log(5)).mean()
    assert float(loss) == pytest.approx(float(want), rel=1e-4) and metrics == {}
    one = jitted(replace(model, draws=1), "loss")(params, extra, batch, KEY, jnp.int32(0))[0]
    assert abs(float(one - loss)) > 1e-2


def test_a_bound_by_more_draws_is_tighter():
    model = TINY["bernoulli"]
    params, extra = started(model)
    batch = batch_of(model, size=64)
    few, many = (float(jitted(replace(model, draws=k), "loss")(params, extra, batch, KEY, 0)[0]) for k in (2, 64))
    nll = -float(jnp.mean(model.log_likelihood(params, extra, batch, KEY, samples=500)))
    assert abs(many - nll) < 0.1 < few - many, (few, many, nll)
