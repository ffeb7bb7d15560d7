"""`vqvae` on the game tiles: how well a grid of codes keeps a picture, and how much of the codebook it needs.

Protocol: 32 x 32 pixels, 8 x 8 codes out of 512 (the Sonnet notebook's network and recipe, on CIFAR-10 there: Adam at
3e-4, batches of 32, 10,000 steps); the tiles that are held out by hash; squared error over the pixels' variance.
"""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from benchmarks.fit import fit
from benchmarks.quality import Means, Row, Run, of_one
from train.config import default_config
from train.data.source import open_source
from train.evaluate import evaluate
from train.fit import fit_to_data
from train.runs import sampling_params

STEPS = {"cpu": 3_000, "full": 10_000}
BATCH, CODES = 32, 512
LEAST = 0.6  # of the codes, that should be in use


def measure(data: Path, seed: int, budget: str) -> Run:
    """Trains once, and reconstructs what was held out."""
    spec = f"npz:{data / 'dcss_tiles' / 'dcss_tiles_32x32_rgba.npz'}?channels=3"
    config = default_config("vqvae")
    config = replace(
        config, model=replace(config.model, codes=CODES), ema={},
        options=replace(config.options, data=spec, steps=STEPS[budget], batch_size=BATCH, seed=seed),
    )  # fmt: skip
    config, source = fit_to_data(config, set())
    state = fit(config, source, chunk=50)
    found = evaluate(config.model, sampling_params(state), state.extra, open_source(spec, "test"))
    return {"nmse": found["nmse"], "used": found["used"], "perplexity": CODES * found["used"], "prior": found["prior"]}


def verdict(means: Means) -> str:
    used = means[""]["used"]
    return f"{100 * used:.0f} % of the codes are in use, {'at least' if used >= LEAST else 'less than'} {LEAST:.0%}"


ROWS = MappingProxyType(
    {
        "vqvae": Row(
            metrics={
                "nmse": "squared error over variance, held out", "used": "codes in use, share",
                "perplexity": "perplexity of the codebook",
            },
            published={"": {"nmse": 0.056, "used": 328 / CODES, "perplexity": 328}},
            source="the notebook of Sonnet's VQ-VAE, on CIFAR-10 and on what it trained with; ours on the game tiles",
            measure=of_one(measure), verdict=verdict, budgets={"cpu": "3,000 steps of 10,000"},
        )
    }
)  # fmt: skip
