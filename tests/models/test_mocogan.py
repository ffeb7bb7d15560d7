"""What is MoCoGAN's own: its shapes, its two critics, and content apart from motion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.mocogan import MoCoGAN, _one_frame

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    shape = {"image_size": 16, "channels": 1, "length": 8, "content_size": 4, "motion_size": 3, "width": 3}
    return MoCoGAN(**shape | fields)


def started(model, size=3):
    params, extra = jax.jit(model.init)(KEY)
    shape = model.batch_spec(size)["video"].shape
    return params, extra, {"video": jnp.asarray(np.random.default_rng(1).uniform(-1, 1, shape), jnp.float32)}


def test_at_64_pixels_the_layers_are_the_paper_s():
    """60 numbers a frame; 3-D kernels of 4 that halve the picture and keep the time but for its ends."""
    model = MoCoGAN(image_size=64)
    params, extra = jax.eval_shape(model.init, KEY)
    assert params["generator"]["frames"]["Dense_0"]["kernel"].shape[0] == 50 + 10
    assert params["generator"]["GRULayer_0"]["recurrent"].shape == (10, 30)
    downs = [params["clip_critic"][f"Conv3D_{i}"]["kernel"].shape for i in range(4)]
    assert downs == [(4, 4, 4, 3, 64), (4, 4, 4, 64, 128), (4, 4, 4, 128, 256), (4, 4, 4, 256, 512)]
    assert params["frame_critic"]["Conv_0"]["kernel"].shape == (4, 4, 3, 64) and model.span == 13
    batch = model.batch_spec(2)
    for side, logits in zip(model.sides, ((2,), (2, 4)), strict=True):
        judge = lambda params, extra, batch, side=side: side.judge(
            params, extra, batch["video"], batch, KEY, train=True
        )
        assert jax.eval_shape(judge, params, extra, batch)[0].shape == logits


def test_a_frame_of_each_clip():
    x = jnp.arange(40 * 5.0).reshape(40, 5, 1, 1, 1)
    chosen = np.asarray(_one_frame(x, KEY))[:, 0, 0, 0] - 5 * np.arange(40)
    assert set(chosen.tolist()) == set(range(5))


def test_the_generator_plays_against_both():
    model = tiny()
    params, extra, batch = started(model)
    loss, (after, metrics) = jax.jit(model.phases[-1].loss)(params, extra, batch, KEY, STEP)
    fake, _ = model.imagine(params, extra, batch, jax.random.fold_in(KEY, adversarial.GENERATOR_LATENTS), train=True)
    want = [adversarial.deceit(side, params, extra, fake, batch, KEY) for side in model.sides]
    np.testing.assert_allclose([metrics["frame"], metrics["clip"]], want, rtol=1e-4)
    np.testing.assert_allclose(loss, sum(want), rtol=1e-4)
    assert [phase.player for phase in model.phases] == ["frame_critic", "clip_critic", "generator"]
    assert jax.tree.structure(after) == jax.tree.structure(extra)
    lazy = tiny(critic_norm="layer", r1=1.0, penalty_every=4).phases
    assert [phase.name or phase.player for phase in lazy] == [
        "frame_critic", "frame_penalty", "clip_critic", "clip_penalty", "generator",
    ]  # fmt: skip


def test_one_content_with_many_motions_and_one_motion_of_many_contents():
    model = tiny()
    free, motion, content = (model.latents(KEY, 3, vary=vary) for vary in (None, "motion", "content"))
    same = lambda x: bool(jnp.all(x == x[:1]))
    assert [same(x) for x in free.values()] == [False] * 3
    assert same(motion["content"]) and not same(motion["noise"]) and not same(motion["start"])
    assert same(content["noise"]) and same(content["start"]) and not same(content["content"])
    np.testing.assert_array_equal(motion["noise"], free["noise"])


def test_films_of_any_length_that_know_nothing_of_the_future():
    model = tiny()
    params, extra, _ = started(model)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.2 * rng.normal(size=leaf.shape).astype(np.float32), params)
    render = jax.jit(model.render)
    long = model.latents(KEY, 2, length=11)
    whole = render(params, extra, long)
    assert whole.shape == (2, 11, 16, 16, 1)
    short = render(params, extra, long | {"noise": long["noise"][:, :6]})
    np.testing.assert_allclose(short, whole[:, :6], atol=1e-5)
    assert np.abs(np.diff(whole, axis=1)).mean() > 1e-4  # it moves


@pytest.mark.parametrize(
    "fields", [{"image_size": 24}, {"length": 6}, {"critic_norm": "group"}, {"r1": 1.0}, {"loss": "earth"}]
)
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value)


@pytest.mark.reference
def test_the_critic_of_clips_is_pytorch_s():
    torch = pytest.importorskip("torch")
    model = tiny(critic_norm="none", channels=2)
    params, extra, batch = started(model)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.05 * rng.normal(size=leaf.shape).astype(np.float32), params)
    mine = jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)), params["clip_critic"])
    x = torch.from_numpy(np.array(batch["video"])).permute(0, 4, 1, 2, 3)
    for layer in range(3):
        kernel, bias = mine[f"Conv3D_{layer}"]["kernel"].permute(4, 3, 0, 1, 2), mine[f"Conv3D_{layer}"]["bias"]
        if layer == 2:
            x = torch.nn.functional.conv3d(x, kernel, bias)
            break
        x = torch.nn.functional.conv3d(x, kernel, bias, stride=(1, 2, 2), padding=(0, 1, 1))
        x = torch.nn.functional.leaky_relu(x, 0.2)
    ours, _ = model.sides[1].judge(params, extra, batch["video"], batch, KEY, train=True)
    np.testing.assert_allclose(ours, x.reshape(3, -1).numpy(), atol=1e-5)
