"""Strict on purpose: eight fake devices, ranks never promoted silently, every warning an error."""

import ctypes
import os
from pathlib import Path

# LLVM's optimisations cost more than tiny models gain by them; commands that tests start have them.
CHEAP = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8 {CHEAP}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Commands that tests start compile the same programs again and again. Every worker has a cache of its own: JAX writes
# entries in place, and another process could read half of one.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(Path(__file__).parents[1] / ".cache" / "xla" / os.environ.get("PYTEST_XDIST_WORKER", "alone")),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import jax  # noqa: E402
import pytest  # noqa: E402

LARGEST = 2 * 2**30  # bytes of a process, above which it forgets what it compiled

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``slow`` tests run only when they are asked for."""
    if "slow" in (config.option.markexpr or ""):
        return
    skip = pytest.mark.skip(reason="slow: run `make test-all`")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Compiled programs stay in memory, and after hundreds of tests they are gigabytes."""
    yield
    statm = Path("/proc/self/statm")  # of Linux, where the C library keeps what it was given back, too
    if statm.exists() and int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > LARGEST:
        jax.clear_caches()
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def zoo_data() -> Path:
    """The folder with real data sets."""
    folder = os.environ.get("ZOO_DATA")
    if not folder:
        pytest.skip("ZOO_DATA is not set")
    return Path(folder)
