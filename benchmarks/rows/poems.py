"""`gpt` on quatrains of the Tang dynasty, four lines of seven characters each, one poem a line of text.

Protocol: characters of 10,321 poems, the last tenth held out; bits a character over all of it, in non-overlapping
windows of two poems, ends of lines and punctuation counted. Form: of 1,000 poems, each begun after a newline and drawn
at temperature 1, the share that has four lines of seven characters, with nothing that forces it to.
"""

import math
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.fit import fit_best
from benchmarks.quality import Means, Row, Run, of_one
from train.config import default_config
from train.data.source import open_source
from train.evaluate import evaluate
from train.fit import fit_to_data
from train.optim import Optim
from zoo.decoding import Sampling, generate

POEM = 33  # characters, with its punctuation and the newline
SHAPE: Any = {
    "cpu": {"layers": 3, "heads": 4, "width": 128, "context": 2 * POEM, "dropout": 0.1},
    "full": {"layers": 6, "heads": 6, "width": 384, "context": 2 * POEM, "dropout": 0.3},
}
STEPS = {"cpu": 2_000, "full": 10_000}
OPTIM = Optim(learning_rate=2e-3, b2=0.99, weight_decay=0.1, clip=1.0, schedule="cosine", warmup=100)
BATCH, CHECKS, DRAWN = 32, 8, 1000
KEPT = 0.95
LINES = (7, 7, 7, 7)


def measure(data: Path, seed: int, budget: str) -> Run:
    """Trains once, keeping what was best on the held-out part, and draws poems."""
    spec = f"text:{data / 'texts' / 'tang_quatrains_7.txt'}?tokens=char"
    config = default_config("gpt")
    config = replace(
        config, model=replace(config.model, **SHAPE[budget]), optim=OPTIM, ema={"gpt": 0.99},
        options=replace(config.options, data=spec, steps=STEPS[budget], batch_size=BATCH, seed=seed),
    )  # fmt: skip
    config, source = fit_to_data(config, set())
    model = config.model
    held_out = open_source(spec, "valid", length=model.context + 1)
    params, best = fit_best(config, source, held_out, checks=CHECKS, batch_size=50)
    nats = evaluate(model, params, {}, held_out, batch_size=50)["nll"]
    poems = drawn(model, params, source.codec, seed)
    return {
        "bits": nats / math.log(2), "form": float(np.mean([kept(poem) for poem in poems])),
        "different": len(set(poems)) / len(poems), "best_step": best["best_step"], "first": poems[0],
    }  # fmt: skip


def drawn(model: Any, params: Any, codec: Any, seed: int) -> list[str]:
    """Poems as text, each as far as its newline."""
    prompt, lengths = model.start(DRAWN), jnp.ones(DRAWN, jnp.int32)
    made = generate(
        model, params, {}, jax.random.key(seed), prompt=prompt, lengths=lengths, length=POEM, sampler=Sampling()
    )
    return [codec.decode(row).partition("\n")[0] for row in np.asarray(made)]


def kept(poem: str) -> bool:
    """Whether it has the form: letters in four lines, each with its mark behind it."""
    lines, at = [], 0
    for character in poem:
        if character.isalpha():
            at += 1
        else:
            lines.append(at)
            at = 0
    return tuple(lines) == LINES and at == 0


def verdict(means: Means) -> str:
    form = means[""]["form"]
    return f"{form:.1%} of the poems keep the form, {'at least' if form >= KEPT else 'less than'} {KEPT:.0%}"


ROWS = MappingProxyType(
    {
        "tang": Row(
            metrics={"bits": "bits/character, held out", "form": "poems that keep the form, share"},
            published={"": {}}, source="no table has these poems", measure=of_one(measure), verdict=verdict,
            budgets={"cpu": "2,000 steps of 10,000 and a smaller model"},
        )
    }
)  # fmt: skip
