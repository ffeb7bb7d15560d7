"""Sounds that a model of waves makes."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.latent import render_all, slerp
from sample.options import Options, Target, wanted
from train.preview import draw as sampled
from zoo.codecs.media import with_suffix, write_arrays, write_waves
from zoo.errors import UserError
from zoo.model import LatentModel

COUNT = 8
KINDS = (".wav", ".png", ".npz")


def write_sounds(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """A WAV file each and a picture of all, or what the suffix says: .npz has the samples of all."""
    kinds = wanted(place, KINDS, what="sounds")
    sounds = run.codec.decode(draw(run, options))
    if ".npz" in kinds and place.kinds:
        path = with_suffix(place.stem, ".npz")
        return [write_arrays(path, meta=meta, wave=sounds, rate=np.int32(run.codec.rate))]
    return write_waves(run.codec, sounds, place.stem, meta=meta, kinds=kinds)


def draw(run: Any, options: Options) -> np.ndarray:
    """Waves [n, T, 1] in [-1, 1]; with --interpolate K, each is of K sounds, from one to another one."""
    model, steps, key = run.model, options.interpolate, jax.random.key(options.seed)
    count = options.n or (1 if steps else getattr(model, "works", COUNT))
    if not isinstance(model, LatentModel):
        if steps:
            raise UserError(f"{run.config.name} has no latent space to walk through")
        return np.asarray(sampled(model, run.params, run.extra, key, count))
    if steps is None:
        return render_all(model, run.params, run.extra, model.latents(key, count))
    ends = model.latents(key, 2 * count).reshape(count, 2, 1, -1)
    way = jnp.broadcast_to(jnp.linspace(0, 1, steps), (count, steps))
    both = (jnp.broadcast_to(ends[:, end], (count, steps, ends.shape[-1])) for end in (0, 1))
    latents = slerp(*both, way).reshape(count * steps, -1)
    return render_all(model, run.params, run.extra, latents).reshape(count, -1, 1)
