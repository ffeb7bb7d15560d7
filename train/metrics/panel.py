"""Samples against data by several measures at once, each beside what it says of more data (the floor) and of blurred
data (the ceiling): without these two no distance means anything."""

from collections.abc import Callable, Mapping

import numpy as np

from train.metrics.frechet import frechet_distance
from train.metrics.kernel import kernel_distance
from train.metrics.neighbours import neighbourhoods
from train.metrics.sliced import blurred, sliced_wasserstein

Features = Callable[[np.ndarray], np.ndarray]
"""Images [N, H, W, C] in [-1, 1] -> [N, D]: a classifier's, an untrained network's, Inception's where one has it."""


def panel(
    real: np.ndarray, held_out: np.ndarray, fake: np.ndarray, features: Mapping[str, Features]
) -> dict[str, dict[str, float]]:
    """Images [N, H, W, C] in [-1, 1], three sets of one size -> {"samples", "floor", "ceiling"}: what `compare` says of
    ``fake``, of ``held_out``, and of ``held_out`` blurred."""
    sets = {"samples": fake, "floor": held_out, "ceiling": blurred(blurred(held_out))}
    return {name: compare(real, images, features) for name, images in sets.items()}


def compare(real: np.ndarray, other: np.ndarray, features: Mapping[str, Features]) -> dict[str, float]:
    """{"NAME/frechet", "NAME/kernel", "NAME/precision", ...} for each of the ``features``, which are standardised by
    the data's mean and deviation, so that no scale of a network counts; and "sliced/SIDE" of each level."""
    found: dict[str, float] = {}
    for name, extract in features.items():
        a, b = (np.asarray(extract(images), np.float64) for images in (real, other))
        mean, std = a.mean(axis=0), np.maximum(a.std(axis=0), 1e-6)
        a, b = (a - mean) / std, (b - mean) / std
        measured = {"frechet": frechet_distance(a, b), "kernel": kernel_distance(a, b)[0], **neighbourhoods(a, b)}
        found |= {f"{name}/{what}": value for what, value in measured.items()}
    return found | {f"sliced/{side}": value for side, value in sliced_wasserstein(real, other).items()}
