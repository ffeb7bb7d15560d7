"""audio: recordings from WAV and .npz files, mono, at one rate, cut into examples of one length."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from train.data.folders import by_folder, find
from train.data.npz import read_npz, split_keys
from train.data.progress import track
from train.data.source import RESIDENT_BYTES, Source
from train.data.spec import Spec
from train.data.splits import select
from train.data.windows import Cut, window_table
from zoo.codecs.errors import CodecError
from zoo.codecs.waves import FULL, RATES, WaveCodec, read_wav, resampled
from zoo.errors import UserError

SUFFIXES = frozenset([".wav", ".wave", ".mp3", ".flac", ".ogg", ".aif", ".aiff", ".m4a"])  # others are named as skipped
KEYS = ("wave", "audio", "x", "data", "arr_0")
LENGTH = 16384  # samples, unless the model says
RATE = 16000  # samples a second, of recordings of several rates
HOPS = 4  # examples that begin within the length of one, in training

Recording = tuple[np.ndarray, int]
"""float32 [N] in [-1, 1], and its samples a second."""


def open_audio(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """audio:DIR|FILE?rate=N&length=N&level=own|peak, the WAV files under DIR, at any depth, or one, or an .npz with
    ``wave`` [N, T], or ``audio`` [T] and where each recording ends in it (``offsets`` [N + 1]), and their ``rate``.

    ``rate``: samples a second that they are brought to, by default their own where all agree, else 16000. ``level``:
    peak makes every recording as loud as it can be. ``length``: samples of an example, unless the model says; shorter
    recordings end in silence, of longer ones examples begin at every quarter of it. Folders train, valid and test at
    the top are splits.
    """
    spec.allow("rate", "length", "level")
    level = spec.choice("level", ("own", "peak"), "own")
    rate, length = spec.integer("rate", least=RATES[0]), length or spec.integer("length", LENGTH, least=2) or LENGTH
    names, found, skipped = recordings(spec)
    if not names:
        raise UserError(f"{spec.text}: no sound that can be read" + (f"; first: {skipped[0]}" if skipped else ""))
    rates = {own for _, own in found}
    rate = rate or (rates.pop() if len(rates) == 1 else RATE)
    own = by_folder(names)
    part, index = select({name: [names[i] for i in rows] for name, rows in own.items()}, split, spec=spec.text)
    chosen = [found[own[part][i]] for i in index]
    if sum(2 * len(sound) * rate / its for sound, its in chosen) > RESIDENT_BYTES:
        raise UserError(f"{spec.text}: more than 2 GiB of sound: give fewer files, or a lower rate=N")
    pieces = [_levelled(resampled(sound, its, rate), level) for sound, its in chosen]
    return wave_source(spec, split, pieces, rate, length, skipped=skipped)


def wave_source(
    spec: Spec, split: str, pieces: Sequence[np.ndarray], rate: int, length: int, *, skipped: Sequence[str] = ()
) -> Source:
    """Recordings int16 [T] as a source that is resident on the device."""
    cut = Cut(length=length, align=max(length // HOPS, 1), overlap=0)
    table = window_table(pieces, "wave", cut=cut, split=split, dtype=np.float32)

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        return {"wave": (table.example(arrays, index)["wave"] * np.float32(1 / FULL))[:, None]}

    return Source(
        spec=spec.text,
        codec=WaveCodec(rate=rate),
        size=table.size,
        fields={"length": length},
        arrays=table.arrays,
        example=example,
        skipped=tuple(skipped),
    )


def _levelled(sound: np.ndarray, level: str) -> np.ndarray:
    """float32 [T] -> int16 [T]."""
    peak = np.abs(sound).max(initial=0) if level == "peak" else 1.0
    return np.rint(np.clip(sound / max(peak, 1e-6), -1, 1) * FULL).astype(np.int16)


def recordings(spec: Spec) -> tuple[list[str], list[Recording], list[str]]:
    """(names, recordings, "FILE: why" of what could not be read)."""
    path = Path(spec.path).expanduser()
    if path.is_file() and path.suffix.lower() == ".npz":
        sounds, rate = _from_arrays(spec, path)
        return [f"{i}" for i in range(len(sounds))], [(sound, rate) for sound in sounds], []
    folder, (files, skipped) = (path.parent, ([path.name], [])) if path.is_file() else _found(spec)
    names, recordings, skipped = [], [], [*skipped]
    for name in track(files, f"reading {folder}", len(files)):
        try:
            recordings.append(recording(folder / name))
            names.append(name)
        except CodecError as error:
            skipped.append(f"{name}: {error.cause}")
    return names, recordings, skipped


def recording(file: Path) -> Recording:
    """A WAV file, its channels mixed. CodecError where it cannot be read, or holds no sound."""
    sound, rate = read_wav(file)
    if not len(sound):
        raise CodecError(file, "holds no sound")
    if rate not in RATES:
        raise CodecError(file, f"{rate} samples a second cannot be read")
    return sound.mean(axis=1, dtype=np.float32), rate


def _found(spec: Spec) -> tuple[Path, tuple[list[str], list[str]]]:
    folder = spec.folder()
    return folder, find(folder, SUFFIXES)


def _from_arrays(spec: Spec, path: Path) -> tuple[list[np.ndarray], int]:
    """(recordings float32 [T], samples a second) of an .npz."""
    arrays = read_npz(spec, path)
    key = next(iter(split_keys(arrays, KEYS).values()), None)
    rate = next((int(arrays[name]) for name in ("rate", "sample_rate") if name in arrays and arrays[name].size == 1), 0)
    if key is None or arrays[key].ndim not in (1, 2) or arrays[key].dtype.kind not in "if":
        raise UserError(f"{spec.text}: no sound wave [N, T] or audio [T] in it; it holds {', '.join(arrays)}")
    if rate not in RATES:
        raise UserError(f"{spec.text}: it does not tell its rate: save samples a second as the array 'rate'")
    sound = arrays[key]
    scale = 1.0 if sound.dtype.kind == "f" else float(np.iinfo(sound.dtype).max)
    sound = (sound / scale).astype(np.float32)
    if not np.isfinite(sound).all() or np.abs(sound).max(initial=0) > 1.01:
        raise UserError(f"{spec.text}: samples should be whole numbers, or lie in [-1, 1]")
    if sound.ndim == 2:
        return [*sound], rate
    ends = arrays.get("offsets", np.array([0, len(sound)]))
    if np.any(np.diff(ends) < 0) or ends[0] < 0 or ends[-1] > len(sound):
        raise UserError(f"{spec.text}: offsets should rise from 0 to at most {len(sound)}")
    return [sound[a:b] for a, b in pairwise(ends) if b > a], rate
