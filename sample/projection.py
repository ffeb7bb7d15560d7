"""The latent of a user's own picture: what a decoder makes that is nearest to it."""

from collections.abc import Callable
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
    filters = LOOK.init(jax.random.key(SEED), images.shape[-1])
    search, begin = seeker(run, filters, effort), beginner(run, filters, seed)
    size, found = min(CHUNK, len(images)), []
    for at in range(0, len(images), size):
        part = jnp.asarray(np.resize(images[at : at + size], (size, *images.shape[1:])))  # of one shape, one program
        found.append(jax.device_get(search(run.params, begin(part), part)))
    pictures, distances = (np.concatenate(parts)[: len(images)] for parts in zip(*found, strict=True))
    return pictures, distances


def decode(run: Any, params: Any, latent: Array) -> Array:
    model = run.model
    return wide(model.paint(params, latent) if has_styles(model) else model.render(params, run.extra, latent))


def apart(filters: Any, made: Array, images: Array, truth: dict[str, Array]) -> Array:
    """How far pictures [n, H, W, C] are from images, of which the filters see ``truth``: [n]."""
    seen = LOOK(filters, made)
    unlike = [jnp.mean(jnp.abs(seen[name] - truth[name]), axis=(1, 2, 3)) for name in LOOK.names]
    return jnp.mean(jnp.square(made - images), axis=(1, 2, 3)) + sum(unlike) / len(unlike)


def seeker(run: Any, filters: Any, effort: int) -> Callable[[Any, Array, Array], tuple[Array, Array]]:
    """(params, where to begin [n, ...], images [n, H, W, C]) -> what is found, and how far it is from them."""
    rule = optax.adam(optax.warmup_cosine_decay_schedule(0.0, RATE, int(WARM * effort), effort))

    @jit
    def search(params: Any, latent: Array, images: Array) -> tuple[Array, Array]:
        truth = LOOK(filters, images)

        def loss(latent: Array) -> Array:
            prior = 0.0 if has_styles(run.model) else PRIOR * jnp.mean(jnp.square(latent), axis=-1)
            return jnp.sum(apart(filters, decode(run, params, latent), images, truth) + prior)

        def step(carry: Any, _: None) -> tuple[Any, None]:
            latent, state = carry
            updates, state = rule.update(jax.grad(loss)(latent), state)
            return (optax.apply_updates(latent, updates), state), None

        (latent, _), _ = jax.lax.scan(step, (latent, rule.init(latent)), length=effort)
        made = decode(run, params, latent)
        return made, apart(filters, made, images, truth)

    return search


def beginner(run: Any, filters: Any, seed: int) -> Callable[[Array], Array]:
    """Images [n, H, W, C] -> where their search begins [n, ...]."""
    model, extra, key = run.model, run.extra, jax.random.key(seed)
    if has_styles(model):
        zero = model.styles(run.params, extra, model.latents(key, 1), truncation=0.0)
        return lambda images: jnp.repeat(zero, len(images), axis=0)
    if hasattr(model, "encode"):
        encode = jit(lambda params, x: model.encode(params, extra, x))
        return lambda images: encode(run.params, images)
    draws = model.latents(key, DRAWS)

    @jit
    def distances(params: Any, draws: Array, images: Array) -> Array:
        shown = lambda draw: jnp.broadcast_to(decode(run, params, draw[None]), images.shape)
        truth = LOOK(filters, images)
        return jax.lax.map(lambda draw: apart(filters, shown(draw), images, truth), draws)

    return lambda images: draws[jnp.argmin(distances(run.params, draws, images), axis=0)]
