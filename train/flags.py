"""What the compiler is told, by platform: options that belong to one ``jit`` and not to the whole process."""

import functools
from types import MappingProxyType

import jax

OPTIONS = MappingProxyType(
    {
        # jaxlib 0.10 gives dense products and convolutions to YNNPACK. Its convolutions are slower than Eigen's, which
        # this returns to, and its products are not. Measured on whole steps with 2 cores of an AMD EPYC (AVX-512),
        # jaxlib 0.10.2: vae-conv at 64 pixels 166 -> 102 ms, dcgan at 32 pixels 175 -> 118, at 64 pixels 512 -> 341.
        "cpu": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"},
    }
)


@functools.cache
def compiler_options(platform: str) -> dict[str, str]:
    """The options of ``OPTIONS`` that this jaxlib knows, for ``jax.jit(..., compiler_options=...)``."""
    return {name: value for name, value in OPTIONS.get(platform, {}).items() if known(platform, name, value)}


def known(platform: str, name: str, value: str) -> bool:
    """Whether a program compiles with the option: names come and go with versions."""
    zero = jax.device_put(0.0, jax.local_devices(backend=platform)[0])
    try:
        jax.jit(lambda x: x, compiler_options={name: value})(zero)
    except jax.errors.JaxRuntimeError:
        return False
    return True
