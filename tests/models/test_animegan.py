"""What is AnimeGAN's own: its networks, what its critic is shown, and what it compares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import fresh_state, random_batch, random_like, tiny

from zoo import create
from zoo.errors import UserError
from zoo.features.filters import RandomFilters, gram
from zoo.gan.animegan import EDGE, colour_distance, grey, smoothed, variation
from zoo.losses import ADVERSARIAL

KEY = jax.random.key(0)
PICTURES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (3, 12, 10, 3)), jnp.float32)


def test_the_published_networks():
    """Kernels of the generator: 7-32, 3-64 twice, 3-128 thrice, four inverted blocks of 256, and back; of the critic
    from 32 to 256 channels."""
    params, extra = jax.eval_shape(create("animegan").init, KEY)
    kernels = lambda tree: [leaf.shape for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]
    count = lambda shapes: sum(int(np.prod(shape)) for shape in shapes)
    down = 49 * 3 * 32 + 9 * (32 * 64 + 64 * 64 + 64 * 128 + 2 * 128 * 128)
    first = 128 * 256 + 9 * 256 + 256 * 256
    other = 256 * 512 + 9 * 512 + 512 * 256
    up = 9 * (256 * 128 + 128 * 128 * 2 + 128 * 64 + 64 * 64) + 49 * 64 * 32 + 32 * 3
    assert count(kernels(params["generator"])) == down + first + 3 * other + up
    critic = 9 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256)
    assert count(kernels(params["critic"])) == critic
    assert sum(leaf.size for leaf in jax.tree.leaves(params["generator"])) < 2_200_000  # light
    assert extra["filters"]["filters3"].shape == (3, 3, 3, 64)


def test_only_edges_are_smoothed():
    step = jnp.where(jnp.arange(16) < 8, -0.5, 0.5)
    x = jnp.broadcast_to(step[None, None, :, None], (1, 16, 16, 3))
    y = np.asarray(smoothed(x))
    moved = np.abs(y - x)[0, :, :, 0].max(0) > 1e-6
    assert moved.any() and not moved[:4].any() and not moved[12:].any()
    assert np.all(np.diff(y[0, 8, :, 0]) >= -1e-6)
    np.testing.assert_array_equal(smoothed(x * 0.9 * EDGE), x * 0.9 * EDGE)  # no edge: as it was


def test_colours_and_neighbours():
    rgb = (np.asarray(PICTURES, np.float64) + 1) / 2
    luma = rgb @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grey(PICTURES), np.repeat(2 * luma[..., None] - 1, 3, -1), atol=1e-5)
    other = jnp.asarray(PICTURES[::-1])
    assert float(colour_distance(PICTURES, PICTURES)) == 0
    flipped = luma - luma[::-1]
    blue = 0.492111 * (rgb[..., 2] - luma) - 0.492111 * (rgb[::-1][..., 2] - luma[::-1])
    red = 0.877283 * (rgb[..., 0] - luma) - 0.877283 * (rgb[::-1][..., 0] - luma[::-1])
    want = np.abs(flipped).mean() + (blue**2).mean() / 2 + (red**2).mean() / 2
    assert float(colour_distance(PICTURES, other)) == pytest.approx(want, rel=1e-4)
    squares = [np.square(np.diff(np.asarray(PICTURES, np.float64), axis=axis)).mean() / 2 for axis in (1, 2)]
    assert float(variation(PICTURES)) == pytest.approx(sum(squares), rel=1e-5)


def test_random_filters_see_no_flat_colour():
    look = RandomFilters(sides=(3, 5), filters=7)
    params = look.init(KEY)
    seen = look(params, jnp.full((1, 12, 12, 3), 0.7))
    assert all(np.abs(x[0, 3:-3, 3:-3]).max() < 1e-5 for x in seen.values())
    x = look(params, PICTURES, ("filters5",))["filters5"]
    assert x.shape == (3, 12, 10, 7) and float(x.min()) == 0
    rows = np.asarray(x, np.float64).reshape(3, -1, 7)
    np.testing.assert_allclose(gram(x), np.einsum("bic,bid->bcd", rows, rows) / (120 * 7), rtol=1e-4)


def test_first_the_content_is_learnt():
    model, state = tiny("animegan", first=5), fresh_state("animegan")
    params, batch = random_like(state.params), random_batch(model)
    critic, generator = (jax.jit(jax.value_and_grad(phase.loss, has_aux=True)) for phase in model.phases)
    early, late = (jnp.int32(step) for step in (4, 5))
    (loss, _), slopes = critic(params, state.extra, batch, KEY, early)
    assert float(loss) == 0 and not any(np.any(leaf) for leaf in jax.tree.leaves(slopes))
    (loss, (_, metrics)), _ = generator(params, state.extra, batch, KEY, early)
    assert float(loss) == pytest.approx(model.content * float(metrics["content"]), rel=1e-5)
    (loss, (_, metrics)), _ = generator(params, state.extra, batch, KEY, late)
    weights = {name: getattr(model, name) for name in ("content", "style", "colour", "variation")}
    want = sum(weight * float(metrics[name]) for name, weight in weights.items())
    assert float(loss) == pytest.approx(want + model.adversarial * float(metrics["deceit"]), rel=1e-4)
    (loss, _), slopes = critic(params, state.extra, batch, KEY, late)
    assert float(loss) > 0 and any(np.any(leaf) for leaf in jax.tree.leaves(slopes["critic"]))


def test_what_the_critic_is_shown():
    """Drawings, samples, drawings without colours and without hard edges, each by its weight."""
    model, state = tiny("animegan", smooth=0.25), fresh_state("animegan")
    params, batch = random_like(state.params), random_batch(model)
    loss, (_, metrics) = jax.jit(model.critic_loss)(params, state.extra, batch, KEY, jnp.int32(0))
    say = lambda x: model._judge(params, state.extra, x, train=True)[0]
    fake, drawn = model.translate(params, state.extra, batch["input"]), jnp.asarray(batch["image"])
    real, made, pale, soft = (say(x) for x in (drawn, fake, grey(drawn), smoothed(drawn)))
    pair = ADVERSARIAL["least-squares"].critic
    want = 1.7 * (pair(real, made) + pair(real, pale)) + 0.25 * pair(real, soft)
    assert float(loss) == pytest.approx(float(want), rel=1e-4)
    assert float(metrics["real"]) == pytest.approx(float(real.mean()), abs=1e-5)


@pytest.mark.parametrize("fields", [{"image_size": 30}, {"channels": 1}, {"loss": "earth"}])
def test_bad_fields_are_errors_of_one_line(fields):
    with pytest.raises(UserError) as error:
        create("animegan", **fields)
    assert "\n" not in str(error.value)
