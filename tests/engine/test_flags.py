"""What the compiler is told."""

import jax
import jax.numpy as jnp
import pytest

from train import flags
from zoo.nn.correlate import correlate


@pytest.fixture(autouse=True)
def forget():
    yield
    flags.compiler_options.cache_clear()


def test_options_that_a_version_does_not_know_are_left_out(monkeypatch):
    name, value = next(iter(flags.OPTIONS["cpu"].items()))
    monkeypatch.setattr(flags, "OPTIONS", {"cpu": {name: value, "xla_cpu_of_another_year": "true"}})
    flags.compiler_options.cache_clear()
    assert flags.compiler_options("cpu") == {name: value}
    assert flags.compiler_options("tpu") == {}


def test_convolutions_are_left_to_the_quicker_library():
    def text(**options):
        x, kernel = jnp.ones((64, 16, 16, 64)), jnp.ones((3, 3, 64, 64))
        valid = jax.jit(lambda x, kernel: correlate(x, kernel, pads=((0, 0), (0, 0))), **options)
        return valid.lower(x, kernel).compile().as_text() or ""

    if "ynn_fusion" not in text():
        pytest.skip("this jaxlib has no YNNPACK convolutions")
    assert "ynn_fusion" not in text(compiler_options=flags.compiler_options("cpu"))
