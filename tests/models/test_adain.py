"""AdaIN: what features become, looks mixed and by regions, and the way back that is learnt."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import squeezenet_arrays
from tiny import initialised, random_batch, tiny

from zoo.errors import UserError
from zoo.style.adain import adain, statistics

RNG = np.random.default_rng(0)
run = jax.jit(adain)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def test_features_have_the_look_s_statistics_and_their_own_places():
    x, look = 3 * normal(2, 6, 5, 4) + 1, normal(2, 9, 7, 4) * jnp.arange(1.0, 5).reshape(1, 1, 1, 4) - 2
    y = run(x, [statistics(look)], jnp.ones((2, 1, 1, 1)))
    for ours, theirs in zip(statistics(y), statistics(look), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    rows = lambda x: np.asarray(x).reshape(2, 30, 4)
    for example in range(2):
        for channel in range(4):  # an affine map of each channel
            assert np.corrcoef(rows(x)[example, :, channel], rows(y)[example, :, channel])[0, 1] > 0.9999


def test_looks_are_mixed_by_their_shares():
    x, looks = normal(1, 4, 4, 3), [statistics(normal(1, 5, 5, 3) * scale) for scale in (1.0, 4.0)]
    share = lambda *s: jnp.asarray(s, jnp.float32).reshape(1, 1, 1, 2)
    first, second, mixed = (run(x, looks, share(*s)) for s in ((1, 0), (0, 1), (1, 3)))
    np.testing.assert_allclose(mixed, 0.25 * first + 0.75 * second, rtol=1e-3, atol=1e-3)
    assert np.abs(first - second).max() > 0.5


def test_a_region_has_its_look_and_asks_no_other_place():
    x, looks = normal(1, 4, 8, 3), [statistics(normal(1, 5, 5, 3) * scale + scale) for scale in (1.0, 4.0)]
    guide = np.zeros((1, 8, 16, 2), np.float32)
    guide[:, :, :8, 0], guide[:, :, 8:, 1] = 1, 1
    y = run(x, looks, jnp.asarray(guide))
    for half, look in ((y[:, :, :4], looks[0]), (y[:, :, 4:], looks[1])):
        for ours, theirs in zip(statistics(half), look, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2)
    again = run(x.at[:, :, 4:].add(7 * normal(1, 4, 4, 3)), looks, jnp.asarray(guide))
    np.testing.assert_allclose(again[:, :, :4], y[:, :, :4], rtol=1e-5)


def test_the_way_back_is_learnt():
    model = tiny("adain")
    params, extra = initialised(model)
    batch = random_batch(model, 4)

    def step(carry, number):
        decoder, velocity = carry
        of = lambda decoder: model.loss({**params, "decoder": decoder}, extra, batch, jax.random.key(0), number)
        grads, (_, terms) = jax.grad(of, has_aux=True)(decoder)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
        return (jax.tree.map(lambda p, v: p - 2e-3 * v, decoder, velocity), velocity), terms

    start = params["decoder"], jax.tree.map(jnp.zeros_like, params["decoder"])
    _, terms = jax.jit(lambda start: jax.lax.scan(step, start, jnp.arange(200)))(start)
    assert terms["style"][-1] < 0.5 * terms["style"][0] and terms["content"][-1] < 0.7 * terms["content"][0]


def test_translations_have_the_source_s_size_whatever_the_looks_size():
    model = tiny("adain")
    params, extra = initialised(model)
    source, looks = jnp.tanh(normal(2, 24, 16, 3)), (jnp.tanh(normal(20, 17, 3)), jnp.tanh(normal(33, 16, 3)))
    translate = jax.jit(model.translate, static_argnames="keep_colours")
    key = jax.random.key(0)
    made = translate(params, extra, source, key, looks=looks, guide=jnp.asarray([1.0, 2.0]))
    assert made.shape == source.shape and np.abs(made).max() <= 1
    plain = translate(params, extra, source, key, looks=looks[:1], strength=0.0)
    other = translate(params, extra, source, key, looks=looks[1:], strength=0.0)
    np.testing.assert_allclose(plain, other, atol=1e-6)  # of no strength, no look
    where = jnp.zeros((24, 16, 2)).at[:12, :, 0].set(1).at[12:, :, 1].set(1)
    assert np.isfinite(translate(params, extra, source, key, looks=looks, guide=where, keep_colours=True)).all()


def test_a_squeezenet_s_features_halve_evenly(tmp_path):
    np.savez(tmp_path / "net.npz", **squeezenet_arrays(RNG))
    model = tiny("adain", features=str(tmp_path / "net.npz"))
    params, _ = initialised(model)
    shapes = [x.shape for x in jax.eval_shape(model.encode, params, jnp.zeros((1, 24, 32, 3)))]
    assert shapes[0][1:3] == (12, 16) and shapes[-1][1:3] == (6, 8)
    back = jax.eval_shape(model.decode, params, jax.ShapeDtypeStruct(shapes[-1], jnp.float32))
    assert back.shape == (1, 24, 32, 3)


def test_bad_sizes_are_told():
    for fields in ({"image_size": 20}, {"channels": 1}, {"width": 0}):
        with pytest.raises(UserError):
            tiny("adain", **fields)
