"""SIGTERM and SIGINT: a run that is asked to end saves first."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Stop(threading.Event):
    """Set by a signal; remembers which."""

    number: int | None = None


@contextlib.contextmanager
def signals() -> Iterator[Stop]:
    """While it lasts, SIGTERM and SIGINT set the `Stop`; a second one ends the process at once.

    Only the main thread can handle signals; in another one nothing ever sets it.
    """
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
        # Not print: the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(2, f"{signal.Signals(number).name}: saving after this dispatch; once more ends at once\n".encode())

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
