"""Strict on purpose: eight fake devices, ranks never promoted silently, every warning an error."""

import ctypes
import os
from importlib.metadata import version
from pathlib import Path

# What makes programs fast costs more than tiny models gain by it; see ``optimised`` in running.py.
CHEAP = ["backend_optimization_level=0", "llvm_disable_expensive_passes=true", "cpu_parallel_codegen_split_count=1"]
if version("jaxlib").startswith("0.10."):  # later ones have lost the kernels' emitter that is three times as fast
    CHEAP.append("cpu_use_fusion_emitters=false")
flags = [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8", *(f"--xla_{x}" for x in CHEAP)]
os.environ["XLA_FLAGS"] = " ".join(flags).strip()
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
