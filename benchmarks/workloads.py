"""What is timed: whole training and sampling steps of catalogue models, on random data that lives on the device."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from train.flags import compiler_options
from zoo.catalog import create

Suite = Literal["cpu", "gpu"]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A row of the table."""

    name: str
    preset: str
    kind: Literal["train", "sample"]
    batch: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the model; its ``dtype`` is the suite's."""
    length: int = 1
    """Tokens of an example (training), or tokens decoded (sampling)."""
    unit: str = "images"
    suites: tuple[Suite, ...] = ("cpu", "gpu")
    quick: bool = False
    """Whether ``--quick`` times it."""
    small: tuple[Suite, ...] = ()
    """Suites whose devices are so soon done with a step that many in one dispatch are a row too."""
    pipeline: bool = False
    """Whether both sides read the examples from a file, at every step, instead of having them on the device."""

    @property
    def decodes(self) -> bool:
        """Whether it makes tokens one after the other."""
        return self.kind == "sample" and self.unit == "tokens"

    def dispatches(self, suite: Suite, many: int) -> tuple[int, ...]:
        """Steps a dispatch of its lines."""
        return (1, many) if suite in self.small else (1,)

    @property
    def lacks(self) -> list[str]:
        """Packages that the row needs and that are not here: what reads ahead of training from disk."""
        return missing("grain") if self.pipeline else []

    def model(self, suite: Suite, **fields: Any) -> Any:
        dtype = {"cpu": "float32", "gpu": "bfloat16"}[suite]
        return create(self.preset, **{**self.fields, "dtype": dtype, **fields})

    @property
    def cycle(self) -> int:
        """Steps after which every phase has had its share: what is timed are whole cycles."""
        return math.lcm(*(phase.every for phase in self.model("cpu").phases))

    @property
    def units(self) -> int:
        """Images or tokens of one step."""
        return self.batch * self.length

    def tables(self, model: Any, *, batches: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
        """Random examples [batches * batch, ...]; sequences are whole windows."""
        return random_examples(model, batches * self.batch, seed)

    def pictures(self, folder: Path | None) -> np.ndarray:
        """uint8 [N, H, W, C] of a file in ``folder``, mapped; who asks first writes it."""
        if folder is None:
            raise ValueError(f"{self.name} reads a file: say in which folder it is")
        model, file = self.model("cpu"), folder / f"{self.name}.npy"
        if not file.exists():
            shape = (PICTURES, *model.batch_spec(1)["image"].shape[1:])
            np.save(file, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        return np.load(file, mmap_mode="r")


def fresh(model: Any, seed: int = 0) -> tuple[Any, Any]:
    """(params, extra) of a model, compiled for this one time."""
    once = compiler_options(jax.default_backend(), once=True)
    return jax.jit(model.init, compiler_options=once)(jax.random.key(seed))


def missing(*packages: str) -> list[str]:
    return [package for package in packages if find_spec(package) is None]


def random_examples(model: Any, count: int, seed: int) -> dict[str, np.ndarray]:
    """As ``batch_spec`` describes them, all of full length."""
    rng, found = np.random.default_rng(seed), {}
    for name, spec in model.batch_spec(count).items():
        if name == "tokens":
            found[name] = rng.integers(0, model.vocabulary, spec.shape).astype(np.int32)
        elif name == "caption":
            found[name] = rng.integers(1, model.words, spec.shape).astype(np.int32)
        elif name == "length":
            found[name] = np.full(spec.shape, model.batch_spec(1)["tokens"].shape[1], np.int32)
        else:
            found[name] = rng.uniform(-1, 1, spec.shape).astype(np.float32)
    return found


def example(tables: Mapping[str, jax.Array], index: jax.Array) -> dict[str, jax.Array]:
    """One row of the tables, gathered on the device: as training on a data set that fits into memory does."""
    return {name: jnp.take(table, index, axis=0) for name, table in tables.items()}


PICTURES = 4096  # of a row that reads a file
CHAR = {"vocabulary": 65, "context": 256, "layers": 6, "heads": 6, "width": 384}
MUSIC = {"context": 2048, "heads": 8, "width": 512, "inner": 1024}  # as long as the paper's performances
SMALL = {"vocabulary": 65, "context": 128, "layers": 4, "heads": 4, "width": 128}


def decode(name: str, preset: str, fields: Mapping[str, Any], batch: int, length: int, **more: Any) -> Workload:
    return Workload(
        name=f"{name}-decode-{batch}", preset=preset, kind="sample", batch=batch, fields=fields, length=length,
        unit="tokens", **more,
    )  # fmt: skip


def both(name: str, preset: str, batch: int, fields: Mapping[str, Any], **more: Any) -> tuple[Workload, Workload]:
    """Training, and sampling from the same model."""
    train = Workload(name=name, preset=preset, kind="train", batch=batch, fields=fields, **more)
    return train, replace(train, name=f"{name}-sample", kind="sample")


SUITES: tuple[Suite, ...] = "cpu", "gpu"
ON_GPU: tuple[Suite, ...] = ("gpu",)
GPU: Any = {"suites": ON_GPU}
CPU: Any = {"suites": ("cpu",)}
BATCHES = (1, 128, 8, 32)  # of decoding: the outer ones first, which may tell the best mode for those between
GPT2 = {"vocabulary": 50304}

WORKLOADS = (
    Workload(name="dcgan-32", preset="dcgan", kind="train", batch=64, fields={"image_size": 32}, small=ON_GPU),
    Workload(
        name="dcgan-32-pipeline", preset="dcgan", kind="train", batch=64, fields={"image_size": 32}, pipeline=True
    ),
    Workload(name="dcgan-64", preset="dcgan", kind="train", batch=32, fields={"image_size": 64}, **CPU),
    Workload(
        name="dcgan-64", preset="dcgan", kind="train", batch=128, fields={"image_size": 64}, small=ON_GPU, **GPU
    ),
    *both("wgan-gp-64", "wgan-gp", 8, {"width": 16}, **CPU),
    *both("wgan-gp-64", "wgan-gp", 64, {}, **GPU),
    *both("stylegan2-64", "stylegan2", 4, {"image_size": 64, "base": 1024, "widest": 128}, **CPU),
    *both("stylegan2-64", "stylegan2", 32, {"image_size": 64}, **GPU),
    Workload(name="stylegan2-128", preset="stylegan2", kind="train", batch=32, fields={"image_size": 128}, **GPU),
    Workload(name="stylegan2-256", preset="stylegan2", kind="train", batch=16, fields={"image_size": 256}, **GPU),
    *both("pix2pix-64", "pix2pix", 4, {}, **CPU),
    Workload(name="cyclegan-64", preset="cyclegan", kind="train", batch=1, **CPU),
    Workload(name="pix2pix-256-batch-1", preset="pix2pix-256", kind="train", batch=1, **GPU),
    *both("pix2pix-256-batch-32", "pix2pix-256", 32, {}, **GPU),
    *(
        Workload(name=f"cyclegan-256-batch-{batch}", preset="cyclegan-256", kind="train", batch=batch, **GPU)
        for batch in (1, 8)
    ),
    Workload(
        name="fast-style-64", preset="fast-style", kind="train", batch=4,
        fields={"image_size": 64, "width": 16, "blocks": 3}, **CPU,
    ),
    Workload(name="fast-style-256", preset="fast-style", kind="train", batch=4, **GPU),
    Workload(name="vae", preset="vae", kind="train", batch=100, quick=True, small=SUITES),
    Workload(name="vqvae", preset="vqvae", kind="train", batch=64, small=ON_GPU),
    Workload(
        name="vae-conv-64", preset="vae-conv", kind="train", batch=64, fields={"image_size": 64, "flow": 0},
        small=ON_GPU,
    ),
    Workload(
        name="lstm-2x512", preset="lstm", kind="train", batch=64, length=100, unit="tokens", small=ON_GPU,
        fields={"vocabulary": 65, "context": 100, "width": 512, "layers": 2},
    ),
    Workload(
        name="lstm-small", preset="lstm", kind="train", batch=32, length=64, unit="tokens", quick=True, small=SUITES,
        fields={"vocabulary": 65, "context": 64, "width": 128, "layers": 1},
    ),
    Workload(name="gpt-char", preset="gpt", kind="train", batch=8, length=256, unit="tokens", fields=CHAR, **CPU),
    Workload(
        name="gpt-char", preset="gpt", kind="train", batch=64, length=256, unit="tokens", fields=CHAR, small=ON_GPU,
        **GPU,
    ),
    Workload(
        name="gpt-small", preset="gpt", kind="train", batch=12, length=64, unit="tokens", small=SUITES,
        fields={**SMALL, "context": 64},
    ),
    Workload(
        name="music-transformer", preset="music-transformer", kind="train", batch=4, length=512, unit="tokens", **CPU
    ),
    Workload(
        name="music-transformer", preset="music-transformer", kind="train", batch=16, length=2048, unit="tokens",
        fields=MUSIC, **GPU,
    ),
    Workload(name="gpt2", preset="gpt2", kind="train", batch=32, length=1024, unit="tokens", fields=GPT2, **GPU),
    Workload(
        name="text-to-image", preset="text-to-image", kind="train", batch=16, fields={"width": 64, "layers": 2}, **CPU
    ),
    Workload(name="text-to-image", preset="text-to-image", kind="train", batch=64, small=ON_GPU, **GPU),
    Workload(name="dcgan-64-sample", preset="dcgan", kind="sample", batch=64, fields={"image_size": 64}),
    Workload(name="vae-sample", preset="vae", kind="sample", batch=100),
    *(decode("gpt-small", "gpt", SMALL, batch, 100) for batch in BATCHES),
    *(decode("lstm-2x512", "lstm", {"vocabulary": 65, "width": 512, "layers": 2}, batch, 100) for batch in BATCHES),
    *(decode("music-transformer", "music-transformer", {}, batch, 64, **CPU) for batch in BATCHES[:2]),
    *(decode("music-transformer", "music-transformer", MUSIC, batch, 512, **GPU) for batch in BATCHES[:2]),
    *(decode("gpt2", "gpt2", GPT2, batch, 512, **GPU) for batch in BATCHES),
)  # fmt: skip


def find(name: str, suite: Suite) -> Workload:
    return next(one for one in WORKLOADS if one.name == name and suite in one.suites)
