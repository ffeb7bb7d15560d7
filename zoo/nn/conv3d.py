"""Strided convolutions of volumes, and of sounds, and their transposes, in the form that is fast on each platform.

As the convolutions of pictures in `zoo.nn.conv`, those over three axes and over one have two forms, which agree to
rounding through every transformation (gradients of any order, forward mode, ``vmap``):

- ``lax``: one ``lax.conv_general_dilated``, with ``lhs_dilation`` for the transpose. Inside a loop, where training
  steps live, XLA:CPU computes its gradients in plain loops.
- ``packed``: what is strided or dilated is packed, blocks of s x s x s voxels into channels, so that a dense
  convolution of Q = ceil(K / s) taps an axis is left. On a CPU that is a matrix product: of the Q x Q x Q neighbours of
  each block, side by side as channels, or, for the transpose, of each block into what it adds to them. Elsewhere it is
  left to lax.

Value and both gradients in a loop, kernels of 4, stride 2, 8 examples, on 2 busy cores of an AMD EPYC, jaxlib 0.10.2:
32^3, 4 -> 32 channels 2062 -> 179 ms; 8^3, 64 -> 128 613 -> 55; up from 4^3, 128 -> 64 1433 -> 57, from 16^3, 32 -> 4
16951 -> 131. Kernels of 25, stride 4: 1024 samples, 16 -> 32 131 -> 4; up from 256, 32 -> 16 91 -> 5. Convolutions of
pictures by `zoo.nn.correlate`, with the taps along the first axis as channels, took up to twice as long as products.

Volumes are [B, D, H, W, C] and kernels [K_d, K_h, K_w, C_in, C_out]; sounds are [B, T, C] and kernels [K, C_in, C_out].
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import lax

from zoo.nn.columns import add_bias
from zoo.nn.dense import rows_by_matrix
from zoo.nn.platform import by_platform

Array = jax.Array
Form = Literal["lax", "packed"]
Pads = tuple[tuple[int, int], ...]
Padding = Literal["SAME", "VALID"] | int | Pads
Sides = tuple[int, ...]

LAYOUTS = {3: ("NWC", "WIO", "NWC"), 5: ("NDHWC", "DHWIO", "NDHWC")}  # by the rank


def conv3d(
    x: Array, kernel: Array, *, stride: int | Sides = 1, padding: Padding = "SAME", form: Form | None = None
) -> Array:
    """Cross-correlation: y[i] = sum_t x[i * stride + t - start] kernel[t], with i, t and start along each axis.

    x [B, D, H, W, C_in], kernel [K_d, K_h, K_w, C_in, C_out] -> [B, D', H', W', C_out], D' = (D + pads - K_d) // stride
    + 1; ``conv1d`` is the same of x [B, T, C_in] and a kernel [K, C_in, C_out]. ``stride``: one for all axes, or one
    each. ``padding``: "SAME" (D' = ceil(D / stride)), "VALID", so many zeros on every side, or (before, after) of each
    axis. ``form``: None takes the one that is fastest where it runs.
    """
    strides = _each(stride, x.ndim - 2)
    pads = _pads(padding, x.shape[1:-1], kernel.shape[:-2], strides)
    forms = {name: partial(f, strides=strides, pads=pads) for name, f in (("lax", _plain), ("packed", _conv_packed))}
    if form is not None:
        return forms[form](x, kernel)
    return by_platform(x, kernel, cpu=forms["packed"], default=forms["lax"])


def conv3d_transpose(
    x: Array, kernel: Array, *, stride: int | Sides = 1, padding: Padding = "SAME", form: Form | None = None
) -> Array:
    """The adjoint of ``conv3d`` in space: y[i * stride + t - start] += x[i] kernel[t].

    x [B, D, H, W, C_in], kernel [K_d, K_h, K_w, C_in, C_out] -> [B, D', H', W', C_out], D' = (D - 1) * stride + K_d -
    pads. ``padding``: "SAME" (D' = D * stride), or what a ``conv3d`` from y's shape to x's would be given: PyTorch's
    convention, whose weight [C_in, C_out, K_d, K_h, K_w] is this kernel transposed by (3, 4, 0, 1, 2).
    """
    strides = _each(stride, x.ndim - 2)
    high = [n * s for n, s in zip(x.shape[1:-1], strides, strict=True)]
    pads = _pads(padding, high, kernel.shape[:-2], strides)
    transpose = _transpose_lax if form == "lax" else _transpose_packed
    return transpose(x, kernel, strides=strides, pads=pads)


conv1d, conv1d_transpose = conv3d, conv3d_transpose  # nothing in them depends on how many axes there are


class Conv3D(nn.Module):
    """``conv3d`` with a learnt kernel and bias, of volumes [B, D, H, W, C]."""

    features: int
    kernel_size: int | Sides = 3
    stride: int | Sides = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()
    form: Form | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, D, H, W, C] -> [B, D', H', W', features]."""
        return _layer(self, x, conv3d)


class ConvTranspose3D(Conv3D):
    """``conv3d_transpose`` with a learnt kernel and bias; the fields are those of ``Conv3D``."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, D, H, W, C] -> [B, D', H', W', features]."""
        return _layer(self, x, conv3d_transpose)


class Conv1D(Conv3D):
    """``conv1d`` with a learnt kernel and bias, of sounds [B, T, C]; the fields are those of ``Conv3D``."""


class ConvTranspose1D(ConvTranspose3D):
    """``conv1d_transpose`` with a learnt kernel and bias, of sounds [B, T, C]; the fields are those of ``Conv3D``."""


def _layer(module: Conv3D, x: Array, operator: Callable[..., Array]) -> Array:
    shape = (*_each(module.kernel_size, x.ndim - 2), x.shape[-1], module.features)
    kernel = module.param("kernel", module.kernel_init, shape, module.param_dtype)
    bias = module.param("bias", nn.initializers.zeros, shape[-1:], module.param_dtype) if module.use_bias else None
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=module.dtype)
    return add_bias(operator(x, kernel, stride=module.stride, padding=module.padding, form=module.form), bias)


def _each(value: int | Sides, axes: int) -> Sides:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _pads(padding: Padding, sides: Sequence[int], kernel: Sequence[int], strides: Sides) -> Pads:
    """Zeros before and after each axis of the high-resolution volume, which has these ``sides``."""
    if padding == "SAME":
        return tuple(_same(*axis) for axis in zip(sides, kernel, strides, strict=True))
    if padding == "VALID":
        padding = 0
    return ((padding, padding),) * len(sides) if isinstance(padding, int) else padding


def _same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """The odd zero goes to the end, as in TensorFlow and JAX. A negative end drops voxels that no tap reads."""
    total = (math.ceil(side / stride) - 1) * stride + kernel - side
    start = max(total, 0) // 2
    return start, total - start


# The forms of the convolution. Sides, here: high-resolution n, low-resolution m = (n + start + end - K) // s + 1.


def _plain(x: Array, kernel: Array, *, strides: Sides, pads: Pads) -> Array:
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=LAYOUTS[x.ndim])


def _conv_packed(x: Array, kernel: Array, *, strides: Sides, pads: Pads) -> Array:
    blocks, kernel = _packed(x, kernel, strides, pads)
    dense = partial(_plain, strides=(1,) * len(strides), pads=((0, 0),) * len(pads))
    return by_platform(blocks, kernel, cpu=_gathered, default=dense)


def _gathered(x: Array, kernel: Array) -> Array:
    """The dense convolution without padding as a product: all that a kernel covers, side by side as channels."""
    sides = [n - q + 1 for n, q in zip(x.shape[1:-1], kernel.shape[:-2], strict=True)]
    near = [
        x[(slice(None), *(slice(at, at + n) for at, n in zip(tap, sides, strict=True)))]
        for tap in product(*map(range, kernel.shape[:-2]))
    ]
    return rows_by_matrix(jnp.concatenate(near, axis=-1), kernel.reshape(-1, kernel.shape[-1]))


def _packed(x: Array, kernel: Array, strides: Sides, pads: Pads) -> tuple[Array, Array]:
    """x as blocks [B, m + Q - 1 each, S*C_in], S = s*s*s, and the kernel over blocks [Q each, S*C_in, C_out]."""
    phases, axes = _phases(kernel, strides), len(strides)
    edges = [(0, 0, 0)]
    for n, k, s, (start, end) in zip(x.shape[1:-1], kernel.shape[:-2], strides, pads, strict=True):
        blocks = (n + start + end - k) // s + math.ceil(k / s)
        edges.append((start, blocks * s - n - start, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), edges + [(0, 0, 0)])
    cut = [side for n, s in zip(x.shape[1:-1], strides, strict=True) for side in (n // s, s)]
    x = x.reshape(len(x), *cut, x.shape[-1])
    x = x.transpose(0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), 2 * axes + 1)
    kernel = phases.transpose(*range(0, 2 * axes, 2), *range(1, 2 * axes, 2), 2 * axes, 2 * axes + 1)
    return x.reshape(*x.shape[: axes + 1], -1), kernel.reshape(*kernel.shape[:axes], -1, kernel.shape[-1])


def _phases(kernel: Array, strides: Sides) -> Array:
    """[K each, C_in, C_out] -> [Q, s of each, C_in, C_out]: tap t = q * s + phase, zeros past the last tap."""
    taps = [(math.ceil(k / s), s) for k, s in zip(kernel.shape[:-2], strides, strict=True)]
    edges = [(0, q * s - k) for (q, s), k in zip(taps, kernel.shape[:-2], strict=True)]
    kernel = jnp.pad(kernel, edges + [(0, 0), (0, 0)])
    return kernel.reshape(*(side for pair in taps for side in pair), *kernel.shape[-2:])


# The forms of the transpose. Output o + start = (i + q) * s + phase: what block i + q receives from voxel i by q.


def _transpose_lax(x: Array, kernel: Array, *, strides: Sides, pads: Pads) -> Array:
    edges = [(k - 1 - start, k - 1 - end) for k, (start, end) in zip(kernel.shape[:-2], pads, strict=True)]
    kernel, ones = lax.rev(kernel, tuple(range(len(pads)))), (1,) * len(pads)
    layout = LAYOUTS[x.ndim]
    return lax.conv_general_dilated(x, kernel, ones, edges, lhs_dilation=strides, dimension_numbers=layout)


def _transpose_packed(x: Array, kernel: Array, *, strides: Sides, pads: Pads) -> Array:
    phases, axes = _phases(kernel, strides), len(strides)
    taps = phases.transpose(*range(0, 2 * axes, 2), 2 * axes, *range(1, 2 * axes, 2), 2 * axes + 1)
    taps = taps.reshape(*taps.shape[: axes + 1], -1)
    dense = partial(_transpose_lax, strides=(1,) * axes, pads=((0, 0),) * axes)
    blocks = by_platform(x, taps, cpu=_scattered, default=dense)
    return _unpacked(blocks, x.shape[1:-1], kernel.shape, strides, pads)


def _scattered(x: Array, taps: Array) -> Array:
    """The dense transpose without padding as a product: [B, m each, C_in], [Q each, C_in, P] -> [B, m + Q - 1, P]."""
    sides, (c_in, c_out) = taps.shape[:-2], taps.shape[-2:]
    parts = rows_by_matrix(x, jnp.moveaxis(taps, -2, 0).reshape(c_in, -1))
    zero, y = jnp.zeros((), x.dtype), jnp.zeros((), x.dtype)
    for number, tap in enumerate(product(*map(range, sides))):
        part = parts[..., number * c_out : (number + 1) * c_out]
        edges = [(at, q - 1 - at, 0) for at, q in zip(tap, sides, strict=True)]
        y = lax.pad(part, zero, [(0, 0, 0), *edges, (0, 0, 0)]) + y
    return y


def _unpacked(blocks: Array, low: Sides, kernel: Sides, strides: Sides, pads: Pads) -> Array:
    """Blocks [B, m + Q - 1 each, S*C_out] laid side by side and cropped to the output's sides."""
    axes, sides = len(strides), blocks.shape[1:-1]
    y = blocks.reshape(len(blocks), *sides, *strides, kernel[-1])
    woven = [axis for pair in zip(range(1, axes + 1), range(axes + 1, 2 * axes + 1), strict=True) for axis in pair]
    y = y.transpose(0, *woven, 2 * axes + 1)
    y = y.reshape(len(blocks), *(n * s for n, s in zip(sides, strides, strict=True)), kernel[-1])
    edges = [(0, 0, 0)]
    for m, k, s, full, (start, end) in zip(low, kernel[:-2], strides, y.shape[1:-1], pads, strict=True):
        n = (m - 1) * s + k - start - end
        edges.append((-start, n + start - full, 0))
    return lax.pad(y, jnp.zeros((), y.dtype), edges + [(0, 0, 0)])
