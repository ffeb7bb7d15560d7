"""What a sample has by heart: its longest stretch that stands in the training data, and how much of it does."""

from collections.abc import Iterable, Sequence

import numpy as np

Array = np.ndarray

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd: a power of it never becomes 0


SIZES = (4, 8, 16, 32)


class Memory:
    """The pieces that a model has learnt from, int [T] each, ready to be looked for in samples."""

    def __init__(self, pieces: Iterable[Array]):
        self.pieces = [*pieces]
        self._known: dict[int, Array] = {}

    def remembered(self, sample: Array, *, sizes: Sequence[int] = SIZES) -> dict[str, float]:
        """Of a sample int [T]: {"longest": tokens of the longest stretch that stands in one of the pieces, "share_N":
        the share of its N-grams that do}. N-grams longer than the sample are left out.

        For melodies in any key give intervals instead of pitches.
        """
        found = {"longest": float(self.longest(sample))}
        for size in sizes:
            if size <= len(sample):
                found[f"share_{size}"] = float(self.known(sample, size).mean())
        return found

    def longest(self, sample: Array) -> int:
        """Tokens of the longest stretch of ``sample`` that stands in one of the pieces; by halving, since whatever
        stands there has all its parts there."""
        none, most = 0, min(len(sample), max(map(len, self.pieces), default=0))
        while none < most:
            size = (none + most + 1) // 2
            if self.known(sample, size).any():
                none = size
            else:
                most = size - 1
        return none

    def known(self, sample: Array, size: int) -> Array:
        """bool [T - size + 1]: which of the sample's stretches of ``size`` tokens stand in one of the pieces."""
        if size not in self._known:
            every = [grams(piece, size) for piece in self.pieces]
            self._known[size] = np.unique(np.concatenate([*every, np.zeros(0, np.uint64)]))
        theirs, mine = self._known[size], grams(sample, size)
        at = np.minimum(np.searchsorted(theirs, mine), max(len(theirs) - 1, 0))
        return theirs[at] == mine if len(theirs) else np.zeros(len(mine), bool)


def grams(tokens: Array, size: int) -> Array:
    """uint64 [T - size + 1]: a number for each stretch of ``size`` tokens, the same for the same one. (Polynomials
    modulo 2^64 of scattered tokens: two of a billion stretches share one by chance once in forty billion.)"""
    if len(tokens) < size:
        return np.zeros(0, np.uint64)
    with np.errstate(over="ignore"):
        scattered = _scatter(np.asarray(tokens).astype(np.int64).astype(np.uint64))
        sums = np.zeros(len(tokens) - size + 1, np.uint64)
        powers, filled = scattered, 1  # stretches of ``filled`` tokens, a power of two
        done, left = 0, size
        while left:
            if left & 1:
                end = len(sums) + done
                sums = sums * _power(filled) + powers[done:end]
                done += filled
            left >>= 1
            if left:
                powers = powers[:-filled] * _power(filled) + powers[filled:]
                filled *= 2
        return sums


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(int(_BASE), exponent, 2**64))


def _scatter(x: Array) -> Array:
    """A permutation of 64 bits in which neighbours are far apart (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
