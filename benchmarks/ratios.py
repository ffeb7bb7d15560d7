"""Ratios of two throughputs, with an interval that knows of windows and of processes."""

from collections.abc import Sequence

import numpy as np

Speeds = Sequence[Sequence[float]]


def ratio(ours: Speeds, theirs: Speeds, *, seed: int = 0, resamples: int = 10_000) -> dict[str, float]:
    """{low, median, high} of ours / theirs: the median over windows, and its hierarchical bootstrap's 95 % interval.

    Both are speeds [pair][window]. A pair's windows were measured in turn by two fresh processes, so each of ours is
    divided by the one of theirs that came next to it: what slows the machine down cancels. The bootstrap draws pairs,
    and windows of each (Davison & Hinkley 1997, section 3.8).
    """
    pairs = [np.divide(a, b) for a, b in zip(ours, theirs, strict=True)]
    rng = np.random.default_rng(seed)
    draw = lambda: [rng.choice(pairs[number], len(pairs[number])) for number in rng.integers(0, len(pairs), len(pairs))]
    low, high = np.percentile([np.median(np.concatenate(draw())) for _ in range(resamples)], [2.5, 97.5])
    return {"low": float(low), "median": float(np.median(np.concatenate(pairs))), "high": float(high)}


def geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))
