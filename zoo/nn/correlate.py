"""A dense convolution whose gradients are dense convolutions in the one layout that XLA runs fast on a CPU.

XLA's CPU compiler brings a convolution into the layout of its library (NHWC, HWIO) in a program's outermost computation
only. Inside a loop, where training steps live, whatever automatic differentiation makes of a convolution (a kernel's
gradient has batch and channels exchanged) runs in plain loops instead: a hundred times slower. So this is a primitive
of its own: bilinear like ``lax.conv_general_dilated``, and both of its transposes are itself again, between explicit
transpositions. Gradients of any order, forward mode and ``vmap`` go through it.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Array = jax.Array
Pads = tuple[tuple[int, int], tuple[int, int]]

LAYOUT = ("NHWC", "HWIO", "NHWC")


def correlate(x: Array, kernel: Array, *, pads: Pads) -> Array:
    """y[b, i, j] = sum_{u, v} x[b, i + u - top, j + v - left] kernel[u, v], of one dtype.

    x [B, H, W, C_in], kernel [K_h, K_w, C_in, C_out] -> [B, H', W', C_out], H' = H + pads - K_h + 1. Negative ``pads``
    crop x.
    """
    return correlate_p.bind(x, kernel, pads=pads)


def _plain(x: Array, kernel: Array, *, pads: Pads) -> Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=LAYOUT)


def _shape(x: Any, kernel: Any, *, pads: Pads) -> Any:
    sides = (n + sum(pad) - k + 1 for n, k, pad in zip(x.shape[1:3], kernel.shape[:2], pads, strict=True))
    return x.update(shape=(x.shape[0], *sides, kernel.shape[3]), weak_type=False)


def _transpose_x(y: Array, x: Any, kernel: Array, *, pads: Pads) -> Array:
    """What y's cotangent makes of x: each tap of the kernel carries it back to where the tap read."""
    del x
    return correlate(y, kernel[::-1, ::-1].swapaxes(2, 3), pads=_back(kernel.shape, pads))


def _transpose_kernel(y: Array, x: Array, kernel: Any, *, pads: Pads) -> Array:
    """What y's cotangent makes of the kernel: channels are the batch, and the batch the channels to sum over.

    The larger of the two is the picture and the other the kernel. XLA would exchange a small picture and a large kernel
    by itself, and into a layout that is slow again.
    """
    if y.shape[1] * y.shape[2] <= x.shape[1] * x.shape[2]:
        taps = correlate(x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3), pads=pads)  # [C_in, K_h, K_w, C_out]
        return taps.transpose(1, 2, 0, 3)
    back = _back(kernel.aval.shape, pads)
    taps = correlate(y.transpose(3, 1, 2, 0), x.transpose(1, 2, 0, 3), pads=back)  # [C_out, K_h, K_w, C_in], reversed
    return taps[:, ::-1, ::-1].transpose(1, 2, 3, 0)


def _back(kernel: Sequence[int], pads: Pads) -> Pads:
    """The pads with which an output of ``correlate`` is led back to its input."""
    rows, columns = ((k - 1 - start, k - 1 - end) for k, (start, end) in zip(kernel[:2], pads, strict=True))
    return rows, columns


def _batch(arguments: Any, axes: Any, *, pads: Pads) -> tuple[Array, int]:
    """Members that share a kernel are more examples, and those that share examples more channels. Members that share
    nothing go one after another: each uses every core by itself, and a grouped convolution would not."""
    (x, kernel), (of_x, of_kernel) = arguments, axes
    if of_kernel is None:
        x = jnp.moveaxis(x, of_x, 0)
        y = correlate(x.reshape(-1, *x.shape[2:]), kernel, pads=pads)
        return y.reshape(*x.shape[:2], *y.shape[1:]), 0
    if of_x is None:
        kernel = jnp.moveaxis(kernel, of_kernel, 3)
        y = correlate(x, kernel.reshape(*kernel.shape[:3], -1), pads=pads)
        return y.reshape(*y.shape[:3], *kernel.shape[3:]), 3
    x, kernel = jnp.moveaxis(x, of_x, 0), jnp.moveaxis(kernel, of_kernel, 0)
    return lax.map(lambda pair: correlate(*pair, pads=pads), (x, kernel)), 0


correlate_p = Primitive("correlate")
correlate_p.def_impl(jax.jit(_plain, static_argnames="pads"))
correlate_p.def_abstract_eval(_shape)
ad.defbilinear(correlate_p, _transpose_x, _transpose_kernel)
batching.primitive_batchers[correlate_p] = _batch
mlir.register_lowering(correlate_p, mlir.lower_fun(_plain, multiple_results=False))
