"""GANs on MNIST's digits, judged by a classifier that has learnt them.

`stacked-mnist`: three random digits as the three channels of a picture, 1,000 modes; the protocol of Lin et al. 2018
(PacGAN, arXiv:1712.04086, section 4.2): 128,000 triples, DCGAN by Adam at 2e-4 with b1 0.5, 64 packs a step, 26,000
samples whose channels are classified one by one.

`mnist-gans`: one architecture under seven losses, as Lucic et al. 2018 compared them (arXiv:1711.10337, table 5), each
with the critic's norm and the steps of the critic that its paper asks for. Frechet distance of 10,000 samples (cpu:
2,000) in the classifier's standardised features, divided by that of as many test digits: 1 is as good as data.
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
from train.data.pixels import to_unit
from train.data.source import Source, open_source
from train.metrics.classifier import Classifier, train_classifier
from train.metrics.frechet import frechet_distance
from train.metrics.modes import coverage
from train.metrics.neighbours import neighbourhoods
from train.optim import Optim, PlayerOptim
from train.runs import sampling_params
from zoo.catalog import create

SIZE, LATENT = 32, 100
TRIPLES, STACKED = 128_000, 26_000
DRAWN = 1000  # samples at once
READER_STEPS = 1_500


@functools.cache
def digits(data: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 32, 32, 1] and their labels."""
    arrays = open_source(f"idx:{data / 'mnist'}?size={SIZE}", split).arrays
    return arrays["image"], arrays["label"]


@functools.cache
def reader(data: Path) -> Classifier:
    """What tells one digit from another."""
    images, labels = (jnp.asarray(x) for x in digits(data, "train"))
    examples = lambda index: {"image": to_unit(images[index]), "label": labels[index]}
    return train_classifier(examples, len(images), classes=10, steps=READER_STEPS)


def drawn(model: Any, state: Any, count: int, seed: int) -> np.ndarray:
    """Samples [count, H, W, C] of the averaged generator."""
    draw = jax.jit(functools.partial(model.sample, n=DRAWN))
    params = sampling_params(state)
    keys = jax.random.split(jax.random.key(seed), -(-count // DRAWN))
    return np.concatenate([jax.device_get(draw(params, state.extra, key)) for key in keys])[:count]


# -- a thousand modes --------------------------------------------------------------------------------------------------

PACKS = {"DCGAN": 1, "PacDCGAN-2": 2}
STACK = {"cpu": {"steps": 4_000, "width": 16}, "full": {"steps": 100_000, "width": 64}}


def stacked(data: Path) -> Source:
    """Triples of digits; which ones, their number says."""
    images, _ = digits(data, "train")

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        three = jax.random.randint(jax.random.fold_in(jax.random.key(0), index), (3,), 0, len(images))
        return {"image": jnp.moveaxis(to_unit(arrays["image"][three])[..., 0], 0, -1)}

    plain = open_source(f"idx:{data / 'mnist'}?size={SIZE}")
    return replace(plain, size=TRIPLES, arrays={"image": images}, example=example, labels=())


def modes(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    source, tell, told = stacked(data), reader(data), STACK[budget]
    model = create("dcgan", image_size=SIZE, channels=3, latent_size=LATENT, width=told["width"], pack=PACKS[arm])
    for seed in seeds:
        config = default_config("dcgan")
        options = replace(config.options, data="stacked", steps=told["steps"], batch_size=64 * PACKS[arm], seed=seed)
        state = fit(replace(config, model=model, options=options), source, chunk=50)
        pictures = drawn(model, state, STACKED, seed)
        each = [tell.predict(pictures[..., channel : channel + 1]) for channel in range(3)]
        found = coverage(each[0] * 100 + each[1] * 10 + each[2], 1000)
        yield {"modes": found["modes"], "reverse_kl": found["reverse_kl"]}


def packing(means: Means) -> str:
    alone, packed = means["DCGAN"], means["PacDCGAN-2"]
    more, evener = packed["modes"] > alone["modes"], packed["reverse_kl"] < alone["reverse_kl"]
    said = {True: "as published", False: "other than published"}
    return (
        f"in packs it finds {'more' if more else 'no more'} modes, {said[more]}, and shares them out "
        f"{'more evenly' if evener else 'no more evenly'}, {said[evener]}"
    )


# -- one architecture, seven losses ------------------------------------------------------------------------------------

GAMES = {
    "cpu": {"steps": 2_000, "width": 16, "samples": 2_000},
    "full": {"steps": 50_000, "width": 64, "samples": 10_000},
}
ADAM = Optim(rule="adam", learning_rate=2e-4, b1=0.5, b2=0.999)
LOSSES: Mapping[str, tuple[Mapping[str, Any], Optim, Mapping[str, PlayerOptim]]] = MappingProxyType(
    {
        "minimax": ({"loss": "minimax"}, ADAM, {}),
        "non-saturating": ({}, ADAM, {}),
        "least squares": ({"loss": "least-squares"}, ADAM, {}),
        "WGAN": (
            {"loss": "wasserstein", "critic_steps": 5}, Optim(rule="rmsprop", learning_rate=5e-5),
            {"critic": PlayerOptim(weight_bound=0.01)},
        ),
        "WGAN-GP": (
            {"loss": "wasserstein", "critic_steps": 5, "gradient_penalty": 10.0, "critic_norm": "layer"},
            Optim(rule="adam", learning_rate=2e-4, b1=0.0, b2=0.9), {},
        ),
        "hinge": ({"loss": "hinge", "critic_norm": "spectral"}, ADAM, {}),
        "R3": ({"loss": "relativistic", "r1": 1.0, "r2": 1.0, "critic_norm": "none"}, ADAM, {}),
    }
)  # fmt: skip
FID = {"minimax": 9.8, "non-saturating": 6.8, "least squares": 7.8, "WGAN": 6.7, "WGAN-GP": 20.3}


def distances(data: Path, seeds: Sequence[int], budget: str, arm: str) -> Iterable[Run]:
    tell, told = reader(data), GAMES[budget]
    fields, optim, players = LOSSES[arm]
    model: Any = create("dcgan", image_size=SIZE, channels=1, latent_size=LATENT, width=told["width"], **fields)
    source, count = open_source(f"idx:{data / 'mnist'}?size={SIZE}"), told["samples"]
    real, held_out = (tell.features(to_unit(digits(data, split)[0][:count])) for split in ("train", "test"))
    mean, std = real.mean(0), np.maximum(real.std(0), 1e-6)
    apart = lambda features: frechet_distance((real - mean) / std, (features - mean) / std)
    for seed in seeds:
        config = default_config("dcgan")
        steps = told["steps"] * model.critic_steps  # as many of the generator
        options = replace(config.options, steps=steps, batch_size=64, seed=seed)
        state = fit(replace(config, model=model, optim=optim, players=players, options=options), source, chunk=50)
        fakes = tell.features(drawn(model, state, count, seed))
        near = neighbourhoods((real - mean) / std, (fakes - mean) / std)
        yield {
            "ratio": apart(fakes) / apart(held_out), "frechet": apart(fakes), "floor": apart(held_out),
            "precision": near["precision"], "recall": near["recall"],
        }  # fmt: skip


def order(means: Means) -> str:
    """Whether the arms that were published come in the published order."""
    ours = sorted(means, key=lambda arm: means[arm]["ratio"])
    named, published = [arm for arm in ours if arm in FID], sorted(FID, key=lambda arm: FID[arm])
    held = "the published order holds" if named == published else f"published: {', '.join(published)}"
    return f"from the nearest to the data: {', '.join(ours)}; {held}"


ROWS = MappingProxyType(
    {
        "stacked-mnist": Row(
            metrics={"modes": "modes of 1,000", "reverse_kl": "reverse KL, nats"},
            published={
                "DCGAN": {"modes": 78.9, "reverse_kl": 4.50}, "PacDCGAN-2": {"modes": 1000.0, "reverse_kl": 0.06}
            },
            source="PacGAN (Lin et al. 2018, table 3), means of ten trainings", measure=modes, verdict=packing,
            budgets={"cpu": "4,000 steps of 100,000 and a quarter of the channels: it tests the order of the arms"},
        ),
        "mnist-gans": Row(
            metrics={"ratio": "Frechet distance, in times of that of test digits", "frechet": "the distance itself"},
            published={arm: {"frechet": FID[arm]} if arm in FID else {} for arm in LOSSES},
            source="Lucic et al. 2018, the best of a wide search, in Inception's features: compare the order only",
            measure=distances, verdict=order,
            budgets={"cpu": "2,000 of the generator's steps of 50,000, a quarter of the channels, 2,000 samples"},
        ),
    }
)  # fmt: skip
