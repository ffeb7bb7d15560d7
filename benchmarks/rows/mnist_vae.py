"""`vae` 784-400-40 on MNIST, binarised by a Bernoulli draw of the grey level.

Protocol: pixels drawn afresh at every training step, once with a fixed seed for the test set; test negative
log-likelihood by 200 importance samples (Burda et al. 2016, eq. 8). The published 89.8 was reached at convergence on
a fixed binarisation of the training set that is not at hand: the two differ in the data that they see.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.fit import fit
from benchmarks.quality import Row, of_one
from train.config import default_config
from train.data.loader import sweep
from train.data.source import open_source
from train.fit import fit_to_data
from train.optim import Optim
from train.runs import sampling_params

OPTIM = Optim(rule="adam", learning_rate=1e-3, schedule="cosine", final=0.01)
STEPS = {"cpu": 140_000, "full": 600_000}
PIXELS = 20_261_120  # the test set's one binarisation
SAMPLES = 200


def measure(data: Path, seed: int, budget: str) -> dict[str, Any]:
    """Trains once."""
    spec = f"idx:{data / 'mnist'}"
    config = default_config("vae")
    config = replace(
        config, model=replace(config.model, binarize=True), optim=OPTIM, ema={"vae": 0.999},
        options=replace(config.options, data=spec, steps=STEPS[budget], batch_size=100, seed=seed),
    )  # fmt: skip
    config, source = fit_to_data(config, set())
    model, state = config.model, fit(config, source, chunk=500)
    params = sampling_params(state)
    estimate = jax.jit(lambda batch, key: model.log_likelihood(params, state.extra, batch, key, samples=SAMPLES))
    total, count = 0.0, 0
    for number, batch in enumerate(sweep(open_source(spec, "test"), 500)):
        values = np.asarray(estimate(batch, jax.random.fold_in(jax.random.key(PIXELS), number)))
        total, count = total - float(values.sum()), count + len(values)
    value = total / count
    return {"nll": value, "minus_published": value - ROW.published[""]["nll"], "test_pictures": count}


ROW = Row(
    metrics={"nll": "test NLL, nats/picture"},
    published={"": {"nll": 89.8}},
    source="pythae's reproduction of a 784-400-40 VAE (89.78), fixed binarisation, 500 epochs, 200 importance samples; "
    "ours binarises afresh at every step",
    measure=of_one(measure),
)
