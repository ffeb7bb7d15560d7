"""What recurrent autoencoders share: reading a sequence from both ends, and what a memory begins with."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from zoo.losses import wide
from zoo.model import Array
from zoo.nn.cells import zero_states
from zoo.nn.recurrence import LSTMLayer, LSTMState


def both_ways(forwards: LSTMLayer, backwards: LSTMLayer, x: Array, lengths: Array | None = None) -> Array:
    """x [B, T, D], of which ``lengths`` [B] (T) are real -> the last hidden states of both layers [B, 2 H]. The second
    one reads from the end."""
    if lengths is None:
        turned = jnp.flip(x, axis=1)
    else:
        at = lengths[:, None] - 1 - jnp.arange(x.shape[1])[None, :]
        turned = jnp.take_along_axis(x, jnp.maximum(at, 0)[..., None], axis=1)
    (zero,) = zero_states("lstm", x.shape[0], width=forwards.width, layers=1, dtype=forwards.dtype)
    ends = [layer(row, zero, lengths)[1][1] for layer, row in ((forwards, x), (backwards, turned))]
    return jnp.concatenate(ends, axis=-1)


def softplus_normal(mean: nn.Module, spread: nn.Module, hidden: Array) -> tuple[Array, Array]:
    """Hidden states [B, D] -> mean and log variance [B, Z] by two layers, the standard deviation by a softplus (Roberts
    et al. 2018, section 2.1). In float32 or wider."""
    layers: Any = mean, spread
    center, sigma = (wide(layer(hidden)) for layer in layers)
    return center, 2 * jnp.log(nn.softplus(sigma))


def state_of(x: Array) -> LSTMState:
    """What a layer made of a latent, [..., 2 H] -> an LSTM's cell, in float32 or wider, and its hidden state, both
    within (-1, 1)."""
    cell, hidden = jnp.split(jnp.tanh(x), 2, axis=-1)
    return wide(cell), hidden
