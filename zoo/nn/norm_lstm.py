"""LSTM layers that are regularised inside the recurrence: layer normalisation, dropout that keeps the memory."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from zoo.model import Array
from zoo.nn.columns import add_bias
from zoo.nn.dense import rows_by_matrix
from zoo.nn.norm import layer_norm
from zoo.nn.recurrence import LSTMState, forget_bias, lstm_scan, orthogonal_gates


class NormLSTMLayer(nn.Module):
    """A layer of ``width`` cells; without ``norm`` and when it does not train, that of `LSTMLayer`.

    ``norm``: of x W and of h U, all gates together, and of the cell where it leaves (Ba et al. 2016, arXiv:1607.06450,
    supplementary equations 20 to 22). ``dropout``: of what is added to the cell, afresh at every step, so that nothing
    that is remembered is lost (Semeniuta et al. 2016, arXiv:1603.05118, equation 13); None is none.
    """

    width: int
    norm: bool = False
    dropout: float | None = None
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Array, state: LSTMState, lengths: Array | None = None, *, train: bool = False
    ) -> tuple[Array, LSTMState]:
        """x [B, T, D], state [B, H] twice -> hidden [B, T, H] and the state after each row's ``lengths[b]`` steps
        (T)."""
        width, dtype = self.width, jnp.dtype(self.dtype)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], 4 * width))
        recurrent = self.param("recurrent", orthogonal_gates, (width, 4 * width))
        bias = self.param("bias", forget_bias, (4 * width,))
        x, kernel, recurrent, bias = promote_dtype(x, kernel, recurrent, bias, dtype=dtype)
        inputs = rows_by_matrix(jnp.swapaxes(x, 0, 1), kernel)  # [T, B, 4H]
        if self.norm:
            ones, zeros = nn.initializers.ones, nn.initializers.zeros
            entering, through = (self.param(name, ones, (4 * width,)) for name in ("scale_x", "scale_h"))
            leaving = self.param("scale_c", ones, (width,)), self.param("bias_c", zeros, (width,))
            inputs = layer_norm(inputs, entering).astype(dtype)
        inputs = add_bias(inputs, bias)
        kept = None
        if train and self.dropout is not None:
            share = 1 - self.dropout
            mask = jax.random.bernoulli(self.make_rng("dropout"), share, (*inputs.shape[:2], width))
            kept = mask / share
        if not self.norm and kept is None and lengths is None:
            hidden, state = lstm_scan(inputs, recurrent, state)
            return jnp.swapaxes(hidden, 0, 1), state

        def step(state: LSTMState, xs: tuple[Array, Array | None, Array]) -> tuple[LSTMState, Array]:
            gates, mask, time = xs
            cell, hidden = state
            recurs = hidden @ recurrent
            gates += layer_norm(recurs, through).astype(dtype) if self.norm else recurs
            i, f, g, o = jnp.split(gates, 4, axis=-1)
            new = jnp.tanh(g) if mask is None else jnp.tanh(g) * mask.astype(g.dtype)
            after = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * new
            out = layer_norm(after, *leaving) if self.norm else after
            after = (after, (jax.nn.sigmoid(o) * jnp.tanh(out)).astype(hidden.dtype))
            if lengths is not None:
                going = (time < lengths)[:, None]
                after = jax.tree.map(lambda new, old: jnp.where(going, new, old), after, state)
            return after, after[1]

        state, hidden = jax.lax.scan(step, state, (inputs, kept, jnp.arange(inputs.shape[0])))
        return jnp.swapaxes(hidden, 0, 1), state
