"""Plucked strings: endless notes of the Karplus-Strong algorithm, by its modes.

Karplus & Strong 1983, "Digital synthesis of plucked-string and drum timbres": a line of N samples of noise goes round
through an average of two neighbours, y[t] = g (y[t - N] + y[t - N - 1]) / 2. That is a sum of damped partials, to first
order in the damping: of the frequencies k rate / (N + 1/2), each g cos(pi k / (2 N + 1)) times as strong after every
round. So a sound is one small matrix product instead of a recursion, and a string may have any pitch.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from zoo.algorithmic.canvas import Between, dimension, scaled

PARTIALS = 48
BLOCK = 128  # samples


class Pluck(NamedTuple):
    """What tells one string from another."""

    pitch: Annotated[Array, Between(40, 76)]
    """Note of MIDI: 40 is the lowest string of a guitar."""
    ring: Annotated[Array, Between(0.2, 1.0)]
    """How long it rings: seconds in which its fundamental falls to a tenth, before the average is reckoned with."""
    place: Annotated[Array, Between(0.06, 0.45)]
    """Where it is plucked, in parts of its length: partials that rest there are not heard."""
    force: Annotated[Array, Between(0.35, 0.9)]
    """The loudest sample."""
    hammer: Annotated[Array, Between(0.0, 1.0)]
    """How soft it is struck: soft strings have fewer high partials."""


DIMENSION = dimension(Pluck)


def draw(key: Array, length: int, rate: int) -> Array:
    """The note of a key: float32 [length, 1] in [-1, 1], ``rate`` samples a second. A lower rate cuts off partials."""
    string, noise = jax.random.split(key)
    unit = jax.random.uniform(string, (DIMENSION,), jnp.float32)
    return pluck(scaled(unit, Pluck), jax.random.normal(noise, (2, PARTIALS), jnp.float32), length, rate)


def pluck(string: Pluck, noise: Array, length: int, rate: int) -> Array:
    """A string that noise [2, PARTIALS], the amplitudes of its partials' cosines and sines, set going: [length, 1]."""
    number = jnp.arange(1, PARTIALS + 1, dtype=jnp.float32)
    hertz = 440 * 2 ** ((string.pitch - 69) / 12)
    angle, decay = modes(hertz, 10 ** (-1 / (string.ring * hertz)), rate)
    loud = jnp.abs(jnp.sin(jnp.pi * number * string.place)) * number ** -(0.3 + string.hammer)
    loud = jnp.where(angle < 0.95 * jnp.pi, loud, 0)
    wave = damped(noise * loud[None], angle, decay, length)
    peak = jnp.max(jnp.abs(wave))
    return (string.force * wave / jnp.maximum(peak, 1e-6))[:, None]


def modes(hertz: Array, gain: Array, rate: int) -> tuple[Array, Array]:
    """Of a string of ``hertz`` with ``gain`` g a round: radians a sample of its partials, and the logarithm of what is
    left of each after a sample, both [PARTIALS]."""
    number = jnp.arange(1, PARTIALS + 1, dtype=jnp.float32)
    around = rate / hertz  # samples: N + 1/2
    angle = 2 * jnp.pi * number / around
    left = gain * jnp.maximum(jnp.cos(angle / 2), 1e-3)
    return angle, jnp.log(left) / around


def damped(amplitudes: Array, angle: Array, decay: Array, length: int) -> Array:
    """sum_k exp(decay_k t) (a_k cos(angle_k t) + b_k sin(angle_k t)) at t = 0, 1, ...: amplitudes a, b [2, K] ->
    [length].

    t = BLOCK i + j: the partials at the beginning of each block times those within a block, two matrix products.
    """
    blocks = -(-length // BLOCK)
    turned = lambda times: (jnp.exp(decay[None] * times[:, None]), angle[None] * times[:, None])
    (size, at), (small, within) = (
        turned(step * jnp.arange(n, dtype=jnp.float32)) for step, n in ((BLOCK, blocks), (1, BLOCK))
    )
    a, b = amplitudes
    cosines = size * (a[None] * jnp.cos(at) + b[None] * jnp.sin(at))
    sines = size * (b[None] * jnp.cos(at) - a[None] * jnp.sin(at))
    product = lambda x, y: jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    wave = product(cosines, small * jnp.cos(within)) + product(sines, small * jnp.sin(within))
    return wave.reshape(-1)[:length]
