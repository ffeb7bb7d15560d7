"""Style: what a look is measured by, whose colours a picture has, and pictures that are learnt."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, random_batch, tiny

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
    assert unlike(b, b, shares) == 0 and unlike([jnp.zeros_like(x) for x in b], b, shares) == pytest.approx(1)
    loud = lambda xs: [100 * x for x in xs]
    assert float(unlike(loud(a), loud(b), shares)) == pytest.approx(float(unlike(a, b, shares)), rel=1e-5)
    one = [x.at[:, 1].set(y[:, 1]) for x, y in zip(a, b, strict=True)]  # only the first style is missed
    assert float(unlike(one, b, shares)) == pytest.approx(0.25 * float(unlike(one, b, jnp.array([[1.0, 0.0]]))))


def test_random_filters_see_at_several_sizes():
    seen = look_of(None, 3, 4)
    assert seen.network == RandomFilters((3, 5, 7), 4)
    params = seen.network.init(jax.random.key(0))
    looks, shows = jax.eval_shape(seen, params, normal(1, 64, 70, 3))
    assert [x.shape[1:3] for x in looks[::3]] == [(64, 70), (32, 35), (16, 17)] and len(shows) == 1
    assert (
        len(jax.eval_shape(seen, params, normal(1, 16, 40, 3))[0]) == 3
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
    model = tiny("texture")
    params, extra, terms = descended(model, random_batch(model, 1), 60, 0.02)
    assert terms["style"][-10:].mean() < 0.5 * terms["style"][0]
    assert model.sample(params, extra, jax.random.key(0), 1).shape == (1, 16, 16, 3)


def test_what_is_too_small_is_told():
    with pytest.raises(UserError, match="16 or more a side"):
        tiny("neural-style", height=8)
    with pytest.raises(UserError, match="16 or more"):
        tiny("texture", size=4)
    with pytest.raises(UserError, match="at least 1"):
        tiny("texture", levels=0)
    with pytest.raises(UserError, match=r"missing\.npz"):
        tiny("neural-style", features="missing.npz").look  # noqa: B018
