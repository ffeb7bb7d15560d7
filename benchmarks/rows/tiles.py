"""Models of the game tiles, 32 x 32 pixels.

`vqvae`: how well a grid of codes keeps a picture, and how much of the codebook it needs. 8 x 8 codes out of 512 (the
Sonnet notebook's network and recipe, on CIFAR-10 there: Adam at 3e-4, batches of 32, 10,000 steps); the tiles that are
held out by hash; squared error over the pixels' variance.

`stylegan2-tiles`: StyleGAN2 with adaptive augmentation against DCGAN when both have seen as many pictures, each by its
own recipe. Frechet distance of as many samples as are held out to as many tiles, in the standardised features of three
random networks, divided by that of the tiles that are held out.
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
from benchmarks.quality import Means, Row, Run, of_one
from train.config import default_config
from train.data.loader import sweep
from train.data.source import open_source
from train.evaluate import evaluate
from train.fit import fit_to_data
from train.metrics.frechet import frechet_distance
from train.runs import sampling_params
from zoo.features.random import RandomNetwork

STEPS = {"cpu": 3_000, "full": 10_000}
BATCH, CODES = 32, 512
LEAST = 0.6  # of the codes, that should be in use


def tiles(data: Path) -> str:
    return f"npz:{data / 'dcss_tiles' / 'dcss_tiles_32x32_rgba.npz'}?channels=3"


# -- codes -------------------------------------------------------------------------------------------------------------


def measure(data: Path, seed: int, budget: str) -> Run:
    """Trains once, and reconstructs what was held out."""
    spec = tiles(data)
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


# -- two GANs ----------------------------------------------------------------------------------------------------------

ARMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "DCGAN": {"cpu": {"width": 32}, "full": {"width": 64}},
        "StyleGAN2": {"cpu": {"base": 1024, "widest": 128, "latent_size": 128}, "full": {}},
    }
)
PRESETS = {"DCGAN": "dcgan", "StyleGAN2": "stylegan2-ada"}
SEEN = {"cpu": 64_000, "full": 5_000_000}  # pictures
NETWORKS = 3


def games(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    spec = tiles(data)
    real, held_out = (np.concatenate([x["image"] for x in sweep(open_source(spec, s), 64)]) for s in ("train", "test"))
    real = real[:: len(real) // len(held_out)][: len(held_out)]
    config = default_config(PRESETS[arm])
    options = replace(config.options, data=spec, steps=SEEN[budget] // BATCH, batch_size=BATCH)
    config = replace(config, model=replace(config.model, **ARMS[arm][budget]), options=options)
    config, source = fit_to_data(config, set())
    for seed in seeds:
        state = fit(replace(config, options=replace(config.options, seed=seed)), source, chunk=50)
        draw = jax.jit(functools.partial(config.model.sample, n=64))
        keys = jax.random.split(jax.random.key(seed), -(-len(held_out) // 64))
        params = sampling_params(state)
        fakes = np.concatenate([jax.device_get(draw(params, state.extra, key)) for key in keys])[: len(held_out)]
        ratios = [apart(number, real, fakes) / apart(number, real, held_out) for number in range(NETWORKS)]
        yield {"ratio": float(np.mean(ratios))}


def apart(network: int, real: np.ndarray, other: np.ndarray) -> float:
    """The Frechet distance of pictures [N, H, W, C] in the features of random network number ``network``."""
    look = RandomNetwork()
    params = look.init(jax.random.key(network), real.shape[1:])
    a, b = (np.asarray(jax.jit(look)(params, pictures)) for pictures in (real, other))
    mean, std = a.mean(0), np.maximum(a.std(0), 1e-6)
    return frechet_distance((a - mean) / std, (b - mean) / std)


def nearer(means: Means) -> str:
    style, plain = means["StyleGAN2"]["ratio"], means["DCGAN"]["ratio"]
    return f"StyleGAN2's distance is {style / plain:.2f} times DCGAN's"


ROWS = MappingProxyType(
    {
        "stylegan2-tiles": Row(
            metrics={"ratio": "Frechet distance, in times of that of held-out tiles"},
            published={arm: {} for arm in ARMS}, source="no table has these tiles; on CIFAR-10 StudioGAN's has FID "
            "48.3 of DCGAN and 3.8 of StyleGAN2", measure=games, verdict=nearer,
            budgets={"cpu": "64,000 pictures of 5,000,000, and narrow networks"},
        ),
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
