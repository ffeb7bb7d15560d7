"""A learnt prior: an invertible map between latents and a standard normal.

Chen et al. 2017 (arXiv:1611.02731), section 3.2, learn the prior of a VAE with a flow, so that samples come from where
the encoder puts the data and not from the gaps in between; theirs is autoregressive, this one has the affine couplings
of Dinh et al. 2017 (arXiv:1605.08803), which are as fast in both directions.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from zoo.losses import wide
from zoo.model import Array


class Coupling(nn.Module):
    """Half of the latents scale and shift the other half (Dinh et al. 2017, equations 7 and 8), then all are dealt out
    anew. Starts as the identity but for the dealing."""

    dtype: Any

    @nn.compact
    def __call__(self, z: Array, *, inverse: bool = False) -> tuple[Array, Array]:
        """[B, Z] -> [B, Z], and the log determinant [B]."""
        size = z.shape[-1]
        half, order = size // 2, np.r_[0:size:2, 1:size:2]
        if inverse:
            z = z[:, np.argsort(order)]
        kept, moved = z[:, :half], z[:, half:]
        x = kept
        for _ in range(2):
            x = nn.silu(nn.Dense(8 * size, dtype=self.dtype)(x))
        x = wide(nn.Dense(2 * (size - half), kernel_init=nn.initializers.zeros, dtype=self.dtype)(x))
        log_scale, shift = jnp.split(x, 2, axis=-1)
        log_scale = 2 * jnp.tanh(log_scale / 2)  # a factor of at most e^2 a layer, either way
        if inverse:
            return jnp.concatenate([kept, (moved - shift) * jnp.exp(-log_scale)], axis=-1), -jnp.sum(log_scale, axis=-1)
        z = jnp.concatenate([kept, moved * jnp.exp(log_scale) + shift], axis=-1)
        return z[:, order], jnp.sum(log_scale, axis=-1)


class Flow(nn.Module):
    """Couplings in a row: latents of the decoder to a standard normal, and back with ``inverse``."""

    layers: int
    dtype: Any

    @nn.compact
    def __call__(self, z: Array, *, inverse: bool = False) -> tuple[Array, Array]:
        """[B, Z] -> [B, Z], and the log determinant [B]."""
        couplings = [Coupling(self.dtype, name=f"coupling_{index}") for index in range(self.layers)]
        total = jnp.zeros(len(z))
        for coupling in reversed(couplings) if inverse else couplings:
            z, log_determinant = coupling(z, inverse=inverse)
            total = total + log_determinant
        return z, total
