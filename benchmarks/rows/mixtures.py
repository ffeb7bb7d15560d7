"""`gan2d` on mixtures of normal distributions, judged one by one and in packs, by the protocol of Lin et al. 2018
(PacGAN, arXiv:1712.04086, section 4.1, and its published code): a generator of 4 x 400 units with batch norm, a critic
of 3 x 200 maxout units, Adam at 1e-4 with b1 0.8, 100 packs a step, 400 times 1000 steps. 2,500 samples by running
statistics: how many modes have one within three standard deviations, and how evenly those are shared out.

Published: means of ten trainings (tables 1 and 2). All seeds train side by side.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from benchmarks.fit import fit
from benchmarks.quality import Means, Row, Run
from train.config import default_config
from train.data.points import grid_centres, ring_centres
from train.fit import fit_to_data
from train.metrics.modes import coverage, nearest_modes
from train.runs import sampling_params

PACKS = {"GAN": 1, "PacGAN-2": 2, "PacGAN-4": 4}
STEPS = {"cpu": 10_000, "full": 400_000}
BATCH, SAMPLES = 100, 2_500
METRICS = {
    "modes": "modes found",
    "high_quality": "samples of a mode, share",
    "reverse_kl": "reverse KL, nats",
}
SHORT = {"cpu": "10,000 steps of 400,000: it tests the order of the arms, not their numbers"}
SOURCE = "PacGAN (Lin et al. 2018), means of ten trainings"


def measure(spec: str, centres: np.ndarray, std: float) -> Callable[[Path, Sequence[int], str, str], Iterable[Run]]:
    """A row's ``measure``, of the mixture ``spec``."""

    def runs(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
        del data
        config = default_config("gan2d")
        config = replace(
            config, model=replace(config.model, pack=PACKS[arm]),
            options=replace(
                config.options, data=spec, steps=STEPS[budget], batch_size=BATCH * PACKS[arm], seed=seeds[0],
                population=len(seeds),
            ),
        )  # fmt: skip
        config, source = fit_to_data(config, set())
        state = fit(config, source, chunk=500)
        params, keys = sampling_params(state), jax.vmap(jax.random.key)(np.asarray(seeds))
        draw = jax.jit(jax.vmap(lambda params, extra, key: config.model.sample(params, extra, key, SAMPLES)))
        points = jax.device_get(draw(params, state.extra, keys))
        return [coverage(nearest_modes(one, centres, std), len(centres)) for one in points]

    return runs


def verdict(means: Means) -> str:
    """Whether packing helps, as published."""
    alone = means["GAN"]
    packed = [one for arm, one in means.items() if arm != "GAN"]
    more = all(one["modes"] > alone["modes"] for one in packed)
    evener = all(one["reverse_kl"] < alone["reverse_kl"] for one in packed)
    said = {True: "as published", False: "other than published"}
    return (
        f"packs find {'more' if more else 'no more'} modes than single points, {said[more]}; they share them out "
        f"{'more evenly' if evener else 'no more evenly'}, {said[evener]}"
    )


def row(spec: str, centres: np.ndarray, std: float, published: Mapping[str, tuple[float, float, float]]) -> Row:
    """``published``: arm -> its three metrics."""
    named: dict[str, Any] = {arm: dict(zip(METRICS, numbers, strict=True)) for arm, numbers in published.items()}
    return Row(
        metrics=METRICS, published=named, source=SOURCE, measure=measure(spec, centres, std), verdict=verdict,
        budgets=SHORT,
    )  # fmt: skip


ROWS = MappingProxyType(
    {
        "ring": row(
            "ring", ring_centres(), 0.01,
            {"GAN": (6.3, 0.982, 0.45), "PacGAN-2": (7.9, 0.956, 0.07), "PacGAN-4": (7.8, 0.959, 0.07)},
        ),
        "grid": row(
            "grid", grid_centres(), 0.05,
            {"GAN": (17.3, 0.948, 0.70), "PacGAN-2": (23.8, 0.913, 0.13), "PacGAN-4": (24.8, 0.936, 0.04)},
        ),
    }
)  # fmt: skip
