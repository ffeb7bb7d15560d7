"""The latent of a user's own picture: what a decoder makes that is nearest to it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sample.genes import has_styles
from train.flags import jit
from zoo.features.filters import RandomFilters
from zoo.losses import wide
from zoo.model import Array

LOOK = RandomFilters()
SEED = 0  # of the filters
RATE, WARM = 0.05, 0.05  # the largest step, and the share of the steps until it is reached
DRAWS = 64  # of which the nearest is where one begins that nothing encodes
PRIOR = 1e-3  # weight of |z|^2 / Z, beside distances of pixels in [-1, 1]
CHUNK = 16  # pictures at a time


def project(run: Any, images: np.ndarray, *, effort: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, H, W, C] in [-1, 1] -> (what the model makes that is nearest to each, the distances [n]).

    Of models with styles those of every layer are sought, from the mean one on (Karras et al. 2020, arXiv:1912.04958,
    appendix D; Abdal et al. 2019, arXiv:1904.03189); of others the latent, from what an encoder says or else from the
    nearest of some draws. ``effort``: steps of Adam. The distance is that of pixels and of what random filters see.
    """
    parts = [images[at : at + CHUNK] for at in range(0, len(images), CHUNK)]
    found = [_project(run, jnp.asarray(part), effort=effort, seed=seed) for part in parts]
    pictures, distances = zip(*found, strict=True)
    return np.concatenate(pictures), np.concatenate(distances)


def _project(run: Any, images: Array, *, effort: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    model, params, extra = run.model, run.params, run.extra
    filters = LOOK.init(jax.random.key(SEED), images.shape[-1])
    truth = LOOK(filters, images)
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, int(WARM * effort), effort)
    rule = optax.adam(schedule)

    def decode(params: Any, latent: Array) -> Array:
        return wide(model.paint(params, latent) if has_styles(model) else model.render(params, extra, latent))

    def apart(params: Any, latent: Array) -> Array:
        made = decode(params, latent)
        seen = LOOK(filters, made)
        unlike = [jnp.mean(jnp.abs(seen[name] - truth[name]), axis=(1, 2, 3)) for name in LOOK.names]
        return jnp.mean(jnp.square(made - images), axis=(1, 2, 3)) + sum(unlike) / len(unlike)

    @jit
    def search(params: Any, latent: Array) -> tuple[Array, Array]:
        def loss(latent: Array) -> Array:
            prior = 0.0 if has_styles(model) else PRIOR * jnp.mean(jnp.square(latent), axis=-1)
            return jnp.sum(apart(params, latent) + prior)

        def step(carry: Any, _: None) -> tuple[Any, None]:
            latent, state = carry
            updates, state = rule.update(jax.grad(loss)(latent), state)
            return (optax.apply_updates(latent, updates), state), None

        (latent, _), _ = jax.lax.scan(step, (latent, rule.init(latent)), length=effort)
        return decode(params, latent), apart(params, latent)

    begun = beginning(run, images, apart, seed)
    made, distance = search(params, begun)
    return np.asarray(made), np.asarray(distance)


def beginning(run: Any, images: Array, apart: Any, seed: int) -> Array:
    """Where the search begins: [n, ...]."""
    model, params, extra = run.model, run.params, run.extra
    key = jax.random.key(seed)
    if has_styles(model):
        zero = model.styles(params, extra, model.latents(key, 1), truncation=0.0)
        return jnp.repeat(zero, len(images), axis=0)
    if hasattr(model, "encode"):
        return jit(lambda params, x: model.encode(params, extra, x))(params, images)
    draws = model.latents(key, DRAWS)
    distance = jit(lambda params, draw: apart(params, jnp.broadcast_to(draw, (len(images), *draw.shape))))
    every = np.stack([np.asarray(distance(params, draw)) for draw in draws])
    return draws[every.argmin(0)]
