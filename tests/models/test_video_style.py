"""video-style: motions, what can be carried from frame to frame, and a network that learns to keep still."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, random_batch, tiny

from zoo.style.fast import GRAIN, FastStyle
from zoo.style.motion import alike, change, drawn_motion, inside, steadied, trusted, warped

RNG = np.random.default_rng(0)


def uniform(height, width, flow):
    return jnp.broadcast_to(jnp.asarray(flow, jnp.float32), (1, height, width, 2))


@pytest.mark.parametrize("cubic", [False, True])
def test_a_picture_is_carried(cubic):
    x = jnp.asarray(RNG.normal(size=(1, 9, 11, 2)), jnp.float32)
    carried = jax.jit(lambda x, flow: warped(x, flow, cubic=cubic))
    np.testing.assert_array_equal(carried(x, uniform(9, 11, (0, 0))), x)
    moved = carried(x, uniform(9, 11, (2, 1)))  # two to the right, one down
    np.testing.assert_array_equal(moved[:, :-1, :-2], x[:, 1:, 2:])
    np.testing.assert_array_equal(moved[:, -1, -1], x[:, -1, -1])  # beyond the border as at it
    ramp = jnp.broadcast_to(jnp.arange(11, dtype=jnp.float32)[None, None, :, None], (1, 9, 11, 1))
    np.testing.assert_allclose(
        carried(ramp, uniform(9, 11, (0.3, 0.6)))[0, 3, 2:-3, 0], np.arange(2, 8) + 0.3, rtol=1e-6
    )


def test_cubics_keep_what_lines_blur():
    x = jnp.sin(jnp.arange(32, dtype=jnp.float32) * 1.2)[None, None, :, None]
    back, forth = uniform(1, 32, (0.5, 0)), uniform(1, 32, (-0.5, 0))
    left = lambda cubic: np.abs(warped(warped(x, back, cubic=cubic), forth, cubic=cubic) - x)[0, 0, 4:-4].mean()
    assert left(True) < 0.5 * left(False)


def test_where_a_flow_leads_inside():
    found = np.asarray(inside(uniform(4, 5, (2, -1)), 4, 5))[0]
    assert not found[0].any() and not found[:, 3:].any() and found[1:, :3].all()


def test_what_was_hidden_is_not_trusted():
    """A square of 6 x 6 that goes four pixels to the right over what stays: it is known where it was, and what it
    leaves behind was not seen before."""
    back, forth = np.zeros((2, 1, 20, 24, 2), np.float32)
    back[0, 7:13, 10:16, 0], forth[0, 7:13, 6:12, 0] = -4, 4
    found = np.asarray(jax.jit(trusted)(jnp.asarray(back), jnp.asarray(forth)))[0]
    assert (found[7:13, 6:10] == 0).all()  # disoccluded: equation 4
    assert (found[8:12, 11:15] == 1).all() and found[:4].all() and found[:, :4].all() and found[:, 18:].all()
    assert (found[9, [9, 10, 15, 16]] == 0).all()  # the edge of what moves: equation 5
    everywhere = np.asarray(trusted(uniform(20, 24, (-4, 0)), uniform(20, 24, (4, 0))))[0]
    assert not everywhere[:, :4].any() and everywhere[:, 4:].all()  # from beyond the border nothing came


def test_unlike_colours_end_trust():
    frame = jnp.zeros((1, 1, 3, 3))
    moved = frame.at[0, 0, 1].set(2 / 255).at[0, 0, 2].set(1.0)
    np.testing.assert_allclose(alike(frame, moved)[0, 0], np.exp([0, -50 * 3 / 255**2, -50 * 0.75]), rtol=1e-5)


def test_a_change_is_the_mean_over_the_places_that_count():
    a, b = jnp.zeros((2, 2, 2, 3)), jnp.full((2, 2, 2, 3), 0.5).at[:, 0, 0].set(9.0)
    where = jnp.ones((2, 2, 2)).at[0, 0, 0].set(0.0).at[1].set(0.0)
    np.testing.assert_allclose(change(a, b, where), [0.25, 0], rtol=1e-6)


def test_steady_is_the_least_of_two_distances():
    fresh, before, where = (jnp.asarray(RNG.uniform(size=(1, 3, 4, *c)), jnp.float32) for c in ((3,), (3,), ()))
    share = jnp.float32(0.8)
    x = steadied(fresh, before, where, share)
    loss = lambda x: jnp.sum(jnp.square(x - fresh) + 4 * where[..., None] * jnp.square(x - before))
    np.testing.assert_allclose(jax.grad(loss)(x), 0, atol=1e-5)


def test_drawn_motions_are_small_smooth_and_each_its_own():
    flow = np.asarray(jax.jit(drawn_motion, static_argnums=(1, 2, 3))(jax.random.key(0), 16, 48, 64))
    largest = np.abs(flow).max(axis=(1, 2, 3))
    assert flow.shape == (16, 48, 64, 2) and largest.max() < 0.07 * 64 and largest.min() > 0.2
    assert len(np.unique(largest.round(4))) == 16
    slopes = np.abs(np.diff(flow, axis=1)).max(), np.abs(np.diff(flow, axis=2)).max()
    assert max(slopes) < 0.2  # nothing folds
    turns = np.diff(flow[..., 0], axis=1).mean(axis=(1, 2)), np.diff(flow[..., 1], axis=2).mean(axis=(1, 2))
    zooms = np.diff(flow[..., 0], axis=2).mean(axis=(1, 2)), np.diff(flow[..., 1], axis=1).mean(axis=(1, 2))
    assert np.corrcoef(*turns)[0, 1] < -0.8 and np.corrcoef(*zooms)[0, 1] > 0.8


def test_the_change_is_asked_for_and_nothing_else_is():
    """The terms of fast-style are the same, and with them the network."""
    plain, film = tiny("fast-style"), tiny("video-style")
    assert dataclasses.replace(film, steady=None) == plain
    params, extra = initialised(film)
    batch, key = random_batch(film, 2), jax.random.key(1)
    run = lambda model: jax.jit(lambda p, e: model.phases[0].loss(p, e, batch, key, jnp.int32(0)))(params, extra)
    (still, (_, without)), (moving, (_, with_it)) = run(plain), run(film)
    assert set(with_it) == {*without, "change"} and with_it["change"] > 0
    for name, term in without.items():
        np.testing.assert_allclose(with_it[name], term, rtol=1e-4)
    np.testing.assert_allclose(moving, still + film.steady * with_it["change"], rtol=1e-4)


def test_who_paints_what_is_there_changes_nothing(monkeypatch):
    """But the grain: what is compared is what was made of a frame, carried along, with what is made of the next."""
    model = tiny("video-style")
    monkeypatch.setattr(FastStyle, "_paint", lambda self, params, source: source)
    params, extra = initialised(model)
    _, (_, terms) = jax.jit(model.loss)(params, extra, random_batch(model), jax.random.key(0), jnp.int32(1))
    assert terms["change"] == pytest.approx(GRAIN**2, rel=0.1)


def test_a_network_learns_to_keep_still():
    """By the temporal loss alone, which a flat picture would satisfy best."""
    model = tiny("video-style", content=0.0, style=0.0, smooth=0.0)
    params, extra = initialised(model)
    batch = random_batch(model, 2)

    def step(stylist, number):
        of = lambda stylist: model.loss({**params, "stylist": stylist}, extra, batch, jax.random.key(number), number)
        grads, (_, terms) = jax.grad(of, has_aux=True)(stylist)
        return jax.tree.map(lambda p, g: p - 0.01 * jnp.sign(g), stylist, grads), terms["change"]

    _, changes = jax.jit(lambda start: jax.lax.scan(step, start, 1 + jnp.arange(30)))(params["stylist"])
    assert changes[-5:].mean() < 0.5 * changes[:5].mean()
