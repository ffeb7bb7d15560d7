"""What is BigGAN's own: its size, latents that are truncated, weights that are kept orthogonal, attention."""

from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import fresh_state, random_batch, random_like, tiny

from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.biggan import BigGAN, SelfAttention, apart, orthogonality, truncated

KEY, STEP = jax.random.key(0), jnp.int32(0)


@pytest.fixture(scope="module")
def started():
    """Shaken parameters, so that attention is seen; data."""
    fresh = fresh_state("biggan")
    return random_like(fresh.params, scale=0.2), fresh.extra, random_batch(tiny("biggan"), 4)


def test_parameters_of_the_published_network():
    """At 128 pixels for ImageNet: the numbers that its re-implementations agree on."""
    model = BigGAN(image_size=128, classes=1000, width=96, attention=64)
    params, _ = jax.eval_shape(model.init, KEY)
    count = {player: sum(leaf.size for leaf in jax.tree.leaves(tree)) for player, tree in params.items()}
    assert count == {"generator": 70_433_988, "critic": 87_982_370} and model.latent_size == 120
    assert [BigGAN(image_size=size).latent_size for size in (32, 64, 256)] == [80, 100, 140]


def test_the_generator_steps_every_second_time():
    assert [(p.player, p.every) for p in tiny("biggan", orthogonal=1e-4).phases] == [("critic", 1), ("generator", 2)]


def test_truncated_latents_are_those_drawn_again():
    """By quantiles: P(z < truncated) = P(normal < z), and nothing beyond the threshold."""
    normal = NormalDist()
    z = np.linspace(-4, 4, 33)
    for threshold in (0.04, 0.5, 2.0):
        below, inside = normal.cdf(-threshold), 1 - 2 * normal.cdf(-threshold)
        want = [normal.inv_cdf(below + inside * normal.cdf(value)) for value in z]
        got = truncated(jnp.asarray(z, jnp.float32), threshold)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)
        assert np.abs(truncated(jnp.array([-9.0, 9.0]), threshold)).max() <= threshold
    np.testing.assert_allclose(truncated(jnp.asarray(z, jnp.float32), 10.0), z, rtol=2e-2)


def test_truncation_leaves_less_variety(started):
    model, (params, extra, _) = tiny("biggan"), started
    draw = jax.jit(lambda t: model.sample(params, extra, KEY, 4, label=1, truncation=t))
    spread = [float(np.std(draw(threshold), axis=0).mean()) for threshold in (0.0, 0.5, 2.0)]
    assert spread[0] < 1e-6 < spread[1] < spread[2]
    latent = model.latents(KEY, 4, label=1)
    np.testing.assert_array_equal(latent[:, 9:], np.tile([0, 1, 0], (4, 1)))
    whole = jax.jit(lambda latent: model.render(params, extra, latent))
    np.testing.assert_allclose(draw(8.0), whole(latent), atol=1e-4)
    other = latent.at[:, 9:].set(jnp.array([2.0, 0.0, 0.0]))  # only shares count
    assert np.abs(whole(other) - whole(latent)).max() > 1e-3
    np.testing.assert_allclose(whole(other), whole(latent.at[:, 9:].set(jnp.eye(3)[0])), atol=1e-5)


def test_orthogonality_by_hand(started):
    """Columns (1, 0), (1, 0), (0, 2): of the pairs only the first two have something in common, counted both ways."""
    kernel = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    assert float(orthogonality({"kernel": kernel, "bias": jnp.ones(3)})) == 2
    fresh = fresh_state("biggan").params  # drawn orthogonal, where there are not too many filters
    for kernel in (fresh["generator"]["UpBlock_0"]["Conv_0"]["kernel"], fresh["critic"]["projection"]["kernel"].T):
        assert float(orthogonality({"kernel": kernel})) < 1e-9
        np.testing.assert_allclose(jnp.sum(kernel**2, range(kernel.ndim - 1)), jnp.ones(kernel.shape[-1]), rtol=1e-5)
    params, extra, batch = started
    model = tiny("biggan", orthogonal=0.5)

    @jax.jit
    def run(params):
        plain = adversarial.generator_loss(model, params, extra, batch, KEY, STEP)[0]
        return plain, model.phases[-1].loss(params, extra, batch, KEY, STEP)

    plain, (loss, (_, metrics)) = run(params)
    layers, embedding = apart(params["generator"])
    assert embedding["embedding"]["kernel"].shape == (3, 4) and "embedding" not in layers
    assert float(metrics["orthogonality"]) == pytest.approx(float(orthogonality(layers)), rel=1e-4)
    assert float(loss - plain) == pytest.approx(0.5 * float(metrics["orthogonality"]), rel=1e-3)


def test_attention_begins_with_what_it_was_given_and_sees_far():
    layer = SelfAttention(None)
    x = jax.random.normal(KEY, (1, 4, 4, 8))
    variables = layer.init(KEY, x)
    np.testing.assert_array_equal(layer.apply(variables, x), x)
    variables["params"]["gain"] = jnp.ones(())
    slope = jax.jit(jax.grad(lambda x: jnp.sum(layer.apply(variables, x)[0, 0, 0])))(x)
    assert (np.abs(slope).max(-1) > 0).sum() > 8  # of 16 pixels


def test_spectral_vectors_of_both_players_move_in_training_only(started):
    model, (params, extra, batch) = tiny("biggan"), started
    assert not any(name.startswith("embedding") for name in extra["vectors"])
    run = jax.jit(lambda train: model.imagine(params, extra, batch, KEY, train=train)[1]["vectors"], static_argnums=0)
    jax.tree.map(np.testing.assert_array_equal, run(False), extra["vectors"])
    moved = {name: np.abs(new - extra["vectors"][name]).max() for name, new in run(True).items() if len(new) > 1}
    assert min(moved.values()) > 1e-6 and "Dense_0.kernel" in moved


@pytest.mark.parametrize(
    "fields", [{"image_size": 48}, {"attention": 32}, {"attention": 5}, {"chunk": 0}, {"loss": "big"}]
)
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny("biggan", **fields)
    assert "\n" not in str(error.value) and str(next(iter(fields.values()))) in str(error.value)
