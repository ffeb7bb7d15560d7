"""What pix2pixHD and SPADE have beside pix2pix: two translators in one, norms that read a map, critics of several
sizes and what their layers see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import fresh_state, jitted, random_batch, random_like, tiny

from zoo import create
from zoo.errors import UserError
from zoo.gan.spade import SpatialNorm, nearest
from zoo.gan.translators import PatchCritic, unlike
from zoo.losses import least_squares_critic

KEY, STEP = jax.random.key(0), jnp.int32(0)


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def started(name, **fields):
    model = tiny(name, jitter=False, **fields)
    state = fresh_state(name)
    return model, random_like(state.params, scale=0.05), state.extra, random_batch(model)


def test_the_published_networks():
    """Global generator: c7s1-64, d128 ... d1024, nine blocks of 1024, and up again; local: c7s1-32, d64, three blocks
    of 64, u32, c7s1-3. Critics: C64-C128-C256-C512 of two sizes. SPADE at 256 pixels: 1024 channels at 8 x 8 and twice
    at 16 x 16, then 512, 256, 128 and 64."""
    params, _ = jax.eval_shape(create("pix2pixhd").init, KEY)
    half = 9 * (64 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    assert size(params["generator"]["coarse"]) == 49 * 3 * 64 + 2 * half + 9 * 2 * 9 * 1024**2
    assert size(params["generator"]["fine"]) == 49 * 3 * 32 + 2 * 9 * 32 * 64 + 3 * 2 * 9 * 64**2 + 49 * 32 * 3 + 3
    one = 16 * (6 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512) + 64 + 1
    assert size(params["critic"]) == 2 * one
    params, _ = jax.eval_shape(create("spade", input_channels=6).init, KEY)

    def norm(channels):
        return 9 * 6 * 128 + 128 + 2 * (9 * 128 * channels + channels)

    def block(begin, end):
        inner = min(begin, end)
        layers = 9 * begin * inner + inner + 9 * inner * end + end + norm(begin) + norm(inner)
        return layers + (0 if begin == end else begin * end + norm(begin))

    sizes = [(1024, 1024)] * 3 + [(1024, 512), (512, 256), (256, 128), (128, 64)]
    ends = 9 * 6 * 1024 + 1024 + 9 * 64 * 3 + 3
    assert size(params["generator"]) == sum(block(*pair) for pair in sizes) + ends


def test_critics_see_the_picture_and_its_half_and_count_alike():
    model, params, extra, batch = started("pix2pixhd")
    pair = jnp.concatenate([batch["input"], batch["image"]], axis=-1)
    half = pair.reshape(len(pair), 8, 2, 8, 2, -1).mean((2, 4))
    one = PatchCritic(4, 1, False, "float32")
    want = [one.apply({"params": params["critic"][f"critics_{i}"]}, x, train=True) for i, x in enumerate((pair, half))]
    judge = jax.jit(lambda image: model.judge(params, extra, image, batch, KEY, train=True)[0])
    logits = judge(batch["image"])
    assert [x.shape for x in logits] == [(8, 36), (8, 4)]
    for ours, theirs in zip(logits, want, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    fakes = judge(jitted(model, "translate")(params, extra, batch["input"], KEY))
    loss, _ = jax.jit(model.phases[0].loss)(params, extra, batch, KEY, STEP)
    each = [least_squares_critic(a, b) for a, b in zip(logits, fakes, strict=True)]
    assert float(loss) == pytest.approx(float(sum(each)) / 2, rel=1e-4)


def test_what_the_critics_layers_see_is_to_be_alike():
    """The mean over critics of the sum over layers of mean absolute differences, without gradient into the data."""
    rng = np.random.default_rng(0)
    draw = lambda: [[jnp.asarray(rng.normal(size=(2, 3, 3, c))) for c in (4, 5, 1)] for _ in range(2)]
    real, fake = draw(), draw()
    distances = [[np.abs(a - b).mean() for a, b in zip(*two, strict=True)] for two in zip(real, fake, strict=True)]
    want = np.mean([sum(layers[:2]) for layers in distances])
    assert float(unlike(real, fake)) == pytest.approx(want, rel=1e-6)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(jax.grad(unlike)(real, fake)))
    model, params, extra, batch = started("pix2pixhd", matching=3.0)
    loss, (_, metrics) = jax.jit(model.phases[1].loss)(params, extra, batch, KEY, STEP)
    assert float(loss) == pytest.approx(float(metrics["deceit"] + 3 * metrics["matching"]), rel=1e-5)
    assert float(metrics["matching"]) > 0
    gradient = jax.grad(lambda params: model.phases[1].loss(params, extra, batch, KEY, STEP)[0])
    assert np.any(jax.jit(gradient)(params)["generator"]["fine"]["Conv_0"]["kernel"])


def test_a_norm_that_reads_a_map():
    rng = np.random.default_rng(0)
    x, plan = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 4, 4, 3), (2, 8, 8, 5)))
    layer = SpatialNorm(6, jnp.float32)
    variables = layer.init(KEY, x, plan, train=True)
    params = random_like(variables["params"], scale=0.3)
    ours, _ = layer.apply({**variables, "params": params}, x, plan, train=True, mutable="batch_stats")
    small = np.asarray(plan)[:, ::2, ::2]

    def conv(x, layer):
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        return np.einsum("bhwcij,ijcd->bhwd", windows, layer["kernel"]) + layer["bias"]

    params = jax.device_get(params)
    read = np.maximum(conv(small, params["read"]), 0)
    x = np.asarray(x)
    normal = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(ours, normal * (1 + conv(read, params["gain"])) + conv(read, params["bias"]), atol=2e-4)


def test_uniform_maps_are_not_washed_out():
    """Of a map of one label everywhere the picture still depends on which: where maps enter at the first layer only,
    the norms behind it leave nothing of that."""
    model, params, extra, _ = started("spade")
    maps = jnp.stack([jnp.full((16, 16, 3), -1.0).at[..., label].set(1) for label in range(3)])
    made = np.asarray(jitted(model, "translate")(params, extra, maps, KEY))[:, 4:-4, 4:-4]
    assert min(np.abs(made[a] - made[b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))) > 1e-3


def test_labels_stay_labels_when_a_map_is_made_smaller():
    labels = np.random.default_rng(0).integers(0, 6, (2, 16, 16, 1))
    planes = np.eye(6)[labels[..., 0]] * 2 - 1
    small = np.asarray(nearest(jnp.asarray(planes), 4))
    assert set(np.unique(small)) == {-1, 1} and (small.max(-1) == 1).all()
    np.testing.assert_array_equal(small.argmax(-1), labels[:, ::4, ::4, 0])


def test_kernels_are_spectrally_normalised():
    """Ten times the kernels: the same picture, and the same logits."""
    model, params, extra, batch = started("spade")
    imagine = jax.jit(lambda params, extra, batch: model.imagine(params, extra, batch, KEY, train=True))
    larger = jax.tree.map(lambda leaf: 10 * leaf if leaf.ndim > 1 else leaf, params)
    for params_ in (params, larger):  # the vectors come near to what they should be
        for _ in range(3):
            _, extra = imagine(params_, extra, batch)
    draw = lambda params: jitted(model, "translate")(params, extra, batch["input"], KEY)
    np.testing.assert_allclose(draw(params), draw(larger), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("pix2pixhd", {"image_size": 32, "critic_layers": 1}, "64 pixels at least"),
        ("pix2pixhd", {"image_size": 64, "scales": 0}, "scales is 0"),
        ("pix2pixhd", {"image_size": 64, "scales": 6}, "can have 1 to 4"),
        ("spade", {"image_size": 32}, "critic_layers is 4; at 16 pixels"),
    ],
)
def test_sizes_that_the_networks_cannot_take(name, fields, words):
    with pytest.raises(UserError, match=words):
        create(name, **fields)
