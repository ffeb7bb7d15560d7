"""`vae` on sprites of known factors, at five values of beta and several seeds, all side by side as one population: how
well single latents stand for single factors.

Protocol of Locatello et al. 2019 (arXiv:1811.12359, section 5): 10 latents, Bernoulli pixels, Adam at 1e-4 (cpu: 1e-3)
and batches of 64; MIG and SAP of 10,000 posterior means. Their finding: what separates one run from another is its seed
as much as its beta.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from benchmarks.fit import fit
from benchmarks.quality import Means, Row, Run
from train.config import default_config
from train.data.source import open_source
from train.metrics.factors import mutual_information_gap, separated_attributes
from train.optim import Optim
from train.runs import sampling_params
from zoo.algorithmic.sprites import COUNT, factors_of

BETAS = (1.0, 2.0, 4.0, 8.0, 16.0)
EXAMPLES, ROWS_AT_ONCE = 10_000, 500
MEMBERS: Mapping[str, Any] = MappingProxyType(
    {
        "cpu": {"preset": "vae", "size": 32, "steps": 3_000, "rate": 1e-3, "fields": {"width": 256}},
        "full": {
            "preset": "vae-conv", "size": 64, "steps": 300_000, "rate": 1e-4,
            "fields": {"likelihood": "bernoulli", "flow": 0},
        },
    }
)  # fmt: skip


def runs(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    del data  # it is drawn
    return population(tuple(seeds), budget)[float(arm.removeprefix("beta "))]


@functools.cache
def population(seeds: tuple[int, ...], budget: str) -> dict[float, list[Run]]:
    """beta -> a run a seed."""
    told = MEMBERS[budget]
    config, source = default_config(told["preset"]), open_source(f"sprites?size={told['size']}")
    model = replace(config.model, image_size=told["size"], channels=1, latent_size=10, **told["fields"])
    options = replace(
        config.options, data=source.spec, steps=told["steps"], batch_size=64, seed=seeds[0], population=len(seeds)
    )
    config = replace(
        config, model=model, optim=Optim(rule="adam", learning_rate=told["rate"]), ema={}, options=options,
        sweep={"model.beta": BETAS},
    )  # fmt: skip
    state = fit(config, source, chunk=100)
    encode = jax.jit(jax.vmap(model.encode, in_axes=(0, 0, None)))
    drawn = np.random.default_rng(0).choice(COUNT, EXAMPLES, replace=False).astype(np.int32)
    factors = np.asarray(jax.jit(jax.vmap(factors_of))(drawn))
    parts = [
        encode(sampling_params(state), state.extra, source.read(drawn[at : at + ROWS_AT_ONCE])["image"])
        for at in range(0, EXAMPLES, ROWS_AT_ONCE)
    ]
    latents = np.concatenate([jax.device_get(part) for part in parts], axis=1)  # [members, N, Z]
    found: dict[float, list[Run]] = {beta: [] for beta in BETAS}
    for member, beta in enumerate(config.varied()["model.beta"]):
        own, half = latents[member], EXAMPLES // 2
        found[beta].append(
            {
                "mig": mutual_information_gap(own, factors),
                "sap": separated_attributes(own[:half], factors[:half], own[half:], factors[half:]),
                "alive": int((own.var(axis=0) > 0.05).sum()),
            }
        )
    return found


def verdict(means: Means) -> str:
    best = max(means, key=lambda arm: means[arm]["mig"])
    low, high = (pick(one["mig"] for one in means.values()) for pick in (min, max))
    return f"MIG is highest at {best}; between the means of the betas it differs by {high - low:.3f}"


ROWS = MappingProxyType(
    {
        "beta-sweep": Row(
            metrics={"mig": "mutual information gap", "sap": "separated attributes", "alive": "latents in use"},
            published={f"beta {beta:g}": {} for beta in BETAS},
            source="Locatello et al. 2019 give distributions over 50 seeds and no table of means; sprites of our own",
            measure=runs, verdict=verdict,
            budgets={"cpu": "a dense network on 32 pixels, 3,000 steps of 300,000"},
        )
    }
)  # fmt: skip
