"""The LSTM layer over whole sequences, with the input product hoisted out of the scan."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from zoo.model import Array

LSTMState = tuple[Array, Array]  # cell and hidden, each [B, H]


def lstm_step(state: LSTMState, gates: Array) -> LSTMState:
    """One LSTM update (Gers et al. 2000). gates [B, 4H]: the input, forget, cell and output pre-activations."""
    cell, _ = state
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    # The cell is a sum over time: it stays in float32 or better whatever the compute dtype is.
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    return cell, (jax.nn.sigmoid(o) * jnp.tanh(cell)).astype(gates.dtype)


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
        inputs = jnp.swapaxes(x @ kernel + bias[None, None, :], 0, 1)  # [T, B, 4H]
        times = jnp.arange(inputs.shape[0])

        def step(state: LSTMState, xs: tuple[Array, Array]):
            inputs, time = xs
            new = lstm_step(state, inputs + state[1] @ recurrent)
            if lengths is not None:
                going = (time < lengths)[:, None]
                new = (jnp.where(going, new[0], state[0]), jnp.where(going, new[1], state[1]))
            return new, new[1]

        state, hidden = jax.lax.scan(step, state, (inputs, times))
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
