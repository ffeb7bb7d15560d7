"""A dense convolution that XLA runs fast on a CPU, and so are its gradients.

XLA's CPU compiler brings a convolution into the layout of its library (NHWC, HWIO) in a program's outermost computation
only. Inside a loop, where training steps live, whatever automatic differentiation makes of a convolution (a kernel's
gradient has batch and channels exchanged) runs in plain loops instead: a hundred times slower. So there are two
primitives: ``correlate``, a convolution in that layout, and ``taps``, a kernel's gradient, which is one too, between
explicit transpositions, or products of matrices where one side has few channels: eight times as fast there. Both are
bilinear, and their transposes are each other and themselves. Gradients of any order, forward mode and ``vmap`` go
through them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Array = jax.Array
Pads = tuple[tuple[int, int], tuple[int, int]]

LAYOUT = ("NHWC", "HWIO", "NHWC")
NARROW = 4  # channels of a side that is laid out in columns
CACHE = 2**20  # bytes of columns at once


def correlate(x: Array, kernel: Array, *, pads: Pads) -> Array:
    """y[b, i, j] = sum_{u, v} x[b, i + u - top, j + v - left] kernel[u, v], of one dtype.

    x [B, H, W, C_in], kernel [K_h, K_w, C_in, C_out] -> [B, H', W', C_out], H' = H + pads - K_h + 1. Negative ``pads``
    crop x.
    """
    return correlate_p.bind(x, kernel, pads=pads)


def _plain(x: Array, kernel: Array, *, pads: Pads) -> Array:
    # Of pads with one end below zero and one above, XLA:CPU's library reads what is not there: crop first.
    (top, bottom), (left, right) = pads
    x = _padded(x, ((min(top, 0), min(bottom, 0)), (min(left, 0), min(right, 0))))
    zeros = ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)))
    return lax.conv_general_dilated(x, kernel, (1, 1), zeros, dimension_numbers=LAYOUT)


def _padded(x: Array, pads: Pads) -> Array:
    """With zeros around its pictures, or cropped."""
    if not any(side for pad in pads for side in pad):
        return x
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*pad, 0) for pad in pads), (0, 0, 0)))


def _shape(x: Any, kernel: Any, *, pads: Pads) -> Any:
    sides = (n + sum(pad) - k + 1 for n, k, pad in zip(x.shape[1:3], kernel.shape[:2], pads, strict=True))
    return x.update(shape=(x.shape[0], *sides, kernel.shape[3]), weak_type=False)


def _transpose_x(y: Array, x: Any, kernel: Array, *, pads: Pads) -> Array:
    """What y's cotangent makes of x: each tap of the kernel carries it back to where the tap read."""
    del x
    return correlate(y, kernel[::-1, ::-1].swapaxes(2, 3), pads=_back(kernel.shape, pads))


def _transpose_kernel(y: Array, x: Array, kernel: Any, *, pads: Pads) -> Array:
    return taps(x, y, sides=kernel.aval.shape[:2], pads=pads)


def _back(kernel: Sequence[int], pads: Pads) -> Pads:
    """The pads with which an output of ``correlate`` is led back to its input."""
    rows, columns = ((k - 1 - start, k - 1 - end) for k, (start, end) in zip(kernel[:2], pads, strict=True))
    return rows, columns


def taps(x: Array, y: Array, *, sides: tuple[int, int], pads: Pads) -> Array:
    """What a cotangent y of ``correlate(x, kernel, pads=pads)`` makes of a kernel [*sides, C_in, C_out]: kernel[u, v] =
    sum_{b, i, j} x[b, i + u - top, j + v - left]^T y[b, i, j].

    x [B, H, W, C_in], y [B, H', W', C_out] -> [K_h, K_w, C_in, C_out].
    """
    return taps_p.bind(x, y, sides=sides, pads=pads)


def _plain_taps(x: Array, y: Array, *, sides: tuple[int, int], pads: Pads) -> Array:
    if min(x.shape[3], y.shape[3]) <= NARROW:
        return _products(x, y, sides, pads)
    return _convolution(x, y, sides, pads)


def _convolution(x: Array, y: Array, sides: tuple[int, int], pads: Pads) -> Array:
    """Channels are the batch, and the batch the channels to sum over.

    The larger of the two is the picture and the other the kernel. XLA would exchange a small picture and a large kernel
    by itself, and into a layout that is slow again.
    """
    if y.shape[1] * y.shape[2] <= x.shape[1] * x.shape[2]:
        found = _plain(x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3), pads=pads)  # [C_in, K_h, K_w, C_out]
        return found.transpose(1, 2, 0, 3)
    back = _back(sides, pads)
    found = _plain(y.transpose(3, 1, 2, 0), x.transpose(1, 2, 0, 3), pads=back)  # [C_out, K_h, K_w, C_in], reversed
    return found[:, ::-1, ::-1].transpose(1, 2, 3, 0)


def _products(x: Array, y: Array, sides: tuple[int, int], pads: Pads) -> Array:
    """The side with fewer channels is laid out in columns, some examples at a time, so that they stay in the cache."""
    if x.shape[3] < y.shape[3]:
        return _gathered(x, y, sides, pads)
    return _gathered(y, x, sides, _back(sides, pads))[::-1, ::-1].swapaxes(2, 3)


def _gathered(narrow: Array, wide: Array, sides: tuple[int, int], pads: Pads) -> Array:
    """``taps``: of K_w neighbours in a row a pixel is made, and for each of the kernel's rows there is one product."""
    batch, height, width, channels = wide.shape
    across = sides[1] * narrow.shape[3]
    room = across * height * width * narrow.dtype.itemsize
    count = max(n for n in range(1, batch + 1) if batch % n == 0 and (n == 1 or n * room <= CACHE))
    product = partial(jnp.einsum, preferred_element_type=jnp.promote_types(wide.dtype, jnp.float32))
    # The library runs through the last axis of a product: the longer one.
    order, turn = ("pa,pc->ac", (0, 1, 2)) if across < channels else ("pa,pc->ca", (0, 2, 1))

    def some(narrow: Array, wide: Array) -> Array:
        padded = _padded(narrow, pads)
        rows = jnp.concatenate([padded[:, :, at : at + width] for at in range(sides[1])], axis=3)
        columns = lambda at: rows[:, at : at + height].reshape(-1, across)
        return jnp.stack([product(order, columns(at), wide.reshape(-1, channels)) for at in range(sides[0])])

    if count == batch:
        found = some(narrow, wide)
    else:
        split = lambda x: x.reshape(batch // count, count, *x.shape[1:])
        start = jnp.zeros_like(jax.eval_shape(some, narrow, wide))
        found = lax.scan(lambda total, pair: (total + some(*pair), None), start, (split(narrow), split(wide)))[0]
    found = found.astype(wide.dtype).transpose(turn)  # [K_h, K_w c, C]
    return found.reshape(*sides, narrow.shape[3], channels)


def _taps_shape(x: Any, y: Any, *, sides: tuple[int, int], pads: Pads) -> Any:
    del pads
    return x.update(shape=(*sides, x.shape[3], y.shape[3]), weak_type=False)


def _taps_transpose_x(kernel: Array, x: Any, y: Array, *, sides: tuple[int, int], pads: Pads) -> Array:
    del sides
    return _transpose_x(y, x, kernel, pads=pads)


def _taps_transpose_y(kernel: Array, x: Array, y: Any, *, sides: tuple[int, int], pads: Pads) -> Array:
    del y, sides
    return correlate(x, kernel, pads=pads)


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


def _taps_batch(arguments: Any, axes: Any, **how: Any) -> tuple[Array, int]:
    """What members do not share is more channels; members that share nothing go one after another."""
    (x, y), (of_x, of_y) = arguments, axes
    if of_x is None or of_y is None:
        found = taps(_as_channels(x, of_x), _as_channels(y, of_y), **how)
        shared_y = of_y is None
        members = (x.shape[of_x], -1, found.shape[3]) if shared_y else (found.shape[2], y.shape[of_y], -1)
        return found.reshape(*found.shape[:2], *members), 2 if shared_y else 3
    x, y = jnp.moveaxis(x, of_x, 0), jnp.moveaxis(y, of_y, 0)
    return lax.map(lambda pair: taps(*pair, **how), (x, y)), 0


def _as_channels(x: Array, axis: int | None) -> Array:
    if axis is None:
        return x
    x = jnp.moveaxis(x, axis, 3)
    return x.reshape(*x.shape[:3], -1)


correlate_p, taps_p = Primitive("correlate"), Primitive("taps")
correlate_p.def_impl(jax.jit(_plain, static_argnames="pads"))
correlate_p.def_abstract_eval(_shape)
ad.defbilinear(correlate_p, _transpose_x, _transpose_kernel)
batching.primitive_batchers[correlate_p] = _batch
mlir.register_lowering(correlate_p, mlir.lower_fun(_plain, multiple_results=False))
taps_p.def_impl(jax.jit(_plain_taps, static_argnames=("sides", "pads")))
taps_p.def_abstract_eval(_taps_shape)
ad.defbilinear(taps_p, _taps_transpose_x, _taps_transpose_y)
batching.primitive_batchers[taps_p] = _taps_batch
mlir.register_lowering(taps_p, mlir.lower_fun(_plain_taps, multiple_results=False))
