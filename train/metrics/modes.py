"""Mode coverage: how many of the modes of a known mixture a model draws, and how evenly.

The measures of Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761, section 5) as Lin et al. 2018 (PacGAN,
arXiv:1712.04086, section 4.1) report them.
"""

import numpy as np

DEVIATIONS = 3.0
NONE = -1


def nearest_modes(points: np.ndarray, centres: np.ndarray, std: float) -> np.ndarray:
    """int [N]: for each point [N, D] the nearest of the centres [M, D], or `NONE` where that is ``DEVIATIONS`` standard
    deviations away or more: then it is no sample of high quality."""
    difference = np.asarray(points, np.float64)[:, None] - np.asarray(centres, np.float64)
    distance = np.sqrt(np.square(difference).sum(-1)) / std
    return np.where(distance.min(1) < DEVIATIONS, distance.argmin(1), NONE)


def coverage(modes: np.ndarray, count: int) -> dict[str, float]:
    """Of the modes int [N] that samples belong to (`NONE`: to none), with ``count`` that are equally likely:

    ``modes``: how many were drawn at all. ``high_quality``: the share of samples that belong to one. ``reverse_kl``:
    KL(samples' distribution over the modes || uniform), nats; of those that belong to one, infinite where none does.
    """
    drawn = np.bincount(modes[modes != NONE], minlength=count)
    if len(drawn) > count:
        raise ValueError(f"mode {len(drawn) - 1} is none of 0..{count - 1}")
    share = drawn[drawn > 0] / max(drawn.sum(), 1)
    kl = float(np.sum(share * np.log(share * count))) if len(share) else float("inf")
    return {"modes": float(len(share)), "high_quality": float(np.mean(modes != NONE)), "reverse_kl": kl}
