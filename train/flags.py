"""What the compiler is told, by device and version: options that belong to one ``jit`` and not to the whole process."""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
from jaxlib.version import __version_info__ as JAXLIB


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a compiler is told, which compilers, and what came of it."""

    name: str
    value: str
    since: tuple[int, ...]
    """The first jaxlib for which this holds."""
    until: tuple[int, ...] | None = None
    """The first for which it holds no more; None is not known yet."""
    kind: str = ""
    """A part of the names of the devices that it is for: "H100"; every one has the empty part."""
    gains: Mapping[str, float]
    """How many times as fast it makes something: a row of ``python -m benchmarks forms``, unless that is said."""
    measured: str
    """Where that was."""


# jaxlib 0.10 gives dense products and convolutions to YNNPACK. Its convolutions are slower than Eigen's, which this
# returns to, and its products are not.
EIGEN = Option(
    name="xla_cpu_experimental_ynn_fusion_type",
    value="LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
    since=(0, 10),
    gains={"flags-vae-conv-64": 1.45, "flags-dcgan-64": 1.26},
    measured="2 cores of an AMD EPYC (AVX-512), jaxlib 0.10.2",
)

# Most of what a start takes is the compiler, at work on random numbers that are drawn once.
SOON = Option(
    name="xla_backend_optimization_level",
    value="1",
    since=(0, 10),
    gains={"compiling dcgan-64's init": 4.2, "compiling stylegan2-64's init": 1.5},
    measured="2 cores of an AMD EPYC (AVX-512), jaxlib 0.10.2",
)

# platform -> options
OPTIONS: Mapping[str, tuple[Option, ...]] = MappingProxyType({"cpu": (EIGEN,)})
ONCE: Mapping[str, tuple[Option, ...]] = MappingProxyType({"cpu": (SOON,)})


@functools.cache
def compiler_options(platform: str, *, once: bool = False) -> dict[str, str]:
    """The options of ``OPTIONS`` that are for this device and that this jaxlib knows, for ``jax.jit(...,
    compiler_options=...)``; with ``once``, those of ``ONCE``, for a program that will run a single time. What the user
    says in XLA_FLAGS stands."""
    return {
        option.name: option.value
        for option in (ONCE if once else OPTIONS).get(platform, ())
        if option.name not in os.environ.get("XLA_FLAGS", "")
        and meant(option, jax.local_devices(backend=platform)[0].device_kind)
        and known(platform, option.name, option.value)
    }


def jit(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """``jax.jit`` with `compiler_options` of the default device, which is asked for at the first call and not before: a
    module may decorate with it."""

    @functools.cache
    def compiled() -> Callable[..., Any]:
        return jax.jit(function, compiler_options=compiler_options(jax.default_backend()), **options)

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        return compiled()(*arguments, **keywords)

    return call


def meant(option: Option, kind: str, jaxlib: tuple[int, ...] = JAXLIB) -> bool:
    """Whether the option is for devices of this kind and for this jaxlib."""
    return option.kind in kind and option.since <= jaxlib and (option.until is None or jaxlib < option.until)


def known(platform: str, name: str, value: str) -> bool:
    """Whether a program compiles with the option: names come and go with versions."""
    zero = jax.device_put(0.0, jax.local_devices(backend=platform)[0])
    try:
        jax.jit(lambda x: x, compiler_options={name: value})(zero)
    except jax.errors.JaxRuntimeError:
        return False
    return True
