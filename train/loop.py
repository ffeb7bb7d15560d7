"""A run: build, restore or begin, step, log, save, sample, finish. What may happen to it is handled here."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from train.checkpoint import Checkpoints, digest, flatten
from train.config import Config
from train.data.loader import Loader
from train.engine import Engine, adopt
from train.folder import RunFolder
from train.log import Events, MetricsFile, Watcher
from train.placement import first_replica, merge_report, place
from train.runs import restore_run, sampling_params
from train.step import State
from zoo.errors import UserError

DISPATCH_SECONDS = 1.0  # as many steps go into one dispatch as take about this long
FAST_STEP = 0.2  # seconds; a slower step is dispatched alone, since nothing is gained


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    step: int
    signal: int | None
    """SIGTERM or SIGINT, when one ended it early."""


def train(config: Config, source: Any, *, quiet: bool = False) -> Result:
    """Trains ``config`` on ``source`` in its run folder, to the last step or until a signal comes.

    Prints ``done: step N, params sha256 HEX`` last. Raises UserError for all that design and user can mend.
    """
    options = config.options
    folder = RunFolder(Path(options.out or "."))
    main = jax.process_index() == 0
    engine = Engine(config, place(options.parallel), source.example)
    going_on = folder.claim(config, resume=options.resume) if main else options.resume
    if main and not going_on:
        folder.write_config(config, data_facts(source))
    elif main:
        saved, facts = folder.load()
        folder.write_config(replace(saved, options=config.options), facts)
    checkpoints = Checkpoints(folder.checkpoints, keep=options.keep)
    watcher = Watcher(config.name, options.steps or 0, start=0, quiet=quiet or not main)
    try:
        step, state = begin(engine, checkpoints, watcher)
        run = Run(engine, folder, checkpoints, watcher, source, step)
        with signals() as stop:
            return run.to_the_end(state, stop)
    finally:
        watcher.close()
        checkpoints.close()


def data_facts(source: Any) -> dict[str, Any]:
    """What a sampler must know of the data: how arrays become media again."""
    from zoo.codecs import to_config

    return {"spec": source.spec, "codec": to_config(source.codec), "fields": dict(source.fields)}


def begin(engine: Engine, checkpoints: Checkpoints, watcher: Watcher) -> tuple[int, State]:
    """The newest whole checkpoint, or a fresh state, or another run's parameters."""
    options = engine.config.options
    found = checkpoints.restore(engine.abstract(), report=watcher.say) if options.resume else None
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


class Run:
    """One process's part in a run that has begun."""

    def __init__(
        self, engine: Engine, folder: RunFolder, checkpoints: Checkpoints, watcher: Watcher, source: Any, step: int
    ):
        options = engine.config.options
        self.engine, self.folder, self.checkpoints, self.watcher = engine, folder, checkpoints, watcher
        self.options, self.source, self.step = options, source, step
        self.main = jax.process_index() == 0
        shard = {"process_index": jax.process_index(), "process_count": jax.process_count()}
        self.loaders = [Loader(source, options.batch_size, seed, **shard) for seed in engine.config.seeds]
        self.tables = engine.placement.put_tables(source.arrays) if engine.example is not None else {}
        self.metrics = MetricsFile(folder.metrics_file, after=step) if self.main else None
        self.events = Events(folder.path / "events", after=step) if self.main else None
        self.frozen: set[int] = set()
        self.pace: float | None = None  # seconds a step, once known

    # -- the loop -------------------------------------------------------------------------------------------------------

    def to_the_end(self, state: State, stop: threading.Event) -> Result:
        """Dispatches run ahead of the host by one: what is logged is always the interval before."""
        steps, pending = self.options.steps or 0, None
        while self.step < steps:
            count = self.next_count()
            began = time.monotonic()
            inputs = self.engine.inputs(self.loaders, self.step, count)
            state, report = self.engine.compiled(state, self.tables, inputs)
            if pending is not None:
                self.digest_report(*pending)
            pending = (self.step, count, report)
            self.step += count
            self.measure_pace(state, count, began)
            stopping = self.agree(stop.is_set())
            if stopping or self.due(self.options.save_every) or self.step == steps:
                self.digest_report(*pending)
                pending = None
                self.save(state)
            if self.due(self.options.sample_every or self.options.save_every) or self.step == steps:
                self.preview(state)
            if stopping:
                return self.stopped(stop)
        return self.finish(state)

    def next_count(self) -> int:
        """Steps of the next dispatch: one, until the pace is known; then a fixed number, or one again where that would
        pass something that is due. Only these two numbers are ever compiled."""
        big = self.options.dispatch or self.chunk()
        return big if self.step % big == 0 and self.step + big <= self.horizon() else 1

    def chunk(self) -> int:
        """A divisor of the logging interval that takes about `DISPATCH_SECONDS`."""
        if self.pace is None or self.pace > FAST_STEP:
            return 1
        most = max(1, int(DISPATCH_SECONDS / self.pace))
        every = self.options.log_every
        return max(divisor for divisor in range(1, every + 1) if every % divisor == 0 and divisor <= most)

    def horizon(self) -> int:
        """The next step at which something other than logging is due."""
        cadences = [self.options.save_every, self.options.sample_every or self.options.save_every]
        return min([self.options.steps or 0, *[(self.step // every + 1) * every for every in cadences]])

    def measure_pace(self, state: State, count: int, began: float) -> None:
        """Times the third dispatch, once: the first compiles, the second fills caches."""
        if self.pace is not None or self.options.dispatch:
            return
        self._timed = getattr(self, "_timed", 0) + 1
        if self._timed >= 2:
            jax.block_until_ready(state.step)
        if self._timed == 3:
            self.pace = self.agree_number((time.monotonic() - began) / count)

    def due(self, every: int) -> bool:
        return self.step % every == 0

    def agree(self, flag: bool) -> bool:
        """Whether any process says so: all must save and stop at the same step."""
        return flag if jax.process_count() == 1 else self.agree_number(float(flag)) > 0

    def agree_number(self, number: float) -> float:
        if jax.process_count() == 1:
            return number
        from jax.experimental import multihost_utils

        return float(np.max(multihost_utils.process_allgather(np.float32(number))))

    # -- what is told ---------------------------------------------------------------------------------------------------

    def digest_report(self, begin: int, count: int, report: Any) -> None:
        """Logs the due steps of a dispatch that has ended, and stops the run where it met a NaN."""
        metrics, failed = merge_report(self.engine.placement, report)
        self.check(begin, np.atleast_2d(failed))
        steps, every = self.options.steps or 0, self.options.log_every
        for index in range(count):
            step = begin + index + 1
            if step % every and step != steps:
                continue
            values = {name: value[..., index] for name, value in metrics.items()}
            if self.metrics is not None:
                self.metrics.write(step, values)
            if self.events is not None:
                self.events.write(step, values)
            self.watcher.show(step, values)
        if count == 1 and begin == 0:
            self.watcher.show(1, {name: value[..., 0] for name, value in metrics.items()})

    def check(self, begin: int, failed: np.ndarray) -> None:
        """failed [members, K]: the phase that met a NaN, or -1."""
        for member in np.flatnonzero(failed.max(1) >= 0):
            if member in self.frozen:
                continue
            self.frozen.add(int(member))
            at = int(np.argmax(failed[member] >= 0))
            phase = self.engine.config.model.phases[failed[member, at]]
            where = f"step {begin + at + 1}, phase {phase.player}"
            if self.engine.members is None:
                last = self.checkpoints.steps()
                kept = f"the checkpoint of step {last[0]} is kept" if last else "there is no checkpoint yet"
                raise UserError(
                    f"NaN or Inf in a loss or gradient at {where}; {kept}. Try a lower --optim.learning-rate or --optim.clip 1"
                )
            self.watcher.say(f"member {member} met a NaN or Inf at {where}: it is frozen, the others go on")
        if len(self.frozen) == (self.engine.members or 1):
            raise UserError("every member of the population met a NaN or Inf; try a lower --optim.learning-rate")

    # -- what is kept ---------------------------------------------------------------------------------------------------

    def save(self, state: State) -> None:
        if self.step not in self.checkpoints.steps():
            self.checkpoints.save(self.step, self.engine.to_saved(state))

    def preview(self, state: State) -> None:
        """A few samples beside the checkpoint. A run never dies of its preview."""
        from train.preview import write_preview

        state = self.sampled(state)
        meta = {"model": self.engine.config.name, "run": str(self.folder.path), "step": self.step, "seed": self.step}
        try:
            write_preview(self.engine.config.model, self.source.codec, state, self.folder.samples, meta, self.main)
        except OSError as error:
            raise UserError(f"cannot write to {self.folder.samples}: {error.strerror}; make room") from error

    def sampled(self, state: State) -> State:
        """The state that samples are drawn from: the first replica, the first member that lives."""
        if self.engine.placement.mode == "pmap":
            return first_replica(state, jax.random.key(self.options.seed))
        if self.engine.members is None:
            return state
        alive = min(set(range(self.engine.members)) - self.frozen)
        return jax.tree.map(lambda leaf: leaf[alive], state)

    def stopped(self, stop: Any) -> Result:
        self.checkpoints.wait()
        self.close()
        number = stop.number or signal.SIGTERM
        if self.main:
            name = signal.Signals(number).name
            print(f"{name}: saved step {self.step} in {self.folder.path}; go on with --resume --out {self.folder.path}")
        return Result(self.step, number)

    def finish(self, state: State) -> Result:
        self.checkpoints.wait()
        self.close()
        self.watcher.close()
        saved = self.engine.to_saved(state)
        if self.engine.members is not None:
            self.report_members()
        line = f"done: step {self.step}, params sha256 {digest(saved.params)}"
        if self.main:
            print(line, flush=True)
        return Result(self.step, None)

    def report_members(self) -> None:
        """Each member's last losses, and their mean and spread."""
        from train.population import summary

        for line in summary(self.engine.config, self.folder.metrics_file, self.frozen):
            print(line)

    def close(self) -> None:
        for log in (self.metrics, self.events):
            if log is not None:
                log.close()


class Stop(threading.Event):
    """Set by a signal; remembers which."""

    number: int | None = None


@contextlib.contextmanager
def signals() -> Iterator[Stop]:
    """SIGTERM and SIGINT end the run after the dispatch at hand; a second one ends it at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: Any) -> None:
        del frame
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.number = number
        stop.set()
        print(f"{signal.Signals(number).name}: saving after this dispatch", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["Result", "flatten", "sampling_params", "train"]
