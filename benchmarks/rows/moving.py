"""Films that move with music: does what one sees move when something is struck?

Protocol: the first twenty seconds behind the first note of four songs of POP909 a seed, played by the zoo's
synthesizer; 24 frames a second of 64 pixels. Motion is the mean absolute difference of neighbouring frames, and is
correlated with the strokes that are heard; beside it stands the same motion against the strokes of the same music with
its seconds in random orders, which have as many and as strong strokes at other times. An arm is what is moved: a
formula, or a small `vae` of pictures drawn by formulas.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from benchmarks.fit import fit
from benchmarks.quality import Means, Row, Run
from sample.draw_options import Options
from sample.latent import along, render_all
from sample.moved import places
from sample.painting import moved, painted
from train.config import default_config
from train.fit import fit_to_data
from train.runs import sampling_params
from zoo.codecs.listening import Heard, listen

FPS, SECONDS, SIZE, SONGS = 24, 20, 64, 4
THROUGH, ORDERS = 8, 50
FORMULA_ARMS = ("warp", "julia", "flow")
STEPS = {"cpu": 1_500, "full": 20_000}  # of the vae


def runs(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    files = sorted((data / "pop909" / "midi").glob("*.mid"))
    for seed in seeds:
        rng, found = np.random.default_rng(seed), []
        for number in range(SONGS):
            music = begun(files[(seed * SONGS + number) % len(files)])
            motion = moving(frames_of(arm, music, seed, budget))
            found.append((together(motion, music.strokes), shuffled(motion, music.strokes, rng)))
        with_it, without = np.mean(found, axis=0)
        yield {"moves": float(with_it), "shuffled": float(without)}


def begun(file: Path) -> Heard:
    """What is heard from the first note on."""
    whole = listen(file, fps=FPS)
    first = int(np.argmax(whole.loudness > 0.01))
    part = slice(first, first + SECONDS * FPS)
    return whole._replace(strokes=whole.strokes[part], loudness=whole.loudness[part], chroma=whole.chroma[part])


def frames_of(arm: str, music: Heard, seed: int, budget: str) -> np.ndarray:
    """[N, H, W, C], from 0 to 1."""
    if arm in FORMULA_ARMS:
        options = Options(seed=seed, film=THROUGH, fps=FPS)
        return np.stack([painted(arm, what, SIZE) for what in moved(arm, options, music)]) / 255
    model, params, extra = vae(budget)
    latents = model.latents(jax.random.key(seed), THROUGH)
    return render_all(model, params, extra, along(latents, places(music, FPS))) / 2 + 0.5


@functools.cache
def vae(budget: str) -> tuple[Any, Any, Any]:
    config = default_config("vae")
    options = replace(config.options, data="art", steps=STEPS[budget], seed=0)
    config, source = fit_to_data(replace(config, options=options), set())
    state = fit(config, source, chunk=50)
    return config.model, sampling_params(state), state.extra


def moving(frames: np.ndarray) -> np.ndarray:
    """[N], of which the first is 0."""
    return np.concatenate([[0.0], np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))])


def together(motion: np.ndarray, strokes: np.ndarray) -> float:
    return float(np.corrcoef(motion[1:], strokes[1:])[0, 1])


def shuffled(motion: np.ndarray, strokes: np.ndarray, rng: np.random.Generator) -> float:
    """The mean over ORDERS of the seconds."""
    seconds = strokes.reshape(-1, FPS)
    return float(np.mean([together(motion, rng.permutation(seconds).reshape(-1)) for _ in range(ORDERS)]))


def verdict(means: Means) -> str:
    least = min(one["moves"] - one["shuffled"] for one in means.values())
    said = "more" if least > 0 else "not always more"
    return f"what is seen moves {said} with its own music than with the same music in another order, by {least:.2f}"


ROWS = MappingProxyType(
    {
        "music-to-picture": Row(
            metrics={"moves": "correlation of motion with strokes", "shuffled": "the same, seconds in another order"},
            published={arm: {} for arm in (*FORMULA_ARMS, "vae")}, source="no table has this", measure=runs,
            verdict=verdict, budgets={"cpu": "1,500 steps of the vae"},
        )
    }
)  # fmt: skip
