"""`groovae` on the Groove MIDI Dataset: grooves brought back from their latents, and scores humanised.

Protocol: the official split; performances in 4/4, on a grid of sixteenths at the tempo that they were played to;
windows of two bars, in training from every bar, for the test one behind the other; the model is chosen on validation.
Nats of a step given one draw of the latent. What is played from the posterior's mean is compared with what was: the arm
"groove" hears everything and plays on its own, and errors are those of hits that are right; the arm "score" hears hits
alone, and plays these. Beside them stands a drum machine that plays the same hits on the grid, each class as loud as
its mean in training.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.fit import fit_best
from benchmarks.quality import Means, Row, Run
from train.config import default_config
from train.data.sequences import sequence_source
from train.data.spec import parse
from train.evaluate import evaluate
from zoo.codecs.drums import CLASSES, DrumGrid
from zoo.codecs.midi import read_midi

SPLITS = {"train": "train", "validation": "valid", "test": "test"}
SHAPE: Any = {"cpu": {"latent_size": 128, "encoder_width": 256, "width": 256}, "full": {}}
STEPS, BATCH = {"cpu": 1_000, "full": 20_000}, {"cpu": 64, "full": 512}
CHECKS, AT_ONCE = 5, 128


def measure(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    own, beats = pieces(data / "groove_midi")
    return (train_once(own, beats, seed, budget, arm) for seed in seeds)


def pieces(folder: Path) -> tuple[dict[str, list[np.ndarray]], dict[str, list[float]]]:
    """Split -> grooves [T, 27] of its performances, and the tempo of each in quarter notes a minute."""
    codec = DrumGrid()
    own: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS.values()}
    beats: dict[str, list[float]] = {split: [] for split in SPLITS.values()}
    with open(folder / "info.csv", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["time_signature"] != "4-4":
                continue
            groove = codec.encode(read_midi(folder / row["midi_filename"]))
            if len(groove):
                own[SPLITS[row["split"]]].append(groove)
                beats[SPLITS[row["split"]]].append(float(row["bpm"]))
    return own, beats


def train_once(
    own: dict[str, list[np.ndarray]], beats: dict[str, list[float]], seed: int, budget: str, arm: str
) -> Run:
    """Trains once, keeping what was best on validation, and plays the test set."""
    config = default_config("groovae")
    model: Any = replace(config.model, hears=arm, **SHAPE[budget])
    config = replace(
        config, model=model, ema={"groovae": 0.99},
        options=replace(config.options, steps=STEPS[budget], batch_size=BATCH[budget], seed=seed),
    )  # fmt: skip
    opened = partial(sequence_source, parse("midi:groove_midi?codec=drums"), DrumGrid(), own, length=model.length)
    train, valid, test = (opened(split=split) for split in own)
    params, best = fit_best(config, train, valid, checks=CHECKS, batch_size=AT_ONCE)
    nll = evaluate(model, params, {}, test, batch_size=AT_ONCE)["nll"]
    windows, tempo = cut(own["test"], beats["test"], model.length)
    played = perform(model, params, windows)
    machine = steady(np.concatenate(own["train"]), windows)
    ours, its = errors(windows, played, tempo), errors(windows, machine, tempo)
    return {
        "nll": nll, **ours, "machine_velocity": its["velocity"], "machine_timing": its["timing"],
        "best_step": best["best_step"],
    }  # fmt: skip


def cut(grooves: Sequence[np.ndarray], beats: Sequence[float], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows [N, length, 27], one behind the other and the last of a piece filled up, and milliseconds of a step
    [N]."""
    found = [np.pad(piece, ((0, -len(piece) % length), (0, 0))).reshape(-1, length, 3 * CLASSES) for piece in grooves]
    each = [np.full(len(windows), 15_000 / tempo) for windows, tempo in zip(found, beats, strict=True)]
    return np.concatenate(found), np.concatenate(each)


def perform(model: Any, params: Any, windows: np.ndarray) -> np.ndarray:
    """What the model plays of windows [N, T, 27]; of scores, their own hits."""

    @jax.jit
    def play(some: Any) -> Any:
        hits = some[..., :CLASSES] if model.hears == "score" else None
        return model.render(params, {}, model.encode(params, {}, some), hits=hits)

    full = np.pad(windows, ((0, -len(windows) % AT_ONCE), (0, 0), (0, 0)))
    parts = [np.asarray(play(jnp.asarray(full[at : at + AT_ONCE]))) for at in range(0, len(full), AT_ONCE)]
    return np.concatenate(parts)[: len(windows)]


def steady(training: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The windows' hits on the grid, as loud as their classes are in ``training`` [T, 27]."""
    struck, velocity, _ = np.split(training, 3, axis=1)
    loudness = velocity.sum(0) / np.maximum(struck.sum(0), 1)
    hits = windows[..., :CLASSES]
    return np.concatenate([hits, hits * loudness, np.zeros_like(hits)], axis=-1)


def errors(truth: np.ndarray, played: np.ndarray, step: np.ndarray) -> dict[str, float]:
    """``f1`` of the hits; where one is right the mean absolute error of its velocity (of 127) and of its time in
    milliseconds, of which a step has ``step`` [N]."""
    (struck, velocity, offset), (found, its_velocity, its_offset) = (np.split(x, 3, axis=-1) for x in (truth, played))
    right = struck * found
    late = np.abs(offset - its_offset) * step[:, None, None]
    return {
        "f1": float(2 * right.sum() / (struck + found).sum()),
        "velocity": float(127 * (right * np.abs(velocity - its_velocity)).sum() / right.sum()),
        "timing": float((right * late).sum() / right.sum()),
    }


def verdict(means: Means) -> str:
    told = means["score"]
    better = all(told[what] < told[f"machine_{what}"] for what in ("velocity", "timing"))
    return (
        f"a humanised score is {told['velocity']:.1f} of 127 and {told['timing']:.1f} ms from the drummer, a drum "
        f"machine {told['machine_velocity']:.1f} and {told['machine_timing']:.1f}: "
        f"{'better' if better else 'not better'} in both"
    )


ROWS = MappingProxyType(
    {
        "groove": Row(
            metrics={
                "nll": "test NLL, nats/step", "f1": "hits that come back, F1",
                "velocity": "velocity, mean error of 127", "timing": "timing, mean error, ms",
                "machine_velocity": "a drum machine's velocity, mean error of 127",
                "machine_timing": "a drum machine's timing, mean error, ms",
            },
            published={"groove": {}, "score": {}},
            source="Gillick et al. 2019 has no table of these measures",
            measure=measure, verdict=verdict,
            budgets={"cpu": "1,000 steps of 64 grooves, half the width"},
        )
    }
)  # fmt: skip
