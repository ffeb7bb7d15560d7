"""Style: what a look is measured by, whose colours a picture has, and pictures that are learnt."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, jitted, random_batch, tiny

import zoo
from zoo.codecs.images import read_image
from zoo.errors import UserError
from zoo.features.filters import RandomFilters
from zoo.style import look
from zoo.style.look import grams, look_of, means
from zoo.style.painting import blank, brightness_of, painted, roughness, with_colours_of

RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def test_a_gram_is_the_covariance_of_features():
    x = normal(2, 5, 6, 3)
    everywhere = jnp.ones((2, 5, 6, 1))
    (found,) = jax.jit(lambda x: grams([x], [means([x])[0][:, None]], everywhere))(x)
    rows = np.asarray(x).reshape(2, -1, 3)
    for example in range(2):
        np.testing.assert_allclose(found[example, 0], np.cov(rows[example].T, bias=True) / 3, atol=1e-6)


def test_a_region_is_measured_alone():
    left, right = normal(1, 4, 3, 2), normal(1, 4, 3, 2)
    x = jnp.concatenate([left, right], axis=2)
    guide = jnp.zeros((1, 4, 6, 2)).at[:, :, :3, 0].set(1).at[:, :, 3:, 1].set(2)
    usual = jnp.zeros((1, 2, 2))
    measured = jax.jit(grams)
    (both,) = measured([x], [usual], guide)
    for style, part in enumerate((left, right)):
        (alone,) = measured([part], [usual[:, :1]], jnp.ones((1, 4, 3, 1)))
        np.testing.assert_allclose(both[:, style], alone[:, 0], rtol=1e-5)


def test_distances_are_shares_whatever_the_scale():
    a, b = [normal(1, 2, 3, 3), normal(1, 2, 4, 4)], [normal(1, 2, 3, 3), normal(1, 2, 4, 4)]
    shares, unlike = jnp.array([[0.25, 0.75]]), jax.jit(look.unlike)
    assert unlike(b, b, shares)[0] == 0 and unlike([jnp.zeros_like(x) for x in b], b, shares)[0] == pytest.approx(1)
    loud = lambda xs: [100 * x for x in xs]
    np.testing.assert_allclose(unlike(loud(a), loud(b), shares), unlike(a, b, shares), rtol=1e-5)
    one = [x.at[:, 1].set(y[:, 1]) for x, y in zip(a, b, strict=True)]  # only the first style is missed
    np.testing.assert_allclose(unlike(one, b, shares), 0.25 * unlike(one, b, jnp.array([[1.0, 0.0]])), rtol=1e-6)


def test_random_filters_see_at_several_sizes():
    seen = look_of(None, 3, 4)
    assert seen.network == RandomFilters((3, 5, 7), 4)
    params = seen.network.init(jax.random.key(0))
    looks, shows = jax.eval_shape(seen, params, normal(1, 64, 70, 3))
    assert [x.shape[1:3] for x in looks[::4]] == [(64, 70), (32, 35), (16, 17)] and len(shows) == 1
    assert (
        len(jax.eval_shape(seen, params, normal(1, 16, 40, 3))[0]) == 4
    )  # a picture is not made smaller than 16 pixels


def test_a_picture_is_a_sum_of_pictures():
    levels = blank(13, 20, 3)
    assert [x.shape for x in levels.values()] == [(13, 20, 3), (7, 10, 3), (4, 5, 3)]
    flat = {
        name: jnp.full_like(level, value) for (name, level), value in zip(levels.items(), (1, 10, 100), strict=True)
    }
    np.testing.assert_allclose(painted(flat), 111, rtol=1e-6)


def test_whose_colours():
    style, content = normal(2, 8, 9, 3) @ normal(3, 3) + 0.3, normal(2, 5, 5, 3) @ normal(3, 3) - 0.2
    moved = np.asarray(jax.jit(with_colours_of)(style, content)).reshape(2, -1, 3)
    wanted = np.asarray(content).reshape(2, -1, 3)
    for ours, theirs in zip(moved, wanted, strict=True):
        np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=1e-4)
        np.testing.assert_allclose(np.cov(ours.T), np.cov(theirs.T), rtol=0.1, atol=0.05)
    luma = np.array([0.299, 0.587, 0.114])
    painted_over = np.asarray(brightness_of(style[0], jnp.zeros_like(style[0])))
    np.testing.assert_allclose(painted_over @ luma, np.asarray(style[0]) @ luma, atol=1e-5)
    assert np.ptp(painted_over, axis=-1).max() < 1e-4  # grey


def test_roughness():
    assert roughness(jnp.ones((4, 4, 3))) == 0 and roughness(jnp.asarray([[[0.0], [1.0]], [[0.0], [1.0]]])) == 1


def descended(model, batch, steps, rate):
    """The loss's terms before and after so many steps of gradient, all within one program."""
    params, extra = initialised(model)
    loss = model.phases[0].loss

    def step(carry, number):
        picture, extra = carry
        key = jax.random.key(number)
        of = lambda picture: loss({**params, "picture": picture}, extra, batch, key, number)
        grads, (extra, terms) = jax.grad(of, has_aux=True)(picture)
        return (jax.tree.map(lambda p, g: p - rate * jnp.sign(g), picture, grads), extra), terms

    (picture, extra), terms = jax.jit(lambda start: jax.lax.scan(step, start, jnp.arange(steps)))(
        (params["picture"], extra)
    )
    return {**params, "picture": picture}, extra, terms


def test_the_look_comes_nearer_and_the_content_stays():
    model = tiny("neural-style", styles=1)
    batch = random_batch(model, 1)
    batch["input"] = np.linspace(-1, 1, 16 * 20 * 3, dtype=np.float32).reshape(1, 16, 20, 3)
    params, extra, terms = descended(model, batch, 40, 0.01)
    assert terms["content"][0] == 0 and terms["style"][-1] < 0.5 * terms["style"][0]
    picture = model.sample(params, extra, jax.random.key(0), 2)
    assert picture.shape == (2, 16, 20, 3) and np.abs(picture).max() <= 1
    np.testing.assert_array_equal(extra["content"], batch["input"])
    grey = tiny("neural-style", styles=1, colour="content").sample(params, extra, jax.random.key(0), 1)
    apart = np.asarray(grey - grey[..., :1]) - np.asarray(batch["input"] - batch["input"][..., :1])
    assert np.abs(apart).mean() < np.abs(np.asarray(picture[:1] - picture[:1, ..., :1])).mean()  # the content's colours


def test_a_texture_is_seen_from_everywhere():
    model = tiny("texture", octaves=1, directions=16)
    params, extra, terms = descended(model, random_batch(model, 1), 60, 0.02)
    assert terms["style"][-10:].mean() < 0.5 * terms["style"][:5].mean()
    assert model.sample(params, extra, jax.random.key(0), 1).shape == (1, 16, 16, 3)


def published(file, params, **changes):
    """The parameters of a network as fast-style-transfer's are published; some arrays otherwise."""
    convs = sum(name.startswith("Conv_") for name in params)
    kernels = [f"Conv_{i}" for i in range(convs - 1)] + ["ConvTranspose_0", "ConvTranspose_1", f"Conv_{convs - 1}"]
    flat = []
    for number, name in enumerate(kernels):
        kernel, norm = np.asarray(params[name]["kernel"]), params[f"InstanceNorm_{number}"]
        flat += [kernel.transpose(0, 1, 3, 2) if "Transpose" in name else kernel, norm["bias"], norm["scale"]]
    arrays = {f"Variable_{i}" if i else "Variable": np.asarray(array) for i, array in enumerate(flat)}
    np.savez(file, **{**arrays, **changes})


def test_a_published_network_is_read(tmp_path):
    model = tiny("fast-style")
    params, _ = initialised(model)
    shaken = jax.tree.map(lambda leaf: leaf + 0.1 * RNG.normal(size=leaf.shape).astype(np.float32), params["stylist"])
    published(tmp_path / "own.npz", shaken)
    read, _ = tiny("fast-style", weights=str(tmp_path / "own.npz")).init(jax.random.key(1))
    for ours, theirs in zip(jax.tree.leaves(shaken), jax.tree.leaves(read["stylist"]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    published(tmp_path / "bad.npz", shaken, Variable=np.zeros((3, 3, 3, 2)))
    published(tmp_path / "more.npz", shaken, Variable_99=np.zeros(1))
    for name, why in {"bad": "Conv_0's kernel", "more": "not Variable to", "gone": "cannot read"}.items():
        with pytest.raises(UserError, match=why):
            tiny("fast-style", weights=str(tmp_path / f"{name}.npz")).init(jax.random.key(0))


@pytest.mark.parametrize("name", ["wave", "scream"])
def test_published_networks_give_their_reference_pictures(zoo_data, name):
    """To one level of 255: the weights are stored in half precision."""
    folder = zoo_data / "fast_style_transfer"
    model = zoo.create("fast-style", weights=str(folder / f"{name}_f16.npz"), filters=1, octaves=1)
    params, extra = model.init(jax.random.key(0))
    picture = jnp.asarray(read_image(folder / "reference_input.png", channels=3)[None] / 127.5 - 1, jnp.float32)
    made = jitted(model, "translate")(params, extra, picture, jax.random.key(0))
    wanted = read_image(folder / f"{name}_reference_output.png", channels=3).astype(int)
    assert np.abs(np.round((np.asarray(made[0]) + 1) * 127.5) - wanted).max() <= 1


def test_what_is_too_small_is_told():
    with pytest.raises(UserError, match="16 or more a side"):
        tiny("neural-style", height=8)
    with pytest.raises(UserError, match="16 or more"):
        tiny("texture", size=4)
    with pytest.raises(UserError, match="multiples of 4"):
        tiny("fast-style", image_size=18)
    with pytest.raises(UserError, match="at least 1"):
        tiny("texture", levels=0)
    with pytest.raises(UserError, match=r"missing\.npz"):
        tiny("neural-style", features="missing.npz").look  # noqa: B018
