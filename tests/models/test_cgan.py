"""What is the conditional GANs' own: both players heed the label, by projection or by concatenation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.errors import UserError
from zoo.gan.cgan import CGAN

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    sizes = {"image_size": 16, "channels": 2, "latent_size": 5, "width": 3, "widest": 2, "classes": 3}
    return CGAN(**sizes | fields)


def started(model):
    """Shaken parameters: fresh gains and projections do not tell one class from another."""
    params, extra = jax.jit(model.init)(KEY)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: leaf + 0.2 * rng.normal(size=leaf.shape).astype(np.float32), params)
    shape = model.batch_spec(4)["image"].shape
    image = jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)
    return params, extra, {"image": image, "label": jnp.array([0, 1, 2, 0], jnp.int32)}


@pytest.mark.parametrize("condition", ["projection", "concatenation"])
def test_both_players_heed_the_label(condition):
    model = tiny(condition=condition)
    params, extra, batch = started(model)
    other = batch | {"label": (batch["label"] + 1) % 3}
    judge = jax.jit(lambda batch: model.judge(params, extra, batch["image"], batch, KEY, train=False)[0])
    draw = jax.jit(lambda batch: model.imagine(params, extra, batch, KEY, train=False)[0])
    for answer in (judge, draw):
        assert np.abs(answer(batch) - answer(other)).reshape(4, -1).max(1).min() > 1e-4


def test_the_projection_is_an_inner_product():
    """Miyato & Koyama 2018, equation 3: logit(x, y) - logit(x, y') = <v_y - v_y', phi(x)>, linear in the label."""
    model = tiny(critic_norm="none")
    params, _, batch = started(model)
    judge = lambda label: model.critic.apply({"params": params["critic"]}, batch["image"], label, train=False)
    one, two = jnp.eye(3)[jnp.zeros(4, int)], jnp.eye(3)[jnp.ones(4, int)]
    np.testing.assert_allclose(judge((one + two) / 2), (judge(one) + judge(two)) / 2, rtol=1e-4)
    assert params["critic"]["projection"]["kernel"].shape == (3, 6)


def test_samples_are_of_the_class_asked_for():
    model = tiny()
    params, extra, _ = started(model)
    latent = model.latents(KEY, 4, label=2)
    np.testing.assert_array_equal(latent[:, 5:], np.tile([0, 0, 1], (4, 1)))
    np.testing.assert_array_equal(model.sample(params, extra, KEY, 4, label=2), model.render(params, extra, latent))
    several = model.latents(KEY, 3, label=jnp.array([0, 1, 2]))
    np.testing.assert_array_equal(several[:, 5:], np.eye(3))
    assert len(np.unique(np.argmax(model.latents(KEY, 50)[:, 5:], 1))) == 3
    doubled = latent.at[:, 5:].multiply(2)  # only shares count
    np.testing.assert_allclose(model.render(params, extra, doubled), model.render(params, extra, latent), atol=1e-5)


def test_classes_start_alike_and_can_be_mixed():
    model = tiny()
    params, extra = jax.jit(model.init)(KEY)
    first, second = (model.sample(params, extra, KEY, 2, label=label) for label in (0, 1))
    np.testing.assert_allclose(first, second, atol=1e-6)  # gains of one, biases of zero
    params, extra, _ = started(model)
    between = (model.latents(KEY, 2, label=0) + model.latents(KEY, 2, label=1)) / 2
    mixed = model.render(params, extra, between)
    assert np.isfinite(mixed).all() and np.abs(mixed - model.sample(params, extra, KEY, 2, label=0)).max() > 1e-4


@pytest.mark.parametrize("fields", [{"image_size": 20}, {"condition": "both"}, {"critic_norm": "batch"}])
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value) and str(next(iter(fields.values()))) in str(error.value)
