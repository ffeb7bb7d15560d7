"""A few samples drawn while a run goes on: a picture, or a piece, beside each checkpoint."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from train.step import State
from zoo.codecs.media import write_samples
from zoo.model import Model, SequenceModel

COUNT = {"image": 36, "music": 2, "text": 2}


def write_preview(model: Model, codec: Any, state: State, folder: Path, meta: dict[str, Any], main: bool) -> list[Path]:
    """Draws from the averages where the run keeps them; every process draws, the main one writes."""
    count = COUNT[codec.media]
    key = jax.random.key(meta["seed"])
    arrays = draw(model, {**state.params, **state.ema}, state.extra, key, count)
    if not main:
        return []
    return write_samples(codec, jax.device_get(arrays), folder / f"step_{meta['step']:07d}", meta=meta)


def draw(model: Model, params: Any, extra: Any, key: jax.Array, count: int) -> jax.Array:
    """``model.sample`` compiled once a model and count; sequences begin with their start token."""
    tokens = _sample(model, params, extra, key, count)
    if isinstance(model, SequenceModel):
        tokens = jnp.concatenate([model.start(count).astype(tokens.dtype), tokens], axis=1)
    return tokens


@functools.partial(jax.jit, static_argnums=(0, 4))
def _sample(model: Model, params: Any, extra: Any, key: jax.Array, count: int) -> jax.Array:
    return model.sample(params, extra, key, count)
