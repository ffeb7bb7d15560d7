"""Recurrence over whole sequences: what does not depend on the step before is done for all steps at once.

That is the product with what enters, and backwards the recurrent kernel's gradient: left inside the loop, it would be
as many small products, and on several devices as many sums over all of them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from zoo.model import Array
from zoo.nn.columns import add_bias
from zoo.nn.dense import rows_by_matrix

LSTMState = tuple[Array, Array]  # cell and hidden, each [B, H]


def lstm_step(state: LSTMState, gates: Array) -> LSTMState:
    """One LSTM update (Gers et al. 2000). gates [B, 4H]: the input, forget, cell and output pre-activations."""
    return lstm_update(state, gates)[0]


def lstm_update(state: LSTMState, gates: Array) -> tuple[LSTMState, tuple[Array, Array, Array, Array]]:
    """``lstm_step``, and the four gates after their activations, each [B, H]."""
    cell, _ = state
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    # The cell is a sum over time: it stays in float32 or better whatever the compute dtype is.
    cell = f * cell + i * g
    return (cell, (o * jnp.tanh(cell)).astype(gates.dtype)), (i, f, g, o)


@jax.custom_jvp
def lstm_scan(inputs: Array, recurrent: Array, state: LSTMState) -> tuple[Array, LSTMState]:
    """All steps of a layer: inputs [T, B, 4H] (x W + b), recurrent [H, 4H] -> hidden [T, B, H], the state at the end.

    The derivative is written out, so that only what depends on the step before it is left in its loop: the factors of
    the cell's linear part come from all steps at once, and the recurrent kernel's gradient is one product. The rule is
    plain JAX: gradients of any order, forward mode and ``vmap`` go through it.
    """

    def step(state: LSTMState, inputs: Array):
        state = lstm_step(state, inputs + state[1] @ recurrent)
        return state, state[1]

    state, hidden = jax.lax.scan(step, state, inputs)
    return hidden, state


@lstm_scan.defjvp
def _lstm_scan_jvp(primals: tuple, tangents: tuple) -> tuple:
    inputs, recurrent, start = primals
    inputs_dot, recurrent_dot, start_dot = tangents

    def step(state: LSTMState, inputs: Array):
        state, gates = lstm_update(state, inputs + state[1] @ recurrent)
        return state, (*state, jnp.concatenate(gates, axis=-1))

    end, (cells, hidden, gates) = jax.lax.scan(step, start, inputs)
    cells_before, hidden_before = (
        jnp.concatenate([s[None], x[:-1]]) for s, x in zip(start, (cells, hidden), strict=True)
    )
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    squashed = jnp.tanh(cells)
    # d cell = f d cell' + cell_by_gates . d gates;  d hidden = hidden_by_cell d cell + hidden_by_gate d output gate
    by_gates = [g * i * (1 - i), cells_before * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)]
    by_gates, by_cell = jnp.concatenate(by_gates, axis=-1), o * (1 - squashed * squashed)
    width = recurrent.shape[0]
    fixed = inputs_dot + (hidden_before.reshape(-1, width) @ recurrent_dot).reshape(inputs_dot.shape)
    # Backwards, the loop multiplies by the transpose: it should lie in memory as such.
    transposed = jax.lax.optimization_barrier(recurrent.T)

    def linear(state_dot: LSTMState, xs: tuple[Array, ...]):
        cell_dot, hidden_dot = state_dot
        fixed, by_gates, by_cell, f = xs
        gates_dot = fixed + jax.lax.dot_general(hidden_dot, transposed, (((1,), (1,)), ((), ())))
        of_input, of_forget, of_cell, of_output = jnp.split(by_gates * gates_dot, 4, axis=-1)
        cell_dot = f * cell_dot + of_input + of_forget + of_cell
        new = by_cell * cell_dot + of_output
        state_dot = (cell_dot, new.astype(hidden_dot.dtype))
        return state_dot, state_dot[1]

    end_dot, hidden_dot = jax.lax.scan(linear, start_dot, (fixed, by_gates, by_cell, f))
    return (hidden, end), (hidden_dot, end_dot)


Step = Callable[[Array, Array, Array], Array]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def scan_cells(step: Step, inputs: Array, recurrent: Array, bias: Array | None, state: Array) -> tuple[Array, Array]:
    """All steps of a layer whose state is its hidden vector: inputs [T, B, G], recurrent [H, P], bias [P] or None,
    state [B, H] -> hidden [T, B, H] of the inputs' dtype, the state at the end.

    ``step`` (state [B, H], what enters [B, G], state @ recurrent + bias [B, P]) -> state, element by element. The
    derivative is plain JAX, as that of `lstm_scan` is.
    """

    def body(state: Array, entering: Array) -> tuple[Array, Array]:
        new = step(state, entering, product(state, recurrent, bias)).astype(state.dtype)
        return new, new.astype(inputs.dtype)

    state, hidden = jax.lax.scan(body, state, inputs)
    return hidden, state


def product(state: Array, recurrent: Array, bias: Array | None) -> Array:
    """state [..., H] @ recurrent [H, P] + bias [P], in the kernel's dtype."""
    return add_bias(state.astype(recurrent.dtype) @ recurrent, bias)


@scan_cells.defjvp
def _scan_cells_jvp(step: Step, primals: tuple, tangents: tuple) -> tuple:
    inputs, recurrent, bias, start = primals
    inputs_dot, recurrent_dot, bias_dot, start_dot = tangents

    def body(state: Array, entering: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        through = product(state, recurrent, bias)
        new = step(state, entering, through).astype(state.dtype)
        return new, (new.astype(inputs.dtype), state, through)

    end, (hidden, before, through) = jax.lax.scan(body, start, inputs)
    fixed = rows_by_matrix(before.astype(recurrent.dtype), recurrent_dot)
    fixed = fixed if bias is None else add_bias(fixed, bias_dot)
    # Backwards, the loop multiplies by the transpose: it should lie in memory as such.
    transposed = jax.lax.optimization_barrier(recurrent.T)

    def linear(state_dot: Array, xs: tuple[Array, ...]) -> tuple[Array, Array]:
        *at, inputs_dot, fixed = xs
        through_dot = jax.lax.dot_general(state_dot.astype(fixed.dtype), transposed, (((1,), (1,)), ((), ())))
        _, new_dot = jax.jvp(step, tuple(at), (state_dot, inputs_dot, fixed + through_dot))
        new_dot = new_dot.astype(state_dot.dtype)
        return new_dot, new_dot.astype(inputs_dot.dtype)

    end_dot, hidden_dot = jax.lax.scan(linear, start_dot, (before, inputs, through, inputs_dot, fixed))
    return (hidden, end), (hidden_dot, end_dot)


def scan_to_lengths(
    step: Callable[[Any, Array], Any], hidden_of: Callable[[Any], Array], inputs: Array, state: Any, lengths: Array
) -> tuple[Array, Any]:
    """Plain steps over inputs [T, B, G] of rows that end, each after its ``lengths[b]``: hidden [T, B, H], and every
    row's state at its end, where it stays."""

    def body(state: Any, xs: tuple[Array, Array]) -> tuple[Any, Array]:
        entering, time = xs
        going = (time < lengths)[:, None]
        keep = lambda new, old: jnp.where(going, new.astype(old.dtype), old)
        state = jax.tree.map(keep, step(state, entering), state)
        return state, hidden_of(state)

    state, hidden = jax.lax.scan(body, state, (inputs, jnp.arange(inputs.shape[0])))
    return hidden, state


class LSTMLayer(nn.Module):
    """A layer of ``width`` cells; the recurrent kernel starts orthogonal, the forget gate's bias at 1 (Jozefowicz
    2015)."""

    width: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Array, state: LSTMState, lengths: Array | None = None) -> tuple[Array, LSTMState]:
        """x [B, T, D], state [B, H] twice -> hidden [B, T, H] and the state after each row's ``lengths[b]`` steps
        (T)."""
        width = self.width
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], 4 * width))
        recurrent = self.param("recurrent", orthogonal_gates, (width, 4 * width))
        bias = self.param("bias", forget_bias, (4 * width,))
        x, kernel, recurrent, bias = promote_dtype(x, kernel, recurrent, bias, dtype=jnp.dtype(self.dtype))
        # One product for all steps; inside the scan only what depends on the step before is left.
        inputs = add_bias(rows_by_matrix(jnp.swapaxes(x, 0, 1), kernel), bias)  # [T, B, 4H]
        if lengths is None:
            hidden, state = lstm_scan(inputs, recurrent, state)
        else:
            step = lambda state, entering: lstm_step(state, entering + state[1] @ recurrent)
            hidden, state = scan_to_lengths(step, lambda state: state[1], inputs, state, lengths)
        return jnp.swapaxes(hidden, 0, 1), state


def orthogonal_gates(key: Array, shape: tuple[int, int], dtype=jnp.float32) -> Array:
    """Orthogonal matrices side by side, one a gate: [H, gates H]."""
    keys = jax.random.split(key, shape[1] // shape[0])
    square = (shape[0], shape[0])
    return jnp.concatenate([nn.initializers.orthogonal()(k, square, dtype) for k in keys], axis=1)


def forget_bias(key: Array, shape: tuple[int], dtype=jnp.float32) -> Array:
    """Zeros, but ones for the forget gate."""
    del key
    width = shape[0] // 4
    return jnp.zeros(shape, dtype).at[width : 2 * width].set(1)
