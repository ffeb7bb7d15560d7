"""What is WGAN-GP's own: its players' shapes, what its critic may not do, its U-Net."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted

from zoo import create
from zoo.errors import UserError
from zoo.gan.residual import DownBlock, enlarged, halved, widths
from zoo.gan.wgan import WGAN

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    return WGAN(**{"image_size": 16, "channels": 2, "latent_size": 5, "width": 3, "widest": 2} | fields)


def started(model, size=3):
    params, extra = initialised(model)
    shape = model.batch_spec(size)["image"].shape
    return params, extra, {"image": jnp.asarray(np.random.default_rng(1).uniform(-1, 1, shape), jnp.float32)}


def test_resampling():
    x = jnp.arange(8.0).reshape(1, 2, 2, 2)
    np.testing.assert_array_equal(enlarged(x)[0, :, :, 0], [[0, 0, 2, 2], [0, 0, 2, 2], [4, 4, 6, 6], [4, 4, 6, 6]])
    np.testing.assert_array_equal(halved(enlarged(x)), x)
    assert widths(64, 64, 8) == [64, 128, 256, 512, 512]


def test_faces_of_256_pixels():
    """100-d noise, 16 times the last layer's channels at 4 x 4, six doublings; nothing normalises over the batch in the
    critic."""
    model = create("wgan-gp-256")
    params, extra = jax.eval_shape(model.init, KEY)
    assert params["generator"]["Dense_0"]["kernel"].shape == (100, 4 * 4 * 512)
    assert sum(name.startswith("UpBlock") for name in params["generator"]) == 6
    assert params["generator"]["Conv_0"]["kernel"].shape == (3, 3, 32, 3)
    assert extra["critic"] == {} and not any("Norm" in name for name in jax.tree.leaves(list(params["critic"])))
    assert model.critic_steps == 5 and model.gradient_penalty == 10


@pytest.mark.parametrize("norm", ["layer", "spectral", "none"])
def test_the_critic_keeps_pictures_apart(norm):
    model = tiny(critic_norm=norm)
    params, extra, batch = started(model)
    judge = jax.jit(lambda params, image: model.judge(params, extra, image, batch, KEY, train=True)[0])
    together, alone = judge(params, batch["image"]), judge(params, batch["image"][1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-5)


@pytest.mark.parametrize("size", [16, 64, 256])
def test_a_u_net_paints_over_its_canvas(size):
    model = WGAN(image_size=size, network="unet", width=8, latent_size=100)
    params, extra = jax.eval_shape(model.init, KEY)
    assert jax.eval_shape(lambda *tree: model.sample(*tree, KEY, 2), params, extra).shape == (2, size, size, 3)
    side = size // 8
    assert params["generator"]["Dense_0"]["kernel"].shape == (100, side * side * 8)


def test_every_weight_of_the_u_net_matters():
    model = tiny(network="unet")
    params, extra, batch = started(model)
    loss = lambda mine: model.phases[1].loss({**params, "generator": mine}, extra, batch, KEY, STEP)[0]
    grads = jax.jit(jax.grad(loss))(params["generator"])
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))
    latent = model.latents(KEY, 2)
    assert np.abs(np.diff(jitted(model, "render")(params, extra, latent), axis=0)).max() > 1e-3


def test_a_critic_of_slope_one_pays_no_penalty():
    """D(x) = <x, w> with |w| = 1, in place of the network."""
    model = tiny()
    w = np.random.default_rng(3).normal(size=(16, 16, 2)).astype(np.float32)
    w /= np.linalg.norm(w)
    from zoo.losses import gradient_penalty

    _, _, batch = started(model)
    linear = lambda x: jnp.sum(x * w[None], axis=(1, 2, 3))
    penalty = lambda critic: float(jax.jit(lambda x: gradient_penalty(critic, x, -x, KEY))(batch["image"]))
    assert penalty(linear) == pytest.approx(0, abs=1e-8)
    double = penalty(lambda x: 2 * linear(x))
    assert double == pytest.approx(1, rel=1e-4)


def test_layer_norm_is_of_one_picture():
    block = DownBlock(4, None, layer_norm=True)
    x = jax.random.normal(KEY, (2, 4, 4, 3))
    params = jax.jit(block.init)(KEY, x)
    norm = params["params"]["GroupNorm_0"]
    assert norm["scale"].shape == (3,)
    apply = jax.jit(block.apply)
    np.testing.assert_allclose(apply(params, x)[:1], apply(params, x[:1]), rtol=1e-5)


@pytest.mark.parametrize(
    "fields", [{"image_size": 48}, {"network": "mlp"}, {"critic_norm": "batch"}, {"loss": "earth"}]
)
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value) and str(next(iter(fields.values()))) in str(error.value)
