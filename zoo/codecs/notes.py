"""Notes, the form of music that every codec reads and writes, and what codecs need to know of time and keys."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from zoo.codecs.errors import CodecError

MAX_SECONDS = 6 * 3600.0  # longer than any opera: what lasts longer is a broken file, and would only fill the memory
MAX_STEPS = 2**20  # rows of a grid, by the same reasoning
VELOCITY = 80  # of a note whose codec keeps none: mezzo-forte

Tempo = tuple[tuple[float, float], ...]
Metre = tuple[tuple[float, int, int], ...]

_ARRAYS = {"start": np.float64, "end": np.float64, "pitch": np.int32, "velocity": np.int32, "program": np.int32}
_ARRAYS |= {"drum": np.bool_}
_RANGES = {"pitch": (0, 127), "velocity": (1, 127), "program": (0, 127)}


@dataclass(frozen=True, eq=False)
class Notes:
    """N notes in seconds. A scalar given for an array is spread over all notes.

    ``start``, ``end``: float64 [N], seconds, 0 <= start <= end.    ``pitch``: int32 [N], MIDI 0..127, 60 = middle C.
    ``velocity``: int32 [N], 1..127.    ``program``: int32 [N], General MIDI 0..127 (of drums: the kit).
    ``drum``: bool [N], whether ``pitch`` names a drum (MIDI channel 10).
    ``tempo``: (seconds, quarter notes a minute) of each change.    ``metre``: (seconds, numerator, denominator).
    Both begin at 0 s, with MIDI's defaults of 120 and 4/4 unless told. ``meta``: remarks that travel with the file.

    Raises CodecError("notes", ...) when a value is out of its range or the music is longer than ``MAX_SECONDS``.
    """

    start: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray = field(default_factory=lambda: np.array(VELOCITY))
    program: np.ndarray = field(default_factory=lambda: np.array(0))
    drum: np.ndarray = field(default_factory=lambda: np.array(False))
    tempo: Tempo = ((0.0, 120.0),)
    metre: Metre = ((0.0, 4, 4),)
    meta: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        shape = np.shape(self.start)
        for name, dtype in _ARRAYS.items():
            try:
                array = np.broadcast_to(np.asarray(getattr(self, name), dtype), shape).copy()
            except (ValueError, TypeError, OverflowError) as error:
                raise CodecError("notes", f"{name}: {error}") from None
            object.__setattr__(self, name, array)
        if len(shape) != 1:
            raise CodecError("notes", f"arrays must have one dimension, not {len(shape)}")
        if not np.all((self.start >= 0) & (self.start <= self.end)):  # a NaN fails here too
            raise CodecError("notes", "every note needs 0 <= start <= end")
        if self.duration > MAX_SECONDS:
            raise CodecError("notes", f"{self.duration / 3600:.4g} hours long, of at most {MAX_SECONDS / 3600:.0f}")
        for name, (low, high) in _RANGES.items():
            values = getattr(self, name)
            if np.any((values < low) | (values > high)):
                raise CodecError("notes", f"{name} must lie in {low}..{high}")
        tempo = [(float(seconds), float(quarters)) for seconds, quarters in self.tempo]
        metre = [(float(seconds), int(top), int(bottom)) for seconds, top, bottom in self.metre]
        if not all(3 < quarters < 1.2e8 and 1 <= round(6e7 / quarters) < 2**24 for _, quarters in tempo):
            raise CodecError("notes", "a tempo must lie in 3.58 .. 6e7 quarter notes a minute")
        if not all(1 <= top <= 255 and bottom in (1, 2, 4, 8, 16, 32, 64) for _, top, bottom in metre):
            raise CodecError("notes", "a metre is a numerator 1..255 over a power of two up to 64")
        object.__setattr__(self, "tempo", _in_time(tempo, (0.0, 120.0)))
        object.__setattr__(self, "metre", _in_time(metre, (0.0, 4, 4)))

    def __len__(self) -> int:
        return len(self.start)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Notes):
            return NotImplemented
        same = (self.tempo, self.metre, self.meta) == (other.tempo, other.metre, other.meta)
        return same and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _ARRAYS)

    __hash__ = None  # type: ignore[assignment]

    @property
    def duration(self) -> float:
        """Seconds until the last note ends; 0 without notes."""
        return float(self.end.max(initial=0.0))

    def select(self, index: np.ndarray) -> "Notes":
        """The notes that a mask [N] or positions [M] pick; tempo, metre and meta stay."""
        return replace(self, **{name: getattr(self, name)[index] for name in _ARRAYS})

    def sorted(self) -> "Notes":
        """By start; then drums last, program, pitch, end, velocity: one order for one set of notes."""
        return self.select(self.order())

    def order(self) -> np.ndarray:
        """Positions [N] that put the notes in the order of ``sorted``."""
        return np.lexsort((self.velocity, self.end, self.pitch, self.program, self.drum, self.start))

    def transpose(self, semitones: int) -> "Notes":
        """Moves what has a pitch; drums stay. CodecError where a note would leave 0..127."""
        return replace(self, pitch=self.pitch + np.where(self.drum, 0, semitones))

    def quarters(self, seconds: np.ndarray) -> np.ndarray:
        """Seconds -> quarter notes since the beginning, along the tempo map. Any shape."""
        times, per_second, passed = self._tempo_map()
        part = np.searchsorted(times, seconds, side="right") - 1
        return passed[part] + (seconds - times[part]) * per_second[part]

    def seconds(self, quarters: np.ndarray) -> np.ndarray:
        """Quarter notes since the beginning -> seconds: the inverse of ``quarters``."""
        times, per_second, passed = self._tempo_map()
        part = np.searchsorted(passed, quarters, side="right") - 1
        return times[part] + (quarters - passed[part]) / per_second[part]

    def steps(self, per_quarter: int) -> tuple[np.ndarray, np.ndarray]:
        """Onsets and ends [N] on a grid of ``per_quarter`` steps a quarter note, every note at least one step long."""
        if per_quarter * float(self.quarters(np.array(self.duration))) > MAX_STEPS:
            raise CodecError("notes", f"more than {MAX_STEPS:,} steps of the grid")
        on, off = (round_half_up(per_quarter * self.quarters(times)) for times in (self.start, self.end))
        return on, np.maximum(off, on + 1)

    def _tempo_map(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        times, per_minute = np.array(self.tempo, np.float64).T
        passed = np.concatenate([[0.0], np.cumsum(np.diff(times) * per_minute[:-1] / 60)])
        return times, per_minute / 60, passed


@dataclass(frozen=True)
class Report:
    """What became of a piece's notes in a codec, or of several pieces'. notes = kept + dropped + merged.

    ``dropped``: notes that do not sound any more; ``causes``: (why, how many), as far as the codec tells.
    ``merged``: notes that sound as part of another one.
    ``cut``: kept notes that end where they did not, because the same key or voice was wanted again.
    ``time_error_ms``: the farthest that rounding moved an onset, or the end of a note that was not cut;
    ``mean_error_ms``: how far it moved them in the mean.    ``velocity_error``: the largest change, of 1..127.
    ``repitched``: kept notes that sound at another pitch.    ``programs_dropped``: instruments that are not told apart.
    ``size``: tokens, or frames of a roll, that the piece takes.
    """

    notes: int
    kept: int
    dropped: int
    merged: int
    cut: int
    time_error_ms: float
    mean_error_ms: float
    velocity_error: int
    repitched: int
    programs_dropped: int
    size: int
    causes: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        why = ", ".join(f"{count} {cause}" for cause, count in self.causes)
        return (
            f"{self.kept} of {self.notes} notes ({self.dropped} dropped, {self.merged} merged, {self.cut} cut), "
            f"time within {self.time_error_ms:.1f} ms (mean {self.mean_error_ms:.1f}), "
            f"velocity within {self.velocity_error}, {self.repitched} at another pitch, "
            f"{self.programs_dropped} programs dropped, size {self.size}" + (f"; dropped: {why}" if why else "")
        )


def compare(
    notes: Notes, stay: np.ndarray, kept: Notes, *, cut: np.ndarray, dropped: int | Mapping[str, int], size: int
) -> Report:
    """The report of a codec that made ``kept`` [M] from the notes at positions ``stay`` [M], ``cut`` [M] of them short;
    of the others ``dropped``, all in all or by cause, are silent now and the rest merged."""
    was = notes.select(stay)
    late = 1000 * np.abs(np.concatenate([kept.start - was.start, (kept.end - was.end)[~cut]]))
    causes = {} if isinstance(dropped, int) else {why: count for why, count in dropped.items() if count}
    silent = dropped if isinstance(dropped, int) else sum(dropped.values())
    return Report(
        notes=len(notes),
        kept=len(stay),
        dropped=silent,
        merged=len(notes) - len(stay) - silent,
        cut=int(cut.sum()),
        time_error_ms=float(late.max(initial=0)),
        mean_error_ms=float(late.mean()) if len(late) else 0.0,
        velocity_error=int(np.abs(kept.velocity - was.velocity).max(initial=0)),
        repitched=int(np.sum(kept.pitch != was.pitch)),
        programs_dropped=len(_instruments(notes) - _instruments(kept)),
        size=size,
        causes=tuple(causes.items()),
    )


def together(reports: Iterable[Report]) -> Report:
    """The report of several pieces: sums, the largest errors, the mean error of a kept note."""
    reports = list(reports)
    total = lambda name: sum(getattr(report, name) for report in reports)
    most = lambda name: max((getattr(report, name) for report in reports), default=0)
    causes: Counter[str] = Counter()
    for report in reports:
        causes.update(dict(report.causes))
    counts = ("notes", "kept", "dropped", "merged", "cut", "repitched", "size")
    return Report(
        **{name: total(name) for name in counts},
        time_error_ms=float(most("time_error_ms")),
        mean_error_ms=sum(report.kept * report.mean_error_ms for report in reports) / max(total("kept"), 1),
        velocity_error=most("velocity_error"),
        programs_dropped=most("programs_dropped"),
        causes=tuple(causes.items()),
    )


def _instruments(notes: Notes) -> set[tuple[int, bool]]:
    return set(zip(notes.program.tolist(), notes.drum.tolist(), strict=True))


def round_half_up(x: np.ndarray) -> np.ndarray:
    """Rounds to int64 with halves always up, where ``np.rint`` alternates and would limp on a grid of halves."""
    return np.floor(x + 0.5).astype(np.int64)


def integers(tokens: np.ndarray) -> list[int]:
    """The tokens [T] as Python's integers. CodecError unless they are integers in one dimension."""
    array = np.asarray(tokens)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise CodecError("tokens", f"integers in one dimension are needed, not {array.dtype} {list(array.shape)}")
    return array.tolist()


def strike(pitch: np.ndarray, on: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What one keyboard makes of notes (int [N] each) that overlap on a key: it is struck again, it never doubles.

    Every onset stays, and so does every step in which the key sounds: a note ends at the next onset of its key, which
    then holds until the last of the two would have ended. Notes of one key and one onset are one note.

    Returns positions [M] of the notes that stay, by key and onset, and their ends [M].
    """
    order = np.lexsort((-off, on, pitch))
    pitch, on, off = pitch[order], on[order], off[order]
    first = np.ones(len(order), bool)
    first[1:] = (pitch[1:] != pitch[:-1]) | (on[1:] != on[:-1])
    pitch, on, off = pitch[first], on[first], off[first]
    beyond = int(off.max(initial=0)) + 1
    off = np.maximum.accumulate(off + pitch * beyond) - pitch * beyond  # the latest end so far, key by key
    following = np.append(np.where(pitch[1:] == pitch[:-1], on[1:], beyond), beyond)[: len(on)]
    return order[first], np.minimum(off, following)


def _in_time(changes: list, default: tuple) -> tuple:
    """Sorted by time, the last word on each moment, repetitions left out, from 0 s on."""
    if not all(0 <= change[0] <= MAX_SECONDS for change in changes):
        raise CodecError("notes", "changes of tempo and metre need times from 0 to the longest duration")
    latest = {0.0: default} | {change[0]: change for change in sorted(changes, key=lambda change: change[0])}
    moments = list(latest.values())
    return tuple(b for a, b in zip([None, *moments], moments, strict=False) if a is None or a[1:] != b[1:])
