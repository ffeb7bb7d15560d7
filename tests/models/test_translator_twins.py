"""The translators' and VQ-VAE's networks in PyTorch's layers, with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_like

from zoo.gan.cyclegan import CycleGAN
from zoo.gan.pix2pix import Pix2Pix
from zoo.vae.vqvae import VQVAE

pytestmark = pytest.mark.reference
torch = pytest.importorskip("torch")
F = torch.nn.functional
KEY = jax.random.key(0)


def started(model, size=2):
    params, extra = initialised(model)
    rng, params = np.random.default_rng(1), random_like(params)
    shapes = {name: spec.shape for name, spec in model.batch_spec(size).items()}
    return params, extra, {k: jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32) for k, shape in shapes.items()}


def tensor(x):
    return torch.tensor(np.array(x))


def pixels(x):
    return tensor(x).permute(0, 3, 1, 2)


def conv(x, tree, **how):
    bias = tensor(tree["bias"]) if "bias" in tree else None
    return F.conv2d(x, tensor(tree["kernel"]).permute(3, 2, 0, 1), bias, **how)


def up(x, tree, **how):
    bias = tensor(tree["bias"]) if "bias" in tree else None
    return F.conv_transpose2d(x, tensor(tree["kernel"]).permute(2, 3, 0, 1), bias, stride=2, padding=1, **how)


def norm(x, tree=None):
    scale, bias = (tensor(tree["scale"]), tensor(tree["bias"])) if tree else (None, None)
    return F.instance_norm(x, weight=scale, bias=bias, eps=1e-5)


def close(ours, theirs, tolerance=2e-4):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=tolerance, rtol=1e-3)


def test_u_net_and_the_critic_of_patches():
    model = Pix2Pix(image_size=32, input_channels=1, width=4, critic_layers=2, dropout=0.0)
    params, extra, batch = started(model)
    tree, x = params["generator"], pixels(batch["input"])
    seen = [conv(x, tree["Conv_0"], stride=2, padding=1)]
    for level in range(1, 5):
        x = conv(F.leaky_relu(seen[-1], 0.2), tree[f"Conv_{level}"], stride=2, padding=1)
        seen.append(x if level == 4 else norm(x, tree[f"InstanceNorm_{level - 1}"]))
    x = seen.pop()
    for depth in range(4):
        x = norm(
            up(
                F.relu(x),
                tree[f"ConvTranspose_{depth}"],
            ),
            tree[f"InstanceNorm_{3 + depth}"],
        )
        x = torch.cat([x, seen.pop()], 1)
    x = torch.tanh(up(F.relu(x), tree["ConvTranspose_4"]))
    close(jitted(model, "translate")(params, extra, batch["input"], KEY), x.permute(0, 2, 3, 1))
    tree = params["critic"]
    x = F.leaky_relu(
        conv(torch.cat([pixels(batch["input"]), pixels(batch["image"])], 1), tree["Conv_0"], stride=2, padding=1), 0.2
    )
    for layer, stride in ((1, 2), (2, 1)):
        x = conv(x, tree[f"Conv_{layer}"], stride=stride, padding=1)
        x = F.leaky_relu(norm(x, tree[f"InstanceNorm_{layer - 1}"]), 0.2)
    judge = lambda params: model.judge(params, extra, batch["image"], batch, KEY, train=True)[0]
    logits = jax.jit(judge)(params)
    close(logits, conv(x, tree["Conv_3"], padding=1).flatten(1))


def test_residual_translators():
    model = CycleGAN(image_size=16, width=4, blocks=2, critic_layers=1)
    params, extra, batch = started(model)
    tree = params["generator"]["forth"]
    mirrored = lambda x, edge: F.pad(x, (edge,) * 4, mode="reflect")
    x = F.relu(norm(conv(mirrored(pixels(batch["input"]), 3), tree["Conv_0"])))
    for layer in (1, 2):
        x = F.relu(norm(conv(x, tree[f"Conv_{layer}"], stride=2, padding=1)))
    for block in range(2):
        y = F.relu(norm(conv(mirrored(x, 1), tree[f"Conv_{3 + 2 * block}"])))
        x = x + norm(conv(mirrored(y, 1), tree[f"Conv_{4 + 2 * block}"]))
    for layer in range(2):
        x = F.relu(norm(up(x, tree[f"ConvTranspose_{layer}"], output_padding=1)))
    x = torch.tanh(conv(mirrored(x, 3), tree["Conv_7"]))
    close(jitted(model, "translate")(params, extra, batch["input"]), x.permute(0, 2, 3, 1))


def test_encoder_and_decoder_of_codes():
    model = VQVAE(image_size=16, width=8, codes=5, code_size=3, residual_width=4, residual_layers=2)
    params, extra, batch = started(model)
    _, (extra, _) = jitted(model, "loss")(params, extra, batch, KEY, jnp.int32(0))

    def residuals(x, tree):
        for layer in (0, 2):
            y = conv(F.relu(x), tree[f"Conv_{layer}"], padding=1)
            x = x + conv(F.relu(y), tree[f"Conv_{layer + 1}"])
        return F.relu(x)

    tree, x = params["autoencoder"]["encoder"], pixels(batch["image"])
    for layer in range(2):
        x = F.relu(conv(x, tree[f"Conv_{layer}"], stride=2, padding=1))
    x = conv(residuals(conv(x, tree["Conv_2"], padding=1), tree["Residuals_0"]), tree["Conv_3"])
    book = tensor(extra["codebook"]["codes"])
    codes = torch.cdist(x.permute(0, 2, 3, 1).reshape(-1, 3), book).argmin(1).reshape(2, 4, 4)
    np.testing.assert_array_equal(jitted(model, "encode")(params, extra, batch["image"]), codes.numpy())
    tree, x = params["autoencoder"]["decoder"], book[codes].permute(0, 3, 1, 2)
    x = residuals(conv(x, tree["Conv_0"], padding=1), tree["Residuals_0"])
    x = up(F.relu(up(x, tree["ConvTranspose_0"])), tree["ConvTranspose_1"])
    close(jitted(model, "render")(params, extra, codes.numpy()), x.clamp(-1, 1).permute(0, 2, 3, 1))
