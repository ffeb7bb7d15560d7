"""Windows of four-voice tokens as grids on the device: cells [B, S, 4] of pitches, REST and HOLD."""

import jax
import jax.numpy as jnp

from zoo.codecs.voices import HOLD, REST, START, VOICES
from zoo.errors import UserError
from zoo.model import Array, Batch


def check_context(context: int) -> None:
    """UserError where a window does not hold whole steps."""
    if context < VOICES or context % VOICES:
        raise UserError(f"--model.context {context}: a step has {VOICES} cells, so it must be a multiple of {VOICES}")


def cells_of(batch: Batch) -> tuple[Array, Array]:
    """``tokens`` [B, 1 + 4 S] of ``length`` [B] -> cells int32 [B, S, 4], and how many of the S steps are real [B].

    A window begins with START or with the last cell of the step before it: its first token is left out either way. So
    is STOP, behind the last whole step.
    """
    tokens, length = batch["tokens"], batch["length"]
    cells = tokens[:, 1:].reshape(tokens.shape[0], -1, VOICES)
    steps = jnp.maximum(length - 1, 0) // VOICES
    real = jnp.arange(cells.shape[1])[None, :] < steps[:, None]
    return jnp.where(real[..., None], cells, REST), steps


def tokens_of(cells: Array) -> Array:
    """Cells [B, S, 4] -> tokens [B, 1 + 4 S], START in front."""
    rows = cells.reshape(cells.shape[0], -1)
    return jnp.concatenate([jnp.full((rows.shape[0], 1), START, rows.dtype), rows], axis=1)


def sounding(cells: Array) -> tuple[Array, Array]:
    """Cells [..., S, 4] -> what sounds in each, a pitch or REST, and whether it is struck there (or silent).

    A HOLD sounds as what it holds; with nothing before it in the window it sounds -1: nobody knows.
    """
    axis = cells.ndim - 2
    steps = jax.lax.broadcasted_iota(jnp.int32, cells.shape, axis)
    begun = jax.lax.cummax(jnp.where(cells == HOLD, -1, steps), axis=axis)
    pitch = jnp.take_along_axis(cells, jnp.maximum(begun, 0), axis=axis)
    return jnp.where(begun < 0, -1, pitch), cells != HOLD


def held(pitch: Array, struck: Array) -> Array:
    """The inverse of `sounding`: a pitch that is not struck and goes on from the step before is a HOLD; one that
    nothing goes before is struck."""
    axis = pitch.ndim - 2
    before = jnp.roll(pitch, 1, axis)
    first = jax.lax.broadcasted_iota(jnp.int32, pitch.shape, axis) == 0
    return jnp.where(struck | first | (before != pitch) | (pitch == REST), pitch, HOLD)
