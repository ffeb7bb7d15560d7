"""Spectral normalisation of a network's weights, as a function of its parameters: no layer knows of it."""

from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array
Vectors = dict[str, Array]


def start_vectors(params: Any, key: Array) -> Vectors:
    """A random unit vector [C_out] for every kernel of ``params``, by the kernel's path."""
    kernels = _kernels(params)
    keys = jax.random.split(key, max(len(kernels), 1))
    draws = (jax.random.normal(k, w.shape[-1:], jnp.float32) for k, w in zip(keys, kernels.values(), strict=False))
    return dict(zip(kernels, map(_unit, draws), strict=True))


def spectral_normalise(params: Any, vectors: Vectors, *, train: bool) -> tuple[Any, Vectors]:
    """Every kernel [..., C_out] divided by its largest singular value as a matrix [-1, C_out]; biases as they are.

    The singular value is that along the stored vector after one more turn of power iteration, which ``train`` keeps.
    Gradients flow through it, but not into the vectors. Miyato et al. 2018 (arXiv:1802.05957), algorithm 1.
    """
    after: Vectors = {}

    def normal(path: Any, leaf: Array) -> Array:
        if leaf.ndim < 2:
            return leaf
        name, matrix = _name(path), leaf.reshape(-1, leaf.shape[-1])
        fixed = jax.lax.stop_gradient(matrix)
        # Sums, not matrix products: these stay in the parameters' own precision whatever the platform's default is.
        left = _unit(jnp.sum(fixed * vectors[name].astype(fixed.dtype)[None], axis=1))
        right = _unit(jnp.sum(left[:, None] * fixed, axis=0))
        after[name] = right.astype(vectors[name].dtype) if train else vectors[name]
        return leaf / jnp.maximum(jnp.sum(left[:, None] * matrix * right[None]), 1e-12)

    return jax.tree_util.tree_map_with_path(normal, params), after


def _kernels(params: Any) -> dict[str, Array]:
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0] if leaf.ndim > 1}


def _name(path: Any) -> str:
    return ".".join(entry.key for entry in path)


def _unit(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
