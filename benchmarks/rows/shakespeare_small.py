"""`gpt` on tiny Shakespeare in the shape that nanoGPT's README proposes for a CPU.

Protocol: characters, the last 10 % held out; 2,000 steps of 12 windows of 64; validation loss over the WHOLE held-out
part in non-overlapping windows of 64, every position counted, in nats a character.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.fit import fit
from benchmarks.quality import Row, of_one
from train.config import default_config
from train.data.source import open_source
from train.evaluate import evaluate
from train.fit import fit_to_data
from train.optim import Optim
from train.runs import sampling_params
from zoo.decoding import Sampling, generate

SHAPE = {"layers": 4, "heads": 4, "width": 128, "context": 64}
STEPS = {"cpu": 2_000, "full": 2_000}
# nanoGPT's schedule (cosine to a tenth after 100 steps of warm-up) with a six times larger peak, and an average of the
# weights: what a small model and a small batch bear on this budget.
OPTIM = Optim(learning_rate=6e-3, b1=0.9, b2=0.99, weight_decay=0.1, clip=1.0, schedule="cosine", warmup=100, final=0.1)
NANOGPT_TOKENS_PER_SECOND = 444


def measure(data: Path, seed: int, budget: str) -> dict[str, Any]:
    """Trains once; also times decoding of one sequence."""
    spec = f"text:{data / 'texts' / 'tinyshakespeare.txt'}?tokens=char"
    config = default_config("gpt")
    config = replace(
        config, model=replace(config.model, **SHAPE), optim=OPTIM, ema={"gpt": 0.99},
        options=replace(config.options, data=spec, steps=STEPS[budget], batch_size=12, seed=seed),
    )  # fmt: skip
    config, source = fit_to_data(config, set())
    began = time.monotonic()
    state = jax.block_until_ready(fit(config, source))
    trained = time.monotonic() - began
    held_out = open_source(spec, "valid", length=SHAPE["context"] + 1)
    params = sampling_params(state)
    loss = evaluate(config.model, params, state.extra, held_out, batch_size=100)["nll"]
    raw = evaluate(config.model, state.params, state.extra, held_out, batch_size=100)["nll"]
    return {
        "loss": loss, "without_average": raw, "train_seconds": round(trained, 1),
        "decode_tokens_per_second": round(decoding_rate(config.model, params), 0),
        "nanogpt_decode_tokens_per_second": NANOGPT_TOKENS_PER_SECOND,
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


ROWS = {
    "shakespeare-small": Row(
        metrics={"loss": "validation loss, nats/character"},
        published={"": {"loss": 1.892}},
        source="nanoGPT (Karpathy), its small CPU shape, run on a 2-core CPU and measured by the same whole-split "
        "protocol; its README prints 1.88, a sampled estimate",
        measure=of_one(measure),
    )
}
