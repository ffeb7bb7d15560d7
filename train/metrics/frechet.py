"""The Frechet distance of two sets of features, each taken for a normal distribution (Heusel et al. 2017,
arXiv:1706.08500, equation 6; Dowson & Landau 1982)."""

import numpy as np


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Features [N, D] and [M, D] -> |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), in float64.

    Biased upwards by few examples, by about tr(C) / N: compare at equal N and M, beside the distance of real from real.
    ValueError for fewer than two examples, or features of different sizes.
    """
    check(real, fake)
    (mean, cov), (other_mean, other_cov) = (moments(features) for features in (real, fake))
    # (C C')^(1/2) has the trace of (R C' R)^(1/2) with R = C^(1/2), which is symmetric: no complex numbers come up.
    values, vectors = np.linalg.eigh(cov)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ other_cov @ root)
    both = np.trace(cov) + np.trace(other_cov) - 2 * np.sqrt(np.maximum(product, 0)).sum()
    return float(np.square(mean - other_mean).sum() + both)


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and unbiased covariance [D, D]."""
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    apart = features - mean
    return mean, apart.T @ apart / (len(features) - 1)


def check(real: np.ndarray, fake: np.ndarray) -> None:
    """ValueError where two sets of features cannot be compared."""
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"features must be [N, D] of one D, not {real.shape} and {fake.shape}")
    if min(len(real), len(fake)) < 2:
        raise ValueError(f"{len(real)} and {len(fake)} examples are too few")
