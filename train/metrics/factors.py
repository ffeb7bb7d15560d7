"""How well single latents stand for single factors of variation: MIG (Chen et al. 2018, arXiv:1802.04942, section 4.1),
SAP (Kumar et al. 2018, arXiv:1711.00848, section 3) and the FactorVAE score (Kim & Mnih 2018, arXiv:1802.05983,
section 4), as Locatello et al. 2019 (arXiv:1811.12359, appendix C) compute them."""

from collections.abc import Callable

import numpy as np

BINS = 20
LOST = 0.05  # of the prior's variance: a latent that varies less says nothing


def mutual_information_gap(latents: np.ndarray, factors: np.ndarray) -> float:
    """Latents float [N, Z], factors int [N, F] -> the mean over factors of (I1 - I2) / H(factor): by how much the
    latent that knows most of a factor is ahead of the next. Latents are cut into ``BINS`` of equal width. Z >= 2."""
    information = np.array([[mutual_information(z, v) for z in binned(latents).T] for v in factors.T])
    second, first = np.sort(information, axis=1)[:, -2:].T
    return float(np.mean((first - second) / np.array([entropy(v) for v in factors.T])))


def binned(latents: np.ndarray) -> np.ndarray:
    """float [N, Z] -> int [N, Z], which of ``BINS`` between each latent's extremes."""
    low, high = latents.min(axis=0), latents.max(axis=0)
    places = (latents - low) / np.maximum(high - low, 1e-12) * BINS
    return np.minimum(places.astype(int), BINS - 1)


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Nats that two int [N] say of one another."""
    _, a = np.unique(a, return_inverse=True)
    _, b = np.unique(b, return_inverse=True)
    return entropy(a) + entropy(b) - entropy(a * (b.max() + 1) + b)


def entropy(values: np.ndarray) -> float:
    """Nats, of the shares in int [N]."""
    share = np.unique(values, return_counts=True)[1] / len(values)
    return float(-np.sum(share * np.log(share)))


def separated_attributes(
    latents: np.ndarray, factors: np.ndarray, other_latents: np.ndarray, other_factors: np.ndarray
) -> float:
    """SAP: the mean over factors of the gap between the two latents that predict it best, each alone and by thresholds:
    learnt on the first set, scored on the other. Thresholds lie midway between the medians of a factor's values, where
    Locatello et al. fit a linear SVM; so compare with their numbers by order only."""
    score = np.array(
        [[accuracy(z, v, y, w) for z, y in zip(latents.T, other_latents.T, strict=True)]
         for v, w in zip(factors.T, other_factors.T, strict=True)]
    )  # fmt: skip
    second, first = np.sort(score, axis=1)[:, -2:].T
    return float(np.mean(first - second))


def accuracy(z: np.ndarray, value: np.ndarray, other_z: np.ndarray, other_value: np.ndarray) -> float:
    """How often the value whose median of z is nearest is the right one."""
    values = np.unique(value)
    medians = np.array([np.median(z[value == one]) for one in values])
    nearest = np.abs(other_z[:, None] - medians).argmin(axis=1)
    return float(np.mean(values[nearest] == other_value))


def factor_score(
    encode: Callable[[np.ndarray], np.ndarray],
    draw: Callable[[int, int, np.random.Generator], np.ndarray],
    count: int,
    *,
    batch: int = 64,
    votes: int = 10_000,
    checks: int = 5_000,
    seed: int = 0,
) -> float:
    """The FactorVAE score: with one factor held, the latent of least variance (relative to all data's) votes for that
    factor; the share of votes that the majority of the same latent's foretells.

    ``draw(factor, n, rng)``: n examples that share one value of that factor, or of none for factor -1. ``count``
    factors. ``encode``: examples -> latents [n, Z]. 0 where no latent varies."""
    rng = np.random.default_rng(seed)
    overall = encode(draw(-1, 10_000, rng)).var(axis=0)
    alive = overall > LOST  # of the prior's variance, 1
    if not alive.any():
        return 0.0

    def vote(total: int) -> tuple[np.ndarray, np.ndarray]:
        held = rng.integers(0, count, total)
        varied = [encode(draw(int(factor), batch, rng)).var(axis=0) / np.maximum(overall, 1e-12) for factor in held]
        return np.where(alive, varied, np.inf).argmin(axis=1), held

    latent, held = vote(votes)
    table = np.zeros((len(overall), count), int)
    np.add.at(table, (latent, held), 1)
    latent, held = vote(checks)
    return float(np.mean(table.argmax(axis=1)[latent] == held))
