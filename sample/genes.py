"""Directions of a latent space that change pictures the most: what a slider may be tied to.

Of models with styles either the principal components of the styles (GANSpace: Harkonen et al. 2020, arXiv:2004.02546,
section 2.1), or the directions that the layers' affine maps stretch the most (SeFa: Shen & Zhou 2021, arXiv:2007.06600,
equation 5). Of other decoders the principal axes of the metric that pictures pull back to the latent space, E[J^T J].
"""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from sample.latent import render_all
from train.flags import jit
from zoo.errors import UserError
from zoo.model import Array, Extra, Params

STYLES = 4096  # of which the principal components are
POINTS, PROBES = 64, 16  # latents at which a picture's Jacobian is probed, and random cotangents at each
REACH, STOPS = 3.0, 7  # of a slider, in standard deviations; its pictures

By = Literal["pca", "sefa"]


def has_styles(model: Any) -> bool:
    """Whether pictures are painted from styles, a row for each layer."""
    return hasattr(model, "styles") and hasattr(model, "paint")


def genes(run: Any, count: int, by: By, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(directions [count, D] of norm 1, the most telling first; the standard deviation of the styles, or latents, along
    each [count]). UserError where the model has no such thing."""
    model, params, extra = run.model, run.params, run.extra
    key = jax.random.key(seed)
    if has_styles(model):
        styles = np.asarray(
            jit(lambda params, key: model.styles(params, extra, model.latents(key, STYLES))[:, 0])(params, key)
        )
        axes = principal(styles) if by == "pca" else stretched(readers(params["generator"]["synthesis"]))
    elif by == "sefa":
        raise UserError(f"--by sefa: {run.config.name} has no styles; --by pca looks at what its pictures do")
    else:
        styles = np.asarray(model.latents(key, STYLES))
        axes = principal(gradients(model, params, extra, model.latents(key, POINTS), key), centred=False)
    if count > len(axes):
        raise UserError(f"--genes {count}: the space has {len(axes)} directions")
    chosen = axes[:count]
    return chosen, (styles @ chosen.T).std(0)


def principal(rows: np.ndarray, *, centred: bool = True) -> np.ndarray:
    """Rows [N, D] -> their principal axes [min(N, D), D], by falling variance."""
    wide = rows.astype(np.float64)
    return np.linalg.svd(wide - wide.mean(0) if centred else wide, full_matrices=False)[2].astype(np.float32)


def stretched(kernel: np.ndarray) -> np.ndarray:
    """The axes [D, D] of a style space that x -> x A, A [D, F], stretches, the most stretched first."""
    values, vectors = np.linalg.eigh(kernel.astype(np.float64) @ kernel.T)
    return vectors.T[np.argsort(-values)].astype(np.float32)


def readers(synthesis: Params) -> np.ndarray:
    """What all layers make of a style, side by side: [W, F]."""
    leaves = jax.tree_util.tree_leaves_with_path(synthesis)
    found = [leaf for path, leaf in leaves if [getattr(step, "key", None) for step in path][-2:] == ["style", "kernel"]]
    return np.concatenate([np.asarray(kernel) for kernel in found], axis=1)


def gradients(model: Any, params: Params, extra: Extra, latents: Array, key: Array) -> np.ndarray:
    """J^T u of the picture's Jacobian at each latent [n, D] and random u, so many as ``PROBES``: [n PROBES, D]. Their
    second moment is E[J^T J]."""

    @jit
    def probe(latents: Array, key: Array) -> Array:
        pictures, pull = jax.vjp(partial(model.render, params, extra), latents)
        return pull(jax.random.normal(key, pictures.shape, pictures.dtype))[0]

    return np.concatenate([np.asarray(probe(latents, jax.random.fold_in(key, turn))) for turn in range(PROBES)])


def sliders(run: Any, bases: Any, directions: np.ndarray, scales: np.ndarray, **shown: Any) -> np.ndarray:
    """Pictures [bases x genes, STOPS, H, W, C]: every gene from -REACH to REACH standard deviations around each latent
    of ``bases`` [n, Z]; ``shown``: the model's own controls of ``styles``, or of ``render``."""
    model, params, extra = run.model, run.params, run.extra
    stops = jnp.linspace(-REACH, REACH, STOPS)
    moves = stops[None, :, None] * jnp.asarray(directions * scales[:, None])[:, None]  # [K, STOPS, D]
    if has_styles(model):
        styles = model.styles(params, extra, bases, **shown)  # [n, L, W]
        rows = styles[:, None, None] + moves[None, :, :, None]
        flat = rows.reshape(-1, *styles.shape[1:])
        paint = jit(lambda params, styles: model.paint(params, styles))
        pictures = np.concatenate([np.asarray(paint(params, part)) for part in jnp.split(flat, len(flat) // STOPS)])
    else:
        flat = (bases[:, None, None] + moves[None]).reshape(-1, bases.shape[-1])
        pictures = render_all(model, params, extra, flat, **shown)
    return pictures.reshape(-1, STOPS, *pictures.shape[1:])
