"""Arrays <-> media, invertible: pictures, text, music. Importing this imports none of the libraries behind them.

A codec is a frozen dataclass with ``media``, ``encode(thing) -> array`` and ``decode(array) -> thing``; those of tokens
have ``vocabulary``, ``start`` and ``stop`` too. ``config.json`` of a run holds one as ``to_config`` writes it.
"""

from dataclasses import asdict, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo.codecs.errors import CodecError

if TYPE_CHECKING:
    from zoo.codecs.midi import read_midi, write_midi
    from zoo.codecs.notes import Notes

__all__ = ["CODECS", "CodecError", "Notes", "from_config", "read_midi", "to_config", "write_midi"]

CODECS = {
    "image": ("zoo.codecs.images", "ImageCodec"),
    "points": ("zoo.codecs.points", "PointCodec"),
    "voxels": ("zoo.codecs.voxels", "VoxelCodec"),
    "video": ("zoo.codecs.clips", "ClipCodec"),
    "wave": ("zoo.codecs.waves", "WaveCodec"),
    "char": ("zoo.codecs.text", "CharCodec"),
    "byte": ("zoo.codecs.text", "ByteCodec"),
    "bpe": ("zoo.codecs.bpe", "BpeCodec"),
    "performance": ("zoo.codecs.performance", "Performance"),
    "remi": ("zoo.codecs.remi", "Remi"),
    "voices": ("zoo.codecs.voices", "VoiceGrid"),
    "chords": ("zoo.codecs.chords", "ChordWords"),
    "roll": ("zoo.codecs.rolls", "PianoRoll"),
    "strokes": ("zoo.codecs.strokes", "StrokeCodec"),
    "drums": ("zoo.codecs.drums", "DrumGrid"),
    "tracks": ("zoo.codecs.tracks", "MultiTrack"),
    "leadsheet": ("zoo.codecs.leadsheet", "LeadSheet"),
}

_ELSEWHERE = {"Notes": "zoo.codecs.notes", "read_midi": "zoo.codecs.midi", "write_midi": "zoo.codecs.midi"}


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE[name]), name)


def to_config(codec: Any) -> dict[str, Any]:
    """{"codec": name, **fields}, ready for JSON. CodecError for what is no codec."""
    for name, (module, kind) in CODECS.items():
        if (type(codec).__module__, type(codec).__name__) == (module, kind):
            return {"codec": name} | asdict(codec)
    raise CodecError(type(codec).__name__, f"not a codec; the codecs are {', '.join(CODECS)}")


def from_config(config: dict[str, Any]) -> Any:
    """The codec of a dict that ``to_config`` made. CodecError where the name, a field or a value is none of its own."""
    name = config.get("codec")
    if not isinstance(name, str) or name not in CODECS:
        raise CodecError("codec", f"unknown name {name!r}; the codecs are {', '.join(CODECS)}")
    module, kind = CODECS[name]
    codec = getattr(import_module(module), kind)
    values = {key: value for key, value in config.items() if key != "codec"}
    known = [field.name for field in fields(codec)]
    if unknown := values.keys() - set(known):
        raise CodecError(name, f"unknown fields {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    try:
        return codec(**values)
    except TypeError as error:
        raise CodecError(name, error) from None
