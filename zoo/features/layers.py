"""What networks of convolutions and pools share."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.errors import UserError
from zoo.model import Array
from zoo.nn.columns import add_bias
from zoo.nn.conv import Padding, conv2d

Layer = tuple[str, Callable[[Any, Array], Array]]
"""(name, (params, x) -> x)."""


def relu_conv(params: Any, x: Array, *, stride: int = 1, padding: Padding = "SAME") -> Array:
    """[B, H, W, C] by ``params``' kernel and bias, in x's dtype."""
    kernel, bias = (params[name].astype(x.dtype) for name in ("kernel", "bias"))
    return jax.nn.relu(add_bias(conv2d(x, kernel, stride=stride, padding=padding), bias))


def max_pool(x: Array, window: int, *, stride: int = 2, ceil: bool = False) -> Array:
    """[B, H, W, C] -> maxima of windows. ``ceil``: a window may begin that ends outside, as Caffe has it."""
    beyond = [(0, 0)] * x.ndim
    if ceil:
        for axis in (1, 2):
            beyond[axis] = (0, max(-(-(x.shape[axis] - window) // stride), 0) * stride + window - x.shape[axis])
    windows, strides = (1, window, window, 1), (1, stride, stride, 1)
    lowest = np.array(-np.inf, x.dtype)  # of NumPy: with a traced one JAX finds no gradient
    return lax.reduce_window(x, lowest, lax.max, windows, strides, beyond)


def run(layers: Iterable[Layer], params: Any, x: Array, names: tuple[str, ...]) -> dict[str, Array]:
    """x through the layers as far as the last of ``names``: those layers' results."""
    found: dict[str, Array] = {}
    for name, layer in layers:
        x = layer(params, x)
        if name in names:
            found[name] = x
        if len(found) == len(names):
            break
    return found


def check_names(names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """UserError where a layer is asked for that is none."""
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"no layer is called {unknown[0]!r}; there are {', '.join(known)}")


def conv_params(file: Path, arrays: Mapping[str, np.ndarray], kernel: str, bias: str) -> dict[str, Array]:
    """A convolution's weight [out, in, h, w] and bias as ours, in float32. UserError where there is none."""
    for name, axes in ((kernel, 4), (bias, 1)):
        if name not in arrays or arrays[name].ndim != axes:
            raise UserError(f"{file}: {name} is missing, or of another shape")
    if len(arrays[bias]) != len(arrays[kernel]):
        raise UserError(f"{file}: {bias} has {len(arrays[bias])} numbers, but {kernel} is {arrays[kernel].shape}")
    return {
        "kernel": jnp.array(arrays[kernel].transpose(2, 3, 1, 0), jnp.float32),
        "bias": jnp.array(arrays[bias], jnp.float32),
    }
