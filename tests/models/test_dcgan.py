"""What is DCGAN's own: its shapes, who touches which statistics, its losses, and PyTorch's numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted

from zoo.errors import UserError
from zoo.gan.dcgan import DCGAN
from zoo.losses import ADVERSARIAL

KEY = jax.random.key(0)


def tiny(**fields):
    return DCGAN(**{"image_size": 16, "channels": 2, "latent_size": 5, "width": 3} | fields)


def batch_of(model, size=4, dtype=jnp.float32):
    spec = model.batch_spec(size)["image"]
    return {"image": jnp.asarray(np.random.default_rng(1).uniform(-1, 1, spec.shape), dtype)}


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 4])
def test_any_size_and_channel_count(size, channels):
    model = DCGAN(image_size=size, channels=channels)
    params, extra = jax.eval_shape(model.init, KEY)
    assert jax.eval_shape(lambda *tree: model.sample(*tree, KEY, 2), params, extra).shape == (2, size, size, channels)
    first = params["generator"]["Dense_0"]["kernel"]
    assert first.shape == (100, 4 * 4 * 64 * min(size // 8, 8))  # 64 channels at half the size, at most 512


def test_at_64_pixels_the_layers_are_the_paper_s():
    """Figure 1 of Radford et al.: 4 x 4 x 512, then 256, 128, 64 channels, for a width of 64."""
    params, _ = jax.eval_shape(DCGAN(image_size=64, width=64).init, KEY)
    ups = [params["generator"][f"ConvTranspose_{i}"]["kernel"].shape for i in range(4)]
    assert ups == [(4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 64), (4, 4, 64, 3)]
    downs = [params["critic"][f"Conv_{i}"]["kernel"].shape for i in range(4)]
    assert downs == [(4, 4, 3, 64), (4, 4, 64, 128), (4, 4, 128, 256), (4, 4, 256, 512)]
    assert "BatchNorm_3" in params["generator"] and "BatchNorm_3" not in params["critic"]


def test_weights_start_small():
    params = jax.device_get(initialised(DCGAN(width=16))[0])
    kernels = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params) if leaf.ndim > 1])
    assert float(np.std(kernels)) == pytest.approx(0.02, rel=0.05)
    scale = params["generator"]["BatchNorm_0"]["scale"]
    assert float(np.mean(scale)) == pytest.approx(1, abs=0.02) and 0 < float(np.std(scale)) < 0.05


@pytest.mark.parametrize("fields", [{"image_size": 48}, {"image_size": 8}, {"image_size": 512}, {"loss": "hings"}])
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        DCGAN(**fields)
    assert "\n" not in str(error.value) and str(next(iter(fields.values()))) in str(error.value)


@functools.cache
def judged():
    """Logits of the data, and of what is drawn for the critic's phase and for the generator's."""
    model = tiny()

    def run(params, extra, batch):
        judge = lambda x: model.critic.apply(
            {"params": params["critic"], "batch_stats": extra["critic"]}, x, train=True, mutable="batch_stats"
        )[0]
        draw = lambda purpose: model.generator.apply(
            {"params": params["generator"], "batch_stats": extra["generator"]},
            model.latents(jax.random.fold_in(KEY, purpose), 4),
            train=True,
            mutable="batch_stats",
        )[0]
        return judge(batch["image"]), judge(draw(0)), judge(draw(1))

    return jax.jit(run)(*initialised(model), batch_of(model))


@pytest.mark.parametrize("loss", ADVERSARIAL)
def test_each_phase_answers_by_its_loss(loss):
    """From the parts: latents by purpose, batch statistics, the table's pair. Only one's own statistics move."""
    model, pair, (real, *fake) = tiny(loss=loss), ADVERSARIAL[loss], judged()
    params, extra = initialised(tiny())
    batch, phases = batch_of(model), [phase.loss for phase in model.phases]
    answers = jax.jit(lambda *given: [answer(*given, KEY, jnp.int32(0)) for answer in phases])(params, extra, batch)
    wanted = pair.critic(real, fake[0]), pair.generator(real, fake[1])
    for (value, (after, metrics)), want, phase in zip(answers, wanted, model.phases, strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-5)
        for player in extra:
            moved = jax.tree.leaves(jax.tree.map(lambda a, b: not np.array_equal(a, b), after[player], extra[player]))
            assert all(moved) if player == phase.player else not any(moved)
        assert set(metrics) == ({"real", "fake", "signs"} if phase.player == "critic" else set())


def test_sampling_uses_running_statistics():
    """A picture depends on its latent alone, and on the statistics."""
    model = tiny()
    params, extra = initialised(model)
    latent, render = np.asarray(model.latents(KEY, 3)), jitted(model, "render")
    two = lambda params, extra: (model.sample(params, extra, KEY, 3), model.render(params, extra, latent))
    np.testing.assert_array_equal(*jax.jit(two)(params, extra))
    images = render(params, extra, latent)
    np.testing.assert_allclose(render(params, extra, latent[1:2])[0], images[1], atol=1e-6)
    other = jax.tree.map(lambda leaf: np.asarray(leaf) + 1, extra)
    assert np.abs(render(params, other, latent) - images).max() > 1e-4


def test_evaluate_sums_over_the_batch():
    model = tiny()
    params, extra = initialised(model)
    params["critic"]["Dense_0"]["bias"] += 2.0
    sums = jitted(model, "evaluate")(params, extra, batch_of(model, 6), KEY)
    means = {name: float(total / count) for name, (total, count) in sums.items()}
    assert all(float(count) == 6 for _, count in sums.values())
    # An untrained critic says little but its bias.
    assert means["real"] == pytest.approx(2, abs=0.1) and means["fake"] == pytest.approx(2, abs=0.1)
    assert means["critic_loss"] == pytest.approx(np.log1p(np.exp(-2)) + np.log1p(np.exp(2)), abs=0.1)
    assert means["generator_loss"] == pytest.approx(np.log1p(np.exp(-2)), abs=0.1)


def gradients(params, extra, batch):
    """Of each player by its own phase."""
    model = tiny()
    return {
        phase.player: jax.grad(
            lambda mine, phase=phase: phase.loss({**params, phase.player: mine}, extra, batch, KEY, jnp.int32(0))[0]
        )(params[phase.player])
        for phase in model.phases
    }


slopes = jax.jit(gradients)


def test_a_population_is_its_members():
    model, batch = tiny(), batch_of(tiny())
    params, extra = jax.device_get(jax.jit(jax.vmap(model.init))(jax.random.split(KEY, 2)))
    together = jax.jit(jax.vmap(gradients, (0, 0, None)))(params, extra, batch)
    alone = slopes(*jax.tree.map(lambda leaf: leaf[1], (params, extra)), batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, atol=1e-5, rtol=1e-3), together, alone)


def test_float64_parameters_give_float64_results():
    model = tiny()
    params, extra = jax.device_get(initialised(model))
    single = slopes(params, extra, batch_of(model))
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        double = slopes(wide, extra, batch_of(model, dtype=jnp.float64))
        assert {leaf.dtype for leaf in jax.tree.leaves(double)} == {np.dtype("float64")}
        _, (after, _) = jax.eval_shape(model.phases[0].loss, wide, extra, batch_of(model), KEY, 0)
        assert {leaf.dtype for leaf in jax.tree.leaves(after)} == {np.dtype("float32")}  # as a scan's carry must
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-3), single, double)


@pytest.mark.reference
def test_against_pytorch():
    """The same weights in PyTorch's layers: pictures, logits, the critic's loss and a gradient."""
    torch = pytest.importorskip("torch")
    model = tiny(image_size=32)
    params, extra = initialised(model)
    batch, latent = batch_of(model), model.latents(KEY, 4)
    as_torch = lambda x: torch.tensor(np.array(x))
    to_channels_first = lambda x: as_torch(x).permute(0, 3, 1, 2)

    def load(layers, tree):
        """Copies one flax player into a list of PyTorch layers, in order."""
        counts: dict[str, int] = {}
        for layer in layers:
            name = {
                torch.nn.Linear: "Dense",
                torch.nn.Conv2d: "Conv",
                torch.nn.ConvTranspose2d: "ConvTranspose",
                torch.nn.BatchNorm2d: "BatchNorm",
            }.get(type(layer))
            if name is None:
                continue
            leaves = tree[f"{name}_{counts.setdefault(name, 0)}"]
            counts[name] += 1
            order = {"Dense": (1, 0), "Conv": (3, 2, 0, 1), "ConvTranspose": (2, 3, 0, 1), "BatchNorm": (0,)}[name]
            weight = leaves["scale"] if name == "BatchNorm" else leaves["kernel"]
            layer.weight.data = as_torch(weight).permute(*order).contiguous()
            if "bias" in leaves:
                layer.bias.data = as_torch(leaves["bias"])
        return layers

    nn = torch.nn
    norm = lambda features: nn.BatchNorm2d(features, eps=1e-5)
    up = lambda a, b, bias=False: nn.ConvTranspose2d(a, b, 4, 2, 1, bias=bias)
    down = lambda a, b, bias=False: nn.Conv2d(a, b, 4, 2, 1, bias=bias)
    grow = load(
        [nn.Linear(5, 4 * 4 * 12, bias=False), norm(12), nn.ReLU(), up(12, 6), norm(6), nn.ReLU(), up(6, 3), norm(3)]
        + [nn.ReLU(), up(3, 2, True), nn.Tanh()],
        params["generator"],
    )
    judge = load(
        [down(2, 3, True), nn.LeakyReLU(0.2), down(3, 6), norm(6), nn.LeakyReLU(0.2), down(6, 12), norm(12)]
        + [nn.LeakyReLU(0.2), nn.Linear(4 * 4 * 12, 1)],
        params["critic"],
    )
    x = grow[0](as_torch(latent)).reshape(4, 4, 4, 12).permute(0, 3, 1, 2)
    fake = nn.Sequential(*grow[1:])(x)
    logits = lambda x: judge[-1](nn.Sequential(*judge[:-1])(x).permute(0, 2, 3, 1).reshape(4, -1))[:, 0]
    loss = nn.functional.softplus(-logits(to_channels_first(batch["image"]))).mean()
    loss = loss + nn.functional.softplus(logits(fake.detach())).mean()
    loss.backward()

    draw = lambda params: model.generator.apply(
        {"params": params, "batch_stats": extra["generator"]}, latent, train=True, mutable="batch_stats"
    )[0]
    ours = jax.jit(draw)(params["generator"])
    np.testing.assert_allclose(ours.transpose(0, 3, 1, 2), fake.detach().numpy(), atol=1e-5)

    def critic_loss(critic):
        on = lambda x: model.critic.apply(
            {"params": critic, "batch_stats": extra["critic"]}, x, train=True, mutable="batch_stats"
        )[0]
        return ADVERSARIAL["nonsaturating"].critic(on(batch["image"]), on(ours))

    value, grad = jax.jit(jax.value_and_grad(critic_loss))(params["critic"])
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    np.testing.assert_allclose(
        grad["Conv_1"]["kernel"], judge[2].weight.grad.permute(2, 3, 1, 0).numpy(), atol=1e-5, rtol=1e-3
    )
