"""`text-to-image`: do pictures show what their captions say, and also where the words have never stood together?

Protocol: figures of seven kinds, seven colours, two sizes and two grounds, drawn at 32 pixels. One pair of kind and
colour in seven is never trained with. Asked for are full captions ("a small blue spiral on a dark ground"): each of the
168 that were trained with once, and each of the 28 new ones four times. What a picture shows is read by a classifier of
all 196 combinations, trained on drawn figures of every pair, more or less blurred; how well it reads other drawings
stands beside its verdicts, and how well it reads them behind the model's codes, which no choice of codes can do much
better than. An arm is a way of drawing from one and the same model: as learnt, guided (3), and the best of eight guided
ones in the towers' eyes.
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
from train.fit import fit_to_data
from train.flags import jit
from train.metrics.classifier import Classifier, train_classifier
from train.runs import sampling_params
from zoo.algorithmic.figures import FACTORS, choose, draw, held_out, words
from zoo.style.painting import softened

SIZE = 32
STEPS = {"cpu": 6_000, "full": 50_000}
SMALL = {
    "width": 96, "layers": 2, "codes": 128, "picture_width": 32, "residual_width": 16, "withheld": 0.1,
}  # fmt: skip
BATCH = {"cpu": 32, "full": 64}
READING = 2_500  # steps of the classifier
JUDGED, AT_ONCE = 2_000, 100  # drawings that it is judged by
NEW = 4  # pictures of each caption of a new pair
DRAWN = 98  # pictures at once
COUNTS = tuple(map(len, FACTORS.values()))
ARMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"learnt": {"guidance": 1.0}, "guided": {"guidance": 3.0}, "best of 8": {"guidance": 3.0, "candidates": 8}}
)


def runs(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    del data  # drawn
    asked, new = captions()
    for seed in seeds:
        model, params, extra = trained(seed, budget)
        pictures = pictures_of(model, params, extra, jax.random.key(seed), asked, **ARMS[arm])
        right = shown(reader(), pictures) == asked
        found = {name: float(right[~new, at].mean()) for at, name in enumerate(FACTORS)}
        every = right.all(axis=1)
        found |= {"all": float(every[~new].mean()), "new": float(every[new].mean())}
        yield found | {"redrawn": redrawn(seed, budget), "read": reading()}


def captions() -> tuple[np.ndarray, np.ndarray]:
    """(factors [N, 4] that are asked for, which of them are of new pairs [N])."""
    every = np.stack([axis.ravel() for axis in np.indices(COUNTS)], axis=1)
    new = np.array([held_out(kind, colour) for kind, colour, *_ in every])
    times = np.where(new, NEW, 1)
    return np.repeat(every, times, axis=0), np.repeat(new, times)


@functools.cache
def trained(seed: int, budget: str) -> tuple[Any, Any, Any]:
    config = default_config("text-to-image")
    model = replace(config.model, **(SMALL if budget == "cpu" else {}))
    options = replace(
        config.options, data=f"figures?size={SIZE}", steps=STEPS[budget], batch_size=BATCH[budget], seed=seed
    )
    config, source = fit_to_data(replace(config, model=model, options=options), set())
    state = fit(config, source)
    return config.model, jax.device_get(sampling_params(state)), jax.device_get(state.extra)


def pictures_of(model: Any, params: Any, extra: Any, key: jax.Array, asked: np.ndarray, **how: Any) -> np.ndarray:
    """Pictures [N, H, W, 3] of factors [N, 4]."""
    table = np.asarray(jax.vmap(words)(jnp.asarray(asked)))
    sample = jit(model.sample, static_argnums=3, static_argnames=("guidance", "candidates"))
    parts = []
    for at in range(0, len(table), DRAWN):
        part = np.resize(table[at : at + DRAWN], (DRAWN, table.shape[1]))  # of one shape, one program
        parts.append(np.asarray(sample(params, extra, jax.random.fold_in(key, at), DRAWN, caption=part, **how)))
    return np.concatenate(parts)[: len(table)]


def example(index: jax.Array) -> dict[str, jax.Array]:
    key = jax.random.fold_in(jax.random.key(7), index)  # none of the source's keys
    factors = choose(key, pairs="all")
    return {"image": draw(key, factors, SIZE), "label": jnp.ravel_multi_index(tuple(factors), COUNTS, mode="clip")}


def worn(index: jax.Array) -> dict[str, jax.Array]:
    """An example, more or less blurred and grainy: the judge should read shapes, not the sharpness of an edge, which
    no picture from codes has."""
    found = example(index)
    blur, grain, noise = jax.random.split(jax.random.fold_in(jax.random.key(8), index), 3)
    share = jax.random.uniform(blur)
    image = (1 - share) * found["image"] + share * softened(softened(found["image"][None]))[0]
    image += 0.15 * jax.random.uniform(grain) * jax.random.normal(noise, image.shape)
    return found | {"image": jnp.clip(image, -1, 1)}


@functools.cache
def reader() -> Classifier:
    """The judge: what tells all combinations apart."""
    count = 2**30
    return train_classifier(jax.vmap(worn), count, classes=int(np.prod(COUNTS)), steps=READING)


@functools.cache
def fresh() -> dict[str, np.ndarray]:
    """Drawings that the judge has not seen."""
    return jax.device_get(jit(jax.vmap(example))(2**30 + jnp.arange(JUDGED)))


@functools.cache
def reading() -> float:
    """How often the judge is right of all four factors of a drawing."""
    return float((reader().predict(fresh()["image"]) == fresh()["label"]).mean())


@functools.cache
def redrawn(seed: int, budget: str) -> float:
    """And of one that stands in the model's codes."""
    model, params, extra = trained(seed, budget)
    pictures = model.pictures
    again = jit(lambda *own, images: pictures.render(*own, pictures.encode(*own, images)))
    parts = np.split(fresh()["image"], JUDGED // AT_ONCE)
    read = reader().predict(np.concatenate([np.asarray(again(params, extra, images=part)) for part in parts]))
    return float((read == fresh()["label"]).mean())


def shown(classifier: Classifier, pictures: np.ndarray) -> np.ndarray:
    """Pictures [N, H, W, 3] -> the factors that they show [N, 4]."""
    return np.stack(np.unravel_index(classifier.predict(pictures), COUNTS), axis=1)


METRICS = {
    "kind": "pictures of the right kind", "colour": "of the right colour", "size": "of the right size",
    "ground": "on the right ground", "all": "right in all four", "new": "right in all four, pairs not trained with",
    "redrawn": "drawings behind the codes read rightly by the judge", "read": "drawings read rightly by the judge",
}  # fmt: skip


def verdict(means: Means) -> str:
    """What guidance and the towers' choice give, and whether words are understood one by one."""
    learnt, guided, best = (means[arm] for arm in ARMS)
    points = lambda more, less: f"{100 * (more['all'] - less['all']):+.1f} points"
    return (
        f"guidance: {points(guided, learnt)}, the towers' choice of eight: {points(best, guided)}; of pairs that were "
        f"never trained with {100 * best['new']:.0f} % are right, of the others {100 * best['all']:.0f} %"
    )


ROWS = MappingProxyType(
    {
        "text-to-image": Row(
            metrics=METRICS, published={arm: {} for arm in ARMS}, measure=runs, verdict=verdict,
            source="the drawings are ours, so that no table has them",
            budgets={"cpu": "a small model, 6,000 steps of 50,000"},
        )
    }
)  # fmt: skip
