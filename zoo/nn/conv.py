"""Strided convolution and its transpose, in the form that is fast on each platform.

A layer with a kernel of K and a stride of s has two forms. They agree to rounding through every transformation
(gradients of any order, forward mode, ``vmap``):

- ``lax``: one ``lax.conv_general_dilated``, with ``lhs_dilation`` for the transpose. XLA runs the kernel's gradient of
  a dilated convolution tens of times slower than its forward (github.com/jax-ml/jax/issues/31662).
- ``packed``: one dense stride-1 convolution with a kernel of Q = ceil(K / s) at the low resolution, the high-resolution
  image having its s x s blocks packed into s * s * C channels (the sub-pixel convolution of Shi et al. 2016,
  arXiv:1609.05158). Nothing is dilated, neither forward nor backward. On a CPU it is `zoo.nn.correlate`.

Images are [B, H, W, C]; kernels are [K_h, K_w, C_in, C_out] for both operators.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import lax

from zoo.nn.columns import add_bias
from zoo.nn.correlate import LAYOUT, Pads, correlate
from zoo.nn.platform import by_platform

Array = jax.Array
Form = Literal["lax", "packed"]
Padding = Literal["SAME", "VALID"] | int | Pads


def conv2d(x: Array, kernel: Array, *, stride: int = 1, padding: Padding = "SAME", form: Form | None = None) -> Array:
    """Cross-correlation: y[i] = sum_t x[i * stride + t - top] kernel[t].

    x [B, H, W, C_in], kernel [K_h, K_w, C_in, C_out] -> [B, H', W', C_out], H' = (H + pads - K_h) // stride + 1.
    ``padding``: "SAME" (H' = ceil(H / stride)), "VALID", zeros on every side, or ((top, bottom), (left, right)).
    ``form``: None takes the one that is fastest where it runs.
    """
    pads = _pads(padding, x.shape[1:3], kernel.shape[:2], stride)
    lax_form, packed_form = (partial(f, stride=stride, pads=pads) for f in (_conv_lax, _conv_packed))
    if form is not None:
        return {"lax": lax_form, "packed": packed_form}[form](x, kernel)
    return by_platform(x, kernel, cpu=packed_form, default=lax_form)


def conv2d_transpose(
    x: Array, kernel: Array, *, stride: int = 1, padding: Padding = "SAME", form: Form | None = None
) -> Array:
    """The adjoint of ``conv2d`` in space: y[i * stride + t - top] += x[i] kernel[t].

    x [B, H, W, C_in], kernel [K_h, K_w, C_in, C_out] -> [B, H', W', C_out], H' = (H - 1) * stride + K_h - pads.
    ``padding``: "SAME" (H' = H * stride), or what a ``conv2d`` from y's shape to x's would be given. That is PyTorch's
    convention, and its weight [C_in, C_out, K_h, K_w] is this kernel transposed by (2, 3, 0, 1).
    ``form``: None takes the one that is fastest where it runs.
    """
    pads = _pads(padding, [n * stride for n in x.shape[1:3]], kernel.shape[:2], stride)
    transpose = _transpose_lax if form == "lax" else _transpose_packed
    return transpose(x, kernel, stride=stride, pads=pads)


class Conv(nn.Module):
    """``conv2d`` with a learnt kernel and bias: the parameters of ``nn.Conv``, for square kernels and strides."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()
    form: Form | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, H, W, C] -> [B, H', W', features]."""
        return _layer(self, x, conv2d)


class ConvTranspose(Conv):
    """``conv2d_transpose`` with a learnt kernel and bias; the fields are those of ``Conv``."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, H, W, C] -> [B, H', W', features]."""
        return _layer(self, x, conv2d_transpose)


def _layer(module: Conv, x: Array, operator: Callable[..., Array]) -> Array:
    shape = (module.kernel_size, module.kernel_size, x.shape[-1], module.features)
    kernel = module.param("kernel", module.kernel_init, shape, module.param_dtype)
    bias = module.param("bias", nn.initializers.zeros, shape[-1:], module.param_dtype) if module.use_bias else None
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=module.dtype)
    y = operator(x, kernel, stride=module.stride, padding=module.padding, form=module.form)
    return add_bias(y, bias)


def _pads(padding: Padding, sides: Sequence[int], kernel: Sequence[int], stride: int) -> Pads:
    """Zeros before and after the rows and the columns of the high-resolution image, which has these ``sides``."""
    if padding == "SAME":
        rows, columns = (_same(n, k, stride) for n, k in zip(sides, kernel, strict=True))
        return rows, columns
    if padding == "VALID":
        padding = 0
    return ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding


def _same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """The odd zero goes to the end, as in TensorFlow and JAX. A negative end drops pixels that no tap reads."""
    total = (math.ceil(side / stride) - 1) * stride + kernel - side
    start = max(total, 0) // 2
    return start, total - start


# The forms of the convolution. Sides, here: high-resolution n, low-resolution m = (n + start + end - K) // s + 1.


def _conv_lax(x: Array, kernel: Array, *, stride: int, pads: Pads) -> Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=LAYOUT)


def _conv_packed(x: Array, kernel: Array, *, stride: int, pads: Pads) -> Array:
    if stride == 1:
        return _dense(x, kernel, pads)
    return _dense(*_packed(x, kernel, stride, pads), ((0, 0), (0, 0)))


def _dense(x: Array, kernel: Array, pads: Pads) -> Array:
    plain = partial(_conv_lax, stride=1, pads=pads)
    return by_platform(x, kernel, cpu=partial(correlate, pads=pads), default=plain)


def _packed(x: Array, kernel: Array, stride: int, pads: Pads) -> tuple[Array, Array]:
    """x as blocks [B, m + Q - 1, m + Q - 1, s*s*C_in], and the kernel over blocks [Q, Q, s*s*C_in, C_out]."""
    phases = _phases(kernel, stride)
    q_h, s, q_w, _, c_in, c_out = phases.shape
    edges = [(0, 0, 0)]
    for n, k, q, (start, end) in zip(x.shape[1:3], kernel.shape[:2], (q_h, q_w), pads, strict=True):
        m = (n + start + end - k) // s + 1
        edges.append((start, (m + q - 1) * s - n - start, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), edges + [(0, 0, 0)])
    b, h, w, _ = x.shape
    x = x.reshape(b, h // s, s, w // s, s, c_in).transpose(0, 1, 3, 2, 4, 5)
    kernel = phases.transpose(0, 2, 1, 3, 4, 5)
    return x.reshape(b, h // s, w // s, s * s * c_in), kernel.reshape(q_h, q_w, s * s * c_in, c_out)


def _phases(kernel: Array, s: int) -> Array:
    """[K_h, K_w, C_in, C_out] -> [Q_h, s, Q_w, s, C_in, C_out]: tap t = q * s + phase, zeros past the last tap."""
    q_h, q_w = (math.ceil(k / s) for k in kernel.shape[:2])
    edges = [(0, q * s - k) for q, k in zip((q_h, q_w), kernel.shape[:2], strict=True)]
    return jnp.pad(kernel, edges + [(0, 0), (0, 0)]).reshape(q_h, s, q_w, s, *kernel.shape[2:])


# The forms of the transpose. Output o + start = (i + q) * s + phase: what block i + q receives from pixel i by q.


def _transpose_lax(x: Array, kernel: Array, *, stride: int, pads: Pads) -> Array:
    edges = [(k - 1 - start, k - 1 - end) for k, (start, end) in zip(kernel.shape[:2], pads, strict=True)]
    flipped = kernel[::-1, ::-1]
    return lax.conv_general_dilated(x, flipped, (1, 1), edges, lhs_dilation=(stride, stride), dimension_numbers=LAYOUT)


def _transpose_packed(x: Array, kernel: Array, *, stride: int, pads: Pads) -> Array:
    taps = _transpose_taps(kernel, stride)
    edges = [(q - 1, q - 1) for q in taps.shape[:2]]
    blocks = _dense(x, _mirrored(taps), (edges[0], edges[1]))
    return _unpacked(blocks, x, kernel, stride, pads)


def _mirrored(kernel: Array) -> Array:
    """``kernel[::-1, ::-1]``, of slices: XLA makes a reversal one of the convolution's, and then cuDNN is not asked for
    the kernel's gradient but for a convolution whose kernel is the whole image (0.48 ms of the 2.96 that a step of
    `dcgan` kept an H200 busy)."""
    for axis in (0, 1):
        kernel = jnp.concatenate(jnp.split(kernel, kernel.shape[axis], axis)[::-1], axis)
    return kernel


def _transpose_taps(kernel: Array, stride: int) -> Array:
    """The kernel from pixels to blocks: [Q, Q, C_in, s*s*C_out]."""
    phases = _phases(kernel, stride)
    q_h, s, q_w, _, c_in, c_out = phases.shape
    return phases.transpose(0, 2, 4, 1, 3, 5).reshape(q_h, q_w, c_in, s * s * c_out)


def _unpacked(blocks: Array, x: Array, kernel: Array, s: int, pads: Pads) -> Array:
    """Blocks [B, m + Q - 1, m + Q - 1, s*s*C_out] laid side by side and cropped to the output's sides."""
    b, h, w, packed = blocks.shape
    c_out = packed // (s * s)
    y = blocks.reshape(b, h, w, s, s, c_out).transpose(0, 1, 3, 2, 4, 5).reshape(b, h * s, w * s, c_out)
    edges = [(0, 0, 0)]
    for m, k, full, (start, end) in zip(x.shape[1:3], kernel.shape[:2], y.shape[1:3], pads, strict=True):
        n = (m - 1) * s + k - start - end
        edges.append((-start, n + start - full, 0))
    return lax.pad(y, jnp.zeros((), y.dtype), edges + [(0, 0, 0)])
