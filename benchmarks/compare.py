"""``python -m benchmarks compare OLD NEW``: which rows became slower, beyond the noise of both measurements."""

from pathlib import Path

from benchmarks.results import key_of, read_lines
from zoo.errors import UserError


def compare(old: Path, new: Path) -> list[str]:
    """A line for each row that both have, those that became slower first. A row has when the interval of its ratio to
    PyTorch, measured in the same run, lies below the old one's: that way another machine is no regression."""
    before, after = ({key_of(line): line for line in read_lines(path)} for path in (old, new))
    both = sorted(before.keys() & after.keys())
    if not both:
        raise UserError(f"{old} and {new} have no row in common")
    told = [(verdict(before[key]["ratio"], after[key]["ratio"]), key) for key in both]
    return [
        f"{word:>7}  {row} ({kind}, {dispatch} a dispatch): "
        f"{show(before[row, kind, dispatch]['ratio'])} -> {show(after[row, kind, dispatch]['ratio'])}"
        for word, (row, kind, dispatch) in sorted(told, key=lambda one: ("slower", "faster", "same").index(one[0]))
    ]


def verdict(old: dict[str, float], new: dict[str, float]) -> str:
    if new["high"] < old["low"]:
        return "slower"
    return "faster" if new["low"] > old["high"] else "same"


def show(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
