"""LSTM layers that are regularised inside the recurrence: layer normalisation, dropout that keeps the memory."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from zoo.model import Array
from zoo.nn.columns import add_bias
from zoo.nn.dense import rows_by_matrix
from zoo.nn.norm import layer_norm
from zoo.nn.recurrence import LSTMState, forget_bias, lstm_scan, orthogonal_gates, scan_cells, steps_before


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
        norms = ()
        if self.norm:
            ones, zeros = nn.initializers.ones, nn.initializers.zeros
            entering, through = (self.param(name, ones, (4 * width,)) for name in ("scale_x", "scale_h"))
            norms = through, self.param("scale_c", ones, (width,)), self.param("bias_c", zeros, (width,))
            norms = tuple(jnp.broadcast_to(one, (len(x), *one.shape)) for one in norms)
            inputs = layer_norm(inputs, entering).astype(dtype)
        inputs = add_bias(inputs, bias)
        kept = None
        if train and self.dropout is not None:
            share = 1 - self.dropout
            kept = jax.random.bernoulli(self.make_rng("dropout"), share, (*inputs.shape[:2], width)) / share
        going = steps_before(lengths, x.shape[1])
        if norms or kept is not None:
            hidden, state = scan_cells(norm_lstm_step, (inputs, kept), recurrent, None, state, going, norms)
        else:
            hidden, state = lstm_scan(inputs, recurrent, state, going)
        return jnp.swapaxes(hidden, 0, 1), state


def norm_lstm_step(state: LSTMState, entering: tuple[Array, Array | None], through: Array, *norms: Array) -> LSTMState:
    """One update of [B, H] twice by normalised x W + b and the factors of what is added to the cell, h U [B, 4H], and
    the norms' scale of h U, scale and bias of the cell, each with its row."""
    (cell, _), (gates, kept) = state, entering
    if norms:
        through = (layer_norm(through) * norms[0]).astype(gates.dtype)
    i, f, g, o = jnp.split(gates + through, 4, axis=-1)
    new = jnp.tanh(g) if kept is None else jnp.tanh(g) * kept.astype(g.dtype)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * new
    out = layer_norm(cell) * norms[1] + norms[2] if norms else cell
    return cell, jax.nn.sigmoid(o) * jnp.tanh(out)
