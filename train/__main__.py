"""``python -m train NAME`` and ``zoo-train NAME``: trains a model of the zoo."""

import os
import sys
import time

from train.pages import restart_with_large_pages
from zoo.errors import UserError


def command() -> int:
    """What ``zoo-train`` and ``python -m train`` run: `main` in a process with large pages."""
    restart_with_large_pages()
    return main()


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        return run(argv)
    except UserError as error:
        return failed(error)
    except ValueError as error:
        from zoo.codecs import CodecError

        if not isinstance(error, CodecError):
            raise
        return failed(error)
    except KeyboardInterrupt:
        print("zoo-train: interrupted before the first step", file=sys.stderr)
        return 130


def failed(error: Exception) -> int:
    """Says why in one line. One of several processes ends here at once: jax would have it wait for the others, which
    wait for it."""
    print(f"zoo-train: {error}", file=sys.stderr, flush=True)
    if "jax" in sys.modules and sys.modules["jax"].process_count() > 1:
        sys.stdout.flush()
        os._exit(2)
    return 2


def run(argv: list[str]) -> int:
    from train.cli import help_text, parse

    if not argv or argv[0] in ("-h", "--help"):
        print(help_text())
        return 0 if argv else 2
    if argv[0].startswith("-"):
        raise UserError("the model's name comes first: zoo-train NAME [options]; zoo-train --help lists the names")
    config, given = parse(argv)
    return start(config, given)


def start(config, given: set[str]) -> int:
    """Sets jax up, opens the data, fits the model to it, and trains."""
    import signal
    from dataclasses import replace

    connect(config.options)
    compilation_cache()
    if config.members is not None and config.options.parallel == "jit":
        share_cores(config.members)
    from train.fit import fit_to_data
    from train.loop import train

    options = config.options
    if options.out is None:
        options = replace(options, out=f"runs/{config.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    config, source = fit_to_data(replace(config, options=options), given)
    result = train(config, source)
    return 0 if result.signal in (None, signal.SIGTERM) else 128 + result.signal


def connect(options) -> None:
    """Joins the other processes of a run, when there are any."""
    if options.coordinator is None:
        if options.processes or options.process is not None:
            raise UserError("--processes and --process need --coordinator HOST:PORT of process 0")
        return
    import jax

    if options.coordinator == "auto":
        jax.distributed.initialize()
        return
    if options.processes is None or options.process is None:
        raise UserError("--coordinator HOST:PORT needs --processes N and --process I (or say --coordinator auto)")
    host, _, port = options.coordinator.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--coordinator {options.coordinator}: write HOST:PORT of process 0, or auto")
    if options.process >= options.processes:
        raise UserError(
            f"--process {options.process}: of {options.processes} processes the last is {options.processes - 1}"
        )
    try:
        jax.distributed.initialize(options.coordinator, options.processes, options.process)
    except RuntimeError as error:
        why = (str(error).splitlines() or ["no answer"])[0]
        raise UserError(f"cannot join the other processes at {options.coordinator}: {why}") from error


def share_cores(members: int) -> None:
    """Lets a population's members train on cores of their own, where a CPU trains them: as many devices as divide them.
    What the user says in XLA_FLAGS stands."""
    import contextlib

    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = next(count for count in range(min(cores, members), 0, -1) if members % count == 0)
    if count > 1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # jax has its devices already
            jax.config.update("jax_num_cpu_devices", count)


def compilation_cache() -> None:
    """Keeps compiled programs between runs, unless the user chose a place of their own."""
    import jax

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        jax.config.update("jax_compilation_cache_dir", os.path.join(home, "artzoo", "xla"))


if __name__ == "__main__":
    sys.exit(command())
