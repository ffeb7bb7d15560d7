"""RNN-NADE (Boulanger-Lewandowski et al. 2012, arXiv:1206.6392): frames whose 88 keys depend on one another."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo import decoding
from zoo.decoding import Greedy, Sampler
from zoo.losses import bernoulli_nll, wide
from zoo.lstm import rnn
from zoo.lstm.rnn import KEYS, delayed
from zoo.model import Array, Extra, Params
from zoo.nn.cells import Cell


@dataclass(frozen=True, kw_only=True)
class RNNNADE:
    """A recurrent net over frames gives the next one's biases to a NADE (Larochelle & Murray 2011), which goes through
    the keys from low to high; what it says of a key knows the keys below it:

    h_k = sigmoid(c_t + sum_{j < k} x_j w_j);    p(x_k = 1 | keys below, frames before) = sigmoid(b_t,k + v_k . h_k)

    with b_t [88] and c_t [M] linear in the net's state. (The paper's net is a plain tanh: ``cell`` "rnn".)
    """

    cell: Cell = "lstm"
    width: int = 256
    """H, cells of a layer."""
    layers: int = 1
    hidden: int = 96
    """M, units of the NADE."""
    frames: int = 256
    """Frames of a training window and of a sample."""
    dropout: float = 0.0
    dtype: str = "float32"
    """Compute dtype; parameters are float32. The NADE's sums over keys are in float32 or wider."""

    capacity, phases = property(rnn.capacity), property(rnn.phases)
    init, logits, prefill, decode = rnn.init, rnn.logits, rnn.prefill, rnn.decode
    batch_spec, loss, evaluate = rnn.roll_batch_spec, rnn.frame_loss, rnn.frame_evaluate
    start, sample_length, sample = rnn.silent_frame, property(rnn.frames_of), decoding.sample

    @property
    def player(self) -> str:
        return "rnn_nade"

    @property
    def network(self) -> "Network":
        return Network(
            cell=self.cell, hidden=self.hidden, width=self.width, layers=self.layers, dropout=self.dropout,
            dtype=self.dtype,
        )  # fmt: skip

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """Frames [B, T, 88] -> of the frames after, b and c side by side: [B, T, 88 + M]."""
        del extra, cond
        return self.logits(params, tokens)

    def frame_nats(self, params: Params, roll: Array, key: Array | None = None) -> Array:
        """Nats [B, T] of each frame given those before it; with dropout where there is a ``key``."""
        output, head = self.logits(params, delayed(roll), key), params[self.player]
        # Each row has weights of its own inside the loop: their gradients are summed over rows, hence over devices,
        # once after it and not at every key.
        each = lambda weights: jnp.broadcast_to(weights[:, None], (KEYS, len(roll), self.hidden))

        def one(hidden: Array, xs: tuple[Array, ...]) -> tuple[Array, Array]:
            bias, on, below, above = xs  # of one key: [B, T] twice, [B, M] twice
            through = jnp.einsum("btm,bm->bt", jax.nn.sigmoid(hidden).astype(output.dtype), above.astype(output.dtype))
            return hidden + on[..., None] * below[:, None], bernoulli_nll(bias + wide(through), on)

        bias, hidden = jnp.split(wide(output), [KEYS], axis=-1)
        first = lambda x: jnp.moveaxis(x, -1, 0)
        xs = first(bias), first(roll), each(head["below"]), each(head["above"])
        return jnp.sum(jax.lax.scan(one, hidden, xs)[1], axis=0)

    def emit(self, params: Params, output: Array, key: Array, sampler: Sampler) -> Array:
        """A frame [88], key after key: on where its logit is positive, or a Bernoulli draw at the sampler's
        temperature; with ``top_k``, when k keys are on the others stay off."""
        head, chances = params[self.player], jax.random.uniform(key, (KEYS,))
        most = KEYS if isinstance(sampler, Greedy) or sampler.top_k is None else sampler.top_k

        def one(state: tuple[Array, Array], xs: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
            (hidden, count), (bias, chance, below, above) = state, xs
            logit = bias + wide(jax.nn.sigmoid(hidden).astype(output.dtype) @ above.astype(output.dtype))
            if isinstance(sampler, Greedy):
                on = logit > 0
            else:
                on = (chance < jax.nn.sigmoid(logit / sampler.temperature)) & (count < most)
            return (hidden + on * below, count + on), on.astype(jnp.float32)

        bias, hidden = jnp.split(wide(output), [KEYS])
        return jax.lax.scan(one, (hidden, jnp.int32(0)), (bias, chances, head["below"], head["above"]))[1]


class Network(nn.Module):
    """The recurrent net, and the NADE's weights beside it."""

    cell: Cell
    hidden: int
    width: int
    layers: int
    dropout: float
    dtype: str
    embed: None = None

    @nn.compact
    def __call__(self, x: Array, states: Any = None, lengths: Array | None = None, *, train: bool = False) -> Any:
        """x [B, T, 88] -> b and c [B, T, 88 + M], and the states after each row's ``lengths`` (T)."""
        small = nn.initializers.normal(0.02)
        for name in ("below", "above"):
            self.param(name, small, (KEYS, self.hidden))
        net = rnn.Network(
            cell=self.cell, embed=None, outputs=KEYS + self.hidden, width=self.width, layers=self.layers,
            dropout=self.dropout, dtype=self.dtype, name="net",
        )  # fmt: skip
        return net(x, states, lengths, train=train)
