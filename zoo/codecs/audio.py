"""Notes -> sound: a small additive synthesizer, or a soundfont where pyfluidsynth is installed. Sound -> WAV files.

A pitched note is a sum of harmonics (one period in a wavetable, band-limited to its pitch), doubled a few cents apart
where many would play, which darkens and fades where a string or a bar is struck. A drum is a swept tone, noise and the
clang of six squares that have no key in common. The sum goes into a short dark room and a soft limiter.
"""

import io
import json
import wave
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal

import numpy as np

from zoo.codecs.errors import META_KEY, CodecError, Path, write_bytes
from zoo.codecs.notes import Notes

MAX_MINUTES = 60  # of one rendering: 300 MB of samples at 22050 a second
TAIL = 1.2  # seconds behind the last note, for its release and the room

_TABLE = 4096  # samples a period; linear interpolation between them stays 100 dB below the tone
_ROOM = 0.9  # seconds
_BLOCK = 2**17  # samples a Fourier transform


@dataclass(frozen=True)
class Timbre:
    """How a family of instruments sounds.

    ``partials``: amplitudes of the harmonics 1, 2, 3, ...    ``attack``, ``release``: seconds.
    ``half_life``: seconds until a held middle C has half its amplitude, higher ones less; None: it sustains.
    ``detune``: cents between its two players; 0: there is one.    ``vibrato``: cents up and down.
    """

    partials: tuple[float, ...]
    attack: float
    release: float
    half_life: float | None = None
    detune: float = 0.0
    vibrato: float = 0.0
    gain: float = 1.0


@dataclass(frozen=True)
class Drum:
    """A tone of ``pitch`` hertz, at first ``bend`` times as high, beside noise and metal; each with its amplitude and
    the seconds in which it falls to 1/e."""

    tone: tuple[float, float] = (0.0, 0.1)
    noise: tuple[float, float] = (0.0, 0.1)
    metal: tuple[float, float] = (0.0, 0.1)
    pitch: float = 100.0
    bend: float = 1.0


def _slope(power: float, *, even: float = 1.0) -> tuple[float, ...]:
    return tuple((1.0 if k % 2 else even) * k**-power for k in range(1, 25))


TIMBRES = (  # General MIDI's families of eight programs, in its order
    Timbre(_slope(1.3), 0.004, 0.22, half_life=1.1, detune=1.5),  # pianos
    Timbre((1, 0, 0, 0.35, 0, 0, 0, 0, 0, 0.12), 0.002, 0.5, half_life=0.6),  # bars and bells
    Timbre((1, 0.7, 0.45, 0.4, 0, 0.22, 0, 0.18), 0.025, 0.16, detune=4),  # organs
    Timbre(_slope(1.2, even=0.7), 0.003, 0.15, half_life=0.6),  # guitars
    Timbre(_slope(1.6), 0.006, 0.1, half_life=1.2, gain=1.2),  # basses
    Timbre(_slope(1.5), 0.06, 0.3, detune=8, vibrato=6),  # strings
    Timbre(_slope(1.7), 0.11, 0.4, detune=12, vibrato=5),  # string orchestra, choir
    Timbre(_slope(1.1), 0.035, 0.14, vibrato=4, gain=0.8),  # brass
    Timbre(_slope(1.3, even=0.4), 0.03, 0.12, vibrato=5, gain=0.9),  # reeds
    Timbre((1, 0.25, 0.12, 0.05), 0.045, 0.14, vibrato=6, gain=1.1),  # pipes
    Timbre(_slope(1.1), 0.01, 0.1, detune=7, gain=0.7),  # synthesizer leads
    Timbre(_slope(1.6), 0.25, 0.7, detune=14),  # pads
    Timbre(_slope(1.4), 0.15, 0.7, detune=18),  # effects
    Timbre(_slope(1.2, even=0.8), 0.003, 0.2, half_life=0.5),  # sitar, koto, ...
    Timbre((1, 0.1, 0.4, 0, 0.2, 0, 0.1), 0.002, 0.2, half_life=0.25),  # kalimba, wood, steel drums
    Timbre(_slope(1.5), 0.05, 0.4, detune=20),  # sounds of the world
)

_KICK = Drum(tone=(1.6, 0.13), noise=(0.15, 0.004), pitch=50, bend=3.5)
_SNARE = Drum(tone=(0.6, 0.06), noise=(0.6, 0.09), pitch=185, bend=1.3)
_HAT = Drum(noise=(0.2, 0.03), metal=(0.2, 0.035))
_OPEN_HAT = Drum(noise=(0.2, 0.18), metal=(0.2, 0.25))
_CRASH = Drum(noise=(0.35, 0.5), metal=(0.15, 0.6))
_RIDE = Drum(noise=(0.08, 0.15), metal=(0.22, 0.5), tone=(0.05, 0.3), pitch=3150)
_TOMS = {41: 80, 43: 95, 45: 112, 47: 133, 48: 158, 50: 190}  # hertz
DRUMS = {  # by General MIDI's key
    **dict.fromkeys((35, 36), _KICK),
    **dict.fromkeys((38, 40), _SNARE),
    **dict.fromkeys((22, 42, 44), _HAT),
    **dict.fromkeys((26, 46), _OPEN_HAT),
    **dict.fromkeys((49, 52, 55, 57), _CRASH),
    **dict.fromkeys((51, 53, 59), _RIDE),
    37: Drum(tone=(0.5, 0.02), noise=(0.2, 0.01), pitch=1700),
    39: Drum(noise=(0.6, 0.06)),
    54: Drum(noise=(0.25, 0.05), metal=(0.15, 0.06)),
    **{key: Drum(tone=(1.0, 0.16), noise=(0.1, 0.02), pitch=pitch, bend=1.5) for key, pitch in _TOMS.items()},
}


def render(notes: Notes, rate: int = 22050, *, engine: Literal["auto", "numpy", "soundfont"] = "auto") -> np.ndarray:
    """float32 [N] in (-1, 1), ``rate`` samples a second, the loudest at 0.9; ``TAIL`` seconds longer than the notes.

    ``engine``: "numpy" is the synthesizer of this file, the same samples everywhere; "soundfont" plays the one that
    pretty_midi carries, by pyfluidsynth; "auto" takes the soundfont where that can be had.
    CodecError for music longer than ``MAX_MINUTES``, a ``rate`` outside 8000..96000, a soundfont without pyfluidsynth.
    """
    if notes.duration > 60 * MAX_MINUTES:
        raise CodecError("notes", f"{notes.duration / 60:.0f} minutes long; at most {MAX_MINUTES} can be rendered")
    if not 8000 <= rate <= 96_000:
        raise CodecError("audio", f"rate must lie in 8000..96000 samples a second, not {rate}")
    if engine != "numpy":
        try:
            return _limit(_soundfont(notes, rate))
        except (ImportError, OSError) as error:  # OSError: pyfluidsynth without its library
            if engine == "soundfont":
                raise CodecError("soundfont", f"needs pyfluidsynth and libfluidsynth ({error})") from None
    return _limit(_room(_dry(notes, rate), rate))


def write_wav(samples: np.ndarray, path: Path, rate: int = 22050, *, meta: dict[str, Any] | None = None) -> None:
    """Writes float samples [N] in [-1, 1] (beyond, they are clipped) as 16-bit mono, ``meta`` as JSON in the comment.

    In one move: a file is there whole or not at all. CodecError for other samples, and where nothing can be written.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or not np.all(np.isfinite(samples)):
        raise CodecError(path, "samples must be finite numbers in one dimension")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(32767 * np.clip(samples, -1, 1)).astype("<i2").tobytes())
    data = bytearray(buffer.getvalue())
    if meta:
        try:
            comment = json.dumps({META_KEY: meta}).encode()
        except (TypeError, ValueError) as error:
            raise CodecError(path, error) from None
        data += _riff(b"LIST", b"INFO" + _riff(b"ICMT", comment + b"\0"))
        data[4:8] = (len(data) - 8).to_bytes(4, "little")
    write_bytes(path, bytes(data))


def _riff(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def _dry(notes: Notes, rate: int) -> np.ndarray:
    """All notes in their places, before the room. One tone a key and timbre, as long as its longest note needs, serves
    every note of it: a note is a slice of the tone under its own release."""
    mix = np.zeros(int((notes.duration + TAIL) * rate) + 1, np.float32)
    onset = np.rint(notes.start * rate).astype(int)
    length = np.rint((notes.end - notes.start) * rate).astype(int)
    loud = ((notes.velocity / 127) ** 1.7).astype(np.float32)
    voices = np.where(notes.drum, -1, notes.program // 8)
    sounds = defaultdict(list)
    for index, sound in enumerate(zip(voices.tolist(), notes.pitch.tolist(), strict=True)):
        sounds[sound].append(index)
    for (voice, pitch), members in sounds.items():
        if voice < 0:
            tone, tail = _drum(pitch, rate), np.ones(0, np.float32)
            length[members] = len(tone)
        else:
            tail = _release(TIMBRES[voice].release, rate)
            tone = _tone(TIMBRES[voice], pitch, rate, int(length[members].max()) + len(tail))
        for index in members:
            first, held = onset[index], length[index]
            note = loud[index] * tone[: held + len(tail)][: len(mix) - first]
            note[held:] *= tail[: len(note) - held]
            mix[first : first + len(note)] += note
    return mix


def _release(seconds: float, rate: int) -> np.ndarray:
    ramp = np.linspace(1, 0, int(seconds * rate), dtype=np.float32)
    return ramp * np.exp(4 * (ramp - 1))


def _tone(timbre: Timbre, pitch: int, rate: int, length: int) -> np.ndarray:
    """float32 [length]: a key held for ever."""
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    harmonics = max(1, min(len(timbre.partials), int(0.45 * rate / hertz)))
    time = np.arange(length) / rate
    tone = np.zeros(length, np.float32)
    players = [(1.0, 0.0), (0.45, timbre.detune)] if timbre.detune else [(1.0, 0.0)]  # equal ones would beat to nothing
    fading = (timbre.half_life or 0.0) * 2 ** ((60 - pitch) / 24)  # short strings fade sooner
    for amplitude, cents in players:
        phase = time * (hertz * 2 ** (cents / 1200)) + 0.037 * cents
        if timbre.vibrato:
            speed = 2 * np.pi * (4.8 + pitch % 7 / 10)  # a key's own: a choir does not wave in step
            depth = hertz * (2 ** (timbre.vibrato / 1200) - 1) / speed  # periods
            phase += depth * np.sin(speed * time + cents) * np.minimum(time / 0.5, 1)
        sound = _look_up(_period(timbre.partials, harmonics, 1.0 if fading else 0.0), phase)
        if fading:
            bright = _look_up(_period(timbre.partials, harmonics, 0.0), phase)
            sound += (bright - sound) * np.exp(-2 * time / fading).astype(np.float32)
        tone += np.float32(amplitude) * sound
    envelope = 0.5 - 0.5 * np.cos(np.pi * np.minimum(time / timbre.attack, 1))
    envelope *= 2 ** (-time / fading) if fading else 1 + 0.4 * np.exp(-time / 0.2)  # an accent: repeated notes speak
    level = 0.25 * timbre.gain * 2 ** ((60 - pitch) / 60)
    return tone * (level * envelope).astype(np.float32)


@lru_cache(maxsize=512)
def _period(partials: tuple[float, ...], harmonics: int, darkness: float) -> np.ndarray:
    """float32 [_TABLE + 1]: one period, its power 1 without ``darkness``, which divides harmonic k by k**darkness."""
    k = np.arange(1, harmonics + 1)
    amplitude = np.array(partials[:harmonics]) * k**-darkness
    angle = 2 * np.pi * np.arange(_TABLE + 1) / _TABLE
    wave = amplitude @ np.sin(k[:, None] * angle + (0.7 * k * k)[:, None])  # scattered phases: lower peaks
    return (wave / np.sqrt(0.5 * np.sum(np.square(partials[:harmonics])))).astype(np.float32)


def _look_up(table: np.ndarray, phase: np.ndarray) -> np.ndarray:
    position = (phase % 1.0) * _TABLE
    index = position.astype(np.int32)
    here = table[index]
    return here + (position - index).astype(np.float32) * (table[index + 1] - here)


@lru_cache(maxsize=256)
def _drum(key: int, rate: int) -> np.ndarray:
    drum = DRUMS.get(key) or Drum(tone=(0.5, 0.03), noise=(0.1, 0.01), pitch=500 * 2 ** (key % 24 / 12))
    ring = max(decay for level, decay in (drum.tone, drum.noise, drum.metal) if level)
    time = np.arange(int(min(5 * ring + 0.02, 2.0) * rate)) / rate
    pitch = drum.pitch * (1 + (drum.bend - 1) * np.exp(-35 * time))
    random = np.random.default_rng(key).uniform(-1, 1, len(time) + 1)
    squares = sum(np.sign(np.sin(2 * np.pi * hertz * time)) for hertz in (205, 304, 370, 523, 540, 800)) / 6
    parts = (
        (drum.tone, np.sin(2 * np.pi * np.cumsum(pitch) / rate)),
        (drum.noise, np.diff(random)),  # the difference takes the rumble out
        (drum.metal, np.diff(squares, prepend=0) * 2),
    )
    sound = sum(level * np.exp(-time / decay) * part for (level, decay), part in parts)
    return (0.6 * sound * np.minimum((len(time) - np.arange(len(time))) / (0.01 * rate), 1)).astype(np.float32)


@lru_cache(maxsize=4)
def _answer(rate: int) -> np.ndarray:
    """float32 [N]: what a room gives back to a clap: noise that fades by 60 dB, without rumble or glare."""
    time = np.arange(int(_ROOM * rate)) / rate
    noise = np.random.default_rng(0).normal(size=len(time)) * 10 ** (-3 * time / _ROOM) * (time > 0.012)
    short, long = np.hanning(9) / 4, np.full(99, 1 / 99)
    noise = np.convolve(noise, short, "same") - np.convolve(noise, long, "same")
    return (0.35 * noise / np.sqrt(np.sum(noise**2))).astype(np.float32)


def _room(dry: np.ndarray, rate: int) -> np.ndarray:
    """Samples [N] and what the room answers them, by Fourier transforms of one block after another."""
    answer, wet = _answer(rate), dry.copy()
    spectrum = np.fft.rfft(answer, _BLOCK)
    step = _BLOCK - len(answer) + 1
    for first in range(0, len(dry), step):
        echo = np.fft.irfft(np.fft.rfft(dry[first : first + step], _BLOCK) * spectrum)[: len(dry) - first]
        wet[first : first + len(echo)] += echo
    return wet


def _limit(samples: np.ndarray) -> np.ndarray:
    """float32 [N]: scaled to a peak of 0.9 by a curve that bends loud moments more than soft ones, faded at its end."""
    peak = np.abs(samples).max(initial=0)
    bent = np.tanh(0.8 * samples / peak) * (0.9 / np.tanh(0.8)) if peak > 0 else np.zeros_like(samples)
    end = min(len(bent), 2000)
    bent[len(bent) - end :] *= np.linspace(1, 0, end)
    return bent.astype(np.float32)


def _soundfont(notes: Notes, rate: int) -> np.ndarray:
    import_module("fluidsynth")  # asked first: pretty_midi fails later, and less clearly
    import pretty_midi

    song = pretty_midi.PrettyMIDI()
    for program, drum in sorted(set(zip(notes.program.tolist(), notes.drum.tolist(), strict=True))):
        part = notes.select((notes.program == program) & (notes.drum == drum))
        values = zip(part.velocity.tolist(), part.pitch.tolist(), part.start.tolist(), part.end.tolist(), strict=True)
        instrument = pretty_midi.Instrument(program, is_drum=drum)
        instrument.notes = [pretty_midi.Note(*value) for value in values]
        song.instruments.append(instrument)
    return np.asarray(song.fluidsynth(fs=rate), np.float32)
