"""Walks through a model's latent space, and the pictures on the way."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from train.flags import jit
from zoo.model import Array, Extra, Latent, LatentModel, Params

CHUNK = 64  # pictures rendered at once


@jax.jit
def slerp(a: Array, b: Array, t: Array) -> Array:
    """From a [..., Z] (t = 0) to b [..., Z] (t = 1) along the great circle, t [...].

    Directions by Shoemake 1985, "Animating Rotation with Quaternion Curves", section 3.3; norms change evenly, so that
    draws from N(0, I) keep a norm that the model has seen, where a straight line would cross the empty middle of the
    ball. Parallel vectors are joined by a straight line, which is what their great circle shrinks to; opposite ones by
    the half circle through an axis that neither is near to; a zero vector has the direction of the other.
    """
    t = t[..., None]
    norm_a, norm_b = (jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    unit_a, unit_b = _unit(a, norm_a, b, norm_b), _unit(b, norm_b, a, norm_a)
    apart, together = (jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (unit_a - unit_b, unit_a + unit_b))
    angle = 2 * jnp.arctan2(apart, together)  # exact for small and for large angles, where arccos is not (Kahan 2006)
    side = unit_b - jnp.sum(unit_a * unit_b, axis=-1, keepdims=True) * unit_a
    size = jnp.linalg.norm(side, axis=-1, keepdims=True)
    axis = jax.nn.one_hot(jnp.argmin(jnp.abs(unit_a), axis=-1), a.shape[-1], dtype=unit_a.dtype)
    around = axis - jnp.sum(unit_a * axis, axis=-1, keepdims=True) * unit_a
    around = around / jnp.linalg.norm(around, axis=-1, keepdims=True)
    tiny = jnp.sqrt(jnp.finfo(unit_a.dtype).eps)
    side = jnp.where(size > tiny, side / jnp.maximum(size, tiny), around)
    great = jnp.cos(t * angle) * unit_a + jnp.sin(t * angle) * side
    direction = jnp.where(apart > tiny, great, (1 - t) * unit_a + t * unit_b)
    return direction * ((1 - t) * norm_a + t * norm_b)


def _unit(x: Array, norm: Array, other: Array, other_norm: Array) -> Array:
    """x / |x|; a zero vector takes the other's direction."""
    zero = norm == 0
    return jnp.where(zero, other, x) / jnp.maximum(jnp.where(zero, other_norm, norm), jnp.finfo(x.dtype).tiny)


def lerp(a: Array, b: Array, t: Array) -> Array:
    """From a [..., Z] (t = 0) to b [..., Z] (t = 1) in a straight line, t [...]: of styles, which fill their space."""
    return a + t[..., None] * (b - a)


def along(latents: Latent, places: Any, way: Callable[[Array, Array, Array], Array] = slerp) -> Latent:
    """Latents [K, ...] at ``places`` [N] of the closed walk through all of them by ``way``: the first one is at 0, at
    K, at 2 K and so on, the second at 1. Gives [N, ...]."""
    count = len(jax.tree.leaves(latents)[0])
    places = np.asarray(places) % count
    begin = np.minimum(places.astype(int), count - 1)
    t = jnp.asarray(places - begin, jnp.float32)
    walk = lambda leaf: way(leaf[begin], leaf[(begin + 1) % count], t.reshape(-1, *[1] * (leaf.ndim - 2)))
    return jax.tree.map(walk, latents)


def closed_loop(latents: Latent, frames: int, way: Callable[[Array, Array, Array], Array] = slerp) -> Latent:
    """Latents [K, ...] -> [frames, ...]: through all of them by ``way``, evenly, and from the last towards the first,
    so that a film of them repeats without a seam."""
    count = len(jax.tree.leaves(latents)[0])
    return along(latents, np.arange(frames) * (count / frames), way)


def render_all(model: LatentModel, params: Params, extra: Extra, latents: Latent, **controls: Any) -> np.ndarray:
    """Latents [n, ...] -> images [n, H, W, C] in [-1, 1], ``CHUNK`` of them at a time. ``controls``: the model's own,
    of ``render``."""
    count = len(jax.tree.leaves(latents)[0])
    parts = [jax.tree.map(lambda leaf, at=at: leaf[at : at + CHUNK], latents) for at in range(0, count, CHUNK)]
    return np.concatenate([np.asarray(_render(model, params, extra, part, **controls)) for part in parts])


def film(
    model: LatentModel, params: Params, extra: Extra, latents: Latent, *, frames: int, loops: int = 1, **controls: Any
) -> np.ndarray:
    """Images [frames, loops, H, W, C]: closed walks side by side, each through its own share of the latents [n, ...],
    in their order. ``controls``: the model's own, of ``render``."""
    through = len(jax.tree.leaves(latents)[0]) // loops
    walks = [
        closed_loop(jax.tree.map(lambda leaf, at=at: leaf[at * through : (at + 1) * through], latents), frames)
        for at in range(loops)
    ]
    return np.stack([render_all(model, params, extra, walk, **controls) for walk in walks], axis=1)


def style_film(
    model: Any, params: Params, extra: Extra, latents: Latent, *, frames: int, loops: int = 1, **controls: Any
) -> np.ndarray:
    """The same through the styles of the latents, in straight lines. ``controls``: the model's own, of ``styles``."""
    styles = styles_of(model, params, extra, latents, **controls)
    through = len(styles) // loops
    walks = [closed_loop(styles[at * through : (at + 1) * through], frames, lerp) for at in range(loops)]
    return np.stack([paint_all(model, params, walk) for walk in walks], axis=1)


def styles_of(model: Any, params: Params, extra: Extra, latents: Latent, **controls: Any) -> Array:
    """Latents [n, Z] -> styles [n, layers, W], of models that have them."""
    return jit(lambda params, z: model.styles(params, extra, z, **controls))(params, latents)


def paint_all(model: Any, params: Params, styles: Array) -> np.ndarray:
    """Styles [n, layers, W] -> images [n, H, W, C] in [-1, 1], ``CHUNK`` of them at a time."""
    parts = [styles[at : at + CHUNK] for at in range(0, len(styles), CHUNK)]
    return np.concatenate([np.asarray(_paint(model, params, part)) for part in parts])


@functools.partial(jit, static_argnums=0)
def _paint(model: Any, params: Params, styles: Array) -> Array:
    return model.paint(params, styles)


def reconstruct(model: Any, params: Params, extra: Extra, images: np.ndarray) -> np.ndarray:
    """Images [n, H, W, C] in [-1, 1] -> what an autoencoder makes of them, by the mean of each one's latent."""
    return np.asarray(_reconstruct(model, params, extra, jnp.asarray(images)))


@functools.partial(jit, static_argnums=0)
def _render(model: LatentModel, params: Params, extra: Extra, latents: Latent, **controls: Any) -> Array:
    return model.render(params, extra, latents, **controls)


@functools.partial(jit, static_argnums=0)
def _reconstruct(model: Any, params: Params, extra: Extra, images: Array) -> Array:
    return model.render(params, extra, model.encode(params, extra, images))
