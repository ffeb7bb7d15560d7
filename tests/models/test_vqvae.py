"""What is VQ-VAE's own: the codebook, the straight-through gradient, its loss, and the prior over its codes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_like

from zoo.decoding import Greedy
from zoo.errors import UserError
from zoo.nn.quantize import empty_codebook, followed, nearest, perplexity, revived, straight_through
from zoo.vae.coded import REVIVAL
from zoo.vae.vqvae import VQVAE

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    shape = {"image_size": 8, "channels": 2, "width": 8, "codes": 6, "code_size": 4, "residual_width": 4}
    prior = {"prior_layers": 1, "prior_heads": 2, "prior_width": 8, "prior_dropout": 0.0}
    return VQVAE(**{**shape, "residual_layers": 1, **prior, **fields})


def started(model, size=4):
    """Parameters, a codebook that has seen a batch, and the batch."""
    params, extra = initialised(model)
    rng, params = np.random.default_rng(1), random_like(params)
    batch = {"image": jnp.asarray(rng.uniform(-1, 1, model.batch_spec(size)["image"].shape), jnp.float32)}
    _, (extra, metrics) = jitted(model, "loss")(params, extra, batch, KEY, STEP)
    return params, extra, batch, metrics


def vectors(count, features=3, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(count, features)), jnp.float32)


def test_the_nearest_code():
    z, codes = vectors(40).reshape(4, 10, 3), vectors(7, seed=1)
    distances = np.sum(np.square(z[:, :, None] - codes[None, None]), -1)
    np.testing.assert_array_equal(nearest(z, codes), distances.argmin(-1))
    assert nearest(z, codes).dtype == jnp.int32


def test_gradients_pass_straight_through():
    z, codes = vectors(5), vectors(5, seed=1)
    value, grads = jax.value_and_grad(lambda z, q: jnp.sum(straight_through(z, q) ** 3), argnums=(0, 1))(z, codes)
    assert float(value) == pytest.approx(float(jnp.sum(codes**3)), rel=1e-4)
    np.testing.assert_allclose(grads[0], 3 * codes**2, rtol=1e-4, atol=1e-6)
    assert not np.any(grads[1])


def test_codes_are_moving_averages():
    """N <- g N + (1 - g) n, m <- g m + (1 - g) sum z, e = m / N: appendix A.1; a code that nothing chose keeps its
    place."""
    z, chosen = vectors(6), jnp.array([0, 0, 2, 2, 2, 0])
    start = {"codes": vectors(3, seed=1), "counts": jnp.array([1.0, 2.0, 3.0]), "sums": vectors(3, seed=2)}
    start["codes"] = start["sums"] / start["counts"][:, None]
    after = followed(start, z, chosen, decay=0.9)
    counts = 0.9 * np.array([1, 2, 3]) + 0.1 * np.array([3, 0, 3])
    sums = 0.9 * np.asarray(start["sums"])
    sums[0] += 0.1 * np.sum(z[np.array([0, 1, 5])], 0)
    sums[2] += 0.1 * np.sum(z[2:5], 0)
    np.testing.assert_allclose(after["counts"], counts, rtol=1e-5)
    np.testing.assert_allclose(after["codes"], sums / counts[:, None], rtol=1e-3)
    np.testing.assert_allclose(after["codes"][1], start["codes"][1], rtol=1e-3)


def test_averages_go_to_the_means_of_what_is_quantised():
    """k-means: two clusters, two codes; whatever they begin with."""
    rng = np.random.default_rng(0)
    centres = np.array([[2.0, 0.0], [-1.0, 3.0]])
    book, step = empty_codebook(2, 2), jax.jit(lambda book, z, key: settle(book, z, key))

    def settle(book, z, key):
        book = revived(book, z, key, share=0.01)
        return followed(book, z, nearest(z, book["codes"]), decay=0.9)

    for number in range(60):
        z = centres[rng.integers(0, 2, 64)] + 0.1 * rng.normal(size=(64, 2))
        book = step(book, jnp.asarray(z, jnp.float32), jax.random.fold_in(jax.random.key(2), number))
    order = np.argsort(book["codes"][:, 1])
    np.testing.assert_allclose(np.asarray(book["codes"])[order], centres, atol=0.1)
    np.testing.assert_allclose(book["counts"], [32, 32], rtol=0.3)


def test_dead_codes_are_revived_and_no_others():
    z = vectors(50)
    book = {"codes": vectors(4, seed=1), "counts": jnp.array([10.0, 0.001, 12.0, 0.0]), "sums": vectors(4, seed=2)}
    after = revived(book, z, KEY, share=0.01)
    for code, dead in enumerate((False, True, False, True)):
        among = np.abs(np.asarray(z) - np.asarray(after["codes"][code])).max(1).min() < 1e-6
        assert among == dead and np.array_equal(after["codes"][code], book["codes"][code]) != dead
        if dead:
            assert after["counts"][code] == 50 / 4
            np.testing.assert_allclose(after["sums"][code], 50 / 4 * after["codes"][code], rtol=1e-6)
    left = revived(book, z, KEY, share=-1.0)
    np.testing.assert_array_equal(left["codes"], book["codes"])
    filled = revived(empty_codebook(4, 3), z, KEY, share=0.0)
    assert all(np.abs(np.asarray(z) - np.asarray(code)).max(1).min() < 1e-6 for code in filled["codes"])


def test_perplexity_counts_what_is_in_use():
    assert float(perplexity(jnp.array([5.0, 5.0, 5.0, 5.0, 0.0]))) == pytest.approx(4, rel=1e-5)
    assert float(perplexity(jnp.array([7.0, 0.0]))) == pytest.approx(1, rel=1e-5)
    assert np.isfinite(float(perplexity(jnp.zeros(3))))


def test_the_loss_is_the_paper_s():
    model = tiny(commitment=0.5, variance=0.2)
    params, extra, batch, _ = started(model)
    key = jax.random.fold_in(KEY, 7)

    def plain(tree):
        z = model.encoder.apply({"params": tree["encoder"]}, batch["image"])
        book = revived(extra["codebook"], z, jax.random.fold_in(key, REVIVAL), share=model.revival)["codes"]
        chosen = jnp.argmin(jnp.sum(jnp.square(z[..., None, :] - book.reshape(1, 1, 1, 6, 4)), -1), -1)
        q = jax.lax.stop_gradient(book[chosen])
        again = model.decoder.apply({"params": tree["decoder"]}, q + z - jax.lax.stop_gradient(z))
        return jnp.mean(jnp.square(again - batch["image"])) / 0.2 + 0.5 * jnp.mean(jnp.square(z - q))

    ours = lambda tree: model.loss({**params, "autoencoder": tree}, extra, batch, key, STEP)[0]
    (a, slope), (b, want) = (jax.jit(jax.value_and_grad(f))(params["autoencoder"]) for f in (ours, plain))
    assert float(a) == pytest.approx(float(b), rel=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), slope, want)


def test_the_first_batch_fills_the_codebook():
    model = tiny()
    params, extra, batch, metrics = started(model)
    z = jax.jit(model.encoder.apply)({"params": params["autoencoder"]["encoder"]}, batch["image"])
    assert float(metrics["perplexity"]) > 2
    assert np.abs(extra["codebook"]["codes"]).max() <= np.abs(z).max() * 1.01
    codes = jitted(model, "encode")(params, extra, batch["image"])
    assert codes.shape == (4, 2, 2) and len(np.unique(codes)) > 2


def test_the_prior_learns_codes_and_draws_only_codes():
    model = tiny(codes=3)
    params, extra, batch, _ = started(model)
    codes = np.reshape(jitted(model, "encode")(params, extra, batch["image"]), (4, -1))
    loss, _ = jitted(model, "prior_loss")(params, extra, batch, KEY, STEP)
    tokens = np.concatenate([np.full((4, 1), 3), codes], axis=1)
    log_p = jax.nn.log_softmax(jitted(model.prior.network, "logits")({"gpt": params["prior"]}, tokens))
    want = -np.mean(np.take_along_axis(np.asarray(log_p)[:, :-1], tokens[:, 1:, None], axis=-1))
    assert float(loss) == pytest.approx(float(want), rel=1e-4)
    drawn = model.prior.sample(params["prior"], KEY, 50)
    assert drawn.shape == (50, 4) and set(np.unique(drawn).tolist()) == {0, 1, 2}
    first = model.prior.sample(params["prior"], KEY, 3, sampler=Greedy())
    np.testing.assert_array_equal(first[0], first[1])


def test_samples_are_what_the_codes_render():
    model = tiny()
    params, extra, batch, _ = started(model)
    codes, render = model.prior.sample(params["prior"], KEY, 4).reshape(4, 2, 2), jitted(model, "render")
    sampled = jitted(model, "sample", "n")(params, extra, KEY, n=4)
    np.testing.assert_allclose(sampled, render(params, extra, codes), rtol=1e-4, atol=1e-5)
    found = jitted(model, "evaluate")(params, extra, batch, KEY)
    again = render(params, extra, jitted(model, "encode")(params, extra, batch["image"]))
    spread = jnp.square(batch["image"] - batch["image"].mean((0, 1, 2), keepdims=True))
    nmse = found["nmse"][0] / found["nmse"][1]
    assert float(nmse) == pytest.approx(float(jnp.sum(jnp.square(again - batch["image"])) / jnp.sum(spread)), rel=1e-4)
    assert 0 < found["used"][0] / found["used"][1] <= 1 and found["prior"][1] == 4


def test_replicas_would_have_codebooks_of_their_own():
    assert tiny().shared_extra


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"image_size": 10}, "image_size 10 is no multiple of 4"),
        ({"levels": 0}, "no multiple of"),
        ({"codes": 1}, "codes is 1"),
        ({"prior_heads": 3}, "does not divide"),
        ({"prior_layers": 0}, "prior_layers"),
    ],
)
def test_bad_fields_are_errors_of_one_line(fields, word):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert word in str(error.value) and "\n" not in str(error.value)
