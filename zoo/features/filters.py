"""A layer of random filters of several sizes: enough to tell textures apart, and learnt from nothing (Ustyuzhaninov,
Brendel, Gatys & Bethge 2016, "Texture Synthesis Using Shallow Convolutional Networks with Random Filters",
arXiv:1606.00021)."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from zoo.features.layers import check_names
from zoo.model import Array
from zoo.nn.conv import conv2d


@dataclass(frozen=True)
class RandomFilters:
    """Layers are called filters3, filters5, ... by the sides of their filters."""

    sides: tuple[int, ...] = (3, 5, 7, 11)
    filters: int = 64
    """Of each size."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"filters{side}" for side in self.sides)

    def init(self, key: Array, channels: int = 3) -> Any:
        """Filters of norm 1 that see no flat colour: {layer: [side, side, channels, filters]}."""
        drawn = {}
        for name, side, own in zip(self.names, self.sides, jax.random.split(key, len(self.sides)), strict=True):
            kernel = jax.random.uniform(own, (side, side, channels, self.filters), minval=-1.0, maxval=1.0)
            kernel -= jnp.mean(kernel, axis=(0, 1), keepdims=True)
            drawn[name] = kernel / jnp.sqrt(jnp.sum(jnp.square(kernel), axis=(0, 1, 2), keepdims=True))
        return drawn

    def __call__(self, params: Any, images: Array, names: tuple[str, ...] | None = None) -> dict[str, Array]:
        """See `zoo.features.FeatureNetwork`; images of any number of channels."""
        check_names(names or (), self.names)
        see = lambda name: jax.nn.relu(conv2d(images, params[name].astype(images.dtype)))
        return {name: see(name) for name in names or self.names}


def gram(x: Array) -> Array:
    """Features [B, H, W, C] -> [B, C, C], how often two are seen together (Gatys et al. 2015, arXiv:1505.07376,
    equation 3): the mean over positions, divided by C too."""
    rows = x.reshape(len(x), -1, x.shape[-1])
    precise = jnp.promote_types(x.dtype, jnp.float32)
    return jnp.einsum("bic,bid->bcd", rows, rows, preferred_element_type=precise) / (rows.shape[1] * rows.shape[2])
