"""What a device can do at most: by its data sheet, and by a large product and a large copy measured just now.

``python -m benchmarks.ceilings DTYPE`` prints {"flops": a second, "bytes": a second}, as the machine is now.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Sheet:
    """Of a data sheet."""

    flops: Mapping[str, float]
    """dtype -> dense operations a second."""
    bandwidth: float
    """Bytes a second of its memory."""


# Part of the device's name -> NVIDIA's data sheet. A processor's clock and memory are no part of its name.
SHEETS: Mapping[str, Sheet] = {
    "H200": Sheet(flops={"bfloat16": 989e12}, bandwidth=4.8e12),
    "H100": Sheet(flops={"bfloat16": 989e12}, bandwidth=3.35e12),  # SXM
}


def sheet_of(device: str, dtype: str) -> dict[str, float | None]:
    """{"flops", "bytes": a second} that the data sheet promises; None where there is none."""
    found = next((sheet for name, sheet in SHEETS.items() if name in device), None)
    return {"flops": found and found.flops.get(dtype), "bytes": found and found.bandwidth}


def shares(reached: float, sheet: float | None, measured: float, what: str) -> dict[str, float | None]:
    """{"sheet": of the data sheet, ``what``: of what was measured in the same run}."""
    return {"sheet": reached / sheet if sheet else None, what: reached / measured}


def best_product(dtype: Any) -> float:
    """Operations a second of a large matrix product."""
    side = 2048 if jax.default_backend() == "cpu" else 8192
    x = jnp.ones((side, side), dtype)
    return 2 * side**3 / fastest(jax.jit(lambda x: x @ x), x)


def best_copy() -> float:
    """Bytes a second, read and written, of a large copy."""
    x = jnp.ones(2**26 if jax.default_backend() == "cpu" else 2**30, jnp.float32)
    return 2 * x.nbytes / fastest(jax.jit(lambda x: x + 1), x)


def fastest(function: Callable, x: Any, turns: int = 10) -> float:
    jax.block_until_ready(function(x))
    best = np.inf
    for _ in range(turns):
        began = time.perf_counter()
        jax.block_until_ready(function(x))
        best = min(best, time.perf_counter() - began)
    return float(best)


if __name__ == "__main__":
    print(json.dumps({"flops": best_product(jnp.dtype(sys.argv[1])), "bytes": best_copy()}))
