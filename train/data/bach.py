"""bach: the four-part chorales in music21's corpus, read once into a cache.

Our own reader gives note for note what music21 gives of these files, in a fiftieth of the time.
"""

import io
import os
import sys
import zipfile
import zlib
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from train.data.music import WORDS, music_codec, reader, with_words
from train.data.musicxml import Sung, read_score
from train.data.progress import track
from train.data.sequences import sequence_source
from train.data.source import Source
from train.data.spec import Spec
from train.data.splits import select
from train.data.styles import styled_source
from zoo.codecs.errors import CodecError, write_bytes
from zoo.codecs.notes import Notes
from zoo.codecs.rolls import PianoRoll
from zoo.errors import UserError
from zoo.music.textures import broken

FORM = 1  # of the cache: a file of another form is another file
PARTS = ("Soprano", "Alto", "Tenor", "Bass")
TRANSPOSE = 5


class Chorale(NamedTuple):
    """N notes as arrays [N]: onset and end in quarter notes from the beginning, MIDI pitch, voice 0..3."""

    name: str
    onset: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    voice: np.ndarray

    def notes(self, programs: np.ndarray | None = None) -> Notes:
        """The same at 60 quarter notes a minute, each voice with its program, or with those that tell them apart."""
        from zoo.codecs.voices import PROGRAMS

        programs = PROGRAMS if programs is None else programs
        return Notes(self.onset, self.end, self.pitch, program=programs[self.voice], tempo=((0.0, 60.0),))


def open_bach(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """bach?steps=N&transpose=N&limit=N&codec=voices|roll|tracks|performance|chords&textures=1, chorales in four voices.

    ``steps``: a quarter note, default 4 (2 of chords). ``transpose``: see ``sequence_source``; default 5 semitones
    either way as far as the voices' ranges go, 0 for rolls and chords. ``limit``: the first N chorales only. ``words``
    and ``rhythm``: of chords, see ``open_midi``. ``textures``: of rolls, every second chorale as broken chords, the
    styles being "chorale" and "arpeggio", so that none is in both. Repeats are not played twice; fermatas, texts and
    keys are left out, and so are exact duplicates.
    """
    spec.allow("steps", "transpose", "limit", "codec", "textures", *WORDS)
    codec = music_codec(spec, "voices")
    chorales = load()[: spec.integer("limit", least=2)]
    names = {"train": [chorale.name for chorale in chorales]}
    if spec.choice("textures", ("0", "1"), "0") == "1":
        return _textures(spec, codec, chorales, split, length)
    codec, programs = arranged(codec)
    read = reader(codec)
    codec, own = with_words(spec, codec, {"train": [read(chorale.notes(programs)) for chorale in chorales]}, names)
    shifts = TRANSPOSE if hasattr(codec, "transpose") else 0
    return sequence_source(
        spec,
        codec,
        own,
        split=split,
        length=length,
        names=names,
        transpose=spec.integer("transpose", shifts, least=0) or 0,
    )


def _textures(spec: Spec, codec: Any, chorales: list[Chorale], split: str, length: int | None) -> Source:
    if not isinstance(codec, PianoRoll):
        raise UserError(f"{spec.text}: textures are of rolls; add codec=roll")
    _, index = select({"train": [chorale.name for chorale in chorales]}, split, spec=spec.text)
    rolls = [codec.encode(chorales[i].notes()) for i in index]
    styles = {"chorale": rolls[::2], "arpeggio": [broken(roll) for roll in rolls[1::2]]}
    transpose = spec.integer("transpose", 0, least=0) or 0
    return styled_source(spec, codec, styles, split=split, length=length, transpose=transpose)


def arranged(codec: Any) -> tuple[Any, np.ndarray | None]:
    """(the codec, each voice's program where it is another than usual): as tracks, the voices are strings, guitar,
    piano and bass."""
    from zoo.codecs.tracks import PROGRAMS, MultiTrack

    if not isinstance(codec, MultiTrack):
        return codec, None
    ensemble = ("strings", "guitar", "piano", "bass")
    return replace(codec, tracks=ensemble), np.array([PROGRAMS[name][0] for name in ensemble])


def load() -> list[Chorale]:
    """The chorales in the order of their names; read from the corpus where the cache has none."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "artzoo"
    try:
        release = version("music21")
    except PackageNotFoundError:
        raise UserError("bach: needs music21, whose corpus holds the chorales: pip install 'artzoo[music]'") from None
    cache = folder / f"bach-{FORM}-music21-{release}.npz"
    chorales = _stored(cache)
    if chorales is None:
        chorales = _read()
        _store(cache, chorales)
    return chorales


def _stored(path: Path) -> list[Chorale] | None:
    """None where there is no cache, or where what is there is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            names, ends, onset, end, pitch, voice = (arrays[key] for key in ("names", "ends", *Chorale._fields[1:]))
            if len(names) != len(ends) or not ends[-1] == len(onset) == len(end) == len(pitch) == len(voice):
                return None
    except (OSError, ValueError, EOFError, KeyError, IndexError, zipfile.BadZipFile, zlib.error):
        return None
    tables = [np.split(table, ends[:-1]) for table in (onset, end, pitch, voice)]
    return [Chorale(str(name), *columns) for name, *columns in zip(names, *tables, strict=True)]


def _store(path: Path, chorales: list[Chorale]) -> None:
    """In one move: several runs may start at once. A cache that cannot be written is none."""
    onset, end, pitch, voice = (np.concatenate(column) for column in list(zip(*chorales, strict=True))[1:])
    names, ends = np.array([c.name for c in chorales]), np.cumsum([len(c.onset) for c in chorales])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, names=names, ends=ends, onset=onset, end=end, pitch=pitch, voice=voice)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, buffer.getvalue())
    except (OSError, CodecError) as error:
        print(f"bach: {error}: not kept, the chorales are read again next time", file=sys.stderr)


def _read() -> list[Chorale]:
    spec = find_spec("music21")
    package = spec.submodule_search_locations if spec else None
    folder = Path((package or [""])[0]) / "corpus" / "bach"
    paths = sorted(path for path in folder.glob("bwv*") if path.suffix in (".mxl", ".xml"))
    chorales: dict[bytes, Chorale] = {}
    for path in track(paths, "reading Bach's chorales", len(paths)):
        score = read_score(path)
        if tuple(score) == PARTS:
            chorale = _chorale(path.stem, score)
            chorales.setdefault(b"".join(table.tobytes() for table in chorale[1:]), chorale)
    if not chorales:
        raise UserError("bach: music21 is here, but without its corpus: pip install --force-reinstall music21")
    return list(chorales.values())


def _chorale(name: str, score: dict[str, list[Sung]]) -> Chorale:
    rows = [(note.onset, note.end, note.pitch, voice) for voice, part in enumerate(PARTS) for note in score[part]]
    onset, end, pitch, voice = zip(*rows, strict=True)
    return Chorale(name, np.array(onset), np.array(end), np.array(pitch, np.int16), np.array(voice, np.int8))
