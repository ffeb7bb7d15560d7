"""midi: a folder of MIDI files; rolls: piano rolls in one file."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from train.data.folders import by_folder, find
from train.data.npz import read_npz, sequences_of
from train.data.sequences import KEYS, sequence_source
from train.data.source import Source
from train.data.spec import Spec
from train.data.splits import select
from train.data.workers import map_files
from zoo.errors import UserError

SUFFIXES = frozenset({".mid", ".midi", ".smf", ".kar"})
CODECS = ("performance", "remi", "voices", "leadsheet", "roll", "tracks", "chords", "drums")
CHORDS = 2048  # that have a token of their own
WORDS = ("words", "rhythm")  # options of codec=chords
MATLAB_KEYS = {"train": "traindata", "valid": "validdata", "test": "testdata"}


def open_midi(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """midi:DIR?codec=performance|remi|voices|leadsheet|roll|tracks|chords|drums&steps=N&drums=1&transpose=N, the MIDI
    files under DIR.

    ``steps``: a second (performance, default 100) or a quarter note (voices, lead sheets, rolls, tracks and drums,
    default 4; chords, default 2). Tracks are drums, piano, guitar, bass and strings. Of songs with a track called
    MELODY a lead sheet has that, and the annotations beside the file (`zoo.codecs.songs`). ``drums``: keep the drums of
    a performance instead of what has a pitch. ``transpose``: see ``sequence_source``, default 0. Folders train, valid
    and test at the top are splits. Of chords: ``words=N``, how many of them have a token, the most frequent in training
    (2048); ``rhythm=0``, without rests and durations.
    """
    spec.allow("codec", "steps", "drums", "transpose", *WORDS)
    codec = music_codec(spec, "performance")
    parts, called, skipped = read_folder(spec, spec.folder(), codec)
    codec, parts = with_words(spec, codec, parts, called)
    return sequence_source(
        spec,
        codec,
        parts,
        split=split,
        length=length,
        names=called,
        transpose=spec.integer("transpose", 0, least=0) or 0,
        skipped=skipped,
    )


def read_folder(
    spec: Spec, folder: Path, codec: Any
) -> tuple[dict[str, list[np.ndarray]], dict[str, list[str]], list[str]]:
    """(pieces and their names in each split that the MIDI files under ``folder`` have, "FILE: why" of what is none).
    UserError where there is no music."""
    files, lost = find(folder, SUFFIXES)
    results = _read_all(folder, codec, tuple((name, *_state(folder / name)) for name in files))
    names = [name for name, result in zip(files, results, strict=True) if not isinstance(result, str)]
    pieces = [result for result in results if not isinstance(result, str)]
    broken = [f"{name}: {result}" for name, result in zip(files, results, strict=True) if isinstance(result, str)]
    skipped = [*lost, *broken]
    if not pieces:
        where = "" if folder == Path(spec.path).expanduser() else f" in {folder}"
        raise UserError(f"{spec.text}: no MIDI file with music{where}" + (f"; first: {skipped[0]}" if skipped else ""))
    own = by_folder(names)
    parts = {part: [pieces[i] for i in rows] for part, rows in own.items()}
    return parts, {part: [names[i] for i in rows] for part, rows in own.items()}, skipped


def open_rolls(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """rolls:FILE?steps=N&transpose=N&window=N, piano rolls [T, 88] of keys 21..108.

    A MATLAB 5 file as Boulanger-Lewandowski et al. 2012 published (cells traindata, validdata, testdata), or an npz as
    ``npz:`` describes it (``roll``, or one array a split). ``steps``: frames a quarter note, for playing, default 1.
    ``window``: a model of whole pieces is trained on windows of so many frames, half of which a window shares with the
    next.
    """
    from zoo.codecs.rolls import PianoRoll

    spec.allow("steps", "transpose", "window")
    window = spec.integer("window", least=2)
    if window and length:
        raise UserError(f"{spec.text}: the model's own windows have {length} frames; leave window out")
    own = read_rolls(spec, spec.file())
    return sequence_source(
        spec,
        PianoRoll(steps_per_quarter=spec.integer("steps", 1) or 1),
        own,
        split=split,
        length=window if window and split == "train" else length,
        align=window // 2 if window else 1,
        transpose=spec.integer("transpose", 0, least=0) or 0,
    )


def read_rolls(spec: Spec, path: Path) -> Mapping[str, Sequence[np.ndarray]]:
    """The rolls [T, 88] of a file in each of its splits. UserError where there are none."""
    own = _matlab(spec, path) if path.suffix.lower() == ".mat" else sequences_of(spec, read_npz(spec, path), "roll")
    if not own:
        where = "" if path == Path(spec.path).expanduser() else f" in {path}"
        raise UserError(f"{spec.text}: no rolls{where}; a .mat holds {', '.join(MATLAB_KEYS.values())}, an npz 'roll'")
    return own


def music_codec(spec: Spec, default: str) -> Any:
    """The codec that the options codec, steps and drums ask for; that of chords has no words yet (``with_words``)."""
    from zoo.codecs.chords import ChordWords
    from zoo.codecs.drums import DrumGrid
    from zoo.codecs.errors import CodecError
    from zoo.codecs.leadsheet import LeadSheet
    from zoo.codecs.performance import Performance
    from zoo.codecs.remi import Remi
    from zoo.codecs.rolls import PianoRoll
    from zoo.codecs.tracks import MultiTrack
    from zoo.codecs.voices import VoiceGrid

    kind = spec.choice("codec", CODECS, default)
    steps = spec.integer("steps")
    drums = spec.choice("drums", ("0", "1"), "0") == "1"
    if drums and kind != "performance":
        raise UserError(f"{spec.text}: only codec=performance keeps drums")
    if kind != "chords" and (strange := [name for name in WORDS if name in spec.options]):
        raise UserError(f"{spec.text}: {strange[0]} is for codec=chords")
    if kind == "chords" and "transpose" in spec.options:
        raise UserError(f"{spec.text}: chords are not transposed; leave transpose out")
    if kind == "remi" and steps is not None:
        raise UserError(f"{spec.text}: remi has its own grid; leave steps out")
    try:
        if kind == "chords":
            rhythm = spec.choice("rhythm", ("0", "1"), "1") == "1"
            return ChordWords(steps_per_quarter=steps or 2, rhythm=rhythm)
        if kind == "performance":
            return Performance(steps_per_second=steps or 100, drums=drums)
        if kind == "remi":
            return Remi()
        if kind == "tracks":
            return MultiTrack(steps_per_bar=4 * (steps or 4))
        grids = {"voices": VoiceGrid, "leadsheet": LeadSheet, "roll": PianoRoll, "drums": DrumGrid}
        return grids[kind](steps_per_quarter=steps or 4)
    except CodecError as error:
        raise UserError(f"{spec.text}: {error.cause}") from None


def with_words(
    spec: Spec, codec: Any, own: Mapping[str, Sequence[np.ndarray]], names: Mapping[str, Sequence[str]]
) -> tuple[Any, dict[str, Sequence[np.ndarray]]]:
    """(codec, pieces) as they are; of chords, whose vocabulary is that of the pieces that train, the codec with it and
    what was ``struck`` as its tokens."""
    from zoo.codecs.chords import ChordWords

    if not isinstance(codec, ChordWords):
        return codec, dict(own)
    part, index = select(names, "train", spec=spec.text)
    codec = codec.of([own[part][i] for i in index], spec.integer("words", CHORDS, least=0) or 0)
    return codec, {name: [codec.spell(piece) for piece in pieces] for name, pieces in own.items()}


def reader(codec: Any) -> Callable[[Any], np.ndarray]:
    """Notes -> what a codec makes of them; chords as they are struck, before they have tokens."""
    return getattr(codec, "struck", codec.encode)


def _state(path: Path) -> tuple[int, int]:
    state = path.lstat()
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=2)
def _read_all(folder: Path, codec: Any, files: tuple[tuple[str, int, int], ...]) -> list[np.ndarray | str]:
    """What ``_read`` gives of each file; once, though every split asks. Time and size tell when a file has changed."""
    return list(map_files(partial(_read, folder, codec), [name for name, *_ in files], f"reading {folder}"))


def _read(folder: Path, codec: Any, name: str) -> np.ndarray | str:
    """What the codec makes of a file, or why it makes nothing."""
    from zoo.codecs.errors import CodecError

    try:
        piece = reader(codec)(notes_of(codec, folder / name))
    except CodecError as error:
        return error.cause
    if len(piece) <= (2 if piece.ndim == 1 else 0):  # START and STOP
        return "no notes that the codec keeps" + ("; try drums=1" if not getattr(codec, "drums", True) else "")
    return piece


def notes_of(codec: Any, path: Path) -> Any:
    """The notes of a file; for lead sheets, of a song that tells its melody, that and its chords. CodecError as
    ``read_midi`` raises it."""
    from zoo.codecs.leadsheet import LeadSheet
    from zoo.codecs.midi import read_midi
    from zoo.codecs.songs import read_sheet

    return (read_sheet if isinstance(codec, LeadSheet) else read_midi)(path)


def _matlab(spec: Spec, path: Path) -> dict[str, Sequence[np.ndarray]]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        arrays = loadmat(path)
    except (ValueError, OSError, EOFError, TypeError, KeyError, NotImplementedError, MatReadError, zlib.error) as error:
        raise UserError(f"{spec.text}: no MATLAB 5 file that can be read: {' '.join(str(error).split())}") from None
    own = {
        split: [np.asarray(cell) for cell in arrays[key].ravel()] for split, key in MATLAB_KEYS.items() if key in arrays
    }
    for split, pieces in own.items():
        if any(piece.ndim != 2 or piece.shape[1] != KEYS or piece.dtype.kind not in "uifb" for piece in pieces):
            raise UserError(f"{spec.text}: {MATLAB_KEYS[split]} should be cells of [T, {KEYS}]")
    return {split: [piece for piece in pieces if len(piece)] for split, pieces in own.items()}
