"""Fresh processes of `benchmarks.worker`, each of which times one side of one row."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.errors import UserError

ROOT = Path(__file__).parents[1]


def surroundings(**more: str) -> dict[str, str]:
    """The environment of a process that imports what this checkout holds, and what this process can."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **more}


class Worker:
    """A process that imports its libraries at once, builds and warms its side when told to, and then times windows."""

    def __init__(self, asked: dict[str, Any], cache: Path | None):
        environment = surroundings()
        if cache is not None:
            environment |= {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (not a pipe: nobody would read it in time)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(asked)], cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            self.errors.seek(0)
            error = self.errors.read().strip().splitlines()
            raise UserError(f"a worker died: {error[-1] if error else 'without a word'}")
        return json.loads(line)

    def tell(self, line: str) -> None:
        try:
            self.process.stdin.write(f"{line}\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            pass  # it died; whoever reads its answer is told why

    def told(self, line: str) -> dict[str, Any]:
        """Its answer to a line. ``warm``: it builds, compiles, warms up, and says how long that took."""
        self.tell(line)
        return self.read()

    def imported(self) -> None:
        """Waits until its libraries are there."""
        self.read()

    def window(self, seconds: float) -> float:
        """Units a second over a window."""
        return self.told(str(seconds))["speed"]

    def end(self) -> dict[str, Any]:
        self.process.stdin.close()  # type: ignore[union-attr]
        return self.read()

    def stop(self) -> None:
        """At once, without a last word; what it had on the device is free."""
        self.process.kill()
        self.process.wait()


@contextmanager
def workers(*asked: tuple[dict[str, Any], Path | None]) -> Iterator[list[Worker]]:
    """A process for each (question, folder of the compilation cache), all of which have their libraries."""
    found: list[Worker] = []
    try:
        for question, cache in asked:
            found.append(Worker(question, cache))
        for one in found:
            one.imported()
        yield found
    finally:
        for one in found:
            one.stop()
            one.process.stdout.close()  # type: ignore[union-attr]
            one.errors.close()


def alone(module: str, *words: str, **environment: str) -> str:
    """What ``python -m MODULE WORDS`` prints in a process of its own. UserError with its last word where it fails."""
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, cwd=ROOT, env=surroundings(**environment), capture_output=True, text=True)
    if done.returncode:
        raise UserError((done.stderr.strip().splitlines() or [f"{module} failed without a word"])[-1])
    return done.stdout
