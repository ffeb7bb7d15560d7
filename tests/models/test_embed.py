"""Embeddings: their gradient in both forms, and which devices are given which."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from zoo.nn.embed import FEW, Embed, _by_product, lookup
from zoo.nn.platform import traced_for


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def plain(table, index):
    return jnp.take(table, index, axis=0)


INDEX = jnp.asarray([[0, 3, 3], [4, 0, 3]])


@pytest.mark.parametrize("form", [lookup, _by_product])
def test_the_forms_agree_through_every_transformation(form):
    table, change, g = draw(5, 7), draw(5, 7, seed=1), draw(2, 3, 7, seed=2)
    loss = lambda form: lambda table: jnp.sum(jnp.sin(form(table, INDEX)) * g)
    np.testing.assert_allclose(form(table, INDEX), plain(table, INDEX), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(loss(form))(table), jax.grad(loss(plain))(table), rtol=1e-5, atol=1e-6)
    along = lambda form: jax.jvp(jax.grad(loss(form)), (table,), (change,))[1]
    np.testing.assert_allclose(along(form), along(plain), rtol=1e-5, atol=1e-6)
    tables = jnp.stack([table, change])
    each = lambda form: jax.vmap(jax.grad(loss(form)))(tables)
    np.testing.assert_allclose(each(form), each(plain), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("platform", "rows", "adds"),
    [("cpu", 65, True), ("gpu", 65, False), ("tpu", 65, True), ("gpu", FEW + 1, True)],
)
def test_few_rows_are_not_added_up_one_by_one_beside_a_gpu(platform, rows, adds):
    gradient = jax.jit(jax.grad(lambda table, index: jnp.sum(jnp.sin(lookup(table, index)))))
    with traced_for(platform):
        text = gradient.lower(draw(rows, 4), INDEX).as_text()
    assert ("scatter" in text) is adds
    assert ("dot_general" in text) is not adds


def test_the_layer_is_flax_s():
    layer, theirs = (kind(5, 7, dtype=jnp.bfloat16) for kind in (Embed, nn.Embed))
    params = layer.init(jax.random.key(0), INDEX)
    assert jax.tree.structure(params) == jax.tree.structure(theirs.init(jax.random.key(0), INDEX))
    y = layer.apply(params, INDEX)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, theirs.apply(params, INDEX))
