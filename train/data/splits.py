"""Which examples train, and which are held out."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from zoo.errors import UserError

SPLITS = ("train", "valid", "test")
ALIASES = {"training": "train", "validation": "valid", "val": "valid", "dev": "valid", "testing": "test"}


def held_out(names: Sequence[str]) -> np.ndarray:
    """bool [N]: the tenth of the examples (at least one of two) whose names hash lowest, whatever their order."""
    if len(names) < 2:
        return np.zeros(len(names), bool)
    digests = [
        int.from_bytes(blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()) for name in names
    ]
    order = np.argsort(np.array(digests, np.uint64), kind="stable")
    chosen = np.zeros(len(names), bool)
    chosen[order[: max(1, round(len(names) / 10))]] = True
    return chosen


def select(own: Mapping[str, Sequence[str]], split: str, *, spec: str) -> tuple[str, np.ndarray]:
    """(which of the data's own splits, indices into it [N]) that make up ``split``.

    ``own``: the names of the examples in each split that the data itself has.
    """
    if "train" not in own:
        raise UserError(f"{spec}: no training split, only {', '.join(own) or 'nothing'}")
    other = {"valid": "test", "test": "valid"}.get(split, split)
    for name in (split, other):
        if name in own and (name != "train" or len(own) > 1):
            return name, np.arange(len(own[name]))
    chosen = held_out(own["train"]) == (split != "train")
    if not own["train"]:
        raise UserError(f"{spec}: holds no examples")
    if not chosen.any():
        raise UserError(f"{spec}: one example is too few to hold any out for {split!r}")
    return "train", np.flatnonzero(chosen)
