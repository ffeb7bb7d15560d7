"""A few samples drawn while a run goes on: a picture, or a piece, beside each checkpoint."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from train.flags import jit
from train.processes import on_host
from train.runs import sampling_params
from train.step import State
from zoo.model import Model, SequenceModel

COUNT = {
    "image": 36, "points": 2500, "voxels": 16, "video": 4, "audio": 4, "music": 2, "text": 2, "drawing": 16
}  # fmt: skip


def preview(model: Model, codec: Any, state: State, seed: int) -> np.ndarray:
    """Samples of ``model`` on the host, as many as one looks at, from the averages where the run keeps them."""
    count = getattr(model, "works", COUNT[codec.media])
    return on_host(draw(model, sampling_params(state), state.extra, jax.random.key(seed), count))


def draw(model: Model, params: Any, extra: Any, key: jax.Array, count: int) -> jax.Array:
    """``model.sample`` compiled once a model and count; sequences begin with their start token."""
    tokens = _sample(model, params, extra, key, count)
    if isinstance(model, SequenceModel) and tokens.ndim < 4:  # not pictures
        tokens = jnp.concatenate([model.start(count).astype(tokens.dtype), tokens], axis=1)
    return tokens


@functools.partial(jit, static_argnums=(0, 4))
def _sample(model: Model, params: Any, extra: Any, key: jax.Array, count: int) -> jax.Array:
    return model.sample(params, extra, key, count)
