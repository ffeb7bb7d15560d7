"""Relative attention: the skewed form against the sum that it stands for, and the cached one against both."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from tiny import initialised, jitted, random_batch, random_like, tiny

from zoo.nn.attention import cached_attention, causal_attention, skew


def direct(q, k, v, distance):
    """Shaw et al. 2018, equation 4: score (i, j) = q_i (k_j + e_(i-j)) / sqrt(d), with every e written out: O(T^2 D).
    q, k, v [T, H, d]; distance [H, L, d], its last row the distance 0."""
    size, heads, width = q.shape
    out = np.zeros_like(v)
    for head in range(heads):
        apart = np.arange(size)[:, None] - np.arange(size)[None, :]
        embedding = distance[head][distance.shape[1] - 1 - np.maximum(apart, 0)]  # [T, T, d]
        scores = np.einsum("id,ijd->ij", q[:, head], k[None, :, head] + embedding) / np.sqrt(width)
        scores[apart < 0] = -np.inf
        out[:, head] = softmax(scores, axis=-1) @ v[:, head]
    return out


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("reach", [7, 12])
def test_skewed_and_cached_are_the_direct_formula(reach):
    q, k, v, distance = arrays(*[(2, 7, 3, 4)] * 3, (3, reach, 4))
    want = np.stack([direct(*row, distance) for row in zip(q, k, v, strict=True)])
    with jax.enable_x64(True):
        attend, one_by_one = jax.jit(causal_attention), jax.jit(cached_attention)
        np.testing.assert_allclose(attend(q, k, v, distance=distance), want, atol=1e-12)
        query = np.stack([q[0, 2], q[1, 6]])
        one = one_by_one(query, k, v, lengths=np.array([3, 7]), distance=distance)
        np.testing.assert_allclose(one, [want[0, 2], want[1, 6]], atol=1e-12)
        without = attend(q, k, v)
        assert np.abs(without - want).max() > 0.1
        np.testing.assert_allclose(attend(q, k, v, distance=np.zeros((3, reach, 4))), without, atol=1e-12)


def test_skew_by_hand():
    relative = np.array([[11, 12, 13], [21, 22, 23], [31, 32, 33]])  # [query, distance 2, 1, 0]
    assert np.tril(skew(jnp.asarray(relative))).tolist() == [[13, 0, 0], [22, 23, 0], [31, 32, 33]]
    last_two = skew(jnp.asarray(relative[1:]))  # queries 1 and 2 of three keys
    assert np.tril(last_two, 1).tolist() == [[22, 23, 0], [31, 32, 33]]


def test_gradients_are_those_of_the_direct_formula():
    q, k, v, distance = arrays(*[(1, 5, 2, 3)] * 3, (2, 6, 3))

    def plain(distance):
        apart = jnp.arange(5)[:, None] - jnp.arange(5)[None, :]
        embedding = distance[:, 5 - jnp.maximum(apart, 0)]  # [H, T, T, d]
        scores = jnp.einsum("bihd,bjhd->bhij", q, k) + jnp.einsum("bihd,hijd->bhij", q, embedding)
        weights = jax.nn.softmax(jnp.where((apart >= 0)[None, None], scores / 3**0.5, -jnp.inf), axis=-1)
        return jnp.sum(jnp.sin(jnp.einsum("bhij,bjhd->bihd", weights, v)))

    with jax.enable_x64(True):
        q, k, v, distance = map(jnp.asarray, (q, k, v, distance))
        skewed = lambda distance: jnp.sum(jnp.sin(causal_attention(q, k, v, distance=distance)))
        ours, direct = (jax.jit(jax.grad(f))(distance) for f in (skewed, plain))
        np.testing.assert_allclose(ours, direct, atol=1e-12)
        assert not np.any(ours[:, 0])  # a distance of 5 does not occur among 5 positions


def test_only_distances_count():
    """Without other positions, what was read long ago and is masked out of reach changes nothing: a window's logits do
    not depend on where it stands."""
    model = tiny("music-transformer", layers=1)
    params = random_like(initialised(model)[0])
    assert "positions" not in params["music_transformer"]
    assert params["music_transformer"]["blocks_0"]["distance"].shape == (2, 16, 8)
    logits = np.asarray(jitted(model, "outputs")(params, {}, np.array([[3, 3, 3, 3]])))
    np.testing.assert_allclose(logits[0], np.tile(logits[0, :1], (4, 1)), atol=1e-5)  # an average of equals


def test_no_array_of_time_by_time_by_width():
    """The point of skewing: with T = 64 and heads of 8, nothing in the gradient is larger than B H T T."""
    model = tiny("music-transformer", context=64, layers=1, heads=1, width=8, inner=8)
    params, extra = jax.eval_shape(model.init, jax.random.key(0))
    loss = lambda params: model.loss(params, extra, random_batch(model, 1), jax.random.key(0), jnp.int32(0))[0]
    jaxpr = jax.make_jaxpr(jax.grad(loss))(params)
    assert max(variable.aval.size for equation in every(jaxpr.jaxpr) for variable in equation.outvars) <= 65 * 65


def every(jaxpr):
    from jax.extend.core import jaxprs_in_params

    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from every(inner)
