"""What is the translators' own: their losses, the critic's patches, the pool, how pairs are moved."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_like

from train.optim import Optim, learning_rate
from train.recipes import RECIPES
from zoo import create
from zoo.errors import UserError
from zoo.gan.cyclegan import CycleGAN
from zoo.gan.pix2pix import JITTER, Pix2Pix
from zoo.gan.translators import PatchCritic, jittered, newest, patches, swapped
from zoo.losses import logistic_critic, nonsaturating_generator
from zoo.model import TranslationModel

KEY, STEP = jax.random.key(0), jnp.int32(0)


def tiny(**fields):
    return Pix2Pix(**{"image_size": 16, "channels": 2, "input_channels": 1, "width": 4, "critic_layers": 1} | fields)


def cycle(**fields):
    return CycleGAN(**{"image_size": 16, "width": 4, "critic_layers": 1, "blocks": 1, "pool": 3} | fields)


def started(model, size=4):
    params, extra = initialised(model)
    rng, params = np.random.default_rng(1), random_like(params, scale=0.05)
    spec = model.batch_spec(size)
    return params, extra, {k: jnp.asarray(rng.uniform(-1, 1, s.shape), jnp.float32) for k, s in spec.items()}


def test_the_published_networks_for_256_pixels():
    """U-Net: C64-C128-C256-C512 x 5 and back, with the skips; PatchGAN on six channels: 70 x 70 pixels, 30 x 30 of
    them. ResNet: two 3 x 3 convolutions in each of nine blocks of 256."""
    params, _ = jax.eval_shape(create("pix2pix-256").init, KEY)
    size = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    down = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    up = [(512, 512), (1024, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64)]
    kernels = sum(16 * a * b for a, b in pairwise(down)) + sum(16 * a * b for a, b in up)
    norms = 2 * sum(down[2:-1]) + 2 * sum(b for _, b in up)
    assert size(params["generator"]) == kernels + norms + 64 + 512 + 16 * 128 * 3 + 3  # biases where nothing is normed
    seen = [6, 64, 128, 256, 512]
    kernels = sum(16 * a * b for a, b in pairwise(seen)) + 16 * 512
    assert size(params["critic"]) == kernels + 2 * (128 + 256 + 512) + 64 + 1
    assert patches(256, 3) == 30
    params, _ = jax.eval_shape(create("cyclegan-256").init, KEY)
    kernels = 49 * 3 * 64 + 9 * 64 * 128 + 9 * 128 * 256
    assert size(params["generator"]["forth"]) == 2 * kernels + 9 * 2 * 9 * 256 * 256 + 3


def test_a_patch_is_as_large_as_published():
    """What one logit in the middle depends on: 70 x 70 pixels with three halvings, 34 with two, 16 with one."""
    for layers, wide in ((1, 16), (2, 34), (3, 70)):
        critic = PatchCritic(2, layers, True, "float32")
        x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 96, 96, 1)), jnp.float32)
        side = patches(96, layers)

        # Without norms, which look at the whole picture: their effect on a logit is nothing where all else is zero.
        def logit(x, critic=critic, side=side):
            params = critic.init(KEY, x, train=True)
            return critic.apply(params, x, train=True)[0, (side * side + side) // 2]

        plain = lambda module, x: x
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("flax.linen.InstanceNorm.__call__", plain)
            reached = np.abs(jax.grad(logit)(x))[0, :, :, 0] > 0
        assert reached.any(1).sum() == reached.any(0).sum() == wide


def test_losses_are_those_of_the_paper():
    model = tiny(jitter=False, l1=7.0, gan=0.5, dropout=0.0)
    params, extra, batch = started(model)

    def plain(params):
        fake = model.translate(params, extra, batch["input"], KEY)
        judge = lambda x: model.critic.apply(
            {"params": params["critic"]}, jnp.concatenate([batch["input"], x], -1), train=True
        )
        real, fakes = judge(batch["image"]), judge(fake)
        return (
            logistic_critic(real, fakes),
            0.5 * nonsaturating_generator(real, fakes) + 7 * jnp.mean(jnp.abs(fake - batch["image"])),
        )

    losses = [jax.jit(phase.loss)(params, extra, batch, KEY, STEP) for phase in model.phases]
    np.testing.assert_allclose([loss for loss, _ in losses], jax.jit(plain)(params), rtol=1e-4)
    np.testing.assert_array_equal(losses[0][1][0]["shown"][:4], batch["input"])


def test_dropout_is_the_only_noise():
    model = tiny()
    params, extra, batch = started(model)
    draw = lambda key: np.asarray(jitted(model, "translate")(params, extra, batch["input"], key))
    np.testing.assert_array_equal(draw(KEY), draw(KEY))
    assert np.abs(draw(KEY) - draw(jax.random.key(1))).max() > 1e-3
    model = tiny(dropout=0.0)
    np.testing.assert_array_equal(draw(KEY), draw(jax.random.key(1)))


def test_a_critic_without_the_original():
    model = tiny(conditional=False)
    params, extra, batch = started(model)
    other = {**batch, "input": -batch["input"]}
    judge = jax.jit(lambda params, batch: model.judge(params, extra, batch["image"], batch, KEY, train=True)[0])
    np.testing.assert_array_equal(judge(params, batch), judge(params, other))
    assert params["critic"]["Conv_0"]["kernel"].shape[2] == 2


def test_penalties_of_patches_are_of_their_mean():
    model = tiny(r1=1.0, jitter=False)
    params, extra, batch = started(model)
    mean = lambda x: jnp.mean(model.judge(params, extra, x[None], {"input": batch["input"][:1]}, KEY, train=True)[0])
    want = jnp.sum(jnp.square(jax.jit(jax.grad(mean))(batch["image"][0]))) / 2
    one = {name: array[:1] for name, array in batch.items()}
    _, (_, metrics) = jax.jit(model.phases[0].loss)(params, extra, one, KEY, STEP)
    assert float(metrics["r1"]) == pytest.approx(float(want), rel=1e-3)


def test_pairs_are_moved_alike_and_by_the_same_draw_in_every_phase():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-1, 1, (32, 16, 16, 1)), jnp.float32)
    jitter = jax.jit(jittered)
    a, b = jitter((x, 2 * x), KEY)
    np.testing.assert_allclose(b, 2 * a, rtol=1e-5)
    big = np.asarray(jax.image.resize(x, (32, 18, 18, 1), "linear"))
    crops = [big[0, i : i + 16, j : j + 16] for i in range(3) for j in range(3)]
    crops += [crop[:, ::-1] for crop in crops]
    assert min(np.abs(a[0] - crop).max() for crop in crops) < 1e-5
    flat = np.ones((32, 16, 16, 1), np.float32)
    ramp = np.broadcast_to(np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 1, 16, 1), x.shape)
    still, slanted = jitter((flat, ramp), KEY)
    np.testing.assert_allclose(still, flat, rtol=1e-5)
    slopes = np.mean(np.diff(slanted, axis=2), axis=(1, 2, 3))
    assert 8 < (slopes < 0).sum() < 24  # mirrored, half of them
    model = tiny()
    params, extra, batch = started(model)
    seen = []
    game = lambda params, extra, batch, key, step: seen.append(batch["image"]) or (jnp.zeros(()), (extra, {}))

    @jax.jit
    def shown(params, extra, batch):
        for _ in range(2):
            model._jittering(game, params, extra, batch, KEY, STEP)
        return *seen, jittered((batch["input"], batch["image"]), jax.random.fold_in(KEY, JITTER))[1]

    first, second, moved = shown(params, extra, batch)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, moved)


def test_the_pool_fills_and_then_swaps_half_of_the_time():
    step = jax.jit(swapped)
    pool, count = jnp.zeros((8, 1)), jnp.zeros((), jnp.int32)
    shown, pool, count = step(pool, count, jnp.arange(1.0, 6.0)[:, None], KEY)
    assert count == 5
    np.testing.assert_array_equal(shown[:, 0], np.arange(1, 6))
    shown, pool, count = step(pool, count, jnp.arange(6.0, 10.0)[:, None], KEY)
    assert count == 8
    np.testing.assert_array_equal(shown[:3, 0], [6, 7, 8])
    held = set(np.asarray(pool[:, 0]).tolist()) | {float(shown[3, 0])}
    assert held == set(range(1, 10))  # the ninth was shown itself, or took the place of what was
    fresh, old = 0, 0
    for number in range(20):
        new = 100 * (number + 1) + jnp.arange(5.0)[:, None]
        shown, pool, count = step(pool, count, new, jax.random.fold_in(KEY, number))
        same = np.asarray(shown == new)[:, 0]
        fresh, old = fresh + same.sum(), old + (~same).sum()
        kept = np.isin(np.asarray(new)[~same], np.asarray(pool))
        assert not np.isin(np.asarray(new)[same], np.asarray(pool)).any()
        assert kept.sum() >= len(kept) - 2  # unless a later one of the same batch took its place
    assert 30 < fresh < 70 and fresh + old == 100


def test_no_picture_enters_the_loop_of_the_pool():
    """On several devices each turn would send it around."""
    traced = jax.make_jaxpr(swapped)(jnp.zeros((8, 9, 9)), jnp.zeros((), jnp.int32), jnp.zeros((5, 9, 9)), KEY)
    (loop,) = (equation for equation in traced.eqns if equation.primitive.name == "scan")
    assert max(value.aval.size for value in loop.invars) <= 8


def test_the_newest_come_first():
    kept = jnp.arange(4.0)
    np.testing.assert_array_equal(newest(kept, jnp.array([8.0, 9.0])), [8, 9, 0, 1])
    np.testing.assert_array_equal(newest(kept, jnp.arange(10.0, 16.0)), [10, 11, 12, 13])
    np.testing.assert_array_equal(newest(jnp.arange(6.0), jnp.arange(10.0, 16.0)), [10, 11, 12, 13, 0, 1])


def test_cyclegan_s_losses():
    """With one translator the identity in effect, cycles and identities are zero; in general they are these."""
    model = cycle(jitter=False, identity=2.0, cycle=3.0)
    params, extra, batch = started(model)

    def plain(params):
        go = lambda way, x: model.translate(params, extra, x, way=way)
        judge = lambda name, x: model.critic.apply({"params": params["critic"][name]}, x, train=True)
        a, b = batch["input"], batch["image"]
        fake_b, fake_a = go("forth", a), go("back", b)
        near = lambda x, y: jnp.mean(jnp.abs(x - y))
        generator = sum(jnp.mean(jnp.square(judge(k, x) - 1)) / 2 for k, x in (("image", fake_b), ("input", fake_a)))
        generator += 3 * (near(go("back", fake_b), a) + near(go("forth", fake_a), b))
        generator += 2 * (near(go("forth", b), b) + near(go("back", a), a))
        pairs = (("image", b, fake_b), ("input", a, fake_a))
        # The pool of three shows the first three themselves; the fourth may be any.
        critic = sum(jnp.mean(jnp.square(judge(k, x) - 1)) / 2 for k, x, _ in pairs)
        return critic, generator, fake_b

    critic, generator, fake = jax.jit(plain)(params)
    (value, (after, metrics)), (other, _) = (
        jax.jit(phase.loss)(params, extra, batch, KEY, STEP) for phase in model.phases
    )
    np.testing.assert_allclose(other, generator, rtol=1e-4)
    assert after["image"]["count"] == 3 and after["input"]["count"] == 3
    held = np.asarray(after["image"]["pool"])
    assert all(np.abs(np.asarray(fake) - one).max((1, 2, 3)).min() < 1e-5 for one in held)  # translations of this batch
    assert value > critic and {"real_image", "fake_input"} <= set(metrics)


def test_translation_models_say_so():
    assert isinstance(tiny(), TranslationModel) and isinstance(cycle(), TranslationModel)
    assert not isinstance(create("dcgan"), TranslationModel)
    model = cycle()
    params, extra, batch = started(model)
    translate = jitted(model, "translate", "way")
    forth, back = (translate(params, extra, batch["input"], way=way) for way in ("forth", "back"))
    assert forth.shape == batch["image"].shape and np.abs(forth - back).max() > 1e-3
    tall = translate(params, extra, batch["input"][:, :, :8], way="forth")
    assert tall.shape == (4, 16, 8, 3)


def test_the_rate_is_held_and_then_falls_to_nothing():
    optim = RECIPES["cyclegan"].optim
    rate = learning_rate(optim, 100)
    np.testing.assert_allclose([rate(t) for t in (0, 49, 75, 100)], [2e-4, 2e-4, 1e-4, 0], atol=1e-9)
    warm = learning_rate(Optim(learning_rate=1.0, schedule="linear", warmup=10, hold=0.5, final=0.0), 110)
    np.testing.assert_allclose([warm(t) for t in (0, 9, 10, 59, 85, 110)], [0.1, 1, 1, 1, 0.5, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "fields", "word"),
    [
        (tiny, {"image_size": 48}, "image_size is 48"),
        (tiny, {"critic_layers": 3}, "critic_layers is 3; at 16 pixels it can be 1 to 2"),
        (tiny, {"loss": "cycle"}, "no adversarial loss"),
        (cycle, {"image_size": 8}, "image_size is 8"),
        (cycle, {"pool": 0}, "pool 0"),
        (cycle, {"channels": 1}, "identity None"),
        (cycle, {"loss": "patch"}, "no adversarial loss"),
    ],
)
def test_bad_fields_are_errors_of_one_line(make, fields, word):
    with pytest.raises(UserError) as error:
        make(**fields)
    assert word in str(error.value) and "\n" not in str(error.value)
