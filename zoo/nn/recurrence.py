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


def steps_before(lengths: Array | None, steps: int) -> Array | None:
    """Which of ``steps`` come before a row's end: bool [T, B, 1] of int32 [B]; None where no row ends."""
    return None if lengths is None else jnp.arange(steps)[:, None, None] < lengths[None, :, None]


def held(going: Array | None, new: Any, old: Any) -> Any:
    """``new`` in the rows [B, 1] that go on, ``old`` in those that have ended."""
    return new if going is None else jax.tree.map(partial(jnp.where, going), new, old)


@jax.custom_jvp
def lstm_scan(inputs: Array, recurrent: Array, state: LSTMState, going: Array | None = None) -> tuple[Array, LSTMState]:
    """All steps of a layer: inputs [T, B, 4H] (x W + b), recurrent [H, 4H] -> hidden [T, B, H], the state at the end.
    A row's state stays where ``going`` [T, B, 1] is false.

    The derivative is written out, so that only what depends on the step before it is left in its loop: the factors of
    the cell's linear part come from all steps at once, and the recurrent kernel's gradient is one product. The rule is
    plain JAX: gradients of any order, forward mode and ``vmap`` go through it.
    """

    def step(state: LSTMState, xs: tuple[Array, Array | None]):
        inputs, going = xs
        state = held(going, lstm_step(state, inputs + state[1] @ recurrent), state)
        return state, state[1]

    state, hidden = jax.lax.scan(step, state, (inputs, going))
    return hidden, state


@lstm_scan.defjvp
def _lstm_scan_jvp(primals: tuple, tangents: tuple) -> tuple:
    inputs, recurrent, start, going = primals
    inputs_dot, recurrent_dot, start_dot, _ = tangents

    def step(state: LSTMState, xs: tuple[Array, Array | None]):
        inputs, going = xs
        new, gates = lstm_update(state, inputs + state[1] @ recurrent)
        state = held(going, new, state)
        return state, (*state, jnp.concatenate(gates, axis=-1))

    end, (cells, hidden, gates) = jax.lax.scan(step, start, (inputs, going))
    cells_before, hidden_before = (
        jnp.concatenate([s[None], x[:-1]]) for s, x in zip(start, (cells, hidden), strict=True)
    )
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    squashed = jnp.tanh(cells)
    # d cell = f d cell' + cell_by_gates . d gates;  d hidden = hidden_by_cell d cell + hidden_by_gate d output gate
    by_gates = [g * i * (1 - i), cells_before * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)]
    by_gates, by_cell = jnp.concatenate(by_gates, axis=-1), o * (1 - squashed * squashed)
    fixed = inputs_dot + rows_by_matrix(hidden_before, recurrent_dot)
    # Backwards, the loop multiplies by the transpose: it should lie in memory as such.
    transposed = jax.lax.optimization_barrier(recurrent.T)

    def linear(state_dot: LSTMState, xs: tuple[Any, ...]):
        cell_dot, hidden_dot = state_dot
        fixed, by_gates, by_cell, f, going = xs
        gates_dot = fixed + jax.lax.dot_general(hidden_dot, transposed, (((1,), (1,)), ((), ())))
        of_input, of_forget, of_cell, of_output = jnp.split(by_gates * gates_dot, 4, axis=-1)
        cell_dot = f * cell_dot + of_input + of_forget + of_cell
        new = by_cell * cell_dot + of_output
        state_dot = held(going, (cell_dot, new.astype(hidden_dot.dtype)), state_dot)
        return state_dot, state_dot[1]

    end_dot, hidden_dot = jax.lax.scan(linear, start_dot, (fixed, by_gates, by_cell, f, going))
    return (hidden, end), (hidden_dot, end_dot)


Step = Callable[..., Any]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def scan_cells(
    step: Step,
    inputs: Any,
    recurrent: Array,
    bias: Array | None,
    state: Any,
    going: Array | None = None,
    own: tuple[Array, ...] = (),
) -> tuple[Array, Any]:
    """All steps of a layer: inputs, leaves [T, B, G], recurrent [H, P], bias [P] or None, state, leaves [B, H], the
    last of them the hidden one -> hidden [T, B, H] of the kernel's dtype, the state at the end. A row's state stays
    where ``going`` [T, B, 1] is false.

    ``step`` (state, what enters, hidden @ recurrent + bias [B, P], *own) -> state. ``own``: leaves [B, P] of what else
    is learnt, a copy for every row: so its gradient is summed over rows, hence over devices, once and not at every
    step. The derivative is plain JAX, as that of `lstm_scan` is.
    """

    def body(state: Any, xs: tuple[Any, Array | None]) -> tuple[Any, Array]:
        entering, going = xs
        new = step(state, entering, product(hidden_of(state), recurrent, bias), *own)
        new = held(going, as_before(new, state), state)
        return new, hidden_of(new).astype(recurrent.dtype)

    state, hidden = jax.lax.scan(body, state, (inputs, going))
    return hidden, state


def hidden_of(state: Any) -> Array:
    return jax.tree.leaves(state)[-1]


def as_before(new: Any, old: Any) -> Any:
    """In the dtypes that a state has."""
    return jax.tree.map(lambda new, old: new.astype(old.dtype), new, old)


def product(state: Array, recurrent: Array, bias: Array | None) -> Array:
    """state [..., H] @ recurrent [H, P] + bias [P], in the kernel's dtype."""
    return add_bias(state.astype(recurrent.dtype) @ recurrent, bias)


@scan_cells.defjvp
def _scan_cells_jvp(step: Step, primals: tuple, tangents: tuple) -> tuple:
    inputs, recurrent, bias, start, going, own = primals
    inputs_dot, recurrent_dot, bias_dot, start_dot, _, own_dot = tangents

    def body(state: Any, xs: tuple[Any, Array | None]) -> tuple[Any, tuple[Array, Any, Array]]:
        entering, going = xs
        through = product(hidden_of(state), recurrent, bias)
        new = held(going, as_before(step(state, entering, through, *own), state), state)
        return new, (hidden_of(new).astype(recurrent.dtype), state, through)

    end, (hidden, before, through) = jax.lax.scan(body, start, (inputs, going))
    fixed = rows_by_matrix(hidden_of(before).astype(recurrent.dtype), recurrent_dot)
    fixed = fixed if bias is None else add_bias(fixed, bias_dot)
    # Backwards, the loop multiplies by the transpose: it should lie in memory as such.
    transposed = jax.lax.optimization_barrier(recurrent.T)

    def linear(state_dot: Any, xs: tuple[Any, ...]) -> tuple[Any, Array]:
        *at, inputs_dot, fixed, going = xs
        hidden_dot = hidden_of(state_dot).astype(fixed.dtype)
        through_dot = fixed + jax.lax.dot_general(hidden_dot, transposed, (((1,), (1,)), ((), ())))
        _, new_dot = jax.jvp(step, (*at, *own), (state_dot, inputs_dot, through_dot, *own_dot))
        new_dot = held(going, as_before(new_dot, state_dot), state_dot)
        return new_dot, hidden_of(new_dot).astype(fixed.dtype)

    end_dot, hidden_dot = jax.lax.scan(linear, start_dot, (before, inputs, through, inputs_dot, fixed, going))
    return (hidden, end), (hidden_dot, end_dot)


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
        hidden, state = lstm_scan(inputs, recurrent, state, steps_before(lengths, x.shape[1]))
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
