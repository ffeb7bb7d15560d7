"""A small classifier of the data at hand: its features are what distances are measured in, and its answers count modes
(PacGAN's published code counts MNIST's with such a one, right of 99.25 %)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from train.flags import jit
from zoo.features.convnet import ConvNet

BATCH, CHUNK, ROWS = 128, 100, 500  # examples a step, steps a dispatch, pictures that are read at once


@dataclass(frozen=True)
class Classifier:
    """A trained network."""

    params: Any
    classes: int

    def features(self, images: np.ndarray) -> np.ndarray:
        """Pictures [N, H, W, C] in [-1, 1] -> [N, 128]."""
        return self._read(images)[0]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Pictures [N, H, W, C] in [-1, 1] -> the likeliest class, int [N]."""
        return self._read(images)[1].argmax(-1)

    def _read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [_forward(self.classes, self.params, images[at : at + ROWS]) for at in range(0, len(images), ROWS)]
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]


@partial(jit, static_argnums=0)
def _forward(classes: int, params: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    return ConvNet(classes).apply(params, images, train=False)  # type: ignore[return-value]


def train_classifier(
    examples: Callable[[jax.Array], dict[str, jax.Array]], count: int, *, classes: int, steps: int = 1500, seed: int = 0
) -> Classifier:
    """Trains on ``examples`` (indices int [B] -> ``image`` [B, H, W, C] in [-1, 1], ``label`` [B]; a function that is
    compiled into the step) of indices below ``count``, by Adam at 1e-3, falling."""
    network, rule = ConvNet(classes), optax.adam(optax.cosine_decay_schedule(1e-3, steps))

    def loss_of(params: Any, batch: dict[str, jax.Array], key: jax.Array) -> jax.Array:
        logits: Any = network.apply(params, batch["image"], train=True, rngs={"dropout": key})[1]
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()

    def step(state: Any, key: jax.Array) -> tuple[Any, None]:
        params, opt = state
        drawn, dropped = jax.random.split(key)
        batch = examples(jax.random.randint(drawn, (BATCH,), 0, count))
        updates, opt = rule.update(jax.grad(loss_of)(params, batch, dropped), opt)
        return (optax.apply_updates(params, updates), opt), None

    @jit
    def some(state: Any, keys: jax.Array) -> Any:
        return jax.lax.scan(step, state, keys)[0]

    start, key = jax.random.split(jax.random.key(seed))
    shape = jax.eval_shape(examples, jnp.zeros(1, jnp.int32))["image"].shape
    params = network.init(start, jnp.zeros(shape), train=False)
    state = params, rule.init(params)
    for keys in jax.random.split(key, (max(steps // CHUNK, 1), min(CHUNK, steps))):
        state = some(state, keys)
    return Classifier(jax.device_get(state[0]), classes)
