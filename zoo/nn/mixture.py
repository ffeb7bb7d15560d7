"""Mixtures of bivariate normals as the head of a network: Graves 2013 (arXiv:1308.0850), section 4.1.

What a pen does has lines that are exactly level, upright or slanting, around which a normal could be as narrow as it
likes: its density, and with it the likelihood, would have no bound. So deviations have a floor and correlations a
bound, both far below what can be seen of a drawing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.losses import wide
from zoo.model import Array

NUMBERS = 6  # of a component: weight, two means, two deviations, a correlation
FLOOR = 1e-3  # of a deviation, beside data of deviation 1
BOUND = 0.999  # of a correlation


class Mixture(NamedTuple):
    """M components each: log weights and correlations [..., M], means and log deviations [..., M, 2]."""

    log_weight: Array
    mean: Array
    log_sigma: Array
    correlation: Array


def mixture_of(outputs: Array) -> Mixture:
    """Outputs of a network [..., 6 M] -> the mixture (equations 18 to 22), in float32 or wider."""
    weight, *means, sigma_x, sigma_y, correlation = jnp.split(wide(outputs), NUMBERS, axis=-1)
    log_sigma = jnp.logaddexp(2 * jnp.stack([sigma_x, sigma_y], axis=-1), 2 * np.log(FLOOR)) / 2
    return Mixture(
        jax.nn.log_softmax(weight, axis=-1), jnp.stack(means, axis=-1), log_sigma, BOUND * jnp.tanh(correlation)
    )


def mixture_nll(mixture: Mixture, x: Array) -> Array:
    """-log p(x) of x [..., 2] (equations 23 to 25), [...]."""
    unit = (wide(x)[..., None, :] - mixture.mean) * jnp.exp(-mixture.log_sigma)
    free = 1 - jnp.square(mixture.correlation)
    z = jnp.sum(jnp.square(unit), axis=-1) - 2 * mixture.correlation * unit[..., 0] * unit[..., 1]
    log_normal = -z / (2 * free) - jnp.sum(mixture.log_sigma, axis=-1) - jnp.log(free) / 2 - np.log(2 * np.pi)
    return -jax.nn.logsumexp(mixture.log_weight + log_normal, axis=-1)


def mixture_draw(mixture: Mixture, key: Array, temperature: float | Array) -> Array:
    """A draw [2] from ONE mixture [M]: weights to the power 1 / temperature, variances times the temperature. Ha & Eck
    2018 (arXiv:1704.03477), equation 8. (Their code has the deviations times the square of it.)"""
    which, noise = jax.random.split(key)
    at = jax.random.categorical(which, mixture.log_weight / temperature)
    rho = mixture.correlation[at]
    a, b = jax.random.normal(noise, (2,), rho.dtype)
    unit = jnp.stack([a, rho * a + jnp.sqrt(1 - jnp.square(rho)) * b])
    return mixture.mean[at] + jnp.sqrt(temperature) * jnp.exp(mixture.log_sigma[at]) * unit


def mixture_mode(mixture: Mixture) -> Array:
    """The mean [2] of the weightiest component of ONE mixture [M]: the draw at temperature 0."""
    return mixture.mean[jnp.argmax(mixture.log_weight)]
