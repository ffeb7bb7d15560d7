"""The kernel distance of two sets of features (Binkowski et al. 2018, arXiv:1801.01401): the maximum mean discrepancy
with a polynomial kernel, whose estimate is unbiased."""

import math

import numpy as np

from train.metrics.frechet import check


def squared_mmd(real: np.ndarray, fake: np.ndarray) -> float:
    """Features [N, D], [M, D] -> the unbiased estimate of MMD^2 with k(x, y) = (x . y / D + 1)^3 (Gretton et al. 2012,
    equation 3); it may be negative."""
    check(real, fake)
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
    within = lambda x: (lambda k: (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1)))(kernel(x, x))
    return float(within(real) + within(fake) - 2 * kernel(real, fake).mean())


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, *, size: int = 1000, blocks: int = 100, seed: int = 0
) -> tuple[float, float]:
    """(mean, standard error) of MMD^2 over ``blocks`` draws of ``size`` examples of each set, without replacement in a
    draw. The error is that of the draws, not of another training."""
    check(real, fake)
    rng, size = np.random.default_rng(seed), min(size, len(real), len(fake))
    draw = lambda features: features[rng.choice(len(features), size, replace=False)]
    found = [squared_mmd(draw(real), draw(fake)) for _ in range(blocks)]
    return float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(blocks)) if blocks > 1 else math.nan
