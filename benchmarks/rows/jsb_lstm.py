"""`lstm-roll` on the JSB chorales as piano rolls, by the protocol of Boulanger-Lewandowski et al. (2012).

88 sigmoids; a frame's Bernoulli log-likelihood summed over keys, in nats; every frame of the test pieces counted (the
first is predicted from a silent one) and pooled; the official split; the model is chosen on validation; no
transposition, since the data are transposed already.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.fit import fit
from benchmarks.quality import Row, of_one
from train.config import default_config
from train.data.source import open_source
from train.evaluate import evaluate
from train.fit import fit_to_data
from train.optim import Optim
from train.runs import sampling_params
from train.step import State

SHAPE = {"width": 384, "layers": 1, "dropout": 0.7}
OPTIM = Optim(learning_rate=3e-3, weight_decay=0.05, clip=1.0, schedule="cosine", warmup=50, final=0.01)
STEPS = {"cpu": 1_400, "full": 1_400}
EVERY = 50


def measure(data: Path, seed: int, budget: str) -> dict[str, Any]:
    """Trains once; keeps the parameters that were best on validation."""
    spec = f"rolls:{data / 'polyphonic_piano_rolls' / 'JSB_Chorales.mat'}"
    config = default_config("lstm-roll")
    config = replace(
        config, model=replace(config.model, **SHAPE), optim=OPTIM, ema={"lstm": 0.99},
        options=replace(config.options, data=spec, steps=STEPS[budget], batch_size=16, seed=seed),
    )  # fmt: skip
    config, source = fit_to_data(config, set())
    valid, test = (open_source(spec, split) for split in ("valid", "test"))
    best: dict[str, Any] = {"valid": np.inf}

    def check(step: int, state: State) -> None:
        params = sampling_params(state)
        nll = evaluate(config.model, params, state.extra, valid)["nll"]
        if nll < best["valid"]:
            best.update(valid=nll, step=step, params=jax.device_get(params))  # the state is donated to the next steps

    fit(config, source, every=EVERY, check=check)
    found = evaluate(config.model, best["params"], {}, test)
    return {
        "nll": found["nll"], "after_first_frame": found["nll_after_first"], "valid": best["valid"],
        "best_step": best["step"],
    }  # fmt: skip


ROW = Row(
    metrics={"nll": "test NLL, nats/frame"},
    published={"": {"nll": 8.45}},
    source="LSTM row of Bai et al. 2018, table 1 (its code leaves out each piece's first frame)",
    measure=of_one(measure),
)
