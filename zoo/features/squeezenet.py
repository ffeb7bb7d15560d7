"""SqueezeNet 1.0 (Iandola et al. 2016, arXiv:1602.07360, table 1), as it was trained in Caffe."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from zoo.features.layers import Layer, check_names, conv_params, max_pool, relu_conv, run
from zoo.model import Array

MEAN = np.array([[[[104.0, 117.0, 123.0]]]], np.float32)  # of blue, green and red, from 0 to 255
NAMES = ("conv1", *(f"fire{number}" for number in range(2, 10)), "conv10")
POOLED = ("conv1", "fire4", "fire8")  # layers before a pool


def fire(params: Any, x: Array) -> Array:
    """Few channels, then many: by 1 x 1 and by 3 x 3 convolutions, side by side."""
    x = relu_conv(params["squeeze1x1"], x)
    return jnp.concatenate([relu_conv(params["expand1x1"], x), relu_conv(params["expand3x3"], x)], axis=-1)


@dataclass(frozen=True)
class SqueezeNet:
    """Of any size of picture; it was trained on 227 x 227 pixels."""

    FIRST: ClassVar[str] = "conv1.w"

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES

    @classmethod
    def read(cls, file: Path, arrays: Mapping[str, np.ndarray]) -> tuple["SqueezeNet", dict[str, Any]]:
        """(network, params) of arrays by Caffe's names."""
        of = lambda name: conv_params(file, arrays, f"{name}.w", f"{name}.b")
        parts = ("squeeze1x1", "expand1x1", "expand3x3")
        params = {
            name: {part: of(f"{name}.{part}") for part in parts} if name.startswith("fire") else of(name)
            for name in NAMES
        }
        return cls(), params

    def __call__(self, params: Any, images: Array, names: tuple[str, ...] | None = None) -> dict[str, Array]:
        """See `zoo.features.FeatureNetwork`."""
        check_names(names or (), NAMES)
        x = (images[..., ::-1] + 1) * 127.5 - MEAN.astype(images.dtype)
        return run(self.layers(), params, x, names or NAMES)

    def layers(self) -> list[Layer]:
        """Pools stand before the layers after them."""
        found, pool = [], False
        for name in NAMES:
            found.append((name, partial(self.layer, name, pool)))
            pool = name in POOLED
        return found

    @staticmethod
    def layer(name: str, pool: bool, params: Any, x: Array) -> Array:
        x = max_pool(x, 3, ceil=True) if pool else x
        if name.startswith("fire"):
            return fire(params[name], x)
        stride, padding = (2, 0) if name == "conv1" else (1, 1)
        return relu_conv(params[name], x, stride=stride, padding=padding)

    def logits(self, params: Any, images: Array) -> Array:
        """Images [B, H, W, 3] in [-1, 1] -> [B, 1000], ImageNet's classes."""
        return jnp.mean(self(params, images, ("conv10",))["conv10"], axis=(1, 2))
