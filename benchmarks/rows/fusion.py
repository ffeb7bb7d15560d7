"""`fusion` and `tower` on spoken digits with their MNIST pictures: which way of joining two media is best, and does a
critic make what they share the same?

Protocol: the task of AV-MNIST (Vielzeuf et al. 2018) with other sounds, 1,200 recordings of the Free Spoken Digit
Dataset by six speakers, of which numbers 0 to 4 are the test (theirs), each paired with random MNIST pictures of its
digit, training pictures in training and test pictures in the test: 1,200 test pairs. Sounds are 64 frames of 32 mel
bands. Every arm of `fusion` is the preset with the same blocks, steps and rate, and in training a quarter of the sounds
and another quarter of the pictures are missing. "sound" and "picture" see one medium only. Noise is Gaussian, of
standard deviation 1 in media that lie in [-1, 1].

Towers are judged among 300 pairs at once: is what is nearest of the same digit?
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax

from benchmarks.fit import fit
from benchmarks.quality import Means, Row, Run
from train.config import default_config
from train.data.source import open_source
from train.evaluate import evaluate
from train.fit import fit_to_data
from train.optim import Optim
from train.runs import sampling_params
from zoo.multimodal.joining import JOININGS

STEPS = {"cpu": 500, "full": 20_000}
OPTIM = Optim(learning_rate=2e-3, b2=0.99, weight_decay=0.1, clip=1.0, schedule="cosine", warmup=50)
JUDGED = 300  # pairs at once
ALONE: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "sound": {"fusion": "late", "drop_sound": 0.0, "drop_picture": 1.0},
        "picture": {"fusion": "late", "drop_sound": 1.0, "drop_picture": 0.0},
    }
)
ARMS: Mapping[str, Mapping[str, Any]] = MappingProxyType({**{name: {"fusion": name} for name in JOININGS}, **ALONE})
TOWERS = MappingProxyType({"contrastive": "tower", "invariant": "tower-invariant"})


def measured(
    data: Path, seeds: Sequence[int], budget: str, preset: str, changes: Mapping[str, Any]
) -> Iterable[Mapping[str, float]]:
    """The test's metrics of one model a seed, all of which train as one population: seeds follow one another."""
    spec = f"spoken:{data / 'spoken_digits'}?pictures={data / 'mnist'}"
    config = default_config(preset)
    options = replace(
        config.options, data=spec, steps=STEPS[budget], batch_size=64, seed=seeds[0], population=len(seeds)
    )
    config = replace(config, model=replace(config.model, **changes), optim=OPTIM, options=options)
    config, source = fit_to_data(config, set())
    states, test = jax.device_get(fit(config, source, chunk=50)), open_source(spec, "test")
    for member in range(len(seeds)):
        state = jax.tree.map(lambda leaf, member=member: leaf[member], states)
        yield evaluate(config.model, sampling_params(state), state.extra, test, batch_size=JUDGED)


def fused(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    for found in measured(data, seeds, budget, "fusion", ARMS[arm]):
        yield {metric: found[name] for metric, name in NAMES.items()}


def aligned(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    for found in measured(data, seeds, budget, TOWERS[arm], {}):
        yield {metric: found[metric] for metric in ALIGNED}


NAMES = MappingProxyType(
    {
        "clean": "accuracy", "sound_noisy": "noisy_sound", "picture_noisy": "noisy_picture",
        "sound_missing": "picture_only", "picture_missing": "sound_only",
    }
)  # fmt: skip
METRICS = {
    "clean": "accuracy",
    "sound_noisy": "the same with a noisy sound",
    "picture_noisy": "with a noisy picture",
    "sound_missing": "without a sound",
    "picture_missing": "without a picture",
}
ALIGNED = {
    "picture_found": "pictures found by a sound, share of the right digit",
    "sound_found": "sounds found by a picture",
    "gap": "distance of the media's centres",
}


def verdict(means: Means) -> str:
    """Whether two media are better than the better of one, whether each way can do without one, and which way stands
    noise the best."""
    alone = max(means[arm]["clean"] for arm in ALONE)
    better = [way for way in JOININGS if means[way]["clean"] > alone]
    loss = {
        way: max(means[medium]["clean"] - means[way][f"{other}_missing"] for medium, other in OTHERS)
        for way in JOININGS
    }
    lame = [way for way in JOININGS if loss[way] > MARGIN]
    stands = lambda way: min(means[way]["sound_noisy"], means[way]["picture_noisy"])
    order = sorted(JOININGS, key=stands, reverse=True)
    return (
        f"better than the better medium alone: {', '.join(better) or 'none'}; with one medium left more than "
        f"{100 * MARGIN:g} points behind a model of that one: {', '.join(lame) or 'none'}; by the worse of the two "
        f"noises: {', '.join(order)}"
    )


MARGIN = 0.05
OTHERS = (("sound", "picture"), ("picture", "sound"))


def invariance(means: Means) -> str:
    """Whether the critic brings the media together, and what retrieval loses by it."""
    plain, even = means["contrastive"], means["invariant"]
    nearer = even["gap"] < plain["gap"]
    change = 50 * sum(even[way] - plain[way] for way in ("picture_found", "sound_found"))
    return (
        f"with a critic the media's centres lie {'nearer' if nearer else 'no nearer'} to each other, and retrieval "
        f"{'gains' if change > 0 else 'loses'} {abs(change):.1f} points"
    )


SOURCE = "no numbers are published for these sounds"
ROWS = MappingProxyType(
    {
        "fusion": Row(
            metrics=METRICS, published={arm: {} for arm in ARMS}, measure=fused, verdict=verdict, source=SOURCE,
            budgets={"cpu": "500 steps of 20,000"},
        ),
        "tower": Row(
            metrics=ALIGNED, published={arm: {} for arm in TOWERS}, measure=aligned, verdict=invariance, source=SOURCE,
            budgets={"cpu": "500 steps of 20,000"},
        ),
    }
)  # fmt: skip
