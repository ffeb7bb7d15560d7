"""A bar while something long is read: rich on a terminal, one plain line elsewhere."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
SHORT = 200  # fewer items than this are not worth a line


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The same items; meanwhile stderr tells how far ``what`` has come."""
    if total < SHORT:
        yield from items
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        yield from bar(items, what, total=total, console=Console(stderr=True), transient=True)
    else:
        print(f"{what}: {total:,} ...", file=sys.stderr, flush=True)
        yield from items
