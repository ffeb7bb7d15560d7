"""What is the progressive GAN's own: how it grows, how sizes are faded in, its penalties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, random_like

from zoo import create
from zoo.errors import UserError
from zoo.gan.adversarial import CRITIC_LATENTS, PENALTY
from zoo.gan.progressive import Progressive, Stage, faded, normalised
from zoo.gan.residual import enlarged, halved
from zoo.losses import gradient_penalty

KEY = jax.random.key(0)


def tiny(**fields):
    shape = {"image_size": 16, "channels": 2, "latent_size": 6, "base": 64, "widest": 8, "images": 40}
    return Progressive(**{**shape, **fields})


@pytest.fixture(scope="module")
def started():
    params, extra = initialised(tiny())
    image = np.random.default_rng(1).uniform(-1, 1, (4, 16, 16, 2))
    return random_like(params), extra, {"image": jnp.asarray(image, jnp.float32)}


def test_channels_of_the_published_sizes():
    """512 up to 32 pixels, half as many with every doubling: 16 at 1024 (table 2)."""
    assert create("progressive", image_size=1024).widths == (512, 512, 512, 512, 256, 128, 64, 32, 16)
    params, _ = jax.eval_shape(create("progressive", image_size=1024).init, KEY)
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    in_use = lambda tree: count({name: leaf for name, leaf in tree.items() if not name.startswith("colours")})
    one = {name: count(tree["colours_8"]) for name, tree in params.items()}
    assert round((in_use(params["generator"]) + one["generator"]) / 1e6, 1) == 23.1
    assert round((in_use(params["critic"]) + one["critic"]) / 1e6, 1) == 23.1


def test_it_grows_with_the_pictures_that_it_has_seen():
    """Ten steps of four pictures a period: 4 x 4, 8 x 8 fading, 8 x 8, 16 x 16 fading, and 16 x 16 for good."""
    model = tiny()
    growth = jax.jit(jax.vmap(lambda step: model.growth(step, 4)))
    level, share = growth(np.array([0, 9, 10, 15, 20, 29, 30, 38, 40, 50, 999]))
    np.testing.assert_array_equal(level, [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2])
    np.testing.assert_allclose(share, [1, 1, 0, 0.5, 1, 1, 0, 0.8, 1, 1, 1], atol=1e-5)


def test_a_size_begins_as_the_one_before_and_ends_as_itself(started):
    params, _, batch = started
    model = tiny()
    latent = np.asarray(model.latents(KEY, 3))
    paint = jax.jit(lambda params, level, share: model._paint(params, latent, level, share), static_argnums=1)
    for level in (1, 2):
        before = enlarged(paint(params, level - 1, 1.0))
        none, half, whole = (np.asarray(paint(params, level, share)) for share in (0.0, 0.5, 1.0))
        np.testing.assert_allclose(none, before, atol=1e-5)
        np.testing.assert_allclose(half, (none + whole) / 2, atol=1e-5)
        assert none.shape == (3, 4 * 2**level, 4 * 2**level, 2) and np.abs(whole - none).max() > 1e-2
    x = batch["image"]
    late, early = (lambda params: Stage(model, 2, 0.0).critic(params, x)), Stage(model, 1, 1.0).critic
    two = jax.jit(lambda params: (late(params), early(params, halved(x))))(params)
    np.testing.assert_allclose(*two, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(faded(x, 0.0), enlarged(halved(x)), atol=1e-6)
    np.testing.assert_allclose(faded(x, 1.0), x, atol=1e-6)
    assert Stage(model, 0, 1.0).observe(batch).shape == (4, 4, 4, 2)
    np.testing.assert_allclose(Stage(model, 1, 0.5).observe(batch), faded(halved(x), 0.5), atol=1e-6)


def test_the_step_chooses_the_size_and_every_layer_is_reached_in_time(started):
    params, extra, batch = started
    model = tiny()
    for phase in model.phases:
        run = jax.jit(
            lambda mine, step, phase=phase: jax.grad(
                lambda mine: phase.loss({**params, phase.player: mine}, extra, batch, KEY, step), has_aux=True
            )(mine)
        )
        reached = {}
        for step in (0, 15, 35):
            grads, (after, _) = run(params[phase.player], jnp.int32(step))
            reached[step] = {
                name for name, tree in grads.items() if all(np.any(leaf) for leaf in jax.tree.leaves(tree))
            }
            assert int(after["grown"]["level"]) == (0, 1, 2)[(0, 15, 35).index(step)]
        assert not any(name.endswith(("_1", "_2")) and "layers_0" not in name for name in reached[0])
        assert reached[15] | reached[35] == set(params[phase.player])


def test_the_critic_s_loss(started):
    """Wasserstein's, the penalty of pictures one by one, and the drift."""
    params, extra, batch = started
    model = tiny(gradient_penalty=3.0, drift=0.5)
    stage = Stage(model, 1, 0.5)

    def plain(params):
        real = stage.observe(batch)
        fake = model._paint(params, model.latents(jax.random.fold_in(KEY, CRITIC_LATENTS), 4), 1, 0.5)
        on_real, on_fake = stage.critic(params, real), stage.critic(params, fake)
        alone = lambda x: stage.critic(params, x, apart=True)
        penalty = gradient_penalty(alone, real, fake, jax.random.fold_in(KEY, PENALTY))
        return jnp.mean(on_fake) - jnp.mean(on_real) + 3 * penalty + 0.5 * jnp.mean(on_real**2)

    loss, _ = jax.jit(model.phases[0].loss)(params, extra, batch, KEY, jnp.int32(15))
    assert float(loss) == pytest.approx(float(jax.jit(plain)(params)), rel=1e-4)


def test_apart_no_picture_moves_another_s_logit(started):
    params, _, batch = started
    stage = Stage(tiny(), 2, 1.0)
    x = batch["image"]

    @functools.partial(jax.jit, static_argnums=1)
    def slope(params, apart):
        first = lambda x: (lambda logits: (logits[0], logits))(stage.critic(params, x, apart=apart))
        return jax.grad(first, has_aux=True)(x)

    (mixed, logits), (alone, same) = slope(params, False), slope(params, True)
    np.testing.assert_allclose(logits, same, rtol=1e-5)
    assert np.abs(mixed[1:]).max() > 1e-6 and not np.any(alone[1:])


def test_samples_are_of_the_whole_size_at_any_time(started):
    params, _, _ = started
    model = tiny()
    draw = jax.jit(lambda extra: model.sample(params, extra, KEY, 2))
    for level in range(3):
        images = np.asarray(draw({"grown": {"level": jnp.int32(level), "share": jnp.ones(())}}))
        assert images.shape == (2, 16, 16, 2) and np.abs(images).max() <= 1
        block = 16 // (4 * 2**level)
        np.testing.assert_array_equal(images[:, ::block, ::block].repeat(block, 1).repeat(block, 2), images)


def test_pixels_are_normalised():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 3, 5)), jnp.float32) * 7
    np.testing.assert_allclose(jnp.mean(normalised(x) ** 2, -1), jnp.ones((2, 3, 3)), rtol=1e-4)


@pytest.mark.parametrize(
    "fields", [{"image_size": 48}, {"base": 8}, {"images": 0}, {"loss": "grow"}, {"critic_steps": 0}]
)
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert next(iter(fields)).split("_")[0] in str(error.value) and "\n" not in str(error.value)
