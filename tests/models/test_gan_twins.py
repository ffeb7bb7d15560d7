"""The GANs' networks in PyTorch's layers, with the same weights: pictures, logits, and the gradient of a penalised
critic by PyTorch's own double backward."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, random_like

from zoo.gan import style
from zoo.gan.biggan import BigGAN
from zoo.gan.cgan import CGAN
from zoo.gan.gan2d import GAN2D
from zoo.gan.r3gan import R3GAN
from zoo.gan.stylegan import StyleGAN
from zoo.gan.stylegan2 import StyleGAN2
from zoo.gan.wgan import WGAN

pytestmark = pytest.mark.reference
torch = pytest.importorskip("torch")
F = torch.nn.functional
KEY, STEP = jax.random.key(0), jnp.int32(0)


def started(model, size=4):
    """Shaken parameters, so that no zero of the initialisation hides a layer; data; and the critic phase's samples."""
    params, extra = initialised(model)
    rng, params = np.random.default_rng(1), random_like(params)
    batch = {name: rng.uniform(-1, 1, spec.shape).astype(np.float32) for name, spec in model.batch_spec(size).items()}
    if "label" in batch:
        batch["label"] = rng.integers(0, model.classes, size).astype(np.int32)
    fake, _ = jax.jit(lambda *tree: model.imagine(*tree, batch, jax.random.fold_in(KEY, 0), train=True))(params, extra)
    return params, extra, batch, fake


def judged(model, params, extra, batch):
    """Logits of the data."""
    judge = lambda params: model.judge(params, extra, model.observe(batch), batch, KEY, train=True)[0]
    return jax.jit(judge)(params)


def tensor(x):
    return x if isinstance(x, torch.Tensor) else torch.tensor(np.array(x))


def pixels(x):
    return tensor(x).permute(0, 3, 1, 2)


def dense(x, tree):
    y = x @ tensor(tree["kernel"])
    return y + tensor(tree["bias"]) if "bias" in tree else y


def conv(x, tree, **how):
    kernel = tensor(tree["kernel"]).permute(3, 2, 0, 1)
    return F.conv2d(x, kernel, tensor(tree["bias"]) if "bias" in tree else None, padding="same", **how)


def batch_norm(x, tree):
    weight, bias = (tensor(tree[name]) if name in tree else None for name in ("scale", "bias"))
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=1e-5)


def close(ours, theirs, tolerance=2e-4):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=tolerance, rtol=1e-3)


def test_gan2d():
    model = GAN2D(width=6, layers=2, critic_width=5, critic_layers=2, pieces=3, pack=2)
    params, extra, batch, fake = started(model)
    tree, x = params["generator"], tensor(model.latents(jax.random.fold_in(KEY, 0), 4))
    for layer in range(2):
        x = torch.relu(batch_norm(dense(x, tree[f"Dense_{layer}"]), tree[f"BatchNorm_{layer}"]))
    close(fake, dense(x, tree["Dense_2"]).reshape(2, 4))
    tree, x = params["critic"], tensor(batch["point"]).reshape(2, 4)
    for layer in range(2):
        x = dense(x, tree[f"Dense_{layer}"]).reshape(2, 5, 3).amax(-1)
    close(judged(model, params, extra, batch), dense(x, tree["Dense_2"])[:, 0])


def residual_norm(x, tree, label):
    x = batch_norm(x, tree.get("BatchNorm_0", {}))
    if label is None:
        return x
    gain, bias = (dense(label, tree[name])[:, :, None, None] for name in ("gain", "bias"))
    return x * gain + bias


def residual_generator(tree, latent, label):
    x = dense(latent, tree["Dense_0"]).reshape(len(latent), 4, 4, -1).permute(0, 3, 1, 2)
    for index in range(sum(name.startswith("UpBlock") for name in tree)):
        block, grow = tree[f"UpBlock_{index}"], lambda x: F.interpolate(x, scale_factor=2)
        y = conv(grow(torch.relu(residual_norm(x, block["Norm_0"], label))), block["Conv_0"])
        y = conv(torch.relu(residual_norm(y, block["Norm_1"], label)), block["Conv_1"])
        x = y + conv(grow(x), block["skip"])
    return torch.tanh(conv(torch.relu(batch_norm(x, tree["BatchNorm_0"])), tree["Conv_0"]))


def residual_critic(tree, x, label):
    for index in range(sum(name.startswith("DownBlock") for name in tree)):
        block = tree[f"DownBlock_{index}"]
        y = conv(x if index == 0 else torch.relu(x), block["Conv_0"])
        y = F.avg_pool2d(conv(torch.relu(y), block["Conv_1"]), 2)
        x = y + conv(F.avg_pool2d(x, 2), block["skip"])
    x = torch.relu(x).sum((2, 3))
    logits = dense(x, tree["Dense_0"])[:, 0]
    return logits if label is None else logits + (dense(label, tree["projection"]) * x).sum(1)


def test_wgan_gp_with_its_penalty():
    """The loss of Gulrajani et al. 2017, equation 3, and its gradient through create_graph."""
    model = WGAN(image_size=16, channels=2, latent_size=5, width=3, widest=2)
    params, extra, batch, fake = started(model)
    latent = tensor(model.latents(jax.random.fold_in(KEY, 0), 4))
    close(fake.transpose(0, 3, 1, 2), residual_generator(params["generator"], latent, None))
    share = pixels(jax.random.uniform(jax.random.fold_in(KEY, 3), (4, 1, 1, 1)))
    real, drawn = pixels(batch["image"]), pixels(fake)
    kernel = tensor(params["critic"]["DownBlock_1"]["Conv_0"]["kernel"]).requires_grad_()
    layer = {**params["critic"]["DownBlock_1"]["Conv_0"], "kernel": kernel}
    tree = {**params["critic"], "DownBlock_1": {**params["critic"]["DownBlock_1"], "Conv_0": layer}}
    critic = lambda x: residual_critic(tree, x, None)
    between = (share * real + (1 - share) * drawn).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = (slope.square().sum((1, 2, 3)).sqrt() - 1).square().mean()
    loss = critic(drawn).mean() - critic(real).mean() + 10 * penalty
    loss.backward()
    ours = lambda mine: model.phases[0].loss({**params, "critic": mine}, extra, batch, KEY, STEP)[0]
    value, grad = jax.jit(jax.value_and_grad(ours))(params["critic"])
    close(value, loss)
    close(grad["DownBlock_1"]["Conv_0"]["kernel"], kernel.grad, 1e-3)


def test_cgan():
    model = CGAN(image_size=16, channels=2, latent_size=5, width=3, widest=2, classes=3, critic_norm="none")
    params, extra, batch, fake = started(model)
    label = F.one_hot(tensor(batch["label"]).long(), 3).float()
    latent = tensor(jax.random.normal(jax.random.fold_in(KEY, 0), (4, 5)))
    close(fake.transpose(0, 3, 1, 2), residual_generator(params["generator"], latent, label))
    close(judged(model, params, extra, batch), residual_critic(params["critic"], pixels(batch["image"]), label), 1e-3)


def bilinear(channels):
    taps = torch.tensor([1.0, 2.0, 1.0]) / 4
    return (taps[:, None] * taps)[None, None].repeat(channels, 1, 1, 1)


def r3gan_block(x, tree, group):
    act = lambda x, bias: F.leaky_relu(x + tensor(bias)[None, :, None, None], 0.2)
    y = act(conv(x, tree["Conv_0"]), tree["bias_0"])
    y = act(conv(y, tree["GroupedConv_0"], groups=y.shape[1] // group), tree["bias_1"])
    return x + conv(y, tree["Conv_1"])


def test_r3gan():
    model = R3GAN(image_size=64, channels=2, latent_size=5, width=8, group=4, blocks=1)
    params, extra, batch, fake = started(model, 2)
    tree, count = params["generator"], len(model.widths)
    weights = dense(tensor(model.latents(jax.random.fold_in(KEY, 0), 2)), tree["Dense_0"])
    x, narrow = weights[:, :, None, None] * tensor(tree["basis"]).permute(2, 0, 1)[None], 0
    for level, width in enumerate(model.widths):
        if level:
            if x.shape[1] != width:
                x, narrow = conv(x, tree[f"Conv_{narrow}"]), narrow + 1
            x = F.conv_transpose2d(x, 4 * bilinear(width), stride=2, padding=1, output_padding=1, groups=width)
        x = r3gan_block(x, tree[f"Block_{level}"], 4)
    close(fake.transpose(0, 3, 1, 2), conv(x, tree[f"Conv_{narrow}"]), 1e-3)
    tree, x, narrow = params["critic"], conv(pixels(batch["image"]), params["critic"]["Conv_0"]), 1
    for level in reversed(range(count)):
        x = r3gan_block(x, tree[f"Block_{count - 1 - level}"], 4)
        if level:
            x = F.conv2d(x, bilinear(x.shape[1]), stride=2, padding=1, groups=x.shape[1])
            if x.shape[1] != model.widths[level - 1]:
                x, narrow = conv(x, tree[f"Conv_{narrow}"]), narrow + 1
    x = (x * tensor(tree["basis"]).permute(2, 0, 1)[None]).sum((2, 3))
    close(judged(model, params, extra, batch), dense(x, tree["Dense_0"])[:, 0], 1e-3)


def low_pass(x, pads, gain=1.0, stride=1):
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (gain * taps[:, None] * taps)[None, None].repeat(x.shape[1], 1, 1, 1)
    return F.conv2d(F.pad(x, pads), kernel, stride=stride, groups=x.shape[1])


def equal_dense(x, tree, rate=1.0):
    kernel = tensor(tree["kernel"])
    return x @ kernel * (rate / math.sqrt(len(kernel))) + tensor(tree["bias"]) * rate


def equal_conv(x, tree, **how):
    kernel = tensor(tree["kernel"]).permute(3, 2, 0, 1)
    bias = tensor(tree["bias"]) if "bias" in tree else None
    return F.conv2d(x, kernel / math.sqrt(kernel[0].numel()), bias, **how)


def styled(x, kernel, style, demodulate, up=False):
    """One kernel a picture, as groups of one convolution."""
    own = kernel.permute(3, 2, 0, 1)[None] * style[:, None, :, None, None]
    if demodulate:
        own = own * (own.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    b, out, inside, k, _ = own.shape
    together = x.reshape(1, b * inside, *x.shape[2:])
    if up:
        y = F.conv_transpose2d(together, own.transpose(1, 2).reshape(b * inside, out, k, k), stride=2, groups=b)
        return low_pass(y.reshape(b, out, *y.shape[2:]), (1, 1, 1, 1), gain=4.0)
    y = F.conv2d(together, own.reshape(b * out, inside, k, k), padding=k // 2, groups=b)
    return y.reshape(b, out, *x.shape[2:])


def test_stylegan2():
    model = StyleGAN2(image_size=16, channels=2, latent_size=6, base=64, widest=8, mixing=0.0)
    params, extra, batch, _ = started(model)
    latent = model.latents(KEY, 4)
    ours = jax.jit(lambda params: style.painted(model, params, model.styles(params, extra, latent)))(params)
    act = lambda x: F.leaky_relu(x, 0.2) * math.sqrt(2)
    w = tensor(latent)
    w = w * (w.square().mean(1, keepdim=True) + 1e-8).rsqrt()
    for layer in range(2):
        w = act(equal_dense(w, params["generator"]["mapping"][f"EqualDense_{layer}"], 0.01))
    tree = params["generator"]["synthesis"]
    x, picture, at = tensor(tree["start"]).permute(2, 0, 1)[None].repeat(4, 1, 1, 1), None, 0
    for level in range(3):
        for layer in range(2 if level else 1):
            mine = tree[f"StyledConv_{at}"]
            x = styled(x, tensor(mine["kernel"]), equal_dense(w, mine["style"]), True, up=level > 0 and layer == 0)
            noise = pixels(jax.random.normal(jax.random.fold_in(jax.random.key(0), at), (1, *x.shape[2:], 1)))
            x = act(x + float(mine["strength"]) * noise + tensor(mine["bias"])[None, :, None, None])
            at += 1
        mine = tree[f"ToPicture_{level}"]
        scales = equal_dense(w, mine["style"]) / math.sqrt(x.shape[1])
        added = styled(x, tensor(mine["kernel"]), scales, False) + tensor(mine["bias"])[None, :, None, None]
        if picture is not None:
            wide = torch.zeros(4, 2, 2 * picture.shape[2], 2 * picture.shape[3])
            wide[:, :, ::2, ::2] = picture
            added = added + low_pass(wide, (2, 1, 2, 1), gain=4.0)
        picture = added
    close(ours.transpose(0, 3, 1, 2), picture, 1e-3)

    tree, x = params["critic"], pixels(batch["image"])
    x = act(equal_conv(x, tree["EqualConv_0"]))
    for level in range(2):
        first, second, skip = (tree[f"EqualConv_{3 * level + layer}"] for layer in (1, 2, 3))
        y = act(equal_conv(x, first, padding=1))
        y = act(equal_conv(low_pass(y, (2, 2, 2, 2)), second, stride=2))
        x = (y + equal_conv(low_pass(x, (1, 1, 1, 1), stride=2), skip)) / math.sqrt(2)
    spread = (x.var(0, unbiased=False) + 1e-8).sqrt().mean().expand(4, 1, 4, 4)
    x = act(equal_conv(torch.cat([x, spread], 1), tree["EqualConv_7"], padding=1))
    x = act(equal_dense(x.permute(0, 2, 3, 1).reshape(4, -1), tree["EqualDense_0"]))
    close(judged(model, params, extra, batch), equal_dense(x, tree["EqualDense_1"])[:, 0], 1e-3)


def blur(x):
    return F.conv2d(x, bilinear(x.shape[1]), padding=1, groups=x.shape[1])


def stylegan_critic(tree, x, levels):
    act = lambda x: F.leaky_relu(x, 0.2) * math.sqrt(2)
    x = act(equal_conv(x, tree["EqualConv_0"]))
    for level in range(levels):
        first, second = (tree[f"EqualConv_{2 * level + layer}"] for layer in (1, 2))
        y = blur(act(equal_conv(x, first, padding=1)))
        x = act(F.avg_pool2d(equal_conv(y, second, padding=1), 2))
    spread = (x.var(0, unbiased=False) + 1e-8).sqrt().mean().expand(4, 1, 4, 4)
    x = act(equal_conv(torch.cat([x, spread], 1), tree[f"EqualConv_{2 * levels + 1}"], padding=1))
    x = act(equal_dense(x.permute(0, 2, 3, 1).reshape(4, -1), tree["EqualDense_0"]))
    return equal_dense(x, tree["EqualDense_1"])[:, 0]


def test_stylegan_with_its_penalty():
    """Pictures; and the loss with R1, and its gradient through create_graph."""
    model = StyleGAN(image_size=16, channels=2, latent_size=6, base=64, widest=8, mapping=3, mixing=0.0)
    params, extra, batch, fake = started(model)
    act = lambda x: F.leaky_relu(x, 0.2) * math.sqrt(2)
    key = jax.random.fold_in(KEY, 0)  # the critic's latents
    w = tensor(model.latents(key, 4))
    w = w * (w.square().mean(1, keepdim=True) + 1e-8).rsqrt()
    for layer in range(3):
        w = act(equal_dense(w, params["generator"]["mapping"][f"EqualDense_{layer}"], 0.01))
    tree, layers = params["generator"]["synthesis"], 0
    x, noises = tensor(tree["start"]).permute(2, 0, 1)[None].repeat(4, 1, 1, 1), jax.random.fold_in(key, 11)
    for at in range(6):
        if at:
            x = F.interpolate(x, scale_factor=2) if at % 2 == 0 else x
            x, layers = equal_conv(x, tree[f"EqualConv_{layers}"], padding=1), layers + 1
            x = blur(x) if at % 2 == 0 else x
        mine = tree[f"Styled_{at}"]
        noise = pixels(jax.random.normal(jax.random.fold_in(noises, at), (4, *x.shape[2:], 1)))
        strength, bias = (tensor(mine[name])[None, :, None, None] for name in ("strength", "bias"))
        x = F.instance_norm(act(x + strength * noise + bias), eps=1e-8)
        scale, mean = equal_dense(w, mine["style"])[:, :, None, None].chunk(2, 1)
        x = x * (1 + scale) + mean
    close(fake.transpose(0, 3, 1, 2), equal_conv(x, tree["EqualConv_5"]), 1e-3)

    kernel = tensor(params["critic"]["EqualConv_2"]["kernel"]).requires_grad_()
    tree = {**params["critic"], "EqualConv_2": {**params["critic"]["EqualConv_2"], "kernel": kernel}}
    real = pixels(batch["image"]).requires_grad_()
    on_real, on_fake = stylegan_critic(tree, real, 2), stylegan_critic(tree, pixels(fake), 2)
    (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
    penalty = 10 / 2 * slope.square().sum((1, 2, 3)).mean()
    loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean() + penalty
    loss.backward()
    ours = lambda mine: model.phases[0].loss({**params, "critic": mine}, extra, batch, KEY, STEP)[0]
    value, grad = jax.jit(jax.value_and_grad(ours))(params["critic"])
    close(value, loss)
    close(grad["EqualConv_2"]["kernel"], kernel.grad, 1e-3)


def spectral(tree, vectors, path=()):
    """Kernels divided by their norm along the stored vectors, after one turn."""
    out = {}
    for name, leaf in tree.items():
        here = (*path, name)
        if isinstance(leaf, dict):
            out[name] = spectral(leaf, vectors, here)
        elif leaf.ndim < 2:
            out[name] = leaf
        else:
            matrix = tensor(leaf).reshape(-1, leaf.shape[-1])
            left = F.normalize(matrix @ tensor(vectors[".".join(here)]), dim=0)
            right = F.normalize(left @ matrix, dim=0)
            out[name] = tensor(leaf) / (left @ matrix @ right)
    return out


def attention(x, tree):
    b, _, h, w = x.shape
    query, key, value = (conv(x, tree[name]) for name in ("query", "key", "value"))
    key, value = (F.max_pool2d(y, 2).flatten(2) for y in (key, value))
    weights = torch.softmax(query.flatten(2).transpose(1, 2) @ key, -1)
    found = (value @ weights.transpose(1, 2)).reshape(b, -1, h, w)
    return x + float(tree["gain"]) * conv(found, tree["out"])


def test_biggan():
    model = BigGAN(image_size=16, channels=2, chunk=3, embedding=4, width=4, attention=8, classes=3)
    params, extra, batch, fake = started(model)
    label = F.one_hot(tensor(batch["label"]).long(), 3).float()
    latent = tensor(jax.random.normal(jax.random.fold_in(KEY, 0), (4, 9)))
    layers = {name: leaf for name, leaf in params["generator"].items() if name != "embedding"}
    tree = spectral(layers, extra["vectors"])
    shared = dense(label, params["generator"]["embedding"])
    x = dense(latent[:, :3], tree["Dense_0"]).reshape(4, 4, 4, -1).permute(0, 3, 1, 2)

    def norm(x, mine, condition):
        gain, bias = (dense(condition, mine[name])[:, :, None, None] for name in ("gain", "bias"))
        return torch.relu(batch_norm(x, {}) * (1 + gain) + bias)

    for index in range(2):
        block, condition = tree[f"UpBlock_{index}"], torch.cat([shared, latent[:, 3 + 3 * index : 6 + 3 * index]], 1)
        grow = lambda x: F.interpolate(x, scale_factor=2)
        y = conv(grow(norm(x, block["ConditionalNorm_0"], condition)), block["Conv_0"])
        y = conv(norm(y, block["ConditionalNorm_1"], condition), block["Conv_1"])
        x = y + conv(grow(x), block["skip"])
        x = attention(x, tree["SelfAttention_0"]) if x.shape[2] == 8 else x
    x = torch.relu(batch_norm(x, tree["BatchNorm_0"]))
    close(fake.transpose(0, 3, 1, 2), torch.tanh(conv(x, tree["Conv_0"])), 1e-3)

    tree, x = spectral(params["critic"], extra["critic"]), pixels(batch["image"])
    for index in range(3):
        block, shrink = tree[f"DownBlock_{index}"], (lambda x: F.avg_pool2d(x, 2)) if index == 0 else (lambda x: x)
        y = conv(x if index == 0 else torch.relu(x), block["Conv_0"])
        y = shrink(conv(torch.relu(y), block["Conv_1"]))
        x = y + (shrink(conv(x, block["skip"])) if "skip" in block else x)
        x = attention(x, tree["SelfAttention_0"]) if index == 0 else x
    x = torch.relu(x).sum((2, 3))
    logits = dense(x, tree["Dense_0"])[:, 0] + (dense(label, tree["projection"]) * x).sum(1)
    close(model.judge(params, extra, batch["image"], batch, KEY, train=True)[0], logits, 1e-3)
