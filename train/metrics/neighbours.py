"""How many samples lie among the data, and how much of the data lies among the samples, by nearest neighbours:
precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991), density and coverage, which one outlier does not
spoil (Naeem et al. 2020, arXiv:2002.09797)."""

import numpy as np

from train.metrics.frechet import check


def neighbourhoods(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> dict[str, float]:
    """Features [N, D], [M, D] -> {"precision", "recall", "density", "coverage"}. A neighbourhood of an example is the
    ball around it that reaches to its k-th nearest of its own set (itself not counted).

    precision: the share of samples in a neighbourhood of the data; recall: of data in a neighbourhood of the samples.
    density: in how many neighbourhoods of the data a sample is, over k, which may exceed 1; coverage: the share of data
    whose neighbourhood has a sample.
    ValueError where a set has k examples or fewer.
    """
    check(real, fake)
    if k < 1 or min(len(real), len(fake)) <= k:
        raise ValueError(f"{k} neighbours of {len(real)} and {len(fake)} examples")
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    of_real, of_fake = (radius(features, k) for features in (real, fake))
    between = squared_distances(real, fake)
    in_real, in_fake = between < of_real[:, None], between < of_fake[None]
    return {
        "precision": float(in_real.any(axis=0).mean()),
        "recall": float(in_fake.any(axis=1).mean()),
        "density": float(in_real.sum(axis=0).mean() / k),
        "coverage": float((between.min(axis=1) < of_real).mean()),
    }


def radius(features: np.ndarray, k: int) -> np.ndarray:
    """[N, D] -> the squared distance to the k-th nearest other one, [N]."""
    distances = squared_distances(features, features)
    np.fill_diagonal(distances, -1)  # an example is its own nearest, whatever rounding says
    return np.partition(distances, k, axis=1)[:, k]


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[N, D], [M, D] -> [N, M], from one centre, so that little is lost to rounding."""
    centre = x.mean(axis=0)
    x, y = x - centre, y - centre
    return np.maximum(np.square(x).sum(1)[:, None] + np.square(y).sum(1)[None] - 2 * x @ y.T, 0)
