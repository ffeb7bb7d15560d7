"""`pix2pix` from maps of labels, with and without each of its losses: can the labels be read off its pictures?

Protocol of Isola et al. 2017 (arXiv:1611.07004, section 4.1 and table 1), on maps of `zoo.algorithmic.regions`
in place of Cityscapes: six kinds of land, of which two by two have the same colours and differ by pattern only, and no
two pictures of a map are the same. Who reads is the zoo's U-Net, trained the other way round on real pictures, in place
of the paper's FCN-8s. 32 pixels a side; 1,024 maps that no training saw.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.fit import fit
from benchmarks.quality import Means, Row, Run
from train.config import default_config
from train.data.source import Source, open_source
from train.metrics.segmentation import agreement, confusion
from zoo.algorithmic.regions import NAMES
from zoo.catalog import create

SPEC, SIZE, BATCH, TESTED = "regions?size=32&alike=1", 32, 8, 1024
STEPS = {"cpu": 2_500, "full": 60_000}
READER = {"cpu": 1_500, "full": 10_000}
LABELS = len(NAMES)
NETWORK: Any = {"image_size": SIZE, "width": 24, "critic_layers": 1, "jitter": False}
ARMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "L1": {"gan": 0.0},
        "GAN": {"l1": 0.0, "conditional": False},
        "cGAN": {"l1": 0.0},
        "L1+GAN": {"conditional": False},
        "L1+cGAN": {},
    }
)
METRICS = {
    "pixel": "labels read rightly, share of pixels",
    "class": "the same, mean over labels",
    "iou": "intersection over union, mean over labels",
}


def runs(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    del data  # it is drawn
    source, read = open_source(SPEC), reader(budget)
    model: Any = create("pix2pix", **NETWORK, input_channels=LABELS, maps=True, **ARMS[arm])
    for seed in seeds:
        state = fit(config_of(model, steps=STEPS[budget], seed=seed), source, chunk=50)
        draw = jax.jit(functools.partial(model.translate, state.params, state.extra))
        yield score(lambda batch, draw=draw: read(draw(batch["input"], jax.random.key(0)))) | {
            "of_real": score(lambda batch: read(batch["image"]))["pixel"]
        }


@functools.cache
def reader(budget: str) -> Any:
    """Pictures [B, H, W, 3] -> labels [B, H, W], by a U-Net that has learnt to translate pictures into maps."""
    source = open_source(SPEC)
    assert source.example is not None
    example = source.example

    def swapped(arrays: Any, index: Any) -> dict[str, Any]:
        batch = example(arrays, index)
        return {"input": batch["image"], "image": batch["input"]}

    backwards: Source = replace(source, example=swapped)
    model: Any = create("pix2pix", **NETWORK, channels=LABELS, gan=0.0, dropout=0.0)
    state = fit(config_of(model, steps=READER[budget], seed=0), backwards, chunk=50)
    return jax.jit(lambda x: jnp.argmax(model.translate(state.params, state.extra, x, jax.random.key(0)), axis=-1))


def config_of(model: Any, *, steps: int, seed: int) -> Any:
    """The preset's recipe, with batches of BATCH."""
    config = default_config("pix2pix")
    options = replace(config.options, data=SPEC, steps=steps, batch_size=BATCH, seed=seed)
    return replace(config, model=model, ema={}, options=options)


def score(labels_of: Any) -> Run:
    """What is read off pictures of the test's maps, against the maps."""
    test, counts = open_source(SPEC, "test"), np.zeros((LABELS, LABELS), np.int64)
    for start in range(0, TESTED, 64):
        batch = test.read(np.arange(start, start + 64, dtype=np.int32))
        counts += confusion(batch["input"].argmax(-1), jax.device_get(labels_of(batch)), LABELS)
    return agreement(counts)


def verdict(means: Means) -> str:
    """Whether the order is the published one."""
    order = sorted(means, key=lambda arm: means[arm]["pixel"])
    published = sorted(PUBLISHED, key=lambda arm: PUBLISHED[arm]["pixel"])
    said = "as published" if order == published else f"published {' < '.join(published)}"
    return f"{' < '.join(order)} by pixels, {said}"


PUBLISHED = {
    "L1": {"pixel": 0.42, "class": 0.15, "iou": 0.11},
    "GAN": {"pixel": 0.22, "class": 0.05, "iou": 0.01},
    "cGAN": {"pixel": 0.57, "class": 0.22, "iou": 0.16},
    "L1+GAN": {"pixel": 0.64, "class": 0.20, "iou": 0.15},
    "L1+cGAN": {"pixel": 0.66, "class": 0.23, "iou": 0.17},
}
ROWS = MappingProxyType(
    {
        "pix2pix-ablation": Row(
            metrics=METRICS, published=PUBLISHED, measure=runs, verdict=verdict,
            source="table 1 of Isola et al. 2017, on Cityscapes with 19 labels (real pictures: 0.80, 0.26, 0.21); only "
            "the order can be compared",
            budgets={"cpu": "2,500 steps of 60,000"},
        )
    }
)  # fmt: skip
