"""What is the conditional GANs' own: both players heed the label, by projection or by concatenation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_like

from zoo.errors import UserError
from zoo.gan.cgan import CGAN

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    sizes = {"image_size": 16, "channels": 2, "latent_size": 5, "width": 3, "widest": 2, "classes": 3}
    return CGAN(**sizes | fields)


def started(model):
    """Shaken parameters: fresh gains and projections do not tell one class from another."""
    params, extra = initialised(model)
    image = np.random.default_rng(1).uniform(-1, 1, model.batch_spec(4)["image"].shape).astype(np.float32)
    return random_like(params, scale=0.2), extra, {"image": image, "label": np.array([0, 1, 2, 0], np.int32)}


@pytest.mark.parametrize("condition", ["projection", "concatenation"])
def test_both_players_heed_the_label(condition):
    model = tiny(condition=condition)
    params, extra, batch = started(model)
    other = batch | {"label": (batch["label"] + 1) % 3}
    judge = lambda params, batch: model.judge(params, extra, batch["image"], batch, KEY, train=False)[0]
    draw = lambda params, batch: model.imagine(params, extra, batch, KEY, train=False)[0]
    both = jax.jit(lambda *given: (judge(*given), draw(*given)))
    for here, there in zip(both(params, batch), both(params, other), strict=True):
        assert np.abs(here - there).reshape(4, -1).max(1).min() > 1e-4


def test_the_projection_is_an_inner_product():
    """Miyato & Koyama 2018, equation 3: logit(x, y) - logit(x, y') = <v_y - v_y', phi(x)>, linear in the label."""
    model = tiny(critic_norm="none")
    params, _, batch = started(model)
    judge = jax.jit(lambda label: model.critic.apply({"params": params["critic"]}, batch["image"], label, train=False))
    one, two = np.eye(3, dtype=np.float32)[np.zeros(4, int)], np.eye(3, dtype=np.float32)[np.ones(4, int)]
    np.testing.assert_allclose(judge((one + two) / 2), (judge(one) + judge(two)) / 2, rtol=1e-4)
    assert params["critic"]["projection"]["kernel"].shape == (3, 6)


def test_samples_are_of_the_class_asked_for():
    model = tiny()
    params, extra, _ = started(model)
    latent, render = np.asarray(model.latents(KEY, 4, label=2)), jitted(model, "render")
    np.testing.assert_array_equal(latent[:, 5:], np.tile([0, 0, 1], (4, 1)))
    two = lambda params: (model.sample(params, extra, KEY, 4, label=2), model.render(params, extra, latent))
    np.testing.assert_array_equal(*jax.jit(two)(params))
    several = model.latents(KEY, 3, label=jnp.array([0, 1, 2]))
    np.testing.assert_array_equal(several[:, 5:], np.eye(3))
    assert len(np.unique(np.argmax(model.latents(KEY, 50)[:, 5:], 1))) == 3
    doubled = latent * np.where(np.arange(8) < 5, 1, 2).astype(np.float32)  # only shares count
    np.testing.assert_allclose(render(params, extra, doubled), render(params, extra, latent), atol=1e-5)


def test_classes_start_alike_and_can_be_mixed():
    model = tiny()
    params, extra = initialised(model)
    sample = lambda label: jitted(model, "sample", "n")(params, extra, KEY, n=4, label=label)
    np.testing.assert_allclose(sample(0), sample(1), atol=1e-6)  # gains of one, biases of zero
    params, extra, _ = started(model)
    between = (model.latents(KEY, 4, label=0) + model.latents(KEY, 4, label=1)) / 2
    mixed = jitted(model, "render")(params, extra, between)
    assert np.isfinite(mixed).all() and np.abs(mixed - sample(0)).max() > 1e-4


@pytest.mark.parametrize("fields", [{"image_size": 20}, {"condition": "both"}, {"critic_norm": "batch"}])
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value) and str(next(iter(fields.values()))) in str(error.value)
