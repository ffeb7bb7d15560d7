"""Recurrent layers beside the LSTM's, and stacks of any of them."""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from zoo.model import Array
from zoo.nn.columns import add_bias
from zoo.nn.dense import rows_by_matrix
from zoo.nn.recurrence import LSTMLayer, Step, orthogonal_gates, scan_cells, steps_before

Cell = Literal["lstm", "gru", "rnn"]
State = Any  # of one layer: cell and hidden of an LSTM, hidden of the others; each [B, H]


class GRULayer(nn.Module):
    """Gated recurrent units (Cho et al. 2014, arXiv:1406.1078), the recurrent kernel orthogonal at the start.

    r, z = sigmoid(x W + h U + b);  n = tanh(x W + b + r (h U + c));  h' = (1 - z) n + z h.

    The reset gate multiplies the product and not the state, as in cuDNN: one fused product a step.
    """

    width: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, state: Array, lengths: Array | None = None) -> tuple[Array, Array]:
        """x [B, T, D], state [B, H] -> hidden [B, T, H] and the state after each row's ``lengths[b]`` steps (T)."""
        width = self.width
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], 3 * width))
        recurrent = self.param("recurrent", orthogonal_gates, (width, 3 * width))
        bias = self.param("bias", nn.initializers.zeros, (3 * width,))
        candidate = self.param("candidate", nn.initializers.zeros, (width,))
        dtype = jnp.dtype(self.dtype)
        x, kernel, recurrent, bias, candidate = promote_dtype(x, kernel, recurrent, bias, candidate, dtype=dtype)

        entering = add_bias(rows_by_matrix(x, kernel), bias)
        inside = jnp.concatenate([jnp.zeros(2 * width, candidate.dtype), candidate])
        return recur(gru_step, entering, recurrent, inside, state, lengths)


def gru_step(state: Array, entering: Array, through: Array) -> Array:
    """One update: state [B, H], x W + b and h U + c [B, 3 H] -> state, as wide as it is: it is a sum over time."""
    width = state.shape[-1]
    r, z = jnp.split(jax.nn.sigmoid(entering[:, : 2 * width] + through[:, : 2 * width]), 2, axis=-1)
    new = jnp.tanh(entering[:, 2 * width :] + r * through[:, 2 * width :])
    return state + (1 - z) * (new - state)


class RNNLayer(nn.Module):
    """h' = tanh(x W + h U + b) (Elman 1990), U orthogonal at the start (Saxe et al. 2014)."""

    width: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, state: Array, lengths: Array | None = None) -> tuple[Array, Array]:
        """x [B, T, D], state [B, H] -> hidden [B, T, H] and the state after each row's ``lengths[b]`` steps (T)."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.width))
        recurrent = self.param("recurrent", orthogonal_gates, (self.width, self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        x, kernel, recurrent, bias = promote_dtype(x, kernel, recurrent, bias, dtype=jnp.dtype(self.dtype))

        return recur(rnn_step, add_bias(rows_by_matrix(x, kernel), bias), recurrent, None, state, lengths)


def rnn_step(state: Array, entering: Array, through: Array) -> Array:
    """One update: x W + b and h U [B, H] -> state."""
    del state
    return jnp.tanh(entering + through)


def recur(
    step: Step, inputs: Array, recurrent: Array, bias: Array | None, state: Array, lengths: Array | None
) -> tuple[Array, Array]:
    """`zoo.nn.recurrence.scan_cells` of inputs [B, T, G] -> hidden [B, T, H], and the state after each row's
    ``lengths[b]`` steps (T)."""
    going = steps_before(lengths, inputs.shape[1])
    hidden, state = scan_cells(step, jnp.swapaxes(inputs, 0, 1), recurrent, bias, state, going)
    return jnp.swapaxes(hidden, 0, 1), state


LAYERS: dict[Cell, Any] = {"lstm": LSTMLayer, "gru": GRULayer, "rnn": RNNLayer}


class Stack(nn.Module):
    """Layers on top of each other, with dropout on what enters each but the first and on what leaves the last."""

    cell: Cell
    width: int
    dropout: float = 0.0
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Array, states: tuple[State, ...], lengths: Array | None = None, *, train: bool = False
    ) -> tuple[Array, tuple[State, ...]]:
        """x [B, T, D], a state a layer -> hidden [B, T, H] of the last layer, and every layer's state."""
        layer, after = LAYERS[self.cell], []
        for index, state in enumerate(states):
            if index:
                x = nn.Dropout(self.dropout)(x, deterministic=not train)
            x, state = layer(self.width, self.dtype, name=f"layer_{index}")(x, state, lengths)
            after.append(state)
        return nn.Dropout(self.dropout)(x, deterministic=not train), tuple(after)


def zero_states(cell: Cell, rows: int, *, width: int, layers: int, dtype: str) -> tuple[State, ...]:
    """The states before the first step. What sums over time is in float32 or wider whatever the compute dtype is: an
    LSTM's cell, a GRU's hidden state."""
    narrow = jnp.dtype(dtype)
    wide = jnp.promote_types(narrow, jnp.float32)
    zeros = lambda dtype: jnp.zeros((rows, width), dtype)
    state = {"lstm": (zeros(wide), zeros(narrow)), "gru": zeros(wide), "rnn": zeros(narrow)}[cell]
    return (state,) * layers
