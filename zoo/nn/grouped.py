"""Grouped convolution: each group of channels for itself (Krizhevsky et al. 2012; Xie et al. 2017, arXiv:1611.05431).

One ``lax.conv_general_dilated`` on accelerators. On a CPU, where XLA runs the gradients of grouped convolutions one
group after the other, a matrix product over patches, batched over the groups; or, where each channel is a group of its
own (a depthwise convolution), shifted slices, each times its taps. The forms agree to rounding.
"""

from collections.abc import Callable
from functools import partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import lax

from zoo.nn.columns import spread
from zoo.nn.platform import by_platform

Array = jax.Array


def grouped_conv2d(x: Array, kernel: Array, *, groups: int) -> Array:
    """x [B, H, W, C_in], kernel [K, K, C_in / groups, C_out] with K odd -> [B, H, W, C_out], zeros beyond the edges.

    Group g of the output's channels reads group g of the input's.
    """
    return by_platform(x, kernel, cpu=partial(_on_cpu, groups=groups), default=partial(_by_lax, groups=groups))


class GroupedConv(nn.Module):
    """``grouped_conv2d`` with a learnt kernel and no bias."""

    features: int
    groups: int
    kernel_size: int = 3
    dtype: Any = None
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, H, W, C] -> [B, H, W, features]."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        x, kernel = promote_dtype(x, kernel, dtype=self.dtype)
        return grouped_conv2d(x, kernel, groups=self.groups)


def _by_lax(x: Array, kernel: Array, *, groups: int) -> Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=groups)


def _on_cpu(x: Array, kernel: Array, *, groups: int) -> Array:
    return _by_slices(x, kernel) if groups == x.shape[-1] == kernel.shape[-1] else _by_patches(x, kernel, groups=groups)


def _by_slices(x: Array, kernel: Array) -> Array:
    """Of groups of one channel."""
    _, h, w, _ = x.shape
    edge = kernel.shape[0] // 2
    padded = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    taps = ((i, j, kernel[i, j, 0]) for i, j in np.ndindex(kernel.shape[:2]))
    return reduce(add, (padded[:, i : i + h, j : j + w] * spread(tap, x.shape) for i, j, tap in taps))


def _by_patches(x: Array, kernel: Array, *, groups: int) -> Array:
    b, h, w, _ = x.shape
    k, _, c, out = kernel.shape
    edge = k // 2
    x = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0))).reshape(b, h + k - 1, w + k - 1, groups, c)
    x = jnp.moveaxis(x, 3, 0)
    patches = jnp.concatenate([x[:, :, i : i + h, j : j + w] for i in range(k) for j in range(k)], axis=-1)
    taps = jnp.moveaxis(kernel.reshape(k * k * c, groups, out // groups), 1, 0)
    y = jnp.einsum("gnc,gcd->gnd", patches.reshape(groups, b * h * w, k * k * c), taps)
    return jnp.moveaxis(y, 0, 1).reshape(b, h, w, out)
