"""`midi-style` between chorales and folk tunes: is it taken for the other style, and is it the same music still?

Protocol: JSB Chorales and Nottingham as piano rolls (Boulanger-Lewandowski et al. 2012), official splits; up to 100
windows of 32 frames of each style's test pieces become the other's, and both directions count alike. As Brunner et al.
2018 (arXiv:1809.07575, section 4) judge, a classifier that was trained on the training pieces says which style a window
is of; how often it is right of real test windows stands beside it. What is kept is, over windows, the mean correlation
of the pitch classes of every four frames with the source's, and that of how many keys are struck in each frame; and the
share of the source's cells (key and frame) that still sound. "by heart" is the share of stretches of 8 notes, in any
key, that stand in the target's training pieces.

Arms: the transfer; the unchanged window (the ceiling of what is kept, and the floor of style); its rewriting in its own
style, which tells what the autoencoder loses; and any other piece of the target style (the ceiling of style, and the
floor of what is kept: the data lie in few keys, so that it is not 0).
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.fit import fit
from benchmarks.quality import Means, Row, Run
from sample.by_heart import symbols
from train.config import default_config
from train.data.source import Source, open_source
from train.fit import fit_to_data
from train.metrics.classifier import Classifier, train_classifier
from train.metrics.memory import Memory
from train.metrics.music import chroma
from train.runs import sampling_params
from zoo.codecs.rolls import PianoRoll

FILES = ("JSB_Chorales.mat", "Nottingham.mat")
FRAMES, BAR, WINDOWS, GRAM = 32, 4, 100, 8
STEPS = {"cpu": 700, "full": 10_000}
JUDGE = {"cpu": 100, "full": 1_000}
NETWORK: Any = {"width": 192, "encoder_width": 192, "cell": 2}
ARMS = ("transfer", "unchanged", "own style", "another piece")


def runs(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    judge, right = judge_of(data, budget)
    for seed in seeds:
        found = [one_way(data, source, 1 - source, seed, budget, arm, judge) for source in range(len(FILES))]
        yield {name: float(np.mean([one[name] for one in found])) for name in found[0]} | {"classifier": right}


def one_way(
    data: Path, source: int, target: int, seed: int, budget: str, arm: str, judge: Classifier
) -> dict[str, float]:
    """The metrics of windows of one style that are to be of another."""
    rolls = windows(data, source)
    match arm:
        case "transfer" | "own style":
            label = target if arm == "transfer" else source
            made = translator(data, seed, budget)(rolls, label)
        case "another piece":
            others = windows(data, target)
            made = others[np.random.default_rng(seed).integers(len(others), size=len(rolls))]
        case _:
            made = rolls
    pairs = list(zip(made, rolls, strict=True))
    heart = [memory(data, target).known(notes, GRAM).mean() for roll in made if len(notes := played(roll)) >= GRAM]
    return {
        "style": float(np.mean(judge.predict(pictures(made)) == target)),
        "harmony": float(np.mean([alike(*(chroma(roll, steps=BAR) for roll in pair)) for pair in pairs])),
        "rhythm": float(np.mean([alike(*map(strokes, pair)) for pair in pairs])),
        "kept": float((made * rolls).sum() / rolls.sum()),
        "by_heart": float(np.mean(heart)) if heart else 0.0,
    }


# -- what is measured --------------------------------------------------------------------------------------------------


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """The correlation of two arrays of a shape; 0 where one of them is the same everywhere."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) if np.ptp(a) and np.ptp(b) else 0.0


def strokes(roll: np.ndarray) -> np.ndarray:
    """[T, 88] -> how many keys are struck in each frame but the first [T - 1]."""
    return (np.diff(roll, axis=0) > 0).sum(axis=1)


def pictures(rolls: np.ndarray) -> np.ndarray:
    """[N, T, 88] -> [N, T, 88, 1] in [-1, 1]."""
    return 2 * rolls[..., None] - 1


def played(roll: np.ndarray) -> np.ndarray:
    """What `Memory` is told of a roll."""
    return symbols(PianoRoll(steps_per_quarter=1).decode(roll))


# -- data, judge, translator -------------------------------------------------------------------------------------------


def spec_of(data: Path) -> str:
    return f"styles:{','.join(str(data / 'polyphonic_piano_rolls' / file) for file in FILES)}?steps=1"


@functools.cache
def opened(data: Path, split: str) -> Source:
    return open_source(spec_of(data), split, length=FRAMES)


@functools.cache
def windows(data: Path, style: int) -> np.ndarray:
    """Rolls [N, T, 88] of a style's test windows, as many as WINDOWS at most, from all over them."""
    source = opened(data, "test")
    batch = source.read(np.arange(source.size, dtype=np.int32))
    rolls = batch["roll"][(batch["label"] == style) & (batch["length"] == FRAMES)]
    return rolls[np.linspace(0, len(rolls) - 1, min(WINDOWS, len(rolls))).astype(int)]


@functools.cache
def memory(data: Path, style: int) -> Memory:
    """What a style's training pieces play."""
    source = opened(data, "train")
    pieces = zip(source.arrays["piece"], source.arrays["style"], strict=True)
    rolls = (source.arrays["roll"][at : at + size] for (at, size, *_), own in pieces if own == style)
    return Memory(map(played, rolls))


@functools.cache
def judge_of(data: Path, budget: str) -> tuple[Classifier, float]:
    """A classifier of styles, and how often it is right of the test's windows, the mean over styles."""
    source = opened(data, "train")
    assert source.example is not None
    example, tables = source.example, jax.device_put(source.arrays)

    def examples(index: jax.Array) -> dict[str, jax.Array]:
        batch = jax.vmap(example, in_axes=(None, 0))(tables, index)
        return {"image": 2 * batch["roll"][..., None] - 1, "label": batch["label"]}

    judge = train_classifier(examples, source.size, classes=len(FILES), steps=JUDGE[budget])
    right = [np.mean(judge.predict(pictures(windows(data, style))) == style) for style in range(len(FILES))]
    return judge, float(np.mean(right))


@functools.cache
def translator(data: Path, seed: int, budget: str) -> Any:
    """(rolls [N, T, 88], style) -> the rolls in that style."""
    config = default_config("midi-style")
    options = replace(config.options, data=spec_of(data), steps=STEPS[budget], batch_size=32, seed=seed)
    config = replace(config, model=replace(config.model, **NETWORK), options=options)
    config, source = fit_to_data(config, set())
    state = fit(config, source, chunk=50)
    model: Any = config.model
    made = jax.jit(functools.partial(model.restyle, sampling_params(state), state.extra))
    return lambda rolls, style: np.asarray(made(jnp.asarray(rolls), jnp.full(len(rolls), style, jnp.int32)))


def verdict(means: Means) -> str:
    """Whether style changes while the music stays."""
    told, same, other = (means[arm] for arm in ("transfer", "unchanged", "another piece"))
    moved = "more often" if told["style"] > same["style"] else "no more often"
    kept = all(told[name] > other[name] for name in ("harmony", "rhythm"))
    return (
        f"taken for the other style {moved} than before, {told['style']:.0%} against {same['style']:.0%} (real pieces "
        f"of it: {other['style']:.0%}), and {'nearer' if kept else 'not in all nearer'} to its source than another "
        f"piece is: harmony {told['harmony']:.2f} against {other['harmony']:.2f}, rhythm {told['rhythm']:.2f} against "
        f"{other['rhythm']:.2f}; {told['kept']:.0%} of the cells stay"
    )


ROWS = MappingProxyType(
    {
        "midi-style": Row(
            metrics={
                "style": "taken for the target style, share of windows",
                "harmony": "correlation of pitch classes with the source's",
                "rhythm": "correlation of strokes with the source's",
                "kept": "cells of the source that still sound, share",
                "by_heart": "stretches of 8 notes in the target's training data, share",
                "classifier": "the classifier is right of real windows, share",
            },
            published={arm: {} for arm in ARMS}, source="no table has this: the papers' genres are others",
            measure=runs, verdict=verdict, budgets={"cpu": "700 steps of 10,000"},
        )
    }
)  # fmt: skip
