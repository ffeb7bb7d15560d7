"""A product wanted in parts: one, split, or one each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.nn.dense import DenseParts, rows_by_matrix
from zoo.nn.platform import traced_for


@pytest.mark.parametrize("use_bias", [True, False])
def test_parts_are_the_same_on_every_device(use_bias):
    layer = DenseParts(12, parts=3, use_bias=use_bias)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 7)), jnp.float32)
    params = layer.init(jax.random.key(0), x)

    def loss(params, x):
        return sum(jnp.sum(jnp.sin(number * part)) for number, part in enumerate(layer.apply(params, x), 1))

    found = {}
    for platform in ("cpu", "gpu"):
        with traced_for(platform):
            found[platform] = jax.value_and_grad(lambda params, x: loss(params, x), argnums=(0, 1))(params, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found["cpu"], found["gpu"])


@pytest.mark.parametrize(
    ("platform", "shape", "count"), [("cpu", (2, 5, 7), 1), ("gpu", (2, 5, 7), 3), ("gpu", (2, 7), 1)]
)
def test_a_gpu_is_given_a_product_each_of_sequences(platform, shape, count):
    layer = DenseParts(12, parts=3)
    params = layer.init(jax.random.key(0), jnp.zeros(shape))
    with traced_for(platform):
        text = str(jax.make_jaxpr(lambda x: layer.apply(params, x))(jnp.zeros(shape)))
    assert text.count("dot_general") == count


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_axes_become_one_on_cpus_only(platform):
    """Elsewhere they may be split over devices."""
    x, matrix = jnp.ones((3, 4, 5)), jnp.ones((5, 2))
    with traced_for(platform):
        traced = jax.make_jaxpr(lambda x: rows_by_matrix(x, matrix))(x)
        np.testing.assert_allclose(rows_by_matrix(x, matrix), x @ matrix)
    assert ("reshape" in str(traced)) == (platform == "cpu")
