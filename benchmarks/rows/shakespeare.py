"""`gpt` on tiny Shakespeare in nanoGPT's two shapes: the one that its README proposes for a CPU, and that of its
``train_shakespeare_char.py``, of 10.7 million parameters.

Protocol: characters, the last 10 % held out; loss over the WHOLE held-out part in non-overlapping windows of the
model's context, every position counted, in nats a character. Of the large one, as nanoGPT does, what is best on the
held-out part is kept: it learns its text by heart. On the full budget it computes in bfloat16, as nanoGPT does.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.fit import fit, fit_best
from benchmarks.quality import Row, Run, of_one
from train.config import Config, default_config
from train.data.source import open_source
from train.evaluate import evaluate
from train.fit import fit_to_data
from train.optim import Optim
from train.runs import sampling_params
from zoo.decoding import Sampling, generate

# nanoGPT's schedule: a cosine to a tenth after 100 steps of warm-up.
NANOGPT = Optim(
    learning_rate=1e-3, b1=0.9, b2=0.99, weight_decay=0.1, clip=1.0, schedule="cosine", warmup=100, final=0.1
)
NANOGPT_TOKENS_PER_SECOND = 444
CHECKS = 20


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Of a training."""

    shape: Mapping[str, Any]
    optim: Optim
    steps: Mapping[str, int]
    batch: Mapping[str, int]
    dtype: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(("cpu", "full"), "float32"))

    def opened(self, data: Path, seed: int, budget: str) -> tuple[Config, Any, Any]:
        """(config, the text that trains, what is held out)."""
        spec = f"text:{data / 'texts' / 'tinyshakespeare.txt'}?tokens=char"
        config = default_config("gpt")
        options = replace(config.options, data=spec, steps=self.steps[budget], batch_size=self.batch[budget], seed=seed)
        model = replace(config.model, **self.shape, dtype=self.dtype[budget])
        config = replace(config, model=model, optim=self.optim, ema={"gpt": 0.99}, options=options)
        return *fit_to_data(config, set()), open_source(spec, "valid", length=self.shape["context"] + 1)


SMALL = Recipe(
    shape={"layers": 4, "heads": 4, "width": 128, "context": 64},
    # A six times larger peak, and an average of the weights: what a small model and a small batch bear.
    optim=replace(NANOGPT, learning_rate=6e-3),
    steps={"cpu": 2_000, "full": 2_000}, batch={"cpu": 12, "full": 12},
)  # fmt: skip
LARGE = Recipe(
    shape={"layers": 6, "heads": 6, "width": 384, "context": 256, "dropout": 0.2}, optim=NANOGPT,
    steps={"cpu": 200, "full": 5_000}, batch={"cpu": 16, "full": 64}, dtype={"cpu": "float32", "full": "bfloat16"},
)  # fmt: skip


def small(data: Path, seed: int, budget: str) -> Run:
    """Trains once; also times decoding of one sequence."""
    config, source, held_out = SMALL.opened(data, seed, budget)
    began = time.monotonic()
    state = jax.block_until_ready(fit(config, source))
    trained = time.monotonic() - began
    params = sampling_params(state)
    loss = evaluate(config.model, params, state.extra, held_out, batch_size=100)["nll"]
    raw = evaluate(config.model, state.params, state.extra, held_out, batch_size=100)["nll"]
    return {
        "loss": loss, "without_average": raw, "train_seconds": round(trained, 1),
        "decode_tokens_per_second": round(decoding_rate(config.model, params), 0),
        "nanogpt_decode_tokens_per_second": NANOGPT_TOKENS_PER_SECOND,
    }  # fmt: skip


def large(data: Path, seed: int, budget: str) -> Run:
    """Trains once; keeps the parameters that were best on what is held out."""
    config, source, held_out = LARGE.opened(data, seed, budget)
    params, best = fit_best(config, source, held_out, checks=CHECKS if budget == "full" else 1, batch_size=64)
    return {
        "loss": evaluate(config.model, params, {}, held_out, batch_size=64)["nll"], "best_step": best["best_step"]
    }  # fmt: skip


def decoding_rate(model: Any, params: Any) -> float:
    """Tokens a second of one sequence, as nanoGPT was timed: best of five, compiled beforehand."""
    length = model.context - 1
    prompt, lengths = model.start(1), jnp.ones(1, jnp.int32)
    run = lambda seed: generate(
        model, params, {}, jax.random.key(seed), prompt=prompt, lengths=lengths, length=length, sampler=Sampling()
    )
    jax.block_until_ready(run(0))
    times = []
    for seed in range(5):
        began = time.monotonic()
        for part in range(10):
            jax.block_until_ready(run(10 * seed + part))
        times.append((time.monotonic() - began) / 10)
    return length / min(times)


METRICS = {"loss": "validation loss, nats/character"}
ROWS = MappingProxyType(
    {
        "shakespeare-small": Row(
            metrics=METRICS, published={"": {"loss": 1.892}}, measure=of_one(small),
            source="nanoGPT (Karpathy), its small CPU shape, run on a 2-core CPU and measured by the same whole-split "
            "protocol; its README prints 1.88, a sampled estimate",
        ),
        "shakespeare": Row(
            metrics=METRICS, published={"": {"loss": 1.4697}}, measure=of_one(large),
            source="nanoGPT's README, the best of 5,000 steps on a GPU, a sampled estimate",
            budgets={"cpu": "200 steps of 16 windows, of 5,000 of 64: it shows that it learns"},
        ),
    }
)  # fmt: skip
