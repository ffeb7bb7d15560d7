"""What a number was measured on: device, versions, how busy the machine is, what its memory holds."""

import os
import platform
import resource
from importlib import metadata
from pathlib import Path

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


def cpu_pressure() -> float | None:
    """Per cent of the last ten seconds in which some process waited for a core; None where the kernel does not say."""
    if not PRESSURE.exists():
        return None
    first = PRESSURE.read_text().splitlines()[0]
    return float(dict(part.split("=") for part in first.split()[1:])["avg10"])


def peak_memory() -> int:
    """The most bytes that this process has held, on the accelerator where there is one."""
    import jax

    stats = jax.devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
