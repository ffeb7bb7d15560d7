"""Large pages of memory, on the Linux machines that give them to who asks.

A training step moves through hundreds of megabytes that were allocated for it. In pages of 4 KiB, a processor spends
much of the time looking up where they lie: steps of convolutional models take up to half as long again. The C library
asks for large pages only when it was told to before its process began.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

TUNABLES, LARGE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"  # glibc 2.35; others ignore it
SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def asking(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The environment in which the C library asks for large pages; None where it does already, or need not."""
    told = environment.get(TUNABLES, "")
    try:
        on_request = "[madvise]" in SWITCH.read_text()
    except OSError:
        return None
    if not on_request or "hugetlb" in told:
        return None
    return {**environment, TUNABLES: f"{told}:{LARGE}" if told else LARGE}


def restart_with_large_pages() -> None:
    """Begins the running command once more, as the same process, where that gives it large pages. Call it first."""
    environment = asking(os.environ)
    if environment is not None and sys.gettrace() is None:  # a debugger would lose its breakpoints
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
