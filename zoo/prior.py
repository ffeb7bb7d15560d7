"""What decoders of normal latents do alike: functions of them, to be their methods."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from zoo.losses import wide
from zoo.model import Array, Extra, Params

CLASS = 1  # folded into a key of latents


class Decoder(Protocol):
    """A model whose latents are [n, Z]."""

    @property
    def latent_size(self) -> int:
        """Z."""
        ...

    @property
    def render(self) -> Callable[..., Array]:
        """(params, extra, latent [n, Z]) -> examples [n, ...]."""
        ...


class ClassDecoder(Decoder, Protocol):
    """One that knows K classes."""

    @property
    def classes(self) -> int:
        """K."""
        ...


def latents(model: Decoder, key: Array, n: int) -> Array:
    """[n, Z] from N(0, I); float32 in any precision, so that a key means the same example."""
    return jax.random.normal(key, (n, model.latent_size), jnp.float32)


def sample(model: Decoder, params: Params, extra: Extra, key: Array, n: int) -> Array:
    """What ``render`` makes of ``n`` draws."""
    return model.render(params, extra, latents(model, key, n))


def class_latents(model: ClassDecoder, key: Array, n: int, *, label: Array | int | None = None) -> Array:
    """[n, Z + K]: z from N(0, I), and the weights of the classes, here all on one: ``label`` int [] or [n], or a random
    one each. What is between two latents is between their classes too."""
    if label is None:
        label = jax.random.randint(jax.random.fold_in(key, CLASS), (n,), 0, model.classes)
    weights = one_hot(model, jnp.broadcast_to(jnp.asarray(label), (n,)))
    return jnp.concatenate([latents(model, key, n), weights], axis=-1)


def class_sample(
    model: ClassDecoder,
    params: Params,
    extra: Extra,
    key: Array,
    n: int,
    *,
    label: Array | int | None = None,
    **shown: Any,
) -> Array:
    """What ``render`` makes of ``n`` draws of class ``label``, int [] or [n], or of random ones. ``shown``: controls of
    ``render``."""
    return model.render(params, extra, class_latents(model, key, n, label=label), **shown)


def shares_of(model: ClassDecoder, latent: Array) -> tuple[Array, Array]:
    """Class latents [n, Z + K] -> z [n, Z], and each class's share [n, K] of the weights that are above 0."""
    z, weights = jnp.split(wide(latent), [model.latent_size], axis=-1)
    weights = jnp.maximum(weights, 0)
    return z, weights / jnp.maximum(jnp.sum(weights, axis=-1, keepdims=True), 1e-6)


def one_hot(model: ClassDecoder, label: Array) -> Array:
    """int [n] -> float32 [n, K]."""
    return jax.nn.one_hot(label, model.classes, dtype=jnp.float32)
