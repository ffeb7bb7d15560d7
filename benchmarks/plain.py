"""The plain forms: the mathematics of `zoo.nn` and `zoo.losses` as one would write it first, with JAX's own gradients.

They are what `benchmarks.forms` times the fast forms against. Shapes and meanings are those of their namesakes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.losses import wide
from zoo.nn.cells import gru_step
from zoo.nn.filters import Taps
from zoo.nn.modulated import TAPS
from zoo.nn.recurrence import LSTMState, lstm_step

Array = jax.Array
LAYOUT = ("NHWC", "HWIO", "NHWC")


def vector(x: Array, rank: int) -> Array:
    """[C] -> [1, ..., 1, C]."""
    return x.reshape((1,) * (rank - 1) + (-1,))


def dense(x: Array, kernel: Array) -> Array:
    return x @ kernel


def add_bias(x: Array, bias: Array) -> Array:
    return x + vector(bias, x.ndim)


def add_rows(x: Array, table: Array, index: Array) -> Array:
    return x + table[index]


def by_parts(x: Array, kernel: Array, bias: Array, parts: int) -> list[Array]:
    return jnp.split(add_bias(dense(x, kernel), bias), parts, axis=-1)


# -- convolutions and filters ------------------------------------------------------------------------------------------


def conv(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)


def grouped_conv(x: Array, kernel: Array, *, groups: int) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT, feature_group_count=groups
    )  # fmt: skip


def modulated_conv(x: Array, kernel: Array, style: Array, *, up: bool = False) -> Array:
    """Every picture's own kernel, as one convolution with a group for each picture (Karras et al. 2020, appendix B)."""
    own = wide(kernel)[None] * wide(style)[:, None, None, :, None]  # [B, K, K, I, O]
    own = own * lax.rsqrt(jnp.sum(jnp.square(own), axis=(1, 2, 3), keepdims=True) + 1e-8)
    (b, h, w, i), (_, k, _, _, o) = x.shape, own.shape
    x = x.transpose(1, 2, 0, 3).reshape(1, h, w, b * i)
    own = own.transpose(1, 2, 3, 0, 4).reshape(k, k, i, b * o).astype(x.dtype)
    if up:
        y = lax.conv_general_dilated(
            x, own[::-1, ::-1], (1, 1), [(k - 1, k - 1)] * 2, lhs_dilation=(2, 2), dimension_numbers=LAYOUT,
            feature_group_count=b,
        )  # fmt: skip
        y = 4 * smooth(y, TAPS, pads=(1, 1))
    else:
        y = grouped_conv(x, own, groups=b)
    return y.reshape(*y.shape[1:3], b, o).transpose(2, 0, 1, 3)


def smooth(x: Array, taps: Taps, *, pads: tuple[int, int], stride: int = 1, dilation: int = 1) -> Array:
    """A depthwise convolution with the filter's outer product."""
    unit = np.asarray(taps) / np.sum(taps)
    kernel = jnp.asarray(np.tile(np.outer(unit, unit)[:, :, None, None], x.shape[-1]), x.dtype)
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), [pads] * 2, lhs_dilation=(dilation, dilation), dimension_numbers=LAYOUT,
        feature_group_count=x.shape[-1],
    )  # fmt: skip


def downsample(x: Array, taps: Taps) -> Array:
    before = (len(taps) - 1) // 2
    return smooth(x, taps, pads=(before, len(taps) - 2 - before), stride=2)


def upsample(x: Array, taps: Taps) -> Array:
    before = (len(taps) - 1) // 2
    return 4 * smooth(x, taps, pads=(len(taps) - 1 - before, before + 1), dilation=2)


# -- norms, attention, losses ------------------------------------------------------------------------------------------


def batch_norm(x: Array, scale: Array, bias: Array) -> Array:
    """As ``nn.BatchNorm``: the variance in one pass."""
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes, keepdims=True)
    variance = jnp.maximum(jnp.mean(jnp.square(x), axes, keepdims=True) - jnp.square(mean), 0)
    return (x - mean) * (lax.rsqrt(variance + 1e-5) * vector(scale, x.ndim)) + vector(bias, x.ndim)


def layer_norm(x: Array, scale: Array, bias: Array) -> Array:
    """As ``nn.LayerNorm``."""
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.maximum(jnp.mean(jnp.square(x), axis=-1, keepdims=True) - jnp.square(mean), 0)
    return (x - mean) * (lax.rsqrt(variance + 1e-6) * vector(scale, x.ndim)) + vector(bias, x.ndim)


def causal_attention(q: Array, k: Array, v: Array) -> Array:
    return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="xla")


def token_nll(logits: Array, tokens: Array) -> Array:
    chosen = jnp.take_along_axis(jax.nn.log_softmax(wide(logits), axis=-1), tokens[..., None], axis=-1)
    return -chosen[..., 0]


# -- recurrence: x [T, B, D], kernel [D, gates H], recurrent [H, gates H], bias [gates H] -> hidden [T, B, H] ----------


def zero_state(x: Array, width: int) -> LSTMState:
    zeros = jnp.zeros((x.shape[1], width), x.dtype)
    return wide(zeros), zeros


def lstm_by_gates(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """Two products for each of the four gates, at every step."""
    kernels, recurrents = (jnp.split(matrix, 4, axis=1) for matrix in (kernel, recurrent))

    def step(state: LSTMState, x: Array) -> tuple[LSTMState, Array]:
        gates = [x @ w + state[1] @ u for w, u in zip(kernels, recurrents, strict=True)]
        state = lstm_step(state, add_bias(jnp.concatenate(gates, axis=-1), bias))
        return state, state[1]

    return lax.scan(step, zero_state(x, recurrent.shape[0]), x)[1]


def lstm_in_loop(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """Two products at every step."""

    def step(state: LSTMState, x: Array) -> tuple[LSTMState, Array]:
        state = lstm_step(state, add_bias(x @ kernel + state[1] @ recurrent, bias))
        return state, state[1]

    return lax.scan(step, zero_state(x, recurrent.shape[0]), x)[1]


def lstm_hoisted(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """One product at every step, and backwards two."""

    def step(state: LSTMState, entering: Array) -> tuple[LSTMState, Array]:
        state = lstm_step(state, entering + state[1] @ recurrent)
        return state, state[1]

    return lax.scan(step, zero_state(x, recurrent.shape[0]), add_bias(x @ kernel, bias))[1]


def gru_hoisted(x: Array, kernel: Array, recurrent: Array, bias: Array, inside: Array) -> Array:
    """The same of a GRU; ``inside`` [3 H] is added to the product with the state."""

    def step(state: Array, entering: Array) -> tuple[Array, Array]:
        through = add_bias(state.astype(recurrent.dtype) @ recurrent, inside)
        state = gru_step(state, entering, through).astype(state.dtype)
        return state, state.astype(x.dtype)

    return lax.scan(step, zero_state(x, recurrent.shape[0])[0], add_bias(x @ kernel, bias))[1]
