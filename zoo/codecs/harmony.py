"""Chords: their names, the pitches that play them, and which of them some notes are.

A chord's *class* is 0 for none and 1 + 12 quality + root for the qualities that a codec tells apart, C = 0.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from zoo.codecs.errors import CodecError

# Semitones above the root, by the names of Harte et al. 2005 ("Symbolic representation of musical chords").
QUALITIES = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus4": (0, 5, 7),
    "sus2": (0, 2, 7),
    "dim7": (0, 3, 6, 9),
    "hdim7": (0, 3, 6, 10),
    "minmaj7": (0, 3, 7, 11),
    "maj6": (0, 4, 7, 9),
    "min6": (0, 3, 7, 9),
    "sus4(b7)": (0, 5, 7, 10),
}
ROOTS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
NONE = "N"

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_LABEL = re.compile(r"([A-G])([#b]*)(?::([^/]*))?(?:/.*)?")
_BASS, _MIDDLE = 36, 52  # the lowest pitches of a chord's bass and of its other notes
_BLOCK = 2**14  # windows looked at together
_ROOT_BELOW, _MISSING = 0.2, 0.1  # what a root in the bass is worth, and what a tone that is not there costs


def check(qualities: Iterable[str]) -> tuple[str, ...]:
    """The same as a tuple. CodecError unless they are some of ``QUALITIES``, each once."""
    names = tuple(qualities)
    if not names or len(set(names)) != len(names) or not set(names) <= set(QUALITIES):
        raise CodecError("chords", f"qualities must be some of {', '.join(QUALITIES)}, each once")
    return names


def parse(label: str) -> tuple[int, str] | None:
    """(root, quality) of a label such as "Bb:min7/5", its inversion left out; None for "N". CodecError for others."""
    if label in (NONE, "X"):
        return None
    match = _LABEL.fullmatch(label)
    quality = (match[3] or "maj") if match else ""
    if match is None or quality not in QUALITIES:
        raise CodecError("chords", f"{label!r} is no chord that is known; the qualities are {', '.join(QUALITIES)}")
    return (_LETTERS[match[1]] + match[2].count("#") - match[2].count("b")) % 12, quality


def names(qualities: Sequence[str]) -> list[str]:
    """The label of every class."""
    return [NONE, *(f"{root}:{quality}" for quality in qualities for root in ROOTS)]


def voice(root: int, quality: str) -> list[int]:
    """MIDI pitches that play a chord, from low to high: the root below, then every tone once around middle C, so that
    each goes to its neighbour when the chord changes."""
    tones = [(root + interval) % 12 for interval in QUALITIES[quality]]
    return [_BASS + (root - _BASS) % 12, *sorted(_MIDDLE + (tone - _MIDDLE) % 12 for tone in tones)]


def tones(qualities: Sequence[str]) -> np.ndarray:
    """bool [classes, 12]: the pitch classes of every class."""
    table = np.zeros((1 + 12 * len(qualities), 12), bool)
    for number, quality in enumerate(qualities):
        for root in range(12):
            table[1 + 12 * number + root, [(root + interval) % 12 for interval in QUALITIES[quality]]] = True
    return table


def recognise(weight: np.ndarray, bass: np.ndarray, qualities: Sequence[str]) -> np.ndarray:
    """The class that fits best, int [N], of how long each pitch class sounds [N, 12] and the lowest one [N].

    The share of the sound that is in the chord, with something for a root in the bass, less for tones that are missing;
    of equals the first. A chord as `voice` plays it is recognised as itself, and one whose quality is not among
    ``qualities`` as the one of its root that has most of its tones. Silence is 0.
    """
    table = tones(qualities)[1:].T.astype(float)
    roots = np.tile(np.arange(12), len(qualities))
    found = np.zeros(len(weight), np.int64)
    for first in range(0, len(weight), _BLOCK):
        part, lowest = weight[first : first + _BLOCK], bass[first : first + _BLOCK, None]
        whole = part.sum(axis=1, keepdims=True)
        score = part @ table / np.maximum(whole, 1e-9) - _MISSING * ((part <= 0) @ table)
        score += _ROOT_BELOW * (lowest == roots)
        found[first : first + _BLOCK] = np.where(whole[:, 0] > 0, 1 + np.argmax(score, axis=1), 0)
    return found


def sounding(
    pitch: np.ndarray, on: np.ndarray, off: np.ndarray, *, steps: int, each: int
) -> tuple[np.ndarray, np.ndarray]:
    """(weight float [W, 12], bass int [W]) of notes (int [N] each) in windows of ``each`` steps, as `recognise` takes
    them; what sounds beyond ``steps``, a multiple of ``each``, is left out. The bass is -1 in silence."""
    on, off = np.minimum(on, steps), np.minimum(off, steps)
    windows = steps // each
    counts = np.zeros((steps + 1, 12), np.int32)
    np.add.at(counts, (on, pitch % 12), 1)
    np.add.at(counts, (off, pitch % 12), -1)
    weight = np.cumsum(counts, axis=0, dtype=np.int32)[:steps].reshape(windows, each, 12).sum(axis=1).astype(float)
    bass = np.full(windows, -1)
    for key in np.unique(pitch).tolist():
        mine = pitch == key
        edges = np.zeros(windows + 1, np.int64)
        np.add.at(edges, on[mine] // each, 1)
        np.add.at(edges, -(-off[mine] // each), -1)
        bass = np.where((bass < 0) & (np.cumsum(edges)[:windows] > 0), key % 12, bass)
    return weight, bass
