"""Commands that tests start: in a process of their own where it must die, in this one where it need not."""

import contextlib
import dataclasses
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
MODELS = ("dcgan", "vae-conv", "gpt", "lstm")
TINY = {
    "dcgan": "--model.image-size 16 --model.width 4 --model.latent-size 8",
    "vae": "--model.width 16 --model.latent-size 4",
    "vae-conv": "--model.image-size 16 --model.width 4 --model.latent-size 4",
    "gpt": "--model.layers 1 --model.heads 2 --model.width 16 --model.context 16",
    "lstm": "--model.layers 1 --model.width 16 --model.context 16",
}
SHORT = "--batch-size 8 --save-every 8 --log-every 4"


@functools.cache
def data_folder() -> Path:
    """A folder with data for all tests; its name is the same in every process that they start."""
    folder = Path(tempfile.mkdtemp(prefix="artzoo-test-data-"))
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), size)) for size in rng.integers(2, 7, 40)]
    (folder / "text.txt").write_text(" ".join(rng.choice(words, 1500)))
    pictures = rng.integers(0, 256, (64, 16, 16, 3), np.uint8)
    np.savez(folder / "pictures.npz", image=pictures)
    return folder


def data_of(name: str) -> str:
    kind, file = ("text", "text.txt") if name in ("gpt", "lstm") else ("npz", "pictures.npz")
    return f"{kind}:{data_folder() / file}"


def words(name: str, out: Path | str, *more: object, steps: int = 24) -> list[str]:
    """The command line of a tiny run of ``name``."""
    start = [name, "--data", data_of(name), "--out", str(out), "--steps", str(steps)]
    return [*start, *TINY[name].split(), *SHORT.split(), *map(str, more)]


@dataclasses.dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.out.strip().splitlines()[-1] if self.out.strip() else ""

    @property
    def sha(self) -> str:
        assert self.code == 0, self.err
        assert self.last.startswith("done: step "), self
        return self.last.rsplit(" ", 1)[1]

    @property
    def complaints(self) -> list[str]:
        """Lines on stderr that are no progress."""
        progress = lambda line: "/loss " in line or line.startswith("no preview of step")
        return [line for line in self.err.splitlines() if not progress(line)]


@contextlib.contextmanager
def untrained() -> Iterator[None]:
    """Inside, a step makes all parameters larger, and nothing is compiled for it: for tests of what is done with a
    run, whatever it has learnt."""
    import jax
    import jax.numpy as jnp
    import pytest

    from train.engine import Engine

    def compiled(engine: Engine) -> Callable[..., object]:
        losses = [f"{phase.player}/loss" for phase in engine.config.model.phases]

        def count(state, tables, inputs):
            steps = jax.tree.leaves(inputs)[0].shape[0]
            report = {name: jnp.zeros(steps) for name in losses}, jnp.full(steps, -1, jnp.int32)
            params = jax.tree.map(lambda leaf: leaf * 1.5**steps, state.params)
            return dataclasses.replace(state, step=state.step + steps, params=params), report

        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "compiled", property(compiled))
        yield


def start(
    command: Sequence[str],
    *,
    module: str = "train",
    devices: int = 1,
    before: Sequence[str] = (),
    code: str | None = None,
    optimised: bool = False,
) -> subprocess.Popen:
    """Starts ``python -m MODULE COMMAND`` (or ``python -c CODE``) on so many fake devices; ``before``: what runs it.
    ``optimised``: compiled as users have it, which takes three times as long; otherwise as tests do."""
    count = "--xla_force_host_platform_device_count="
    flags = re.sub(rf"{count}\d+", f"{count}{devices}", os.environ["XLA_FLAGS"])
    flags = f"{count}{devices}" if optimised else flags
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    python = [sys.executable, "-m", module] if code is None else [sys.executable, "-c", code]
    return subprocess.Popen(
        [*before, *python, *map(str, command)], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen, timeout: float = 300) -> Ended:
    """Waits for the end."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout} s\n{out}\n{err}") from None
    return Ended(process.returncode, out, err)


def run(command: Sequence[str], **how: object) -> Ended:
    return ended(start(command, **how))  # type: ignore[arg-type]


def here(command: Sequence[str], capsys: object) -> Ended:
    """Runs ``zoo-train COMMAND`` in this process, with the eight devices that it has."""
    from train.__main__ import main

    capsys.readouterr()  # type: ignore[attr-defined]
    code = main([str(word) for word in command])
    out, err = capsys.readouterr()  # type: ignore[attr-defined]
    return Ended(code, out, err)


def stopped_here(
    command: Sequence[str], capsys: object, out: Path, *, lines: int, number: int = signal.SIGTERM
) -> Ended:
    """`here`, with a signal as soon as ``out`` has so many lines of metrics."""
    over = threading.Event()

    def watch() -> None:
        while lines_of(out) < lines:
            if over.wait(0.001):
                return
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        result = here(command, capsys)
    finally:
        over.set()
        thread.join()
    assert result.last.startswith(signal.Signals(number).name), result
    return result


def signal_when(process: subprocess.Popen, ready: Callable[[], bool], number: int, *, after: float = 0.0) -> bool:
    """Sends a signal ``after`` seconds after ``ready()``; False where the process ended before."""
    while not ready():
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    time.sleep(after)
    if process.poll() is not None:
        return False
    process.send_signal(number)
    return True


def kill_when(process: subprocess.Popen, ready: Callable[[], bool], *, after: float = 0.0) -> bool:
    return signal_when(process, ready, signal.SIGKILL, after=after)


def lines_of(out: Path) -> int:
    """Lines of metrics so far."""
    file = out / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def metrics(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def one_line(result: Ended, *said: str, code: int = 2) -> None:
    """What every error of a user must look like."""
    assert result.code == code, (result.code, result.out, result.err)
    assert len(result.complaints) == 1, result.err
    assert "Traceback" not in result.err and "Traceback" not in result.out
    for word in said:
        assert word in result.complaints[0], result.complaints[0]


@functools.cache
def uninterrupted(name: str, steps: int = 24) -> tuple[Ended, Path]:
    """The tiny run of ``name`` from its first step to its last, once for all tests."""
    out = data_folder() / f"uninterrupted-{name}-{steps}"
    return run(words(name, out, steps=steps), optimised=True), out


def copied(folder: Path, to: Path) -> Path:
    return shutil.copytree(folder, to)
