"""Sums over rows and their transpose, and batch normalisation on them, against the plain forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from zoo.nn.batch_norm import BatchNorm
from zoo.nn.columns import MEMBERS, add_bias, column_sums, spread
from zoo.nn.dense import Dense

SHAPE = (4, 3, 5)


def draw(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def agree(ours, theirs, tolerance=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance), ours, theirs)


def test_bias_and_sums_through_every_transformation():
    """Values, gradients, forward mode, Hessians, and members that share rows, vectors, or nothing."""
    ours = lambda x, b: jnp.sum(jnp.tanh(add_bias(x, b)) * spread(column_sums(jnp.sin(x)), x.shape))
    plain = lambda x, b: jnp.sum(jnp.tanh(x + b[None, None]) * jnp.sum(jnp.sin(x), (0, 1))[None, None])
    x, b = draw(*SHAPE), draw(5, seed=1)
    many_x, many_b = draw(3, *SHAPE, seed=2), draw(5, 3, seed=3)

    def answers(of, x, b, many_x, many_b):
        gradient = jax.grad(of, (0, 1))
        return (
            of(x, b),
            gradient(x, b),
            jax.jvp(of, (x, b), (x, b)),
            jax.hessian(of, (0, 1))(x, b),
            jax.vmap(gradient, (0, None))(many_x, b),
            jax.vmap(gradient, (None, 1))(x, many_b),
            jax.vmap(jax.vmap(gradient, (None, 1)), (0, None))(many_x, many_b),
        )

    both = jax.jit(lambda *given: (answers(ours, *given), answers(plain, *given)))
    agree(*both(x, b, many_x, many_b), tolerance=2e-4)


def test_many_members_are_summed_together():
    x = draw(MEMBERS + 1, *SHAPE)
    agree(jax.jit(jax.vmap(column_sums))(x), np.sum(x, (1, 2)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_dtypes(dtype):
    with jax.enable_x64(True):
        x, b = jnp.ones((256, 32, 1), dtype) * 0.01, jnp.ones(1, dtype)
        assert column_sums(x).dtype == add_bias(x, b).dtype == jnp.dtype(dtype)
        # Added up in bfloat16, sums would stop to grow.
        np.testing.assert_allclose(np.float64(column_sums(x)[0]), 8192 * np.float64(x[0, 0, 0]), rtol=1e-2)


def test_a_dense_layer_is_flax_s():
    x = draw(*SHAPE)
    ours, theirs = Dense(7), nn.Dense(7)
    variables, its = (jax.jit(layer.init)(jax.random.key(0), x) for layer in (ours, theirs))
    agree(variables, its, tolerance=0)
    variables = jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), variables)
    loss = lambda layer: lambda variables, x: jnp.sum(jnp.sin(layer.apply(variables, x)))
    agree(*(jax.jit(jax.grad(loss(layer), (0, 1)))(variables, x) for layer in (ours, theirs)))
    y, _ = jax.eval_shape(Dense(2, dtype=jnp.bfloat16).init_with_output, jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_is_flax_s(affine):
    """Training and not; gradients, a gradient of a gradient, forward mode, a population; the running statistics."""
    x, along = 2 * draw(4, 3, 3, 5) + 1, draw(4, 3, 3, 5, seed=1)
    members = jnp.stack([x, x * x])

    def answers(kind, x, along, members):
        fields = {"momentum": 0.9, "use_scale": affine, "use_bias": affine}
        layer, still = kind(use_running_average=False, **fields), kind(use_running_average=True, **fields)
        variables = jax.tree.map(lambda leaf: leaf + 0.1, layer.init(jax.random.key(0), x))

        def loss(params, x):
            y, after = layer.apply(variables | {"params": params}, x, mutable="batch_stats")
            fixed = still.apply(variables | {"params": params}, x)
            return jnp.sum(jnp.sin(y * jnp.arange(1.0, 6)[None, None, None])) + jnp.sum(fixed**2), after

        params = variables.get("params", {})
        gradient = jax.grad(loss, (0, 1), has_aux=True)
        slope = lambda x: gradient(params, x)[0][1]
        return (
            loss(params, x),
            gradient(params, x),
            jax.jvp(slope, (x,), (along,))[1],
            jax.grad(lambda x: jnp.vdot(slope(x), along))(x),
            jax.vmap(slope)(members),
            still.apply(variables, x),
        )

    both = jax.jit(lambda *given: (answers(BatchNorm, *given), answers(nn.BatchNorm, *given)))
    agree(*both(x, along, members), tolerance=2e-3)


def test_batch_norm_in_half_precision_has_statistics_in_full():
    x = draw(64, 5, dtype=jnp.bfloat16) + 3
    layer = BatchNorm(use_running_average=False, dtype=jnp.bfloat16)
    y, variables = jax.jit(layer.init_with_output)(jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert np.abs(np.float32(y).mean(0)).max() < 0.02
