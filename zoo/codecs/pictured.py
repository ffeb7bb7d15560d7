"""A picture read as music: from left to right, high is high, and what stands out from the rest of it sounds."""

from pathlib import Path as FilePath

import numpy as np

from zoo.codecs.errors import CodecError, Path
from zoo.codecs.images import read_image
from zoo.codecs.midi import read_midi
from zoo.codecs.notes import Notes

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
STEPS = 64  # sixteenths, four bars
TEMPO = 100.0
PENTATONIC = (0, 2, 4, 7, 9)  # a scale in which all sounds well together
LOWEST, ROWS = 36, 20  # a C, and four octaves of the scale
TOGETHER = 4  # notes at once
LOUDER = 0.35  # of the largest difference from the rest: what sounds
FAINT = 8.0  # levels of 255, of the largest difference: below, nothing stands out
LONGEST = 8  # steps of a note


def read_music(path: Path) -> Notes:
    """A MIDI file, or a picture as `played` reads it. CodecError names the file and the cause."""
    if FilePath(path).suffix.lower() not in SUFFIXES:
        return read_midi(path)
    picture = read_image(path, channels=3)
    try:
        return played(picture)
    except CodecError as error:
        raise CodecError(path, error.cause) from None


def played(picture: np.ndarray, *, steps: int = STEPS, scale: tuple[int, ...] = PENTATONIC) -> Notes:
    """uint8 [H, W, 3] -> notes of a piano over ``steps`` sixteenths.

    Of each column the four places sound that differ the most in brightness from the picture's median, more than what
    lies above and below them; louder where they differ more. What goes on in the next column is held. ``scale``:
    semitones above each C that there are keys for. CodecError for a picture in which nothing stands out.
    """
    differs = _differences(picture, steps)
    largest = differs.max()
    if largest < FAINT:
        raise CodecError("picture", "nothing stands out in it that could be played")
    above, below = (np.pad(differs, ((1, 1), (0, 0)))[part] for part in (slice(0, -2), slice(2, None)))
    peaks = np.where((differs >= above) & (differs > below) & (differs > LOUDER * largest), differs, 0)
    least = np.sort(peaks, axis=0)[-TOGETHER]
    sounds = (peaks > 0) & (peaks >= least)
    keys = [LOWEST + 12 * (row // len(scale)) + scale[row % len(scale)] for row in range(ROWS)]
    found = [(row, first, beyond) for row in range(ROWS) for first, beyond in _held(sounds[row])]
    loud = [differs[row, first:beyond].max() / largest for row, first, beyond in found]
    rows, start, end = np.array(found).T
    return Notes(
        start=start * 15 / TEMPO, end=end * 15 / TEMPO, pitch=np.array(keys)[rows],
        velocity=np.rint(40 + 70 * np.array(loud)).astype(int), tempo=((0.0, TEMPO),),
    ).sorted()  # fmt: skip


def _differences(picture: np.ndarray, steps: int) -> np.ndarray:
    """[ROWS, steps], the lowest row first: how far the brightness of each part is from the median, in levels of 255."""
    from PIL import Image

    grey = Image.fromarray(picture).convert("L").resize((steps, ROWS), Image.Resampling.BOX)
    bright = np.asarray(grey, np.float64)[::-1]
    return np.abs(bright - np.median(bright))


def _held(row: np.ndarray) -> list[tuple[int, int]]:
    """The runs of True in a row, as (first, beyond), cut where they are longer than a note."""
    edges = np.diff(row.astype(np.int8), prepend=0, append=0)
    runs = zip(np.nonzero(edges == 1)[0].tolist(), np.nonzero(edges == -1)[0].tolist(), strict=True)
    return [(at, min(at + LONGEST, beyond)) for first, beyond in runs for at in range(first, beyond, LONGEST)]
