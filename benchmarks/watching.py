"""What a program does behind its lines: what it compiles and why, and where the host waits for the device."""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from jax.core import Tracer

COMPILED, MISSED = "Finished XLA compilation of ", "TRACING CACHE MISS"


@contextmanager
def recompilations() -> Iterator[list[str]]:
    """Collects each program that JAX has to compile; with "NAME: why" where it had compiled the function before and
    something has changed since."""
    told: list[str] = []
    causes: dict[str, str] = {}

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if text.startswith(MISSED):
                name, why = cause(text)
                causes[name] = why
            elif text.startswith(COMPILED):
                name = text.removeprefix(COMPILED).split(" in ")[0]
                why = causes.pop(name.removeprefix("jit(").removesuffix(")"), None)
                told.append(f"{name}: {why}" if why else name)

    listener = Listener()
    loggers = [logging.getLogger(name) for name in ("jax._src.dispatch", "jax._src.interpreters.partial_eval")]
    loggers.append(logging.getLogger("jax._src.pjit"))  # where older releases explain
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(listener)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    try:
        with jax.explain_cache_misses(True):
            yield told
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(listener)
            logger.setLevel(level)
            logger.propagate = propagate


def cause(text: str) -> tuple[str, str]:
    """(the function's name, what changed) of JAX's explanation of a miss."""
    lines = [line.strip() for line in text.splitlines()]
    name = next((line.split()[1] for line in lines if line.startswith("for ")), "?")
    changes = [line.removeprefix("* ") for line in lines if line.startswith("* ")]
    return name, "; ".join(changes) or lines[-1]


@contextmanager
def waits() -> Iterator[Counter[str]]:
    """Counts, by place in the code, how often the host reads arrays of the device, or waits for them."""
    found: Counter[str] = Counter()
    inside = False

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def gate(*arguments: Any, **options: Any) -> Any:
            nonlocal inside
            if not inside and any(of_the_device(leaf) for leaf in jax.tree.leaves(arguments[:1])):
                found[place_of(sys._getframe(1))] += 1
            before, inside = inside, True
            try:
                return function(*arguments, **options)
            finally:
                inside = before

        return gate

    array = type(jax.numpy.zeros(()))
    methods = ("__array__", "__float__", "__int__", "__bool__", "__index__", "item", "tolist", "block_until_ready")
    gates = [(jax, "device_get"), (jax, "block_until_ready"), (np, "asarray"), (np, "array")]
    gates += [(array, name) for name in methods if hasattr(array, name)]
    with ExitStack() as stack:
        for owner, name in gates:
            stack.enter_context(mock.patch.object(owner, name, counting(getattr(owner, name))))
        yield found


def of_the_device(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer)


def place_of(frame: Any) -> str:
    """ "file.py:line, function" of the nearest frame that is not a library's."""
    while frame.f_back is not None and "site-packages" in frame.f_code.co_filename:
        frame = frame.f_back
    file = Path(frame.f_code.co_filename)
    return f"{file.parent.name}/{file.name}:{frame.f_lineno}, {frame.f_code.co_name}"
