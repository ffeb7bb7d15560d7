"""The outlines of a picture, as one would draw them with a pencil: what a model of pictures may start from."""

import jax.numpy as jnp
from jax import Array

PRESSURE = 0.03
"""The squared change of colour, a pixel, at which a line is as good as black."""


def outline(picture: Array) -> Array:
    """[H, W, C] in [-1, 1] -> [H, W, 1]: 1 where nothing changes, towards -1 where the colours do.

    The gradient of a picture of several channels is that of Di Zenzo 1986, "A note on the gradient of a multi-image",
    of which this is the trace: the squared central differences, summed over channels and both directions.
    """
    padded = jnp.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    along = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    change = jnp.sum(jnp.square(across) + jnp.square(along), axis=-1, keepdims=True)
    return 2 * jnp.exp(-change / PRESSURE) - 1
