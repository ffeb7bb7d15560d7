"""A small classifier of small pictures: two convolutions of 32 and 64 channels, each with a pool behind it, 128
features and a dense layer, as in the MNIST example of Keras."""

import flax.linen as nn
import jax.numpy as jnp

from zoo.model import Array
from zoo.nn.conv import Conv

DROPOUT = 0.5


class ConvNet(nn.Module):
    """Pictures [B, H, W, C] in [-1, 1] -> features [B, 128], logits [B, classes]."""

    classes: int

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> tuple[Array, Array]:
        for width in (32, 64):
            x = nn.relu(Conv(width)(x))
            rows, columns = (side // 2 for side in x.shape[1:3])
            squares = x[:, : 2 * rows, : 2 * columns].reshape(len(x), rows, 2, columns, 2, width)
            x = jnp.max(squares, axis=(2, 4))
        features = nn.relu(nn.Dense(128)(x.reshape(len(x), -1)))
        return features, nn.Dense(self.classes)(nn.Dropout(DROPOUT, deterministic=not train)(features))
