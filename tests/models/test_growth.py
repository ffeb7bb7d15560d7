"""Neural cellular automata: what a cell notices, who lives, and that a picture grows and is mended."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate
from tiny import initialised, random_like, tiny

from zoo.algorithmic.growth import NCA, noticed, premultiplied
from zoo.errors import UserError
from zoo.nn.platform import traced_for

KEY = jax.random.key(0)
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8


def test_a_cell_notices_itself_and_the_slopes_around_it():
    cells = np.random.default_rng(0).normal(size=(7, 9, 2)).astype(np.float32)
    found = np.asarray(noticed(jnp.asarray(cells)))
    np.testing.assert_array_equal(found[..., :2], cells)
    for number in range(2):
        for at, filters in ((2, SOBEL), (4, SOBEL.T)):
            wanted = correlate(cells[..., number], filters, mode="constant")
            np.testing.assert_allclose(found[..., at + number], wanted, atol=1e-6)


@pytest.fixture(scope="module")
def wild():
    """A tiny automaton whose network does something."""
    model = tiny("nca")
    params, extra = initialised(model)
    return model, random_like(params, scale=0.3), extra


def test_nothing_lives_far_from_what_lives(wild):
    model, params, _ = wild
    grown = np.asarray(model.grow(params, model.seed[None], KEY[None], 3))[0]
    far = np.maximum(abs(np.arange(model.height) - 8)[:, None], abs(np.arange(model.width) - 10)[None])
    assert not grown[far > 3].any() and grown[far <= 1].any()


def test_it_grows_as_many_steps_as_it_is_told(wild):
    model, params, _ = wild
    cells = model.seed
    for at in range(3):
        np.testing.assert_allclose(
            model.grow(params, model.seed[None], KEY[None], at)[0], cells, atol=1e-6, err_msg=f"{at} steps"
        )
        cells = model.step(params["automaton"], cells, jax.random.fold_in(KEY, at))
    film = model.unfold(params, {}, KEY, 3)
    np.testing.assert_allclose(film[0], model.seen(model.seed), atol=1e-6)
    before = model.grow(params, model.seed[None], KEY[None], 2)[0]
    np.testing.assert_allclose(film[2], model.seen(before), atol=1e-5)


def test_a_sample_does_not_depend_on_how_many_there_are(wild):
    model, params, extra = wild
    three = model.sample(params, extra, KEY, 3)
    np.testing.assert_allclose(model.sample(params, extra, KEY, 2), three[:2], atol=1e-5)
    assert np.abs(three[0] - three[1]).max() > 1e-3, "each has chances of its own"


def test_the_worst_begins_anew_and_the_best_are_damaged(wild, monkeypatch):
    """With a network that changes nothing, the pool shows what was done to it before it grew."""
    model, params, _ = wild
    params = jax.tree.map(jnp.zeros_like, params)
    wanted = jnp.ones((1, 16, 20, 4))
    levels = jnp.linspace(0.2, 0.9, model.pool)[:, None, None, None]
    extra = {"pool": jnp.broadcast_to(levels, (model.pool, 16, 20, model.numbers))}
    model = NCA(**{**vars(model), "growing": model.pool})
    _, (after, metrics) = model.loss(params, extra, {"image": wanted}, KEY, jnp.int32(0))
    pool, same = np.asarray(after["pool"]), np.asarray(extra["pool"])
    np.testing.assert_array_equal(pool[0], model.seed)  # the darkest
    np.testing.assert_array_equal(pool[1:-1], same[1:-1])
    hole = (pool[-1] == 0).all(axis=-1)
    assert 0.005 < hole.mean() < 0.3 and (pool[-1][~hole] == same[-1][~hole]).all()
    assert metrics["worst"] == pytest.approx(0.8**2, rel=1e-5)


def test_clear_places_have_no_colour():
    image = jnp.array([[0.0, 1.0, -1.0, 0.0], [1.0, 1.0, 1.0, -1.0]])
    np.testing.assert_allclose(premultiplied(image), [[0.25, 0.5, 0, 0.5], [0, 0, 0, 0]])
    model = tiny("nca")
    cells = jnp.concatenate([premultiplied(image), jnp.zeros((2, model.hidden))], axis=-1)
    np.testing.assert_allclose(model.seen(cells)[0], image[0], atol=1e-5)


def test_a_picture_grows():
    model = tiny("nca", width=16, hidden=6, units=24, least=10, most=12, pool=16, growing=4)
    params, extra = initialised(model)
    y, x = np.mgrid[0:16, 0:16] - 7.5
    image = np.where((x > 0)[..., None], [0.8, -0.2, -0.6], [-0.7, 0.1, 0.5])
    image = np.concatenate([image, np.where(np.hypot(x, y) < 6, 1.0, -1.0)[..., None]], axis=-1)
    batch = {"image": jnp.asarray(image[None], jnp.float32)}

    def turn(carry, number):
        automaton, extra, mean, square = carry
        of = lambda automaton: model.loss(
            {"automaton": automaton}, extra, batch, jax.random.fold_in(KEY, number), number
        )
        (loss, (extra, _)), grads = jax.value_and_grad(of, has_aux=True)(automaton)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grads)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g * g, square, grads)
        move = lambda p, m, s: p - 8e-3 * m / (jnp.sqrt(s) + 1e-8)
        return (jax.tree.map(move, automaton, mean, square), extra, mean, square), loss

    zeros = jax.tree.map(jnp.zeros_like, params["automaton"])
    start = params["automaton"], extra, zeros, zeros
    _, losses = jax.jit(lambda start: jax.lax.scan(turn, start, jnp.arange(200)))(start)
    assert losses[-20:].mean() < 0.35 * losses[0]


def test_what_cannot_grow_is_told():
    for fields in ({"height": 8}, {"channels": 1}, {"least": 5, "most": 4}, {"hidden": 0}, {"pool": 0}):
        with pytest.raises(UserError):
            tiny("nca", **fields)
    model = tiny("nca", pool=3)
    params, extra = initialised(model)
    with pytest.raises(UserError, match="8 automata are to grow of a pool of 3"):
        model.loss(params, extra, {"image": jnp.zeros((8, 16, 20, 4))}, KEY, jnp.int32(0))


def test_automata_with_weights_of_their_own_grow_alike(wild):
    """As they have them beside accelerators."""
    model, params, extra = wild
    batch = {"image": jnp.ones((2, 16, 20, 4))}
    found = {}
    for device in ("cpu", "tpu"):
        with traced_for(device):
            found[device] = jax.value_and_grad(lambda params: model.loss(params, extra, batch, KEY, jnp.int32(0))[0])(
                params
            )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found["cpu"], found["tpu"])
