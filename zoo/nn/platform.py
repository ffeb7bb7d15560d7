"""Which form of a function is traced: the one for the device that it will run on.

``jax.lax.platform_dependent`` leaves the choice to the compiler, and until then every form is traced, and derived once
more at every derivative: a step of StyleGAN2, with gradients of gradients, took 55 seconds to trace.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

_PLATFORM: ContextVar[str | None] = ContextVar("platform", default=None)


def by_platform(*arguments: Any, cpu: Callable[..., Any], default: Callable[..., Any]) -> Any:
    """``cpu(*arguments)`` where the trace is for a CPU, else ``default(*arguments)``; both compute the same."""
    return (cpu if platform() == "cpu" else default)(*arguments)


def platform() -> str:
    """What is traced for: what `traced_for` says, or JAX's default device: "cpu", "gpu" or "tpu"."""
    device: Any = jax.default_device.value
    return _PLATFORM.get() or getattr(device, "platform", device) or jax.default_backend()


@contextmanager
def traced_for(platform: str) -> Iterator[None]:
    """What is traced inside will run on devices of this platform, which this machine need not have."""
    token = _PLATFORM.set(platform)
    try:
        yield
    finally:
        _PLATFORM.reset(token)
