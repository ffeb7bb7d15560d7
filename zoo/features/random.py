"""A network with random weights: features that no data set has taught to look away (Naeem et al. 2020,
arXiv:2002.09797, section 4.1: VGG's form, 64 features)."""

from dataclasses import dataclass
from typing import Any

import jax

from zoo.features.layers import max_pool, relu_conv
from zoo.model import Array

WIDTHS = (32, 64, 128, 128)


@dataclass(frozen=True)
class RandomNetwork:
    """3 x 3 convolutions and pools down to 4 x 4 pixels or fewer, and a linear layer to ``features`` numbers."""

    features: int = 64
    smallest: int = 4

    def init(self, key: Array, shape: tuple[int, int, int]) -> Any:
        """Weights for pictures [H, W, C], drawn so that activations keep their size (He et al. 2015)."""
        rows, columns, channels = shape
        params, keys = {}, iter(jax.random.split(key, 2 * len(WIDTHS) + 2))
        for index, width in enumerate(WIDTHS):
            scale = (2 / (9 * channels)) ** 0.5
            params[f"conv_{index}"] = {
                "kernel": scale * jax.random.normal(next(keys), (3, 3, channels, width)),
                "bias": 0.1 * jax.random.normal(next(keys), (width,)),
            }
            channels = width
            if self._halves(rows, columns):
                rows, columns = rows // 2, columns // 2
        size = rows * columns * channels
        params["linear"] = jax.random.normal(next(keys), (size, self.features)) * size**-0.5
        return params

    def __call__(self, params: Any, images: Array) -> Array:
        """Images [B, H, W, C] in [-1, 1] -> [B, features]."""
        x = images
        for index in range(len(WIDTHS)):
            x = relu_conv(params[f"conv_{index}"], x)
            if self._halves(*x.shape[1:3]):
                x = max_pool(x, 2)
        return x.reshape(len(x), -1) @ params["linear"].astype(x.dtype)

    def _halves(self, rows: int, columns: int) -> bool:
        return min(rows, columns) // 2 >= self.smallest
