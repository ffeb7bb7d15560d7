"""What is VoxGAN's own: its shapes, what its critic may not do, its paper's rule, and PyTorch's numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.errors import UserError
from zoo.gan import adversarial
from zoo.gan.voxgan import VoxGAN

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    return VoxGAN(**{"image_size": 8, "channels": 4, "latent_size": 5, "width": 3} | fields)


def started(model, size=4):
    params, extra = jax.jit(model.init)(KEY)
    shape = model.batch_spec(size)["voxel"].shape
    return params, extra, {"voxel": jnp.asarray(np.random.default_rng(1).uniform(-1, 1, shape), jnp.float32)}


def test_at_64_voxels_the_layers_are_the_paper_s():
    """Figure 1 of Wu et al.: 512 x 4^3, 256 x 8^3, 128 x 16^3, 64 x 32^3, 1 x 64^3 of a 200-dimensional vector."""
    params, _ = jax.eval_shape(VoxGAN(image_size=64, channels=1).init, KEY)
    assert params["generator"]["Dense_0"]["kernel"].shape == (200, 4**3 * 512)
    ups = [params["generator"][f"ConvTranspose3D_{i}"]["kernel"].shape for i in range(4)]
    assert ups == [(4, 4, 4, 512, 256), (4, 4, 4, 256, 128), (4, 4, 4, 128, 64), (4, 4, 4, 64, 1)]
    downs = [params["critic"][f"Conv3D_{i}"]["kernel"].shape for i in range(4)]
    assert downs == [(4, 4, 4, 1, 64), (4, 4, 4, 64, 128), (4, 4, 4, 128, 256), (4, 4, 4, 256, 512)]


@pytest.mark.parametrize("norm", ["layer", "spectral", "none"])
def test_the_critic_keeps_objects_apart(norm):
    model = tiny(image_size=16, critic_norm=norm)
    params, extra, batch = started(model)
    judge = jax.jit(lambda x: model.judge(params, extra, x, batch, KEY, train=True)[0])
    np.testing.assert_allclose(judge(batch["voxel"])[1:2], judge(batch["voxel"][1:2]), rtol=1e-4)


def test_a_critic_that_tells_enough_is_left_alone():
    """Section 3.1 of the paper: up to the limit its loss is the usual one, above it there is nothing to learn."""
    model = tiny(critic_norm="batch", r1=None)
    params, extra, batch = started(model)
    slope = jax.jit(
        jax.value_and_grad(
            lambda mine, limit: (
                dataclasses.replace(model, accuracy_limit=limit)
                .phases[0]
                .loss({**params, "critic": mine}, extra, batch, KEY, STEP)
            ),
            has_aux=True,
        )
    )
    (free, (_, metrics)), grads = slope(params["critic"], jnp.float32(1.0))
    accuracy = float(metrics["accuracy"])
    assert 0 <= accuracy <= 1 and float(free) > 0 and max(np.abs(leaf).max() for leaf in jax.tree.leaves(grads)) > 0
    want, _ = adversarial.critic_loss(model, params, extra, batch, KEY, STEP)
    np.testing.assert_allclose(free, want, rtol=1e-5)
    (held, _), grads = slope(params["critic"], jnp.float32(accuracy - 0.01))
    assert float(held) == 0 and all(not np.any(leaf) for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize(
    "fields",
    [
        {"image_size": 24},
        {"channels": 3},
        {"critic_norm": "group"},
        {"critic_norm": "batch", "r1": 1.0},
        {"accuracy_limit": 0.8, "r1": 1.0},
        {"loss": "earth"},
    ],
)
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value)


@pytest.mark.reference
def test_the_generator_is_pytorch_s():
    """The same layers in PyTorch, with copied weights, by the batch's statistics."""
    torch = pytest.importorskip("torch")
    model = tiny(image_size=16)
    params, extra, _ = started(model)
    rng = np.random.default_rng(3)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32), params)
    latent = model.latents(KEY, 3)
    variables = {"params": params["generator"], "batch_stats": extra["generator"]}
    ours, _ = model.generator.apply(variables, latent, train=True, mutable="batch_stats")
    weights = jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)), params["generator"])
    x = torch.from_numpy(np.array(latent)) @ weights["Dense_0"]["kernel"]
    x = x.reshape(3, 4, 4, 4, 6).permute(0, 4, 1, 2, 3)
    for layer in range(2):
        norm, up = weights[f"BatchNorm_{layer}"], weights[f"ConvTranspose3D_{layer}"]
        x = torch.relu(torch.nn.functional.batch_norm(x, None, None, norm["scale"], norm["bias"], training=True))
        kernel = up["kernel"].permute(3, 4, 0, 1, 2)
        x = torch.nn.functional.conv_transpose3d(x, kernel, up.get("bias"), stride=2, padding=1)
    np.testing.assert_allclose(ours, torch.tanh(x).permute(0, 2, 3, 4, 1).numpy(), atol=2e-5)
