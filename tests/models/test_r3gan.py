"""What is R3GAN's own: mirrored networks, fix-up initialisation, its loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted

from zoo import create
from zoo.errors import UserError
from zoo.gan.r3gan import GAIN, R3GAN
from zoo.losses import relativistic_critic, zero_centred_penalty

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    return R3GAN(**{"image_size": 16, "channels": 2, "latent_size": 5, "width": 8, "group": 4} | fields)


def started(model):
    params, extra = initialised(model)
    shape = model.batch_spec(4)["image"].shape
    return params, extra, {"image": jnp.asarray(np.random.default_rng(1).uniform(-1, 1, shape), jnp.float32)}


def test_the_published_network_for_32_pixels():
    """768 channels at four sizes, two blocks each, 1536 channels inside in 96 groups."""
    model = create("r3gan")
    params, extra = jax.eval_shape(model.init, KEY)
    for player in ("generator", "critic"):
        blocks = [tree for name, tree in params[player].items() if name.startswith("Block")]
        assert len(blocks) == 8
        assert {b["GroupedConv_0"]["kernel"].shape for b in blocks} == {(3, 3, 1536 // 96, 1536)}
    assert extra == {"generator": {}, "critic": {}}  # nothing is normalised
    assert R3GAN(image_size=128).widths == (768, 768, 768, 768, 384, 192)


def test_blocks_begin_as_nothing_and_layers_by_depth():
    params, _ = jax.jit(tiny(width=64, blocks=2).init)(KEY)  # three sizes: six blocks
    block = params["critic"]["Block_0"]
    assert not np.any(block["Conv_1"]["kernel"])
    assert np.std(block["Conv_0"]["kernel"]) == pytest.approx(GAIN * 6**-0.25 / 64**0.5, rel=0.05)
    assert np.std(block["GroupedConv_0"]["kernel"]) == pytest.approx(GAIN * 6**-0.25 / (9 * 4) ** 0.5, rel=0.05)


def test_a_fresh_generator_keeps_the_variance():
    model = tiny(width=64)
    params, extra = initialised(model)
    draw = lambda params: model.imagine(params, extra, {"image": jnp.zeros((256, 16, 16, 2))}, KEY, train=True)[0]
    assert 0.3 < float(jnp.std(jax.jit(draw)(params))) < 1.5


def test_the_loss_is_relativistic_with_both_penalties():
    model = tiny(r1=0.5, r2=0.25, image_size=8, expansion=1)
    params, extra, batch = started(model)

    def plain(params):
        fake, _ = model.imagine(params, extra, batch, jax.random.fold_in(KEY, 0), train=True)
        critic = lambda x: model.judge(params, extra, x, batch, KEY, train=True)[0]
        loss = relativistic_critic(critic(batch["image"]), critic(fake))
        return loss + 0.5 * zero_centred_penalty(critic, batch["image"]) + 0.25 * zero_centred_penalty(critic, fake)

    want = jax.jit(plain)(params)
    loss, (_, metrics) = jax.jit(model.phases[0].loss)(params, extra, batch, KEY, STEP)
    assert float(loss) == pytest.approx(float(want), rel=1e-4)
    assert set(metrics) == {"real", "fake", "signs", "r1", "r2"}


def test_pictures_are_cut_to_their_range():
    model = tiny()
    params, extra = initialised(model)
    loud = jax.tree.map(lambda leaf: 3 * np.asarray(leaf), params)
    images = jitted(model, "sample", "n")(loud, extra, KEY, n=4)
    assert float(np.abs(images).max()) == 1


@pytest.mark.parametrize("fields", [{"image_size": 48}, {"width": 9}, {"group": 0}])
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value)
