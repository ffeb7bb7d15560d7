"""VGG (Simonyan & Zisserman 2015, arXiv:1409.1556, table 1: A, B, D and E), without its classifier."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from zoo.errors import UserError
from zoo.features.layers import Layer, check_names, conv_params, max_pool, relu_conv, run
from zoo.model import Array

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
# Of red, green and blue, from 0 to 1, over ImageNet: what torchvision's weights were trained with.
MEAN = np.array([[[[0.485, 0.456, 0.406]]]], np.float32)
STD = np.array([[[[0.229, 0.224, 0.225]]]], np.float32)


@dataclass(frozen=True)
class VGG:
    """Five groups of 3 x 3 convolutions, halved between. Layers are called relu1_1 ... relu5_4."""

    depth: int = 19
    """A key of ``DEPTHS``: layers that have weights, three dense ones among them."""

    FIRST: ClassVar[str] = "features.0.weight"

    @property
    def names(self) -> tuple[str, ...]:
        groups = enumerate(DEPTHS[self.depth], start=1)
        return tuple(f"relu{group}_{layer}" for group, count in groups for layer in range(1, count + 1))

    @classmethod
    def read(cls, file: Path, arrays: Mapping[str, np.ndarray]) -> tuple["VGG", dict[str, Any]]:
        """(network, params) of arrays by torchvision's names, in which ReLUs and pools count too."""
        kernels = {name for name in arrays if re.fullmatch(r"features\.\d+\.weight", name)}
        depth = len(kernels) + 3
        if depth not in DEPTHS or any(arrays[name].ndim != 4 for name in kernels):
            raise UserError(
                f"{file}: {len(kernels)} layers of features; VGG-11, 13, 16 and 19 without batch norm are read"
            )
        params, index, group = {}, 0, "1"
        for name in cls(depth).names:
            if name[4] != group:  # behind a pool
                index, group = index + 1, name[4]
            params[name] = conv_params(file, arrays, f"features.{index}.weight", f"features.{index}.bias")
            index += 2
        return cls(depth), params

    def __call__(self, params: Any, images: Array, names: tuple[str, ...] | None = None) -> dict[str, Array]:
        """See `zoo.features.FeatureNetwork`."""
        check_names(names or (), self.names)
        mean, std = MEAN.astype(images.dtype), STD.astype(images.dtype)
        return run(self.layers(), params, ((images + 1) / 2 - mean) / std, names or self.names)

    def layers(self) -> list[Layer]:
        return [(name, partial(self.layer, name)) for name in self.names]

    @staticmethod
    def layer(name: str, params: Any, x: Array) -> Array:
        pool = name.endswith("_1") and name != "relu1_1"
        return relu_conv(params[name], max_pool(x, 2) if pool else x)
