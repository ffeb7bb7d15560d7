"""What is WaveGAN's own: its shapes, its shuffled phases, and PyTorch's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.errors import UserError
from zoo.gan.wavegan import WaveGAN, shuffled

KEY = jax.random.key(0)


def tiny(**fields):
    return WaveGAN(**{"length": 256, "latent_size": 5, "width": 3} | fields)


def test_at_a_second_the_layers_are_the_paper_s():
    """Tables 4 and 5 of Donahue et al., d = 64: kernels of 25, from 16 x 1024 to 16384 x 1."""
    params, _ = jax.eval_shape(WaveGAN().init, KEY)
    assert params["generator"]["Dense_0"]["kernel"].shape == (100, 16 * 1024)
    ups = [params["generator"][f"ConvTranspose1D_{i}"]["kernel"].shape for i in range(5)]
    assert ups == [(25, 1024, 512), (25, 512, 256), (25, 256, 128), (25, 128, 64), (25, 64, 1)]
    downs = [params["critic"][f"Conv1D_{i}"]["kernel"].shape for i in range(5)]
    assert downs == [(25, 1, 64), (25, 64, 128), (25, 128, 256), (25, 256, 512), (25, 512, 1024)]
    assert params["critic"]["Dense_0"]["kernel"].shape == (16 * 1024, 1)


def test_shuffled_phases():
    """Each example moves by its own whole number of steps, and what is missing is mirrored."""
    x = jnp.arange(10.0)[None, :, None] + 100 * jnp.arange(64.0)[:, None, None]
    moved = np.asarray(shuffled(x, KEY, 2))[..., 0]
    padded = np.pad(np.asarray(x)[..., 0], ((0, 0), (2, 2)), mode="reflect")
    every = [padded[:, at : at + 10] for at in range(5)]
    chosen = [next(at for at in range(5) if np.array_equal(every[at][row], moved[row])) for row in range(64)]
    assert set(chosen) == set(range(5))
    np.testing.assert_array_equal(shuffled(x, KEY, 0), x)


def test_only_training_shuffles():
    model = tiny()
    params, extra = jax.jit(model.init)(KEY)
    x = jax.random.normal(KEY, (4, 256, 1))
    judge = lambda key, train: np.asarray(model.judge(params, extra, x, {}, key, train=train)[0])
    other = jax.random.key(1)
    np.testing.assert_array_equal(judge(KEY, False), judge(other, False))
    np.testing.assert_array_equal(judge(KEY, True), judge(KEY, True))
    assert (judge(KEY, True) != judge(other, True)).any()


@pytest.mark.parametrize("fields", [{"length": 1000}, {"critic_norm": "batch"}, {"shuffle": 16}, {"loss": "earth"}])
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        tiny(**fields)
    assert "\n" not in str(error.value) and str(next(iter(fields.values()))) in str(error.value)


@pytest.mark.reference
def test_both_networks_are_pytorch_s():
    """The same layers in PyTorch, with copied weights."""
    torch = pytest.importorskip("torch")
    model, functions = tiny(), torch.nn.functional
    params, extra = jax.jit(model.init)(KEY)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.05 * rng.normal(size=leaf.shape).astype(np.float32), params)
    weights = jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)), params)
    latent = model.latents(KEY, 3)
    mine = weights["generator"]
    x = torch.from_numpy(np.array(latent)) @ mine["Dense_0"]["kernel"] + mine["Dense_0"]["bias"]
    x = torch.relu(x.reshape(3, 16, 6).transpose(1, 2))
    for layer in range(2):
        up = mine[f"ConvTranspose1D_{layer}"]  # of 21 zeros that "SAME" is short of, 10 come first
        x = functions.conv_transpose1d(x, up["kernel"].permute(1, 2, 0), up["bias"], stride=4)[..., 10:-11]
        x = torch.relu(x) if layer == 0 else torch.tanh(x)
    wave = model.render(params, extra, latent)
    np.testing.assert_allclose(wave, x.transpose(1, 2).numpy(), atol=1e-5)
    mine = weights["critic"]
    for layer in range(2):
        down = mine[f"Conv1D_{layer}"]
        x = functions.conv1d(functions.pad(x, (10, 11)), down["kernel"].permute(2, 1, 0), down["bias"], stride=4)
        x = functions.leaky_relu(x, 0.2)
    logits = x.transpose(1, 2).reshape(3, -1) @ mine["Dense_0"]["kernel"] + mine["Dense_0"]["bias"]
    ours, _ = model.judge(params, extra, wave, {}, KEY, train=False)
    np.testing.assert_allclose(ours, logits[:, 0].numpy(), atol=1e-5)
