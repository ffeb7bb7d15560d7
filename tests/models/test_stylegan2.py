"""What is StyleGAN2's own: styles and their mixing, truncation, noise, the spread of a minibatch, the path length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_like

from train.recipes import RECIPES
from zoo import create
from zoo.errors import UserError
from zoo.gan import style
from zoo.gan.style import style_count, with_spread
from zoo.gan.stylegan2 import PATH_DECAY, StyleGAN2

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    return StyleGAN2(
        **{"image_size": 8, "channels": 2, "latent_size": 8, "base": 64, "widest": 8, "mapping": 1} | fields
    )


def started(model):
    """Shaken parameters: fresh ones paint no noise."""
    params, extra = initialised(model)
    image = np.random.default_rng(1).uniform(-1, 1, model.batch_spec(4)["image"].shape)
    return random_like(params, scale=0.2), extra, {"image": jnp.asarray(image, jnp.float32)}


def test_layers_of_the_published_sizes():
    """256 pixels in the configuration «auto»: 14 styles; channels 512 up to 32 pixels, 64 at 256; two convolutions and
    a skip at each size of the critic, and one channel of spread at its end."""
    model = create("stylegan2", image_size=256)
    assert isinstance(model, StyleGAN2)
    params, _ = jax.eval_shape(model.init, KEY)
    assert style_count(256) == 14 and model.widths == (512, 512, 512, 512, 256, 128, 64)
    size = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    down = [(64, 128), (128, 256), (256, 512), (512, 512), (512, 512), (512, 512)]
    blocks = sum(9 * a * a + a + 9 * a * b + b + a * b for a, b in down)
    last = 9 * 513 * 512 + 512 + 512 * 16 * 512 + 512 + 512 + 1
    assert size(params["critic"]) == 3 * 64 + 64 + blocks + last
    styled = [(512, 512)] * 7 + [(512, 256), (256, 256), (256, 128), (128, 128), (128, 64), (64, 64)]
    layers = sum(9 * a * b + b + 1 + 512 * a + a for a, b in styled)  # kernel, bias, strength of noise, style
    colours = sum(3 * a + 3 + 512 * a + a for a in (512, 512, 512, 512, 256, 128, 64))
    assert size(params["generator"]["synthesis"]) == 16 * 512 + layers + colours
    assert size(params["generator"]["mapping"]) == 2 * (512 * 512 + 512)


def test_phases_and_their_pace():
    assert [(p.name or p.player, p.every) for p in tiny().phases] == [
        ("critic", 1),
        ("penalty", 16),
        ("generator", 1),
        ("path_length", 4),
    ]
    assert len(tiny(path_length=None, r1=None).phases) == 2
    critic = RECIPES["stylegan2"].players["critic"]
    assert critic.learning_rate == pytest.approx(0.0025 * 16 / 17) and critic.b2 == pytest.approx(0.99 ** (16 / 17))


def test_truncation_goes_to_the_mean_style():
    model = tiny()
    params, extra, _ = started(model)
    extra = {**extra, "style": jnp.arange(8.0)}
    latent, styles = model.latents(KEY, 3), jitted(model, "styles")
    full, none, half = (np.asarray(styles(params, extra, latent, truncation=psi)) for psi in (1.0, 0.0, 0.5))
    assert full.shape == (3, style_count(8), 8)
    np.testing.assert_allclose(none, np.broadcast_to(np.arange(8.0), full.shape))
    np.testing.assert_allclose(half, (full + none) / 2, rtol=1e-5)
    draw = lambda psi: np.asarray(jitted(model, "sample", "n")(params, extra, KEY, n=3, truncation=psi))
    same = draw(0.0)
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)
    assert np.abs(draw(1.0) - same).max() > 1e-3


def test_latents_of_any_length_are_one_style():
    model = tiny()
    params, extra, _ = started(model)
    latent, styles = np.asarray(model.latents(KEY, 3)), jitted(model, "styles")
    near = lambda psi: styles(params, extra, psi * latent, truncation=1.0)
    np.testing.assert_allclose(near(5), near(1), rtol=1e-4, atol=1e-5)


def test_mixing_takes_fine_styles_from_elsewhere():
    model = tiny(mixing=1.0)
    params, extra, _ = started(model)
    styles, after = jax.device_get(jitted(model, "_mixed", "n")(params, extra, KEY, n=64))
    change = np.abs(np.diff(styles, axis=1)).max(-1) > 1e-6
    assert (change.sum(1) == 1).all()  # one cut each, at
    assert set(change.argmax(1).tolist()) == set(range(style_count(8) - 1))  # any place
    plain, _ = jax.device_get(jitted(tiny(mixing=0.0), "_mixed", "n")(params, extra, KEY, n=64))
    assert not np.diff(plain, axis=1).any()
    np.testing.assert_array_equal(styles[:, 0], plain[:, 0])
    np.testing.assert_allclose(after["style"], 0.005 * np.mean(plain[:, 0], 0), rtol=1e-4, atol=1e-7)


def test_noise_is_each_picture_s_own_in_training_and_the_same_in_sampling():
    model = tiny(mixing=0.0)
    params, extra, _ = started(model)
    styles = np.repeat(jitted(model, "styles")(params, extra, model.latents(KEY, 1)), 2, axis=0)
    trained, drawn = jax.jit(lambda *given: (style.painted(model, *given, KEY), model.paint(*given)))(params, styles)
    assert np.abs(trained[0] - trained[1]).max() > 1e-2
    np.testing.assert_allclose(drawn[0], drawn[1], atol=1e-5)  # a library may take the rows of a batch differently


def test_the_spread_is_that_of_the_group():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2, 2, 3)), jnp.float32)
    y = with_spread(x, 4)  # 4 does not divide 6: two groups of three, i mod 2
    assert y.shape == (6, 2, 2, 4)
    np.testing.assert_array_equal(y[..., :3], x)
    for member in range(6):
        want = np.mean(np.std(x[member % 2 :: 2], axis=0))
        np.testing.assert_allclose(y[member, ..., 3], want, rtol=1e-4)


def test_path_length_is_the_jacobian_s():
    """With the whole Jacobian; and its gradient, in the mapping's parameters too, is the plain one's."""
    model = tiny(mixing=0.0, path_length=2.0)
    params, extra, batch = started(model)
    key = jax.random.fold_in(KEY, 13)
    y = jax.random.normal(jax.random.fold_in(key, 13), (2, 8, 8, 2)) / 8

    def plain(generator):
        mine = {**params, "generator": generator}
        styles, _ = model._mixed(mine, extra, key, 2)
        along = lambda styles: jnp.sum(style.painted(model, mine, styles, jax.random.fold_in(key, 11)) * y)
        jacobian = jax.grad(along)(styles)
        lengths = jnp.sqrt(jnp.mean(jnp.sum(jnp.square(jacobian), -1), -1))
        mean = PATH_DECAY * jax.lax.stop_gradient(jnp.mean(lengths))
        return 4 * 2.0 * jnp.mean(jnp.square(lengths - mean)), mean

    def ours(generator):
        loss, (after, _) = model.path_loss({**params, "generator": generator}, extra, batch, KEY, STEP)
        return loss, after["path_length"]

    answers = [jax.jit(jax.value_and_grad(f, has_aux=True))(params["generator"]) for f in (ours, plain)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4), *answers)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(answers[1][1]["mapping"])) > 1e-3


@pytest.mark.parametrize(
    "fields", [{"image_size": 48}, {"base": 4}, {"gradient_penalty": 1.0}, {"loss": "style"}, {"penalty_every": 0}]
)
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value) and next(iter(fields)).split("_")[0] in str(error.value)
