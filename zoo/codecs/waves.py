"""Sound as samples: arrays <-> 16-bit sound, WAV files -> arrays, and a picture of what is heard.

`zoo.codecs.audio` makes sound of notes, and writes WAV files.
"""

import struct
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError, Path, read_bytes

FILE_LIMIT = 2**30  # bytes
FULL = 32767  # the loudest 16-bit sample
RATES = range(1000, 192_001)

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
WINDOW = 512  # samples of a spectrum
SHOWN = 70.0  # decibels below the loudest that are seen
HEIGHT, WIDTH = 128, 256  # pixels of a spectrogram
TONES = np.array([[14, 15, 20], [62, 32, 92], [170, 52, 96], [247, 140, 76], [255, 238, 190]], np.float32)


@dataclass(frozen=True)
class WaveCodec:
    """Samples in [-1, 1] as models see them <-> 16-bit sound: exact inverses on the latter, but for -32768."""

    rate: int
    """Samples a second."""

    media: ClassVar[Literal["audio"]] = "audio"

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise CodecError("wave", f"rate must be in {RATES[0]} .. {RATES[-1]} samples a second, not {self.rate!r}")

    def encode(self, sound: np.ndarray) -> np.ndarray:
        """int16 [..., T] -> float32 [..., T, 1] in [-1, 1]. CodecError for another type."""
        sound = np.asarray(sound)
        if sound.dtype != np.int16 or sound.ndim < 1:
            raise CodecError("wave", f"sound must be int16 [..., T], not {sound.dtype} {list(sound.shape)}")
        return (np.maximum(sound, -FULL).astype(np.float32) / np.float32(FULL))[..., None]

    def decode(self, array: np.ndarray) -> np.ndarray:
        """float [..., T, 1], clipped to [-1, 1] -> int16 [..., T]. CodecError for another shape and for a NaN."""
        array = np.asarray(array, np.float32)
        if array.ndim < 2 or array.shape[-1] != 1:
            raise CodecError("wave", f"shape must be [..., T, 1], not {list(array.shape)}")
        if np.isnan(array).any():
            raise CodecError("wave", "holds NaN")
        return np.rint(np.clip(array[..., 0], -1, 1) * FULL).astype(np.int16)


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """A WAV file of 8, 16, 24 or 32 bits or of floats -> float32 [N, channels] in [-1, 1], and samples a second.
    CodecError, the only error, names the file and the cause."""
    data = read_bytes(path, limit=FILE_LIMIT)
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise CodecError(path, "not a WAV file")
    try:
        chunks = _chunks(data)
        kind, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
        if kind == EXTENSIBLE:
            (kind,) = struct.unpack_from("<H", chunks[b"fmt "], 24)
        return _samples(chunks[b"data"], kind, bits, channels, frame), rate
    except CodecError as error:
        raise CodecError(path, error.cause) from None
    except KeyError as error:
        raise CodecError(path, f"has no {error.args[0].decode('ascii', 'replace').strip()} in it") from None
    except (struct.error, ValueError) as error:
        raise CodecError(path, error) from None


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The first chunk of each name; one that the file breaks off in as far as it goes."""
    found, at = {}, 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        found.setdefault(data[at : at + 4], data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


_FORMS = {  # by kind and bits: numbers, and what is the loudest of them
    (PCM, 8): ("u1", 127.0),
    (PCM, 16): ("<i2", 32767.0),
    (PCM, 24): ("<i4", 2147483392.0),  # in the upper three bytes
    (PCM, 32): ("<i4", 2147483647.0),
    (FLOAT, 32): ("<f4", 1.0),
    (FLOAT, 64): ("<f8", 1.0),
}


def _samples(data: bytes, kind: int, bits: int, channels: int, frame: int) -> np.ndarray:
    """The content of a file as float32 [N, channels]."""
    if channels < 1 or frame != channels * bits // 8 or (kind, bits) not in _FORMS:
        raise CodecError("WAV", f"{bits} bits of kind {kind} cannot be read; save it as 16-bit PCM")
    dtype, full = _FORMS[kind, bits]
    data = data[: len(data) // frame * frame]
    if bits == 24:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data = padded.tobytes()
    values = np.frombuffer(data, dtype).astype(np.float64) - (128 if bits == 8 else 0)
    if not np.isfinite(values).all():
        raise CodecError("WAV", "some samples are NaN or infinite")
    return np.clip(values / full, -1, 1).astype(np.float32).reshape(-1, channels)


def resampled(sound: np.ndarray, rate: int, to: int) -> np.ndarray:
    """float32 [N] of ``rate`` samples a second at ``to``, [ceil(N to / rate)], filtered so that nothing folds over."""
    if rate == to:
        return sound
    from scipy.signal import resample_poly

    share = Fraction(to, rate)
    return resample_poly(sound, share.numerator, share.denominator).astype(np.float32)


def spectrogram(sound: np.ndarray) -> np.ndarray:
    """int16 [T] -> a picture uint8 [128, 256, 3]: time to the right, pitch upwards from 0 to half the rate, brighter
    where it is louder, by decibels below the loudest moment."""
    sound = np.asarray(sound, np.float64) / FULL
    sound = np.pad(sound, (0, max(WINDOW - len(sound), 0)))
    starts = np.linspace(0, len(sound) - WINDOW, WIDTH).astype(int)
    windows = sound[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.square(np.abs(np.fft.rfft(windows, axis=1)))[:, 1:].reshape(WIDTH, HEIGHT, -1).mean(axis=-1)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    return toned(np.clip(1 + (level - max(level.max(), -20.0)) / SHOWN, 0, 1).T[::-1])


def toned(bright: np.ndarray) -> np.ndarray:
    """[...] from 0 to 1 -> uint8 [..., 3], dark to light along ``TONES``."""
    along = bright * (len(TONES) - 1)
    below = np.minimum(along.astype(int), len(TONES) - 2)
    part = (along - below)[..., None]
    return np.rint((1 - part) * TONES[below] + part * TONES[below + 1]).astype(np.uint8)


def outline(sound: np.ndarray, *, height: int = 32) -> np.ndarray:
    """int16 [T] -> a picture uint8 [height, 256, 3] of how far its samples go up and down."""
    edges = np.linspace(0, len(sound), WIDTH + 1).astype(int)
    parts = [sound[a : max(b, a + 1)].astype(np.float32) / FULL for a, b in pairwise(edges)]
    low, high = (np.array([f(part) if len(part) else 0 for part in parts]) for f in (np.min, np.max))
    rows = 1 - 2 * (np.arange(height)[:, None] + 0.5) / height
    inside = (rows <= high + 1 / height) & (rows >= low - 1 / height)
    return np.where(inside[..., None], TONES[3], TONES[0]).astype(np.uint8)


def picture(sound: np.ndarray) -> np.ndarray:
    """int16 [T] -> uint8 [160, 256, 3]: its outline above its spectrogram."""
    return np.concatenate([outline(sound), spectrogram(sound)])
