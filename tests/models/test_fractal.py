"""The fractal that learns: its words, where they lie, what they cover, and that it comes nearer to a picture."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, random_like, tiny

from zoo.algorithmic.fractal import LARGEST, SMALLEST, SPOT
from zoo.errors import UserError


@pytest.fixture(scope="module")
def drawn():
    model = tiny("ifs", depth=3)
    params, _ = initialised(model)
    params = random_like(params, scale=0.5)
    return (
        model,
        params,
        jax.device_get(model.system(params)),
        jax.device_get(model.spots(params, model.system(params))),
    )


def test_a_map_stretches_by_no_more_than_it_may(drawn):
    _, _, (linear, _), _ = drawn
    stretches = np.linalg.svd(linear, compute_uv=False)
    assert stretches.max() < LARGEST and stretches.min() > SMALLEST and len(linear) == 3


def test_every_word_is_there_once(drawn):
    _, params, (linear, shift), spots = drawn
    fractal = jax.device_get(params["fractal"])
    assert len(spots.middle) == 3**3
    for number, word in enumerate(product(range(3), repeat=3)):  # the first letter is the map that is applied last
        middle, shape, share, colour = np.zeros(2), SPOT * np.eye(2), 1.0, np.zeros(3)
        for letter in reversed(word):
            middle, shape = linear[letter] @ middle + shift[letter], linear[letter] @ shape
        for letter in word:
            share /= 2
            colour += share * fractal["colour"][letter]
        np.testing.assert_allclose(spots.middle[number], middle, atol=1e-5)
        np.testing.assert_allclose(spots.shape[number], shape, atol=1e-5)
        np.testing.assert_allclose(spots.colour[number], np.tanh(4 * colour / (7 / 8)), atol=1e-5)


def test_a_spot_lies_where_it_says_whatever_the_size(drawn):
    *_, spots = drawn
    one = spots._replace(
        middle=np.array([[0.4, -0.5]]), shape=0.2 * np.eye(2)[None], colour=np.ones((1, 3)), weight=np.array([8.0]),
        ground=-np.ones(3),
    )  # fmt: skip
    for height, width in ((32, 32), (32, 64), (96, 60)):
        picture = np.asarray(tiny("ifs", height=height, width=width).drawn(one))
        y, x = (picture[..., 0] > 0).nonzero()
        pixel = 2 / min(height, width)
        at = pixel * (x.mean() + 0.5 - width / 2), pixel * (y.mean() + 0.5 - height / 2)
        np.testing.assert_allclose(at, (0.4, -0.5), atol=0.03)
        np.testing.assert_allclose(picture[-1, 0], -1, atol=1e-3)


def test_a_spot_has_the_shape_of_its_matrix(drawn):
    *_, spots = drawn
    turn = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    shape = turn @ np.diag([0.25, 0.08])
    one = spots._replace(
        middle=np.zeros((1, 2)), shape=shape[None], colour=np.ones((1, 3)), weight=np.array([1e-3]), ground=-np.ones(3)
    )
    model = tiny("ifs", height=64, width=64)
    light = np.asarray(model.drawn(one))[..., 0] + 1
    y, x = ((np.mgrid[0:64, 0:64] + 0.5) / 32 - 1).reshape(2, -1)
    found = np.cov(np.stack([x, y]), aweights=light.reshape(-1))
    np.testing.assert_allclose(found, shape @ shape.T + np.eye(2) * (0.35 / 32) ** 2, rtol=0.02)


def test_a_film_ends_with_the_picture(drawn):
    model, params, _, _ = drawn
    film = np.asarray(model.unfold(params, {}, jax.random.key(0), 4))
    np.testing.assert_allclose(film[-1], model.render(params), atol=1e-4)
    assert np.abs(film[0] - film[-1]).max() > 0.1


def test_a_picture_is_learnt():
    model = tiny("ifs", maps=4, depth=2)
    params, extra = initialised(model)
    y, x = np.mgrid[0:16, 0:20]
    image = np.where((x > 9)[..., None], [0.8, -0.2, -0.6], [-0.7, 0.1, 0.5]) * np.where(y < 6, 1, 0.3)[..., None]
    batch = {"image": jnp.asarray(image[None], jnp.float32)}

    def turn(fractal, number):
        of = lambda fractal: model.loss({"fractal": fractal}, extra, batch, jax.random.key(0), number)[0]
        loss, grads = jax.value_and_grad(of)(fractal)
        return jax.tree.map(lambda p, g: p - 0.02 * jnp.sign(g), fractal, grads), loss

    _, losses = jax.jit(lambda fractal: jax.lax.scan(turn, fractal, jnp.arange(150)))(params["fractal"])
    assert losses[-10:].mean() < 0.25 * losses[0]


def test_bad_systems_are_told():
    for fields in ({"height": 8}, {"maps": 1}, {"depth": 0}, {"maps": 10, "depth": 5}):
        with pytest.raises(UserError):
            tiny("ifs", **fields)
