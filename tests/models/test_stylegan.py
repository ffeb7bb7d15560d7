"""What is the first StyleGAN's own: adaptive normalisation, the constant, truncation of coarse layers, and layers that
resample."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo import create
from zoo.errors import UserError
from zoo.gan.residual import enlarged, halved
from zoo.gan.style import painted, style_count, style_of
from zoo.gan.stylegan import StyleGAN, adaptive_norm
from zoo.nn.conv import conv2d
from zoo.nn.equal import enlarging, halving

KEY = jax.random.key(0)


def tiny(**fields):
    shape = {"image_size": 8, "channels": 2, "latent_size": 8, "base": 64, "widest": 8, "mapping": 1}
    return StyleGAN(**{**shape, **fields})


@pytest.fixture(scope="module")
def started():
    """Shaken parameters: fresh ones paint no noise."""
    params, extra = jax.jit(tiny().init)(KEY)
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: leaf + 0.2 * rng.normal(size=leaf.shape).astype(np.float32), params), extra


def test_parameters_of_the_published_sizes():
    """At 1024 pixels 26.2 and 23.1 millions (section 2), but for the colours of smaller sizes, and the channels that
    those share; 18 styles."""
    model = create("stylegan", image_size=1024)
    params, _ = jax.eval_shape(model.init, KEY)
    size = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    assert style_count(1024) == 18 and model.widths == (512, 512, 512, 512, 256, 128, 64, 32, 16)
    assert round(size(params["generator"]) / 1e6, 1) == 26.2
    assert round(size(params["critic"]) / 1e6, 1) == 23.1


def test_layers_that_resample_are_two_layers_in_one():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 6, 4, 3)), jnp.float32)
    for side in (3, 5):
        kernel = jnp.asarray(rng.normal(size=(side, side, 3, 5)), jnp.float32)
        np.testing.assert_allclose(enlarging(x, kernel), conv2d(enlarged(x), kernel), atol=1e-5)
        np.testing.assert_allclose(halving(x, kernel), halved(conv2d(x, kernel)), atol=1e-5)


def test_adaptive_norm_gives_each_picture_its_own_mean_and_deviation():
    rng = np.random.default_rng(0)
    x = jnp.asarray(3 + 5 * rng.normal(size=(4, 6, 6, 3)), jnp.float32)
    scale, bias = (jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for _ in range(2))
    y = adaptive_norm(x, scale, bias)
    np.testing.assert_allclose(jnp.mean(y, (1, 2)), bias, atol=1e-5)
    np.testing.assert_allclose(jnp.std(y, (1, 2)), np.abs(scale), rtol=1e-4)
    assert adaptive_norm(x.astype(jnp.bfloat16), scale, bias).dtype == jnp.bfloat16
    flat = adaptive_norm(jnp.ones((1, 2, 2, 3)), scale[:1], bias[:1])  # nothing to divide by
    np.testing.assert_allclose(flat, jnp.broadcast_to(bias[:1, None, None], flat.shape))


def test_truncation_of_coarse_layers_only(started):
    model, (params, extra) = tiny(), started
    extra = {**extra, "style": jnp.arange(8.0)}
    latent = model.latents(KEY, 3)
    styles = lambda **how: model.styles(params, extra, latent, **how)
    whole, coarse = styles(truncation=0.25), styles(truncation=0.25, cutoff=1)
    np.testing.assert_allclose(whole, 0.25 * styles() + 0.75 * jnp.arange(8.0)[None, None], rtol=1e-5)
    np.testing.assert_array_equal(coarse[:, :1], whole[:, :1])
    np.testing.assert_allclose(coarse[:, 1:], styles()[:, 1:], rtol=1e-6)
    np.testing.assert_array_equal(styles(truncation=0.25, cutoff=99), whole)
    draw = jax.jit(lambda psi: model.sample(params, extra, KEY, 2, truncation=psi))
    # The same picture twice, to rounding: a library may take the rows of a batch differently.
    assert np.abs(np.diff(draw(0.0), axis=0)).max() < 1e-4 < 1e-2 < np.abs(np.diff(draw(1.0), axis=0)).max()


def test_training_mixes_styles_follows_their_mean_and_draws_noise(started):
    model, (params, extra) = tiny(), started
    batch = {"image": jnp.zeros((64, 8, 8, 2))}

    @jax.jit
    def run(mixing):
        images, after = replace(model, mixing=mixing).imagine(params, extra, batch, KEY, train=True)
        one = jnp.repeat(model.styles(params, extra, model.latents(KEY, 1)), 2, axis=0)
        w = style_of(model, params, model.latents(KEY, 64))
        return images, after["style"], jnp.mean(w, 0), painted(model, params, one, KEY), model.paint(params, one)

    plain, style, mean, trained, drawn = run(0.0)
    np.testing.assert_allclose(style, 0.005 * mean, rtol=1e-4, atol=1e-7)
    same = np.abs(run(0.5)[0] - plain).max((1, 2, 3)) < 1e-5
    assert 16 < same.sum() < 48  # about half of 64
    assert np.abs(np.diff(drawn, axis=0)).max() < 1e-5 < 1e-2 < np.abs(np.diff(trained, axis=0)).max()


@pytest.mark.parametrize(
    "fields", [{"image_size": 48}, {"base": 4}, {"gradient_penalty": 1.0}, {"loss": "style"}, {"penalty_every": 0}]
)
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value) and next(iter(fields)).split("_")[0] in str(error.value)
