"""What is heard of music, frame by frame of a film: strokes, loudness, and the twelve pitch classes.

Spectra are magnitudes compressed by a logarithm; a stroke is how much of them appears from one frame to the next, above
what is usual there (Müller 2015, "Fundamentals of Music Processing", section 6.1.2); a pitch class is the sum of
what is near its keys (section 3.1.2). Windows of Hann, numpy and nothing else.
"""

from pathlib import Path as FilePath
from typing import NamedTuple

import numpy as np

from zoo.codecs.audio import render
from zoo.codecs.errors import CodecError, Path
from zoo.codecs.midi import read_midi
from zoo.codecs.waves import read_wav

MIDI = (".mid", ".midi")
SHORT, LONG = 0.046, 0.19  # seconds of a window that tells strokes, and of one that tells keys from one another
LOWEST, HIGHEST = 130.0, 4200.0  # hertz of the keys: below, a window of LONG cannot tell them apart
COMPRESSION = 100.0
FINE = 100  # looks a second for strokes
AROUND = 0.5  # seconds before and after, which say what is usual
SILENT = 1e-4  # of full scale
AT_ONCE = 512  # windows


class Heard(NamedTuple):
    """A sound of N frames."""

    sound: np.ndarray
    """float32 [samples], one channel."""
    rate: int
    """Samples a second."""
    strokes: np.ndarray
    """[N], from 0 to 1, which is the strongest."""
    loudness: np.ndarray
    """[N], from 0 to 1: the root of the mean square, as a share of the largest."""
    chroma: np.ndarray
    """[N, 12]: shares of C, C sharp, D and so on, which add up to 1."""


def listen(path: Path, *, fps: float, frames: int | None = None) -> Heard:
    """A MIDI file, which is played first, or a WAV file; as far as ``frames`` go. CodecError names the file and the
    cause: neither of the two, broken, or silent."""
    path = FilePath(path)
    if path.suffix.lower() in MIDI:
        sound, rate = render(read_midi(path)), 22050
    elif path.suffix.lower() == ".wav":
        channels, rate = read_wav(path)
        sound = channels.mean(axis=1)
    else:
        raise CodecError(path, f"music is read from {', '.join(MIDI)} and .wav")
    sound = sound if frames is None else sound[: round(frames * rate / fps)]
    if np.abs(sound).max(initial=0) < SILENT:
        raise CodecError(path, "is silent: nothing would move to it")
    return hear(sound, rate, fps=fps)


def hear(sound: np.ndarray, rate: int, *, fps: float) -> Heard:
    """float32 [samples] -> what is heard at ``fps`` frames a second, [ceil(samples fps / rate)] of them."""
    count = max(1, int(np.ceil(len(sound) * fps / rate - 1e-9)))
    centres = np.rint((np.arange(count) + 0.5) * rate / fps).astype(int)
    new = _appearing(sound, rate, fps, count)
    reach = max(1, round(AROUND * fps))
    usual = np.convolve(np.pad(new, reach, mode="edge"), np.full(2 * reach + 1, 1 / (2 * reach + 1)), "valid")
    strokes = np.maximum(new - usual, 0)
    return Heard(
        np.asarray(sound, np.float32), rate, strokes / max(strokes.max(), 1e-9), _loudness(sound, centres, rate / fps),
        _chroma(sound, centres, rate),
    )  # fmt: skip


def _appearing(sound: np.ndarray, rate: int, fps: float, count: int) -> np.ndarray:
    """How much of a spectrum is new in each frame: [N]. Looked at every few milliseconds, for a stroke at the edge of
    a window is hardly in it."""
    parts, size = max(1, int(np.ceil(FINE / fps))), round(SHORT * rate)
    centres = np.rint((np.arange(-1, count * parts) + 0.5) * rate / (fps * parts)).astype(int)
    found = []
    for at in range(0, count * parts, AT_ONCE):
        level = np.log1p(COMPRESSION * np.abs(_spectra(sound, centres[at : at + AT_ONCE + 1], size)))
        found.append(np.maximum(np.diff(level, axis=0), 0).mean(axis=1))
    return np.concatenate(found).reshape(count, parts).sum(axis=1)


def _loudness(sound: np.ndarray, centres: np.ndarray, hop: float) -> np.ndarray:
    windows = _windows(sound, centres, max(2, round(2 * hop)))
    level = np.sqrt(np.mean(np.square(windows, dtype=np.float64), axis=1))
    return level / max(level.max(), 1e-9)


def _chroma(sound: np.ndarray, centres: np.ndarray, rate: int) -> np.ndarray:
    size = round(LONG * rate)
    hertz = np.fft.rfftfreq(size, 1 / rate)
    near = (hertz >= LOWEST) & (hertz <= HIGHEST)
    classes = np.rint(69 + 12 * np.log2(hertz[near] / 440)).astype(int) % 12
    parts = np.zeros((len(centres), 12))
    magnitudes = np.abs(_spectra(sound, centres, size)[:, near])
    for number in range(12):
        parts[:, number] = magnitudes[:, classes == number].sum(axis=1)
    parts += 1e-6  # silence has all of them
    return parts / parts.sum(axis=1, keepdims=True)


def _spectra(sound: np.ndarray, centres: np.ndarray, size: int) -> np.ndarray:
    """Of windows of ``size`` samples around ``centres``: complex64 [N, size // 2 + 1], of amplitude 1 at full scale."""
    shape = np.hanning(size + 1)[:-1].astype(np.float32)
    parts = [
        np.fft.rfft(_windows(sound, centres[at : at + AT_ONCE], size) * shape).astype(np.complex64)
        for at in range(0, len(centres), AT_ONCE)
    ]
    return np.concatenate(parts) * np.float32(2 / shape.sum())


def _windows(sound: np.ndarray, centres: np.ndarray, size: int) -> np.ndarray:
    """[N, size], silence beyond the ends."""
    padded = np.pad(np.asarray(sound, np.float32), (size, size + 1))
    first = np.minimum(centres + size - size // 2, len(padded) - size)
    return np.lib.stride_tricks.sliding_window_view(padded, size)[first]
