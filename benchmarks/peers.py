"""The peer of a row: PyTorch's quickest mode, of a model that computes the same."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks import agreed
from benchmarks.process import Worker, alone, workers
from zoo.errors import UserError

Suite = Literal["cpu", "gpu"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """How long each row is measured."""

    pairs: int = 3
    windows: int = 3
    seconds: float = 2.0
    patience: float = 35.0
    """Seconds after which no third pair of processes is begun."""
    warm: int = 10
    """Steps before anything is timed."""
    trial: float = 1.0
    """Seconds in which a mode of PyTorch shows how quick it is, twice."""
    trial_warm: int = 3
    """Steps before that."""
    many: int = 50
    """Steps of the rows with many steps in one dispatch."""


QUICK = Method(pairs=1, windows=3, trial=0.5)


@dataclass
class Session:
    """What is shared by the rows of one run."""

    suite: Suite
    method: Method
    peers: list[str] | None
    folder: Path
    """For files that rows read."""
    ceilings: dict[str, dict[str, float]] = field(default_factory=dict)
    """dtype -> what a large product and a large copy reached in this run."""
    agreed: dict[Any, str | None] = field(default_factory=dict)
    """Model -> None where both sides compute the same, else what differs."""
    tried: dict[str, dict[str, float | str]] = field(default_factory=dict)
    """row -> of `modes_of`."""
    won: dict[Any, list[str]] = field(default_factory=dict)
    """A model that decodes -> its quickest modes at the batch sizes so far."""

    @property
    def at_once(self) -> int:
        """How many processes may compile at a time. None is timed while another does."""
        cores = len(os.sched_getaffinity(0))
        return max(1, cores // 4) if self.suite == "gpu" else min(cores, 4)

    def ceiling(self, dtype: str) -> dict[str, float]:
        if dtype not in self.ceilings:
            environment = {"JAX_PLATFORMS": "cpu"} if self.suite == "cpu" else {}
            self.ceilings[dtype] = json.loads(alone("benchmarks.ceilings", dtype, **environment))
        return self.ceilings[dtype]

    def asked(self, workload: Any, side: str, dispatch: int = 1, *, warm: int | None = None) -> dict[str, Any]:
        """What a worker is asked. On a CPU both sides may use every core that this process may."""
        threads = len(os.sched_getaffinity(0)) if self.suite == "cpu" else None
        return {
            "row": workload.name, "suite": self.suite, "side": side, "dispatch": dispatch, "threads": threads,
            "warm": warm or self.method.warm, "folder": str(self.folder),
        }  # fmt: skip


def quickest(name: str, tried: dict[str, float | str]) -> str:
    working = {mode: speed for mode, speed in tried.items() if isinstance(speed, float)}
    if not working:
        raise UserError(f"{name}: no mode of PyTorch ran: {tried}")
    return max(working, key=lambda mode: working[mode])


def family(workload: Any) -> Any:
    return workload.kind, workload.preset, tuple(sorted(workload.fields.items())), workload.unit


def modes_of(session: Session, workload: Any) -> dict[str, float | str]:
    """{mode of PyTorch: its speed, or why it does not run}.

    The compiled modes are tried in the layout and forms that are quickest in eager mode. A model whose decoding was
    quickest in some modes at a batch of 1 and of 128 is tried in these at those between."""
    if session.peers:
        return trials(session, workload, session.peers)
    from benchmarks.theirs import compilers, layouts

    modes = modes_between(session, workload)
    if modes:
        return trials(session, workload, modes) if len(modes) > 1 else {modes[0]: 0.0}
    tried = with_forms(session, workload, layouts(workload))
    how = quickest(workload.name, tried).removeprefix("eager")
    return tried | trials(session, workload, [kind + how for kind in compilers(session.suite)])


def modes_between(session: Session, workload: Any) -> list[str]:
    """Of a row that decodes: the modes that were quickest at the outer batch sizes; none before these are known."""
    won = session.won.get(family(workload), ())
    return sorted(set(won[:2])) if workload.decodes and len(won) > 1 else []


def every_mode(session: Session, workload: Any) -> list[str]:
    """What is tried at once beside a GPU: eager in every layout; the last of them compiled, also with each form of the
    twin. None where there are too few cores to compile all that at the same time."""
    if session.at_once < 2 or session.suite != "gpu":
        return []
    if modes := session.peers or modes_between(session, workload):
        return modes
    from benchmarks.theirs import compilers, forms, layouts

    eager = layouts(workload)
    how = eager[-1].removeprefix("eager")
    kinds = compilers(session.suite)
    return [*eager, *(kind + how for kind in kinds), *(f"{kinds[0]}{how}+{form}" for form in forms(workload))]


def with_forms(session: Session, workload: Any, modes: list[str]) -> dict[str, float | str]:
    """The modes' trials, that of the quickest with each form of the twin, and with all forms that made it quicker."""
    from benchmarks.theirs import forms

    tried = trials(session, workload, modes)
    if not any(isinstance(speed, float) for speed in tried.values()):
        return tried
    best = quickest(workload.name, tried)
    more = [f"{best}+{form}" for form in forms(workload) if form not in best.split("+")]
    tried |= trials(session, workload, more)
    gains = [mode for mode in more if isinstance(tried[mode], float) and tried[mode] > tried[best]]  # type: ignore[operator]
    if len(gains) > 1:
        tried |= trials(session, workload, [best + "".join(mode.removeprefix(best) for mode in gains)])
    return tried


def agree(session: Session, workload: Any) -> None:
    """UserError unless the two sides compute the same, on the CPU and in a process of its own; once a model, and not
    again before its source changes. (For rows
    of samples, of which only the network is compared, one size of it will do.)"""
    model = workload.model("cpu")
    if workload.kind == "sample":
        model = next((one for one in session.agreed if type(one) is type(model)), model)
    if model not in session.agreed:
        try:
            if not agreed.known(workload.name, session.suite):
                alone("benchmarks.agree", workload.name, session.suite, JAX_PLATFORMS="cpu")
                agreed.remember(workload.name, session.suite)
            session.agreed[model] = None
        except UserError as error:
            session.agreed[model] = str(error)
    if (said := session.agreed[model]) is not None:
        raise UserError(said)


def agree_ahead(session: Session, workloads: list[Any]) -> None:
    """Where there are cores for it, all models are compared at once before the first row."""
    models = {one.model("cpu"): one for one in workloads if hasattr(one, "model") and one.kind == "train"}

    def quietly(workload: Any) -> None:
        with suppress(UserError):  # it is told with the row
            agree(session, workload)

    if session.at_once > 1:
        with ThreadPoolExecutor(session.at_once) as pool:
            list(pool.map(quietly, models.values()))


def trials(session: Session, workload: Any, modes: list[str]) -> dict[str, float | str]:
    """{mode: its speed, or why it does not run}. Several may compile at a time, but one is timed at a time; a mode that
    fails beside others, for want of memory it may be, is tried again alone."""
    found: dict[str, float | str] = {}
    for some in (modes[at : at + session.at_once] for at in range(0, len(modes), session.at_once)):
        beside = trial(session, workload, some)
        failed = [mode for mode in some if isinstance(beside[mode], str)] if len(some) > 1 else []
        found |= beside
        for mode in failed:
            found |= trial(session, workload, [mode])
    return found


def trial(session: Session, workload: Any, modes: list[str]) -> dict[str, float | str]:
    """The same of modes that compile at the same time."""
    found: dict[str, float | str] = {}
    try:
        asked = [session.asked(workload, mode, warm=session.method.trial_warm) for mode in modes]
        with workers(*((one, None) for one in asked)) as these:
            for one in these:
                one.tell("warm")
            warm = {mode: answer(one) for mode, one in zip(modes, these, strict=True)}
            for mode, one in zip(modes, these, strict=True):
                found[mode] = quickness(one, warm[mode], session.method.trial, alone=len(modes) == 1)
    except UserError as error:
        found |= {mode: str(error) for mode in modes if not found.get(mode)}
    return found


def answer(one: Worker) -> dict[str, float] | str:
    """What it says of its last warm turn, or why it is not warm."""
    try:
        return one.read()
    except UserError as error:
        return str(error)


def quickness(one: Worker, warm: dict[str, float] | str, seconds: float, *, alone: bool) -> float | str:
    """The best of two windows; of a side that warmed up alone, and whose turn is as long as they are, that of the
    last."""
    if isinstance(warm, str):
        return warm
    if alone and warm["turn"] >= seconds:
        return warm["speed"]
    return max(one.window(seconds) for _ in range(2))
