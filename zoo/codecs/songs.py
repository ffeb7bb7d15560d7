"""Songs that come as a melody, its accompaniment and, beside the file, their chords and beats: the form of POP909
(Wang et al. 2020, arXiv:2008.07142)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from zoo.codecs import harmony
from zoo.codecs.errors import CodecError, Path, read_bytes
from zoo.codecs.leadsheet import CHORDS, MELODY, SOFT
from zoo.codecs.midi import read_tracks
from zoo.codecs.notes import MAX_SECONDS, Notes

LEAD, SECOND = "MELODY", "BRIDGE"  # tracks; all others accompany
CHORD_FILE, BEAT_FILE = "chord_midi.txt", "beat_midi.txt"
BAR = 4  # quarter notes
_LIMIT = 2**20  # bytes of an annotation

Chord = tuple[float, float, str]  # begins, ends, in seconds; a label as "Bb:min7/5" or "N"


def read_song(path: Path) -> Notes:
    """The lead sheet of a MIDI file, as `leadsheet.LeadSheet` reads it: a melody and chords, told by their programs.

    The melody is the track called MELODY. Where chord_midi.txt lies beside the file (lines "begin end label"), its
    chords are played; where not, the other tracks go on accompanying, BRIDGE only if there is nothing else. Where
    beat_midi.txt does (lines "seconds 1 1", the last 1 at the first beat of a bar), the quarter notes of the piece are
    its beats. Raises CodecError, and nothing else.
    """
    return _song(path, read_tracks(path))


def read_sheet(path: Path) -> Notes:
    """`read_song` of a file with a track called MELODY, and of any other all its notes."""
    tracks = read_tracks(path)
    if LEAD in map(_plain, tracks):
        return _song(path, tracks)
    first, *others = tracks.values()
    return _joined(first, others)


def _song(path: Path, tracks: Mapping[str, Notes]) -> Notes:
    folder = os.path.dirname(os.fspath(path))
    chords, beats = (_rows(os.path.join(folder, name)) for name in (CHORD_FILE, BEAT_FILE))
    try:
        return arrange(tracks, chords=None if chords is None else [_chord(row) for row in chords], beats=beats)
    except CodecError as error:
        raise CodecError(path, f"{error.path}: {error.cause}") from None


def arrange(
    tracks: Mapping[str, Notes], *, chords: Sequence[Chord] | None = None, beats: Sequence[Sequence] | None = None
) -> Notes:
    """The same of tracks that are read already, as ``midi.read_tracks`` gives them. ``beats``: rows of seconds and two
    flags, or of seconds alone. CodecError without a melody, and for annotations that make no sense."""
    named = {_plain(name): notes for name, notes in tracks.items()}
    if LEAD not in named:
        raise CodecError("tracks", f"none is called {LEAD}, only {', '.join(sorted(tracks)) or 'none'}")
    melody = named.pop(LEAD)
    if chords is None:
        second = named.pop(SECOND, None)
        parts = [notes for notes in named.values() if not notes.drum.all()] or ([second] if second else [])
        harmonies = [notes.select(~notes.drum) for notes in parts]
    else:
        harmonies = [play(chords)]
    song = _joined(replace(melody, program=np.array(MELODY)), [replace(h, program=np.array(CHORDS)) for h in harmonies])
    return song if beats is None else on_beats(song, *_beats(beats))


def play(chords: Sequence[Chord]) -> Notes:
    """The notes of chords, each as `harmony.voice` plays it. CodecError for a label that is none."""
    rows = []
    for begin, end, label in chords:
        known = harmony.parse(label)
        rows += [(begin, end, pitch) for pitch in (harmony.voice(*known) if known else ())]
    start, end, pitch = np.array(rows, np.float64).reshape(-1, 3).T
    return Notes(start, end, pitch, np.array(SOFT), np.array(CHORDS))


def on_beats(notes: Notes, beats: np.ndarray, first: int = 0) -> Notes:
    """The same music with a quarter note from each beat [K] (seconds) to the next: its tempo map follows them.

    The beat of number ``first`` begins a bar of four. What comes before the beats is in the tempo of the first two, and
    all comes later by less than five of them, to make room. CodecError unless two or more beats rise.
    """
    beats = np.asarray(beats, np.float64)
    if beats.ndim != 1 or len(beats) < 2 or not np.all((beats >= 0) & (beats <= MAX_SECONDS)):
        raise CodecError("beats", f"two or more moments from 0 to {MAX_SECONDS:.0f} seconds are needed")
    gaps = np.diff(beats)
    if gaps.min() < 1e-6:  # the fastest tempo of a MIDI file
        raise CodecError("beats", "must rise")
    before = int(np.ceil(beats[0] / gaps[0] - 1e-9))
    before += -(before + first) % BAR
    late = before * gaps[0] - beats[0]
    tempo = [(0.0, 60 / gaps[0]), *zip((beats[:-1] + late).tolist(), (60 / gaps).tolist(), strict=True)]
    return replace(notes, start=notes.start + late, end=notes.end + late, tempo=tuple(tempo), metre=((0.0, BAR, 4),))


def _plain(name: str) -> str:
    return name.strip().upper()


def _joined(first: Notes, others: Sequence[Notes]) -> Notes:
    """All notes in the first one's time."""
    names = ("start", "end", "pitch", "velocity", "program", "drum")
    columns = {name: np.concatenate([getattr(notes, name) for notes in (first, *others)]) for name in names}
    return replace(first, **columns).sorted()


def _rows(path: str) -> list[list[str]] | None:
    """The words of every line that has some; None where there is no such file."""
    if not os.path.exists(path):
        return None
    try:
        text = read_bytes(path, limit=_LIMIT).decode()
    except UnicodeDecodeError:
        raise CodecError(path, "is no UTF-8") from None
    return [words for line in text.splitlines() if (words := line.split())]


def _chord(row: Sequence[str]) -> Chord:
    try:
        begin, end, label = row
        return float(begin), float(end), label
    except ValueError:
        raise CodecError("chords", f"{' '.join(row)!r}: a line is begin, end and label") from None


def _beats(rows: Sequence[Sequence]) -> tuple[np.ndarray, int]:
    """Their moments, and the number of the first that begins a bar."""
    try:
        table = np.array([[float(word) for word in np.atleast_1d(np.asarray(row)).tolist()] for row in rows])
    except ValueError:
        raise CodecError("beats", "a line is seconds and two flags") from None
    if table.ndim != 2:
        raise CodecError("beats", "a line is seconds and two flags")
    bars = np.flatnonzero(table[:, -1] == 1) if table.shape[1] > 1 else np.array([0])
    return table[:, 0], int(bars[0]) if len(bars) else 0
