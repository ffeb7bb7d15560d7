"""Networks with random weights: features that no data set has taught to look away."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from zoo.features.layers import check_names, max_pool, relu_conv, run
from zoo.model import Array

WIDTHS = (32, 64, 128, 128)


@dataclass(frozen=True)
class RandomNetwork:
    """3 x 3 convolutions and pools down to 4 x 4 pixels or fewer, and a linear layer to ``features`` numbers (Naeem et
    al. 2020, arXiv:2002.09797, section 4.1: VGG's form, 64 features)."""

    features: int = 64
    smallest: int = 4

    def init(self, key: Array, shape: tuple[int, int, int]) -> Any:
        """Weights for pictures [H, W, C]."""
        rows, columns, channels = shape
        params, keys = {}, iter(jax.random.split(key, 2 * len(WIDTHS) + 2))
        for index, width in enumerate(WIDTHS):
            params[f"conv_{index}"] = random_conv((next(keys), next(keys)), channels, width)
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


def random_conv(keys: tuple[Array, Array], channels: int, width: int) -> dict[str, Array]:
    """A 3 x 3 convolution, drawn so that activations keep their size (He et al. 2015, arXiv:1502.01852)."""
    scale = (2 / (9 * channels)) ** 0.5
    return {
        "kernel": scale * jax.random.normal(keys[0], (3, 3, channels, width)),
        "bias": 0.1 * jax.random.normal(keys[1], (width,)),
    }


@dataclass(frozen=True)
class RandomPyramid:
    """Layers relu1, relu2 ...: 3 x 3 convolutions, each with twice as many features as the one before and, behind a
    pool, at half its size. Enough to tell looks apart and to find the way back to a picture (He, Wang & Hopcroft 2016,
    "A Powerful Generative Model Using Random Weights for the Deep Image Representation", arXiv:1606.04801)."""

    width: int = 32
    """Features of the first."""
    levels: int = 4

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"relu{level}" for level in range(1, self.levels + 1))

    def init(self, key: Array, channels: int = 3) -> Any:
        params, keys = {}, jax.random.split(key, 2 * self.levels)
        for level, name in enumerate(self.names):
            width = self.width * 2**level
            params[name] = random_conv((keys[2 * level], keys[2 * level + 1]), channels, width)
            channels = width
        return params

    def __call__(self, params: Any, images: Array, names: tuple[str, ...] | None = None) -> dict[str, Array]:
        """See `zoo.features.FeatureNetwork`; images of any number of channels."""
        check_names(names or (), self.names)
        layer = lambda name, params, x: relu_conv(params[name], x if name == "relu1" else max_pool(x, 2))
        return run([(name, partial(layer, name)) for name in self.names], params, images, names or self.names)
