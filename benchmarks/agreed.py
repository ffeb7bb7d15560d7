"""Which twins were found to compute what our models do. As long as no line of either changes, they are not compared
again.

The comparison takes a processor minutes a model, which a machine with a GPU can be spared: ``python -m benchmarks
agree --suite gpu`` anywhere else, and the folder ``.cache/agreed`` taken along.
"""

import functools
import hashlib
from pathlib import Path

from benchmarks.process import ROOT

FOLDER = ROOT / ".cache" / "agreed"
COMPARERS = "agree", "draws", "theirs", "workloads"
COMPARED = "zoo/**/*.py", "train/**/*.py", "benchmarks/twins/*.py", *(f"benchmarks/{name}.py" for name in COMPARERS)


def known(row: str, suite: str) -> bool:
    return mark(row, suite).exists()


def remember(row: str, suite: str) -> None:
    """Where nothing can be written, the row is compared again next time."""
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        mark(row, suite).touch()
    except OSError:
        pass


def mark(row: str, suite: str) -> Path:
    return FOLDER / f"{sources()}-{suite}-{row}"


@functools.cache
def sources(root: Path = ROOT) -> str:
    """A digest of all that is compared, and of what compares it."""
    files = sorted({path for pattern in COMPARED for path in root.glob(pattern)})
    text = b"".join(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() for path in files)
    return hashlib.sha256(text).hexdigest()[:16]
