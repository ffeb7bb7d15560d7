"""`music-vae` on two-bar melodies of POP909: what comes back from its latents, and the way between two of them (Roberts
et al. 2018, sections 4.1 to 4.3).

Protocol: the melodies of songs whose number ends in 9 are the test, in 8 the validation; sixteenths along the annotated
beats; windows of two bars from every bar, in each of which a note begins; a note that began before the window is struck
at its beginning; the model is chosen on validation. Of the posterior's mean: the share of cells that come back behind
the true cells, and behind its own; and nats of the true cells where it reads its own. Between two melodies lie 16 steps
of a great circle: ``even`` is the largest change between two neighbours as a share of the distance of the ends (at best
1/15, in cells that differ), ``straight`` the rank correlation of a step's number with its distance from where it began.
"""

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

from benchmarks.fit import fit_best
from benchmarks.quality import Means, Row, Run
from sample.latent import slerp
from train.config import default_config
from train.data.sequences import sequence_source
from train.data.spec import parse
from train.evaluate import evaluate
from zoo.codecs.leadsheet import MELODY
from zoo.codecs.midi import read_tracks
from zoo.codecs.songs import arrange
from zoo.codecs.voices import HOLD, PROGRAMS, REST, VOICES, VoiceGrid
from zoo.losses import token_nll

BAR, WINDOW = 16, 32  # steps
STEPS, BATCH = {"cpu": 1_200, "full": 50_000}, {"cpu": 64, "full": 512}
CHECKS, AT_ONCE = 6, 100
PAIRS, WAY = 200, 16


def measure(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    del arm
    own = windows(data / "pop909")
    return (train_once(own, seed, budget) for seed in seeds)


def windows(folder: Path) -> dict[str, list[np.ndarray]]:
    """Split -> two-bar melodies as tokens [1 + 4 x 32], the other voices silent."""
    codec = VoiceGrid()
    with gzip.open(folder / "annotations.json.gz") as opened:
        known = json.load(opened)
    own: dict[str, list[np.ndarray]] = {"train": [], "valid": [], "test": []}
    for file in sorted((folder / "midi").glob("*.mid")):
        told = known[file.stem]
        chords = [(float(begin), float(end), label) for begin, end, label in told["chord_midi"]]
        song = arrange(read_tracks(file), chords=chords, beats=told["beat_midi"])
        melody = song.select(song.program == MELODY)
        grid = codec.to_grid(codec.encode(replace(melody, program=np.full(len(melody), PROGRAMS[0]))))
        split = {"8": "valid", "9": "test"}.get(file.stem[-1], "train")
        own[split] += [codec.from_grid(part)[: 1 + VOICES * WINDOW] for part in cut(grid)]
    return own


def cut(grid: np.ndarray) -> Iterable[np.ndarray]:
    """Windows [32, 4] of a melody [S, 4] from every bar, in both bars of which a note begins."""
    line = grid[:, 0]
    for at in range(0, len(line) - WINDOW + 1, BAR):
        part = line[at : at + WINDOW].copy()
        if not all((bar < REST).any() for bar in part.reshape(-1, BAR)):
            continue
        if part[0] == HOLD:
            part[0] = line[:at][line[:at] < REST][-1]
        whole = np.full((WINDOW, VOICES), REST, np.int32)
        whole[:, 0] = part
        yield whole


def train_once(own: dict[str, list[np.ndarray]], seed: int, budget: str) -> Run:
    """Trains once, keeping what was best on validation; reads, writes and interpolates the test's melodies."""
    config = default_config("music-vae")
    config = replace(
        config, ema={"music_vae": 0.99},
        options=replace(config.options, steps=STEPS[budget], batch_size=BATCH[budget], seed=seed),
    )  # fmt: skip
    model: Any = config.model
    opened = {
        split: sequence_source(
            parse("midi:pop909?codec=voices"), VoiceGrid(), own, split=split, length=model.context + 1
        )
        for split in own
    }
    params, best = fit_best(config, opened["train"], opened["valid"], checks=CHECKS, batch_size=AT_ONCE)
    found = evaluate(model, params, {}, opened["test"], batch_size=AT_ONCE)
    tokens = np.stack(own["test"])
    rng = np.random.default_rng(0)
    pairs = rng.choice(len(tokens), (PAIRS, 2), replace=False)
    return {
        "accuracy": found["accuracy"], "free_accuracy": found["free_accuracy"],
        "free_nll": free_nats(model, params, tokens), "nll": found["nll"], "kl": found["kl"],
        **between(model, params, tokens[pairs]), "best_step": best["best_step"],
    }  # fmt: skip


def free_nats(model: Any, params: Any, tokens: np.ndarray) -> float:
    """Mean nats of the true cells of tokens [N, 1 + 4 S], by a decoder that reads the cells it wrote itself."""

    @jax.jit
    def nats(some: Any) -> Any:
        latent = model.encode(params, {}, some)
        cells = lambda tokens: tokens[:, 1:].reshape(len(tokens), -1, VOICES)[:, :, jnp.array(model.columns)]
        written = cells(model.render(params, {}, latent))
        return jnp.mean(token_nll(model.apply(params, latent, written, method="teach"), cells(some)), axis=(1, 2))

    return float(np.mean(in_parts(nats, tokens)))


def between(model: Any, params: Any, ends: np.ndarray) -> dict[str, float]:
    """``even`` and ``straight`` of the ways between melodies [N, 2, T], means."""

    @jax.jit
    def walk(some: Any) -> Any:
        a, b = (model.encode(params, {}, some[:, side]) for side in range(2))
        way = jnp.broadcast_to(jnp.linspace(0, 1, WAY)[:, None], (WAY, len(a)))
        latents = slerp(jnp.broadcast_to(a, (WAY, *a.shape)), jnp.broadcast_to(b, (WAY, *b.shape)), way)
        rows = model.render(params, {}, latents.reshape(-1, latents.shape[-1]))
        return jnp.moveaxis(rows.reshape(WAY, len(a), -1), 0, 1)

    ways = in_parts(walk, ends)  # [N, 16, T]
    apart = lambda a, b: (a != b).sum(-1)
    whole = np.maximum(apart(ways[:, 0], ways[:, -1]), 1)
    largest = apart(ways[:, 1:], ways[:, :-1]).max(1) / whole
    gone = apart(ways, ways[:, :1])
    rank: Any = spearmanr
    ranks = [rank(np.arange(WAY), row).statistic for row in gone if np.ptp(row)]
    return {"even": float(np.mean(largest)), "straight": float(np.mean(ranks)) if ranks else 0.0}


def in_parts(function: Any, rows: np.ndarray) -> np.ndarray:
    """``function`` of so many rows at a time that it is compiled once."""
    full = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % AT_ONCE, axis=0)])
    parts = [np.asarray(function(jnp.asarray(full[at : at + AT_ONCE]))) for at in range(0, len(full), AT_ONCE)]
    return np.concatenate(parts)[: len(rows)]


def verdict(means: Means) -> str:
    told = means[""]
    return (
        f"{told['free_accuracy']:.1%} of the cells come back; the largest of 15 steps between two melodies is "
        f"{told['even']:.0%} of the way, and the distance grows with a rank correlation of {told['straight']:.2f}"
    )


ROWS = MappingProxyType(
    {
        "music-vae": Row(
            metrics={
                "accuracy": "cells that come back, behind true ones", "free_accuracy": "cells that come back",
                "free_nll": "free-running NLL, nats/cell", "even": "largest of 15 steps, share of the way",
                "straight": "rank correlation of step and distance",
            },
            published={"": {"accuracy": 0.986, "free_accuracy": 0.951}},
            source="Roberts et al. 2018, table 1 (2-bar melody), of a far larger collection of MIDI files",
            measure=measure, verdict=verdict,
            budgets={"cpu": "1,200 steps of 64 melodies"},
        )
    }
)  # fmt: skip
