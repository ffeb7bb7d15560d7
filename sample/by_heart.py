"""How much of each sample stands in the training data, beside how much of held-out data of the same length does.

Models of small sets repeat them, and no likelihood tells. Text is compared character by character; music note by note
in any key, as intervals and the time between two starts, to the nearest eighth of a second.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from sample.options import Options
from sample.restore import warn
from train.data.folders import find
from train.data.music import SUFFIXES
from train.data.source import Source, open_source
from train.data.spec import parse
from train.metrics.memory import SIZES, Memory
from zoo.codecs.notes import Notes
from zoo.errors import UserError

QUICK = 500  # files that are read without being asked: some seconds
REFERENCES = 16  # stretches of held-out data
SECOND = 8  # times between starts are counted in its parts
LATEST = 8 * SECOND  # notes further apart are all the same


def by_heart(run: Any, options: Options, samples: Sequence[Any], prompts: Sequence[Any] = ()) -> dict[str, Any]:
    """{"by_heart": [of each sample {"longest", "share_4", ...}], "held_out": the same, the mean over held-out stretches
    as long}, both told in a line each; {} where the data cannot be read any more, or only in minutes.

    samples: Notes, or texts, as many of each of ``prompts``, which they may begin with: what follows is looked for.
    """
    if options.by_heart is False or (options.by_heart is None and not quick(run)):
        return {}
    try:
        memory, reference = Memory(pieces_of(run, "train")), pieces_of(run, "valid")
    except UserError as error:
        warn(f"not compared with the training data: {error}")
        return {}
    codec, each = run.codec, len(samples) // max(len(prompts), 1)
    begins = [symbols(codec.decode(codec.encode(prompt))) for prompt in prompts for _ in range(each)]
    rows = [symbols(sample) for sample in samples]
    rows = [row[begun(row, prompt) :] for row, prompt in zip_longest(rows, begins, fillvalue=np.zeros(0, int))]
    found = [memory.remembered(row) for row in rows]
    usual = average([memory.remembered(row) for row in stretches(reference, rows)])
    unit = "notes" if codec.media == "music" else "characters"
    for number, (one, row) in enumerate(zip(found, rows, strict=True)):
        warn(f"sample {number}, {len(row)} {unit}: {told(one)}")
    if usual:
        warn(f"held-out {unit}, as many: {told(usual)}")
    return {"by_heart": found, "held_out": usual}


def told(found: dict[str, float]) -> str:
    """In words."""
    shares = [f"{100 * found[f'share_{size}']:.0f} % of {size}" for size in SIZES if f"share_{size}" in found]
    known = f"by heart {found['longest']:.0f} in a row"
    return f"{known}; of all stretches {', '.join(shares)}" if shares else known


def quick(run: Any) -> bool:
    """Whether the training data ends, and is read in seconds."""
    spec = parse(run.data["spec"])
    named = {"midi": [spec.path], "styles": spec.path.split(",")}.get(spec.kind, [])
    folders = [path for name in named if (path := Path(name).expanduser()).is_dir()]
    return spec.kind != "beats" and sum(len(find(folder, SUFFIXES)[0]) for folder in folders) <= QUICK


def pieces_of(run: Any, split: str) -> list[np.ndarray]:
    """Every whole piece of the run's data as `symbols`."""
    source = open_source(run.data["spec"], split)
    return [symbols(source.codec.decode(piece)) for piece in whole(source)]


def whole(source: Source) -> Iterator[np.ndarray]:
    """The pieces of a source of sequences, as its codec decodes them."""
    if "piece" not in source.arrays:
        raise UserError(f"{source.spec} never ends, and has nothing twice")
    table = next(table for name, table in source.arrays.items() if name not in ("first", "piece"))
    for offset, size, *_ in source.arrays["piece"]:
        yield table[offset : offset + size]


def symbols(thing: str | Notes) -> np.ndarray:
    """int [T]: characters; of music, of each note but the first, by start and pitch, how far from the one before it is,
    in semitones and in time."""
    if isinstance(thing, str):
        return np.frombuffer(thing.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    notes = thing.sorted()
    apart = np.minimum(np.round(np.diff(notes.start) * SECOND), LATEST).astype(np.int64)
    return (np.diff(notes.pitch).astype(np.int64) + 128) * (LATEST + 1) + apart


def begun(row: np.ndarray, prompt: np.ndarray) -> int:
    """How many symbols of ``row`` were given: all of ``prompt``, or none where it does not begin with that."""
    return len(prompt) if np.array_equal(row[: len(prompt)], prompt) else 0


def stretches(pieces: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Some of held-out data, as long as the samples are where it is long enough."""
    size = int(np.median([len(row) for row in rows]))
    rng = np.random.default_rng(0)
    every = [piece for piece in pieces if len(piece)]
    for number in range(REFERENCES if every and size else 0):
        piece = every[number % len(every)]
        at = int(rng.integers(max(len(piece) - size, 0) + 1))
        yield piece[at : at + size]


def average(found: Sequence[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in found for name in one)
    return {name: float(np.mean([one[name] for one in found if name in one])) for name in names}
