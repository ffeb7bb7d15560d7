"""The GELU: the accelerators' form is JAX's, through every derivative and as far out as numbers go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.nn.gelu import anew, gelu
from zoo.nn.platform import traced_for

X = jnp.concatenate([jnp.linspace(-8.0, 8.0, 401), jnp.array([-1e4, -60.0, 60.0, 1e4])])


@pytest.mark.parametrize("order", [0, 1, 2])
def test_derivatives_are_those_of_jax(order):
    mine, its = anew, jax.nn.gelu
    for _ in range(order):
        mine, its = (jax.grad(one) for one in (mine, its))
    with jax.enable_x64():  # JAX's own loses what tanh comes near to 1
        near = np.linspace(-8.0, 8.0, 401)
        np.testing.assert_allclose(jax.vmap(mine)(near), jax.vmap(its)(near), rtol=1e-6, atol=1e-9)
    assert np.isfinite(jax.vmap(mine)(X)).all()


def test_half_precision_is_computed_in_single():
    x = X[:401].astype(jnp.bfloat16)
    assert anew(x).dtype == jnp.bfloat16
    exact = jax.nn.gelu(x.astype(jnp.float32))
    apart = lambda y: np.abs(np.asarray(y, np.float32) - exact).max()
    assert apart(anew(x)) < apart(jax.nn.gelu(x))


def test_the_way_back_asks_for_no_tanh():
    back = lambda x: jax.vjp(gelu, x)[1](x)
    with traced_for("gpu"):
        assert str(jax.make_jaxpr(lambda x: back(x))(X)).count(" tanh ") == 1  # what there is of it goes forward
