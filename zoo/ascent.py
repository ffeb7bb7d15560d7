"""Pictures that a score is highest of: what models that judge have instead of samples.

Gradient ascent from noise, with a decay and under small shifts (Simonyan et al. 2014, arXiv:1312.6034, section 2).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array

STEPS, RATE, DECAY = 64, 0.1, 0.02


def ascent(scores: Callable[[Array], Array], shape: tuple[int, ...], key: Array) -> Array:
    """Images of ``shape`` [n, H, W, C] in [-1, 1] for which ``scores``, images -> [n], are high."""
    most = shape[1] // 16

    def climb(images: Array, index: Array) -> tuple[Array, None]:
        shift = jax.random.randint(jax.random.fold_in(key, index), (2,), -most, most + 1)
        slope = jax.grad(lambda x: jnp.sum(scores(jnp.roll(x, shift, axis=(1, 2)))))(images)
        size = jnp.sqrt(jnp.mean(jnp.square(slope), axis=(1, 2, 3), keepdims=True))
        return jnp.clip((1 - DECAY) * images + RATE * slope / (size + 1e-8), -1, 1), None

    noise = 0.1 * jax.random.normal(jax.random.fold_in(key, STEPS), shape)
    return jax.lax.scan(climb, noise, jnp.arange(STEPS))[0]
