"""Our side of a row: the real engine, as `zoo-train` runs it, or the model's own sampler under ``jit``."""

import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from benchmarks.workloads import Suite, Workload, example, fresh
from train.config import default_config
from train.data.source import Source
from train.engine import Engine
from train.feed import loaders
from train.flags import compiler_options
from train.optim import Optim
from train.placement import place
from zoo.decoding import generate
from zoo.model import SequenceModel


class Training:
    """``turn()`` is whole cycles of the model's phases, in dispatches of ``dispatch`` steps; nothing waits but
    ``wait()``."""

    def __init__(self, workload: Workload, suite: Suite, dispatch: int, seed: int = 0, *, folder: Path | None = None):
        config = default_config(workload.preset)
        self.steps = math.lcm(workload.cycle, dispatch)
        self.units = workload.units * self.steps
        config = dataclasses.replace(
            config, model=workload.model(suite), optim=plain(config.optim), ema={},
            options=dataclasses.replace(config.options, batch_size=workload.batch, steps=1_000_000, seed=seed),
        )  # fmt: skip
        source = source_of(workload, config.model, folder)
        self.engine = Engine(config, place("jit", jax.devices()[:1]), source.example)
        self.loaders = loaders(config, source, 0)
        self.tables = self.engine.placement.put_tables(source.arrays)
        self.state, self.at, self.dispatch = self.engine.init(), 0, dispatch

    def turn(self) -> None:
        for _ in range(self.steps // self.dispatch):
            self.step()

    def step(self) -> None:
        """One dispatch."""
        inputs = self.engine.inputs(self.loaders, self.at, self.dispatch)
        self.state, self.report = self.engine.compiled(self.state, self.tables, inputs)
        self.at += self.dispatch

    def wait(self) -> None:
        jax.block_until_ready((self.state.step, self.report))

    def compiles(self) -> int:
        return self.engine.compiled._cache_size()


class Sampling:
    """``turn()`` draws one batch."""

    def __init__(self, workload: Workload, suite: Suite, dispatch: int = 1, *, folder: Path | None = None):
        model = workload.model(suite)
        self.units, self.steps, self.at = workload.units, workload.length, 0
        self.params, self.extra = fresh(model)
        options = compiler_options(jax.default_backend())
        self.draw: Any = jax.jit(sampler(workload, model), compiler_options=options)

    def turn(self) -> None:
        self.out = self.draw(self.params, self.extra, jax.random.key(self.at))
        self.at += 1

    def wait(self) -> None:
        jax.block_until_ready(self.out)

    def compiles(self) -> int:
        return self.draw._cache_size()


def sampler(workload: Workload, model: Any) -> Callable[..., jax.Array]:
    """(params, extra, key) -> one batch."""
    if not isinstance(model, SequenceModel):
        return lambda params, extra, key: model.sample(params, extra, key, workload.batch)
    lengths = jax.numpy.ones(workload.batch, jax.numpy.int32)
    draw = functools.partial(
        generate, model, prompt=model.start(workload.batch), lengths=lengths, length=workload.length
    )
    return lambda params, extra, key: draw(params, extra, key)


def source_of(workload: Workload, model: Any, folder: Path | None) -> Source:
    """Tables that live on the device; or the pictures of the row's file, read as `zoo-train` reads a folder of them
    that does not fit into memory."""
    if not workload.pipeline:
        tables = workload.tables(model)
        return Source("random", None, len(next(iter(tables.values()))), {}, tables, example)
    from train.data.pictures import disk_source
    from train.data.spec import parse

    pictures = workload.pictures(folder)
    size, channels = pictures.shape[2:]
    spec = parse(f"images:{folder}?from=disk")
    return disk_source(spec, lambda index: (pictures[index], None), len(pictures), size=size, channels=channels)


def plain(optim: Optim) -> Optim:
    """The recipe's rule at a constant rate: what the twin's optimizer does too."""
    return dataclasses.replace(optim, schedule="constant", warmup=0)


def prepare(workload: Workload, suite: Suite, dispatch: int, *, folder: Path | None = None) -> Any:
    return {"train": Training, "sample": Sampling}[workload.kind](workload, suite, dispatch, folder=folder)
