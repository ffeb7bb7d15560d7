"""A run: build, restore or begin, step, log, save, sample, finish. What may happen to it is handled here."""

import contextlib
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from train.checkpoint import Checkpoints, digest, first_line
from train.config import Config
from train.engine import Engine, adopt, engine_for
from train.events import Events
from train.feed import loaders
from train.folder import RunFolder
from train.health import ADVICE, Health
from train.log import MetricsFile
from train.pace import Pace
from train.placement import first_replica, read_report
from train.population import summary
from train.processes import Vote, largest, not_alone, together
from train.runs import restore_run
from train.signals import Stop, signals
from train.step import State
from train.watch import Watcher
from zoo.errors import UserError


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    step: int
    signal: int | None
    """SIGTERM or SIGINT, when one ended it early."""


def train(config: Config, source: Any, *, quiet: bool = False) -> Result:
    """Trains ``config`` on ``source`` in its run folder, to the last step or until a signal comes.

    Prints ``done: step N, params sha256 HEX`` last. Raises UserError for all that disk and user can mend.
    """
    options = config.options
    folder = RunFolder(Path(options.out or "."))
    main = jax.process_index() == 0
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(signals())
        engine = engine_for(config, source)
        with together():
            if main:
                claim(stack, folder, config, source)
        closing = lambda thing: stack.enter_context(contextlib.closing(thing))
        watcher = closing(Watcher(config.name, options.steps or 0, quiet=quiet or not main))
        checkpoints = stack.enter_context(Checkpoints(folder.checkpoints, keep=options.keep))
        stack.enter_context(not_alone())
        step, state = begin(engine, checkpoints, watcher)
        run = closing(Run(engine, folder, checkpoints, watcher, source, step, state))
        return run.to_the_end(state, stop)


def claim(stack: contextlib.ExitStack, folder: RunFolder, config: Config, source: Any) -> None:
    """Takes the run folder for as long as ``stack`` lasts, and writes down what the run is."""
    going_on = stack.enter_context(folder.claimed(config, resume=config.options.resume))
    facts = data_facts(source)
    if going_on:
        saved, before = folder.load()
        for name in ("codec", "size"):
            if before.get(name) != facts[name]:
                raise UserError(
                    f"{source.spec} is not the data that {folder.path} was trained on: its {name} is another; "
                    "train on it in another --out with --init-from"
                )
        config, facts = replace(saved, options=config.options), before
    folder.write_config(config, facts)


def data_facts(source: Any) -> dict[str, Any]:
    """What a sampler must know of the data, how arrays become media again; and what tells it from other data."""
    from zoo.codecs import to_config

    codec = to_config(source.codec)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in codec.items()}
    facts = {"spec": source.spec, "codec": plain, "fields": dict(source.fields), "size": source.size}
    if source.labels:
        facts["labels"] = list(source.labels)
    if source.captions:
        facts["captions"] = {"words": list(source.captions.words), "longest": source.captions.longest}
    return facts


def begin(engine: Engine, checkpoints: Checkpoints, watcher: Watcher) -> tuple[int, State]:
    """The newest whole checkpoint, or a fresh state, or another run's parameters."""
    options = engine.config.options
    if options.resume:
        found = checkpoints.restore(engine.abstract(), report=watcher.say, mend=True)
        if found is not None:
            step, state = found
            if options.steps is not None and step > options.steps:
                raise UserError(f"{options.out} is at step {step} already; --steps {options.steps} lies behind it")
            return step, engine.from_saved(state)
    if options.init_from is None:
        return 0, engine.init()
    if engine.members is not None or options.parallel == "pmap":
        raise UserError("--init-from starts a single run with --parallel jit or fsdp")
    other = restore_run(options.init_from, report=watcher.say)
    return 0, adopt(engine.init(), other.raw, other.extra, origin=Path(options.init_from))


@jax.jit
def one_member(state: State, number: jax.Array) -> State:
    """The state of one member of a population; one program, where indexing would compile one for every shape."""
    return jax.tree.map(lambda leaf: leaf[number], state)


class Run:
    """One process's part in a run that has begun."""

    def __init__(
        self,
        engine: Engine,
        folder: RunFolder,
        checkpoints: Checkpoints,
        watcher: Watcher,
        source: Any,
        step: int,
        state: State,
    ):
        self.engine, self.folder, self.checkpoints, self.watcher = engine, folder, checkpoints, watcher
        self.options, self.source, self.step = engine.config.options, source, step
        self.main = jax.process_index() == 0
        self.loaders = loaders(engine.config, source, step)
        self.tables = engine.placement.put_tables(source.arrays) if engine.example is not None else {}
        self.logs = self.open_logs() if self.main else []
        self.health = Health(engine.config.model, engine.members, state.failed.addressable_data(0))
        self.pace = Pace(self.options, agree=largest)
        self.vote = Vote(engine.placement.mesh)
        self.pending: tuple[int, int, Any] | None = None
        """(first step, steps, report) of the dispatch that is under way."""
        self.sizes: set[int] = set()
        """Steps of the dispatches so far: one of a new size is compiled first."""
        watcher.at(step)

    # -- the loop ------------------------------------------------------------------------------------------------------

    def to_the_end(self, state: State, stop: Stop) -> Result:
        """Dispatches run ahead of the host by one: what is logged is always the interval before."""
        steps, sample_every = self.options.steps or 0, self.options.sample_every or self.options.save_every
        if steps == self.step == 0:  # what was given to begin with is the run
            self.save(state)
        while self.step < steps:
            if self.vote(stop.is_set()):
                return self.stopped(state, stop)
            state = self.advance(state)
            last = self.step == steps
            if last or self.due(self.options.save_every):
                self.save(state)
            if last or self.due(sample_every):
                self.preview(state)
        return self.finish(state)

    def advance(self, state: State) -> State:
        """Sends one dispatch off, and meanwhile reads what the one before it reports."""
        count, began = self.pace.count(self.step), time.monotonic()
        if count not in self.sizes:  # it is compiled first, and nobody should wait so long for the numbers before it
            self.settle()
        inputs = self.engine.inputs(self.loaders, self.step, count)
        state, report = self.engine.compiled(state, self.tables, inputs)
        self.settle()
        self.pending = (self.step, count, report)
        self.step += count
        self.pace.measure(report, began)
        return state

    def due(self, every: int) -> bool:
        return self.step % every == 0

    # -- what is told --------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Waits for the dispatch under way; logs its due steps, and stops the run where it met a NaN."""
        if self.pending is None:
            return
        (begin, count, report), self.pending = self.pending, None
        self.checkpoints.check()
        metrics, failed = read_report(self.engine.placement, report)
        self.check(begin, failed)
        if count not in self.sizes:
            self.sizes.add(count)
            self.watcher.measure_from(begin + count)
        for index in range(count):
            step = begin + index + 1
            if step % self.options.log_every == 0 or step == self.options.steps:
                lives = failed[..., index] < 0
                values = {name: np.where(lives, value[..., index], np.nan) for name, value in metrics.items()}
                for log in self.logs:
                    log.write(step, values)
                self.watcher.show(step, values)
        if begin == 0 and count == 1:
            self.watcher.show(1, {name: value[..., 0] for name, value in metrics.items()})

    def check(self, begin: int, failed: np.ndarray) -> None:
        try:
            for line in self.health.check(begin, failed):
                self.watcher.say(line)
        except UserError as error:
            self.checkpoints.wait()
            steps = self.checkpoints.steps()
            kept = f"the checkpoint of step {steps[0]} is kept" if steps else "there is no checkpoint yet"
            raise UserError(f"{error}; {kept}; {ADVICE}") from None

    # -- what is kept --------------------------------------------------------------------------------------------------

    def save(self, state: State) -> None:
        """Only what is known to be good, and after what was logged on the way there."""
        self.settle()
        self.checkpoints.save(self.step, self.engine.to_saved(state))

    def preview(self, state: State) -> None:
        """A few samples. A run never ends because they cannot be written."""
        from train.preview import preview

        self.settle()
        model, codec = self.engine.config.model, self.source.codec
        arrays = preview(model, codec, self.sampled(state), self.step)
        if not self.main:
            return
        from zoo.codecs.media import write_samples

        meta = {"model": self.engine.config.name, "run": str(self.folder.path), "step": self.step, "seed": self.step}
        try:
            write_samples(codec, arrays, self.folder.samples / f"step_{self.step:07d}", meta=meta)
        except Exception as error:
            self.watcher.say(f"no preview of step {self.step}: {first_line(error)}")

    def sampled(self, state: State) -> State:
        """The state that samples are drawn from: the first replica, the first member that lives."""
        if self.engine.placement.mode == "pmap":
            return first_replica(state, jax.random.key(self.options.seed))
        if self.engine.members is None:
            return state
        return one_member(state, self.health.first_alive)

    # -- the end -------------------------------------------------------------------------------------------------------

    def stopped(self, state: State, stop: Stop) -> Result:
        self.save(state)
        self.checkpoints.wait()
        number = stop.number or signal.SIGTERM
        name = signal.Signals(number).name
        again = f"zoo-train {self.engine.config.name} --resume --out {self.folder.path}"
        self.last_words(f"{name}: saved step {self.step}; go on with {again}")
        return Result(self.step, number)

    def finish(self, state: State) -> Result:
        self.checkpoints.wait()
        hexes = digest(self.engine.to_saved(state).params)
        members = summary(self.engine.config, self.folder.metrics_file, self.health.frozen) if self.main else ()
        self.last_words(*members, f"done: step {self.step}, params sha256 {hexes}")
        return Result(self.step, None)

    def last_words(self, *lines: str) -> None:
        self.watcher.close()
        if self.main:
            print(*lines, sep="\n", flush=True)

    def open_logs(self) -> list[Any]:
        folder, after = self.folder, self.step
        return [MetricsFile(folder.metrics_file, after=after), Events(folder.path / "events", after=after)]

    def close(self) -> None:
        for log in self.logs:
            log.close()
