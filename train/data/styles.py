"""styles: music of several styles, each piece with its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from train.data.folders import find
from train.data.music import SUFFIXES, read_folder, read_rolls
from train.data.sequences import KEYS, Pieces, move_keys, roll_rooms
from train.data.source import ENDLESS, Source
from train.data.spec import Spec
from train.data.splits import select
from train.data.windows import Cut, window_table
from zoo.codecs.rolls import PianoRoll
from zoo.errors import UserError

ROLLS = frozenset({".mat", ".npz"})


def open_styles(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """styles:A,B,...?steps=N&transpose=N, each a folder of MIDI files, or a file of rolls as for rolls:FILE, that a
    style is called after; styles:DIR is a folder of such folders and files.

    ``steps``: a quarter note, default 4; of files of rolls, frames a quarter note. ``transpose``: see
    ``sequence_source``, default 0. Splits are those of each style.
    """
    spec.allow("steps", "transpose")
    codec = PianoRoll(steps_per_quarter=spec.integer("steps", 4) or 4)
    styles, skipped = {}, []
    for name, path in _places(spec).items():
        if path.is_dir():
            own, names, lost = read_folder(spec, path, codec)
            skipped += [f"{name}/{line}" for line in lost]
        else:
            own = read_rolls(spec, path)
            names = {part: [str(i) for i in range(len(pieces))] for part, pieces in own.items()}
        part, index = select(names, split, spec=f"{spec.text}: {name}")
        styles[name] = [own[part][i] for i in index]
    return styled_source(
        spec, codec, styles, split=split, length=length, transpose=spec.integer("transpose", 0, least=0) or 0,
        skipped=tuple(skipped),
    )  # fmt: skip


def styled_source(
    spec: Spec,
    codec: PianoRoll,
    styles: Mapping[str, Pieces],
    *,
    split: str,
    length: int | None,
    transpose: int = 0,
    skipped: tuple[str, ...] = (),
) -> Source:
    """Rolls [T, 88] as windows of ``length`` with the number of their style as ``label``. In "train" windows start at
    quarter notes and the styles take turns, the windows of the smaller ones again and again; elsewhere each window
    comes once. ``transpose``: see ``sequence_source``."""
    if len(styles) < 2:
        raise UserError(f"{spec.text}: {len(styles)} style; music becomes another's where there are two")
    if empty := next((name for name, pieces in styles.items() if not sum(map(len, pieces))), None):
        raise UserError(f"{spec.text}: nothing of {empty!r} to read in {split!r}")
    counts = [len(pieces) for pieces in styles.values()]
    every = [(piece > 0.5).astype(np.uint8) for pieces in styles.values() for piece in pieces]
    moves = transpose > 0 and split == "train"
    table = window_table(
        every,
        "roll",
        cut=Cut(length=length, align=codec.steps_per_quarter, overlap=0),
        split=split,
        shifts=roll_rooms(every, transpose) if moves else None,
        transpose=move_keys if moves else None,
        dtype=np.float32,
        labelled=True,
    )
    first = np.append(table.arrays["first"], table.size)[np.cumsum([0, *counts])]
    sizes = np.diff(first)
    arrays = table.arrays | {
        "style": np.repeat(np.arange(len(styles)), counts).astype(np.int32),
        "turn": np.stack([first[:-1], sizes], axis=1).astype(np.int32),
    }

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        if split == "train":
            start, size = arrays["turn"][index % len(counts)]
            index = start + index // len(counts) % size
        found = table.example(arrays, index)
        return found | {"label": arrays["style"][found["label"]]}

    return Source(
        spec=spec.text,
        codec=codec,
        size=min(len(styles) * int(sizes.max()), ENDLESS) if split == "train" else table.size,
        fields={"keys": KEYS, "classes": len(styles)},
        arrays=arrays,
        example=example,
        skipped=skipped,
        labels=tuple(styles),
    )


def _places(spec: Spec) -> dict[str, Path]:
    """Style -> its folder or file, in the order that was written, or that of their names."""
    paths = [Path(name).expanduser() for name in spec.path.split(",")]
    if len(paths) == 1:
        folder = spec.folder()
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        paths = [path for path in inside if path.is_dir() or path.suffix.lower() in ROLLS]
        if not paths and find(folder, SUFFIXES)[0]:
            raise UserError(f"{spec.text}: one style; put each into a folder of its own, or write styles:A,B")
    found: dict[str, Path] = {}
    for path in paths:
        name = path.name if path.is_dir() else path.stem
        if not path.exists():
            raise UserError(f"{spec.text}: no such folder or file: {path}; write styles:A,B")
        if name in found:
            raise UserError(f"{spec.text}: two styles are called {name!r}; rename one")
        found[name] = path
    return found
