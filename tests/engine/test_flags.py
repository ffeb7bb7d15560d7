"""What the compiler is told."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from train import flags
from zoo.nn.correlate import correlate


@pytest.fixture(autouse=True)
def forget():
    real = flags.compiler_options
    yield
    real.cache_clear()


def test_options_that_a_version_does_not_know_are_left_out(monkeypatch):
    stranger = replace(flags.EIGEN, name="xla_cpu_of_another_year")
    monkeypatch.setattr(flags, "OPTIONS", {"cpu": (flags.EIGEN, stranger)})
    flags.compiler_options.cache_clear()
    assert flags.compiler_options("cpu") == {flags.EIGEN.name: flags.EIGEN.value}
    assert flags.compiler_options("tpu") == {}


def test_what_the_user_says_in_xla_flags_stands(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    flags.compiler_options.cache_clear()
    assert flags.compiler_options("cpu", once=True) == {flags.SOON.name: flags.SOON.value}
    assert flags.SOON.name not in flags.compiler_options("cpu")
    monkeypatch.setenv("XLA_FLAGS", f"--{flags.SOON.name}=3")
    flags.compiler_options.cache_clear()
    assert flags.compiler_options("cpu", once=True) == {} and flags.EIGEN.name in flags.compiler_options("cpu")


def test_an_option_is_for_some_versions_and_devices():
    option = replace(flags.EIGEN, since=(0, 10), until=(0, 12), kind="H100")
    meant = lambda kind, *version: flags.meant(option, kind, version)
    assert meant("NVIDIA H100 80GB HBM3", 0, 10) and meant("NVIDIA H100 80GB HBM3", 0, 11, 3)
    assert not meant("NVIDIA H100", 0, 9, 2) and not meant("NVIDIA H100", 0, 12, 0) and not meant("cpu", 0, 11)
    assert flags.meant(replace(option, kind="", until=None), "cpu", (1, 0))


def test_convolutions_are_left_to_the_quicker_library():
    def text(**options):
        x, kernel = jnp.ones((64, 16, 16, 64)), jnp.ones((3, 3, 64, 64))
        valid = jax.jit(lambda x, kernel: correlate(x, kernel, pads=((0, 0), (0, 0))), **options)
        return valid.lower(x, kernel).compile().as_text() or ""

    if "ynn_fusion" not in text():
        pytest.skip("this jaxlib has no YNNPACK convolutions")
    assert "ynn_fusion" not in text(compiler_options=flags.compiler_options("cpu"))


def test_a_decorated_function_is_compiled_with_the_options_at_its_first_call(monkeypatch):
    asked = []

    def options(platform):
        asked.append(platform)
        return {flags.SOON.name: "0"}

    monkeypatch.setattr(flags, "compiler_options", options)

    @partial(flags.jit, static_argnums=0)
    def scaled(factor, x):
        """Times."""
        return factor * x

    assert asked == [] and scaled.__doc__ == "Times."
    assert float(scaled(3, jnp.float32(2))) == 6 and float(scaled(4, jnp.float32(2))) == 8
    assert asked == ["cpu"]
