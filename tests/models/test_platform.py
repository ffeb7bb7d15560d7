"""Which form is traced, and that the other leaves nothing behind."""

import jax
import jax.numpy as jnp

from zoo.nn.platform import by_platform, platform, traced_for


def test_the_platform_is_that_of_the_default_device_unless_told():
    assert platform() == jax.default_backend()
    with jax.default_device("cpu"):
        assert platform() == "cpu"
    with jax.default_device(jax.devices("cpu")[0]):
        assert platform() == "cpu"
    with traced_for("tpu"):
        assert platform() == "tpu"
    assert platform() == jax.default_backend()


def test_one_form_is_traced():
    traced = []

    def form(name):
        return lambda x: traced.append(name) or jnp.sin(x)

    run = lambda x: by_platform(x, cpu=form("cpu"), default=form("default"))
    with traced_for("gpu"):
        program = jax.make_jaxpr(jax.grad(jax.grad(run)))(1.0)
    assert traced == ["default"]
    assert "cond" not in str(program)
