"""The contract: a model is a few pure functions over pytrees.

Shapes, here and everywhere: B batch, T time, D model width, H heads, V vocabulary, Z latent; images are [B, H, W, C].

A batch is a dict of arrays with fixed keys: ``image`` float32 [B, H, W, C] in [-1, 1] and, of what it is to be made of,
``input`` of the same kind; of what it is to look like ``style`` float32 [B, S, h, w, 3] and where, ``guide`` float32
[B, H, W, S]; what is said of it, ``caption`` int32 [B, L] (numbers of words, 0 behind the last); ``point`` float32
[B, D], ``label`` int32 [B], ``tokens`` int32 [B, T] with ``length`` int32 [B] (how many of the T positions are real),
``roll`` float32 [B, T, 88], ``strokes`` float32 [B, T, 5] and ``groove`` float32 [B, T, 27] likewise; ``tracks``
float32 [B, bars, steps, pitches, tracks] of 0 and 1; ``voxel`` float32 [B, D, H, W, C] in [-1, 1] (D upwards, H to the
back, W to the right; the last channel says what is occupied), ``video`` float32 [B, T, H, W, C], ``wave`` float32
[B, T, 1] (and ``style`` [B, T', 1] of what it is to sound like) and ``spectrum`` float32 [B, T, M] (frames of M bands),
all three in [-1, 1].

``params`` is a dict with one tree a player; ``extra`` is everything that changes but is not learnt by gradient (batch
statistics, codebook averages, pools). A loss returns the new ``extra``, so that every mutation is visible.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax

Array = jax.Array
Params = dict[str, Any]
Extra = dict[str, Any]
Batch = Mapping[str, Any]
Metrics = dict[str, Array]
Latent = Any
Carry = Any

Loss = Callable[[Params, Extra, Batch, Array, Array], tuple[Array, tuple[Extra, Metrics]]]
"""(params, extra, batch, key, step) -> (loss [], (extra, metrics)). ``key`` is the step's own key, the same in every
phase: a loss folds a constant of its own into it for each purpose."""


@dataclass(frozen=True)
class Phase:
    """One gradient step: minimise ``loss`` over ``params[player]``, all else held fixed.

    ``every``: the phase runs on steps that it divides (lazy regularization; an n-critic is a generator with every=n).
    ``name``: what its metrics are called where a player has several phases; None is the player's name.
    """

    player: str
    loss: Loss
    every: int = 1
    name: str | None = None


@runtime_checkable
class Model(Protocol):
    """What the train step, the samplers and the benchmarks ask of every model. Implemented by frozen dataclasses, which
    are hashable and comparable, hence static under ``jit``."""

    @property
    def phases(self) -> tuple[Phase, ...]: ...

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """Fresh parameters, and fresh ``extra``. ``batch`` only where a model starts from data."""
        ...

    def batch_spec(self, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
        """What one batch looks like, so that tests, benchmarks and ahead-of-time compilation need no data."""
        ...

    def evaluate(self, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
        """{metric: (sum, count)} without dropout; sums, so that means over any split of the data are exact."""
        ...

    def sample(self, params: Params, extra: Extra, key: Array, n: int) -> Array:
        """``n`` new examples. A model may have controls of its own, keyword-only and with defaults."""
        ...


@runtime_checkable
class LatentModel(Model, Protocol):
    """GANs and VAEs: what interpolation, projection and breeding need."""

    def latents(self, key: Array, n: int) -> Latent:
        """[n, Z] draws from the prior."""
        ...

    def render(self, params: Params, extra: Extra, latent: Latent) -> Array:
        """[n, Z] -> images [n, H, W, C] in [-1, 1] (volumes, clips, waves), or tokens [n, T]."""
        ...


@runtime_checkable
class TranslationModel(Model, Protocol):
    """Models that make a picture of a picture, of any size."""

    @property
    def granule(self) -> int:
        """Heights and widths must be multiples of this."""
        ...

    def translate(self, params: Params, extra: Extra, source: Array, key: Array) -> Array:
        """Pictures [n, H, W, C'] -> [n, H, W, C], both in [-1, 1]; ``key`` draws what noise the model has."""
        ...


class Decodes(Protocol):
    """What decoding from left to right asks of a model.

    A *token* is what one position holds: an int32 for token models, a float32 [88] frame for rolls, a row of five for
    drawings. An *output* is what the model says of the next one: logits [V], or a head's parameters.
    """

    @property
    def capacity(self) -> int | None:
        """Positions that a carry can hold; None is no limit."""
        ...

    def outputs(self, params: Params, extra: Extra, tokens: Array, cond: Any = None) -> Array:
        """All positions in parallel, without dropout: tokens [B, T] -> outputs [B, T, V]; position t has seen 0..t."""
        ...

    def prefill(
        self, params: Params, extra: Extra, prompt: Array, lengths: Array, *, capacity: int, cond: Any = None
    ) -> tuple[Carry, Array]:
        """Reads ragged prompts [B, P] (row i holds ``lengths[i]`` >= 1 tokens, then padding) in parallel.

        Returns a carry with room for ``capacity`` positions in all, batch first in every leaf, and the output [B, V]
        after each row's last token.
        """
        ...

    def decode(self, params: Params, extra: Extra, carry: Carry, token: Array) -> tuple[Carry, Array]:
        """Reads one more token [B] a row; returns the new carry and the output [B, V] after it."""
        ...

    def emit(self, params: Params, output: Array, key: Array, sampler: Any) -> Array:
        """Draws the next token of ONE row from its output [V]; a head with weights of its own finds them in
        ``params``."""
        ...

    def start(self, n: int) -> Array:
        """[n, 1] tokens that a sample without a prompt begins with."""
        ...


@runtime_checkable
class SequenceModel(Model, Decodes, Protocol):
    """Models that decode from left to right."""
