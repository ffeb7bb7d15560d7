"""Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598) of any sequence model that takes a condition."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from zoo.model import Array, Carry, Decodes, Extra, Params


@dataclass(frozen=True)
class Guided:
    """Decodes as a model of its own: its logits are u + scale (c - u), where c knows the condition and u does not
    (Sanchez et al. 2023, arXiv:2306.17806). ``scale`` 1 is the model as it is; more listens to the condition
    more."""

    model: Decodes
    scale: float = 1.5

    @property
    def capacity(self) -> int | None:
        return self.model.capacity

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        with_it, without = (self.model.outputs(params, extra, tokens, which) for which in (cond, None))
        return self.mixed(with_it, without)

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        """The carry is a pair: with the condition, and without."""
        read = lambda which: self.model.prefill(params, extra, prompt, lengths, capacity=capacity, cond=which)
        (with_it, c), (without, u) = read(cond), read(None)
        return (with_it, without), self.mixed(c, u)

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        (with_it, c), (without, u) = (self.model.decode(params, extra, part, token) for part in carry)
        return (with_it, without), self.mixed(c, u)

    def emit(self, params: Params, output: Array, key: Array, sampler: Any) -> Array:
        return self.model.emit(params, output, key, sampler)

    def start(self, n: int) -> Array:
        return self.model.start(n)

    def mixed(self, with_it: Array, without: Array) -> Array:
        wide = jnp.promote_types(with_it.dtype, jnp.float32)
        with_it, without = with_it.astype(wide), without.astype(wide)
        return without + self.scale * (with_it - without)
