"""Layer normalisation with a gradient that XLA:CPU runs fast.

XLA:CPU fuses the normalised rows, recomputed, into whatever reads them: into reductions over columns and into the
transposing copies in front of matrix products, which then walk memory against its order. So on a CPU the derivative is
written out and what is read twice is materialised, behind ``optimization_barrier``. Elsewhere the plain form is left to
the compiler. Both forms compose with ``vmap``, forward mode and gradients of any order.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import canonicalize_dtype
from jax import lax

from zoo.nn.columns import add_bias, spread
from zoo.nn.platform import by_platform

Array = jax.Array


def layer_norm(x: Array, scale: Array | None = None, bias: Array | None = None, *, epsilon: float = 1e-6) -> Array:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last axis, as ``nn.LayerNorm``.

    x [..., D], scale and bias [D]. Statistics and result are in float32 or wider. Ba et al. 2016 (arXiv:1607.06450),
    equation 4.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    y = by_platform(x, cpu=partial(_normalized, epsilon), default=partial(_plain, epsilon))
    if scale is not None:
        y = y * spread(scale, y.shape)
    return add_bias(y, bias)


class LayerNorm(nn.Module):
    """``layer_norm`` with a learnt scale and bias: the parameters of ``nn.LayerNorm``."""

    epsilon: float = 1e-6
    use_scale: bool = True
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., D] -> [..., D]."""
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape, self.param_dtype) if self.use_scale else None
        bias = self.param("bias", nn.initializers.zeros, shape, self.param_dtype) if self.use_bias else None
        dtype = canonicalize_dtype(x, scale, bias, dtype=self.dtype)
        return layer_norm(x, scale, bias, epsilon=self.epsilon).astype(dtype)


def _statistics(x: Array, epsilon: float) -> tuple[Array, Array]:
    """Mean and 1 / standard deviation of each row, [..., 1]; the variance in one pass, as flax and XLA:GPU like it."""
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(x), axis=-1, keepdims=True) - jnp.square(mean)
    return mean, lax.rsqrt(jnp.maximum(variance, 0) + epsilon)


def _plain(epsilon: float, x: Array) -> Array:
    mean, inverse = _statistics(x, epsilon)
    return (x - mean) * inverse


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _normalized(epsilon: float, x: Array) -> Array:
    return _plain(epsilon, x)


@_normalized.defjvp
def _normalized_jvp(epsilon: float, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """dy = P(dx / deviation) with P v = v - mean(v) - y mean(v y), which is symmetric: backwards it is the same.

    Backwards, the barrier on dx is one on the gradient that leaves, and the one on P's means stays where it is.
    """
    (x,), (dx,) = primals, tangents
    mean, inverse = lax.optimization_barrier(_statistics(x, epsilon))
    y = (x - mean) * inverse
    v = lax.optimization_barrier(dx) * inverse
    means = jnp.mean(v, axis=-1, keepdims=True), jnp.mean(v * y, axis=-1, keepdims=True)
    along_one, along_y = lax.optimization_barrier(means)
    return y, v - along_one - y * along_y
