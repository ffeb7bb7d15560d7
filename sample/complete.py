"""Pictures whose upper half is given."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.options import Options
from sample.steer import sampler_of
from zoo.codecs.images import read_image
from zoo.errors import UserError


def completed(run: Any, options: Options, count: int) -> np.ndarray:
    """``count`` pictures [n, H, W, C] in [-1, 1] with the upper half of a file's, the rest drawn by a model that draws
    row by row."""
    model = run.model
    if not hasattr(model, "sequence"):
        raise UserError(f"--complete: {run.config.name} does not draw row by row; image-gpt does")
    path = Path(options.complete or "").expanduser()
    image = run.codec.encode(read_image(path, channels=model.channels, size=model.image_size))
    upper = jnp.asarray(image)[None, : model.image_size // 2].repeat(count, axis=0)
    sampler = sampler_of(options, rolls=False)
    drawn = jax.jit(lambda params, key: model.sample(params, {}, key, count, upper=upper, sampler=sampler))
    return np.asarray(drawn(run.params, jax.random.key(options.seed)))
