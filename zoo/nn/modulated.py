"""Convolution with a kernel of its own for every picture: one kernel, whose inputs a style scales and whose outputs are
scaled back (Karras et al. 2020, arXiv:1912.04958, section 2.2, equations 1 to 3)."""

import jax
import jax.numpy as jnp

from zoo.nn.conv import conv2d, conv2d_transpose
from zoo.nn.filters import smooth

Array = jax.Array
TAPS = 1.0, 3.0, 3.0, 1.0


def modulated_conv2d(
    x: Array, kernel: Array, style: Array, *, demodulate: bool = True, up: bool = False, epsilon: float = 1e-8
) -> Array:
    """x [B, H, W, I], kernel [K, K, I, O], style [B, I] -> [B, H, W, O]; with ``up`` (K = 3) [B, 2 H, 2 W, O].

    Picture b is convolved with kernel[..., i, o] style[b, i], divided, with ``demodulate``, by its norm over all taps
    and inputs. The style scales the picture's channels instead, and the norm the result's: the same numbers, by one
    convolution for all pictures. ``up``: a transposed convolution of stride 2, then a low-pass filter.
    """
    wide = jnp.promote_types(kernel.dtype, jnp.float32)
    y = x * style[:, None, None].astype(x.dtype)
    if up:
        low = conv2d_transpose(y, kernel.astype(x.dtype), stride=2, padding=0)
        y = 4 * smooth(low, TAPS, pads=(1, 1))
    else:
        y = conv2d(y, kernel.astype(x.dtype))
    if not demodulate:
        return y
    squares = jnp.sum(jnp.square(kernel.astype(wide)), axis=(0, 1))
    # A sum, not a matrix product: small, and kept in the parameters' own precision.
    norm = jnp.sum(jnp.square(style.astype(wide))[:, :, None] * squares[None], axis=1)
    return y * jax.lax.rsqrt(norm + epsilon)[:, None, None].astype(y.dtype)
