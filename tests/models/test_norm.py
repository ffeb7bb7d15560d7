"""The fast layer norm against flax's, through every transformation."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from zoo.nn.norm import LayerNorm, layer_norm


def draw(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def norm_inputs(dtype=jnp.float32):
    return draw(4, 6, 16, dtype=dtype) * 3 + 1, draw(16, seed=1, dtype=dtype), draw(16, seed=2, dtype=dtype)


def flax_norm(x, scale, bias):
    return nn.LayerNorm(epsilon=1e-5).apply({"params": {"scale": scale, "bias": bias}}, x)


def our_norm(x, scale, bias):
    return layer_norm(x, scale, bias, epsilon=1e-5)


def test_layer_norm_is_flax_s():
    """Value, gradient, forward mode, gradient of a gradient, and ``vmap`` over a population of scales."""
    arguments, tangents = norm_inputs(), tuple(draw(*a.shape, seed=7) for a in norm_inputs())

    def answers(norm, *arguments):
        loss = lambda *arguments: jnp.sum(jnp.sin(norm(*arguments)))
        grad = jax.grad(loss, (0, 1, 2))
        second = jax.grad(lambda *arguments: jnp.sum(jnp.square(grad(*arguments)[0])), (0, 1))
        x, scale, bias = arguments
        scales = jnp.stack([scale, 2 * scale])
        population = jax.vmap(grad, (None, 0, None))(x, scales, bias)
        forward = jax.jvp(norm, arguments, tangents)
        return norm(*arguments), grad(*arguments), second(*arguments), population, forward

    ours, theirs = (jax.jit(partial(answers, norm))(*arguments) for norm in (our_norm, flax_norm))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-5), ours, theirs)


def test_layer_norm_as_a_layer():
    x, scale, bias = norm_inputs()
    variables = {"params": {"scale": scale, "bias": bias}}
    fresh = jax.eval_shape(LayerNorm().init, jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, variables)
    for rows in (x, x[0, 0]):
        y = jax.jit(LayerNorm(epsilon=1e-5).apply)(variables, rows)
        np.testing.assert_allclose(y, jax.jit(flax_norm)(rows, scale, bias), atol=1e-5)
    half = jax.eval_shape(LayerNorm(dtype=jnp.bfloat16).apply, variables, x.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    with jax.enable_x64(True):
        x, scale, bias = norm_inputs(jnp.float64)
        y = jax.jit(LayerNorm().apply)({"params": {"scale": scale, "bias": bias}}, x)
        assert y.dtype == jnp.float64
        np.testing.assert_allclose(np.mean((np.asarray(y) - np.asarray(bias)) / np.asarray(scale), -1), 0, atol=1e-13)
