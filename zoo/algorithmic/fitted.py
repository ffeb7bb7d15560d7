"""What models that are one picture do alike: functions of them, to be their methods. Batches are one example: ``image``
[B, H, W, 3]."""

from typing import Protocol

import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.model import Array, Batch, Extra, Params

LEAST = 16  # pixels a side
TINY = 1e-8


class Sized(Protocol):
    """A model of pictures of one size."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...


class Drawn(Sized, Protocol):
    """One whose parameters are a picture."""

    def render(self, params: Params) -> Array:
        """[H, W, 3] from -1 to 1."""
        ...


def check_sides(model: Sized, what: str) -> None:
    """UserError where there is no room for ``what``."""
    if min(model.height, model.width) < LEAST:
        raise UserError(f"{what} of {model.width} x {model.height} pixels: use {LEAST} or more")


def works(model: Sized) -> int:
    """A run is one picture."""
    return 1


def pixel(model: Sized) -> float:
    """The width of one, where the shorter side is 2."""
    return 2 / min(model.height, model.width)


def batch_spec(model: Sized, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    return {"image": jax.ShapeDtypeStruct((batch_size, model.height, model.width, 3), jnp.float32)}


def loss(
    model: Drawn, params: Params, extra: Extra, batch: Batch, key: Array, step: Array
) -> tuple[Array, tuple[Extra, dict[str, Array]]]:
    """The mean squared difference of colours, each from -1 to 1."""
    del key, step
    apart = jnp.mean(jnp.square(model.render(params)[None] - batch["image"]))
    return apart, (extra, {"psnr": 10 * jnp.log10(4 / (apart + TINY))})


def evaluate(model: Drawn, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
    """The squared difference of each example."""
    del extra, key
    apart = jnp.mean(jnp.square(model.render(params)[None] - batch["image"]), axis=(1, 2, 3))
    return {"difference": (jnp.sum(apart), jnp.asarray(len(apart), jnp.float32))}


def sample(model: Drawn, params: Params, extra: Extra, key: Array, n: int) -> Array:
    """[n, H, W, 3]: the picture, n times."""
    del extra, key
    return jnp.repeat(model.render(params)[None], n, axis=0)
