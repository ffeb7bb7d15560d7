"""Folders of many files: pictures, MIDI."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from train.data.splits import ALIASES, SPLITS


def find(folder: Path, suffixes: frozenset[str]) -> tuple[list[str], list[str]]:
    """(files under ``folder`` with one of ``suffixes``, as relative names in order; "FOLDER: why" of folders that
    cannot be entered). Links are followed, once; what is hidden is left out."""
    unreadable: list[str] = []
    found, seen = [], set()
    for top, folders, files in os.walk(
        folder, followlinks=True, onerror=lambda error: unreadable.append(f"{error.filename}: {error.strerror}")
    ):
        if (real := os.path.realpath(top)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = (Path(top, name) for name in files if not name.startswith("."))
        found += [path.relative_to(folder).as_posix() for path in here if path.suffix.lower() in suffixes]
    return sorted(found), unreadable


def by_folder(names: Sequence[str]) -> dict[str, list[int]]:
    """Indices of files by split: folders called train, valid(ation) and test at the top are the data's own splits."""
    tops = [ALIASES.get(top := PurePath(name).parts[0].lower(), top) for name in names]
    if "train" not in tops or not set(tops) <= set(SPLITS):
        return {"train": list(range(len(names)))}
    return {split: [i for i, top in enumerate(tops) if top == split] for split in SPLITS if split in tops}
