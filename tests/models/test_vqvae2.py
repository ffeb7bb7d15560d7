"""What is VQ-VAE-2's own: two grids, the fine one given the coarse one, and a prior that writes both in turn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_like

from zoo.errors import UserError
from zoo.vae import coded
from zoo.vae.prior import InTurn
from zoo.vae.vqvae2 import VQVAE2

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    shape = {"image_size": 8, "channels": 2, "levels": 1, "width": 8, "codes": 6, "code_size": 4, "residual_width": 4}
    prior = {"prior_layers": 1, "prior_heads": 2, "prior_width": 8, "prior_dropout": 0.0}
    return VQVAE2(**{**shape, "residual_layers": 1, **prior, **fields})


@pytest.fixture(scope="module")
def started():
    """(params, codebooks that have seen a batch, the batch)."""
    model = tiny()
    params, extra = initialised(model)
    rng, params = np.random.default_rng(1), random_like(params)
    batch = {"image": jnp.asarray(rng.uniform(-1, 1, (4, 8, 8, 2)), jnp.float32)}
    _, (extra, _) = jitted(model, "loss")(params, extra, batch, KEY, STEP)
    return params, extra, batch


def test_the_loss_is_the_paper_s(started):
    """Every network by hand; codes that no revival touches."""
    params, extra, batch = started
    model = tiny(commitment=0.5, variance=0.2, revival=-1.0)

    def plain(tree):
        go = lambda name, *x: model.networks[name].apply({"params": tree[name]}, *x)
        near = lambda z, book: book[
            jnp.argmin(jnp.sum(jnp.square(z[..., None, :] - book.reshape(1, 1, 1, 6, 4)), -1), -1)
        ]
        through = lambda z, q: z + jax.lax.stop_gradient(q - z)
        seen = go("bottom_encoder", batch["image"])
        top = go("top_encoder", seen)
        top_q = near(top, extra["top"]["codes"])
        bottom = go("join", seen, go("top_decoder", through(top, top_q)))
        bottom_q = near(bottom, extra["bottom"]["codes"])
        again = go("decoder", through(top, top_q), through(bottom, bottom_q))
        commitment = jnp.mean(jnp.square(top - top_q)) + jnp.mean(jnp.square(bottom - bottom_q))
        return jnp.mean(jnp.square(again - batch["image"])) / 0.2 + 0.5 * commitment

    ours = lambda tree: model.loss({**params, "autoencoder": tree}, extra, batch, KEY, STEP)[0]
    (a, slope), (b, want) = (jax.jit(jax.value_and_grad(f))(params["autoencoder"]) for f in (ours, plain))
    assert float(a) == pytest.approx(float(b), rel=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), slope, want)


def test_the_fine_grid_is_read_given_the_coarse_one(started):
    params, extra, batch = started
    model = tiny()
    encode = jitted(model, "encode")
    codes = encode(params, extra, batch["image"])
    assert codes["top"].shape == (4, 2, 2) and codes["bottom"].shape == (4, 4, 4)
    other = {**extra, "top": {**extra["top"], "codes": np.asarray(extra["top"]["codes"]) + 3}}
    assert np.any(encode(params, other, batch["image"])["bottom"] != codes["bottom"])
    images = jitted(model, "render")(params, extra, codes)
    assert images.shape == batch["image"].shape and np.abs(images).max() <= 1


def test_the_prior_writes_the_coarse_grid_and_then_the_fine_one(started):
    params, extra, batch = started
    model = tiny()
    drawn = np.asarray(model.prior.sample(params["prior"], KEY, 40))
    assert drawn.shape == (40, 4 + 16)
    assert drawn[:, :4].max() < 6 <= drawn[:, 4:].min() and drawn.max() < 12
    sequence = np.asarray(coded.sequence(model, jitted(model, "encode")(params, extra, batch["image"])))
    assert sequence.shape == (4, 20) and sequence[:, :4].max() < 6 <= sequence[:, 4:].min()
    grids = {"top": drawn[:4, :4].reshape(4, 2, 2), "bottom": drawn[:4, 4:].reshape(4, 4, 4) - 6}
    sampled = jitted(model, "sample", "n")(params, extra, KEY, n=4)
    np.testing.assert_allclose(sampled, jitted(model, "render")(params, extra, grids), rtol=1e-4, atol=1e-5)


def test_in_turn_leaves_only_what_may_stand_at_a_place():
    rule = InTurn(np.array([0, 0, 2]), np.array([2, 2, 5]))
    state, allowed = rule.read(rule.begin(6, 4), jnp.int32(5)), []
    for _ in range(3):
        allowed.append(np.flatnonzero(np.isfinite(rule.apply(state, jnp.zeros(6)))).tolist())
        state = rule.read(state, jnp.int32(0))
    assert allowed == [[0, 1], [0, 1], [2, 3, 4]]


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"image_size": 10}, "no multiple of 4"), ({"codes": 0}, "codes is 0"), ({"prior_heads": 3}, "divide")],
)
def test_bad_fields_are_errors_of_one_line(fields, word):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert word in str(error.value) and "\n" not in str(error.value)
