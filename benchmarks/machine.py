"""What a number was measured on: device, versions, how busy the machine is, what its memory holds."""

import json
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")
PRESSURE = Path("/proc/pressure/cpu")


def device() -> str:
    """The accelerator's name, or cpu with the number of cores and the processor."""
    import jax

    first = jax.devices()[0]
    if first.platform != "cpu":
        return f"{len(jax.devices())} x {first.device_kind}"
    return f"cpu, {len(os.sched_getaffinity(0))} cores, {processor()}"


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def versions() -> dict[str, str]:
    """Of Python and of every package that a number depends on and that is here."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def facts() -> dict[str, Any]:
    """What belongs to every number."""
    flags = {name: os.environ[name] for name in ("XLA_FLAGS", "GLIBC_TUNABLES") if name in os.environ}
    return {"device": device(), "versions": versions(), "flags": flags, "cores": sorted(os.sched_getaffinity(0))}


def facts_apart() -> dict[str, Any]:
    """The same from a process of its own: whoever asks a GPU for its name has taken its memory."""
    from benchmarks.process import alone

    return json.loads(alone("benchmarks.machine"))


def cpu_pressure(seconds: float = 1.0) -> float:
    """`pressure_of` the seconds from now on."""
    with pressure_of() as pressure:
        time.sleep(seconds if PRESSURE.exists() else 0)
    return pressure()


@contextmanager
def pressure_of() -> Iterator[Callable[[], float]]:
    """Afterwards: per cent of the time of its body in which some process waited for a core; 0 where the kernel does not
    say."""
    before, began = waited(), time.monotonic()
    share = [0.0]
    yield lambda: share[0]
    share[0] = 100 * (waited() - before) / max(time.monotonic() - began, 1e-9)


def waited() -> float:
    """Seconds in which some process waited, since the machine began."""
    if not PRESSURE.exists():
        return 0.0
    some = PRESSURE.read_text().splitlines()[0]
    return 1e-6 * float(some.rsplit("total=", 1)[1])


def peak_memory() -> int:
    """The most bytes that this process has held, on the accelerator where there is one."""
    import jax

    stats = jax.devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    print(json.dumps(facts()))
