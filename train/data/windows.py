"""Windows into pieces of different length: one flat table on the device, and arithmetic from an index to a window.

A table of P pieces costs P rows however many windows there are, so that every offset of a long text may be an example.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import UserError

if TYPE_CHECKING:
    import jax

INT32 = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How windows are cut out of pieces.

    ``length``: positions a window; None for whole pieces. ``align``: windows start at multiples of it. ``overlap``:
    positions that two neighbours share when windows follow one another: 1 for tokens, where the last of one is what the
    next continues, 0 for rolls.
    """

    length: int | None
    align: int = 1
    overlap: int = 1

    def plan(self, split: str, longest: int) -> tuple[int, int, int]:
        """(positions of a window, positions that it uses, distance of two starts)."""
        if self.length is None:
            return longest, longest, longest
        if split == "train":
            return self.length, self.length, self.align
        step = self.length - self.overlap
        step = step // self.align * self.align or step
        return self.length, step + self.overlap, step


@dataclass(frozen=True)
class Table:
    """Windows as arrays of the device and the pure function that reads one."""

    size: int
    arrays: dict[str, np.ndarray]
    example: "Callable[[dict[str, jax.Array], jax.Array], dict[str, jax.Array]]"


def window_table(
    pieces: Sequence[np.ndarray],
    key: str,
    *,
    cut: Cut,
    split: str,
    shifts: np.ndarray | None = None,
    transpose: "Callable[[jax.Array, jax.Array], jax.Array] | None" = None,
    dtype: Any = np.int32,
    labelled: bool = False,
) -> Table:
    """Cuts pieces [T] (tokens) or [T, 88] (rolls) into examples {key: [length, ...] of ``dtype``, "length": int32 []}.

    ``shifts`` int32 [P, 2]: lowest and highest transposition of each piece in semitones; ``transpose(window, shift)``
    applies one. Each pair (window, transposition) is an example. Positions past a piece's end are zero. ``labelled``:
    examples have a "label" too, the number of their piece.
    """
    sizes = np.array([len(piece) for piece in pieces], np.int64)
    span, used, stride = cut.plan(split, int(sizes.max()))
    shifts = np.zeros((len(pieces), 2), np.int64) if shifts is None else shifts.astype(np.int64)
    keys = shifts[:, 1] - shifts[:, 0] + 1
    windows = np.maximum(-(-(sizes - used) // stride), 0) + 1
    first = np.concatenate([[0], np.cumsum(windows * keys)])
    if max(first[-1], sizes.sum() + span) > INT32:
        raise UserError(
            f"{first[-1]:,} windows over {sizes.sum():,} positions are more than 2**31: use less of the data"
        )
    flat = np.concatenate([*pieces, np.zeros((span, *pieces[0].shape[1:]), pieces[0].dtype)])
    offsets = np.cumsum(sizes) - sizes
    arrays = {
        key: flat,
        "first": first[:-1].astype(np.int32),
        "piece": np.stack([offsets, sizes, shifts[:, 0], keys], axis=1).astype(np.int32),
    }
    return Table(int(first[-1]), arrays, _reader(key, span, used, stride, transpose, dtype, labelled))


def _reader(key: str, span: int, used: int, stride: int, transpose: Any, dtype: Any, labelled: bool) -> Any:
    import jax.numpy as jnp
    from jax import lax

    def example(arrays: Any, index: Any) -> Any:
        piece = jnp.searchsorted(arrays["first"], index, side="right", method="scan_unrolled") - 1
        offset, size, lowest, keys = arrays["piece"][piece]
        within = index - arrays["first"][piece]
        start = within // keys * stride
        window = lax.dynamic_slice_in_dim(arrays[key], offset + start, span).astype(dtype)
        if transpose is not None:
            window = transpose(window, lowest + within % keys)
        length = jnp.minimum(size - start, used)
        real = (jnp.arange(span) < length).reshape((span,) + (1,) * (window.ndim - 1))
        found = {key: jnp.where(real, window, jnp.zeros_like(window)), "length": length.astype(jnp.int32)}
        return found | {"label": piece.astype(jnp.int32)} if labelled else found

    return example


def narrow(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """The same tokens in the smallest dtype that holds ``vocabulary``: a table of text takes a byte a character."""
    return tokens.astype(np.min_scalar_type(max(vocabulary - 1, 0)))
