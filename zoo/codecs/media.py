"""What a model gave -> files that people open: a picture, music to read, to hear and to see, or text.

Every file says how it was made (``meta``): PNG, MIDI and WAV inside themselves, text in a JSON file beside it.
"""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.codecs.errors import META_KEY, CodecError, write_bytes
from zoo.codecs.notes import Notes

PIECE = (".mid", ".wav", ".png")  # the forms of a piece of music
DRAWING = (".svg", ".png")
SEPARATOR = "\n\n{line}\n\n".format(line="-" * 80)  # between samples of text


def write_samples(codec: Any, arrays: Any, stem: Path, *, meta: dict[str, Any], audio: bool = False) -> list[Path]:
    """Writes samples of any model and returns the files: ``stem`` and a suffix each.

    arrays: images float [n, H, W, C] in [-1, 1], volumes [n, D, H, W, C], videos [n, T, H, W, C], waves [n, T, 1],
    points [n, 2], n sequences of tokens int [T], n rolls [T, 88], or n drawings [T, 5]; the sequences may be of
    different lengths. Images become one grid, ``stem.png``, and so do views of volumes, points, and drawings, which are
    in ``stem.svg`` as lines; videos a GIF; waves a WAV file each, and a picture of all; texts one
    ``stem.txt``, with ``stem.json`` beside it; pieces of music ``stem.mid``, or ``stem_0.mid`` and so on where there
    are several, and with ``audio`` a WAV file and a picture of the notes each.

    CodecError where the arrays are none of the codec's, and where a file cannot be written.
    """
    match codec.media:
        case "image" | "points":
            return [write_grid(codec, arrays, with_suffix(stem, ".png"), meta=meta)]
        case "voxels":
            from zoo.codecs.images import grid, write_png
            from zoo.codecs.voxels import views

            path = with_suffix(stem, ".png")
            write_png(grid(views(codec.decode(np.asarray(arrays)))), path, meta=meta)
            return [path]
        case "video":
            from zoo.codecs.clips import side_by_side
            from zoo.codecs.film import write_gif

            path = with_suffix(stem, ".gif")
            write_gif(side_by_side(codec.decode(np.asarray(arrays))), path, fps=codec.fps, meta=meta)
            return [path]
        case "audio":
            return write_waves(codec, codec.decode(np.asarray(arrays)), stem, meta=meta)
        case "text":
            return write_texts([codec.decode(np.asarray(row)) for row in arrays], stem, meta=meta)
        case "music":
            kinds = PIECE if audio else PIECE[:1]
            return write_pieces([codec.decode(np.asarray(row)) for row in arrays], stem, meta=meta, kinds=kinds)
        case "drawing":
            return write_drawings([codec.decode(np.asarray(row)) for row in arrays], stem, meta=meta)
        case other:
            raise CodecError(stem, f"nothing is known of the medium {other!r}")


def write_grid(codec: Any, images: Any, path: Path, *, meta: dict[str, Any], columns: int | None = None) -> Path:
    """Writes images float [n, H, W, C] in [-1, 1] as one PNG with rows of ``columns`` (None: about square)."""
    from zoo.codecs.images import grid, write_png

    write_png(grid(codec.decode(np.asarray(images)), columns=columns), path, meta=meta)
    return path


def write_each(
    codec: Any, images: np.ndarray, stem: Path, meta: dict[str, Any], own: Sequence[dict[str, Any]] | None = None
) -> list[Path]:
    """Writes images float [n, H, W, C] in [-1, 1], a PNG each, numbered, so that they sort. ``own``: what is told of
    each (its number)."""
    from zoo.codecs.images import write_png

    digits = len(str(len(images) - 1))
    files = []
    for number, pixels in enumerate(codec.decode(images)):
        files.append(with_suffix(stem, f"_{number:0{digits}d}.png"))
        write_png(pixels, files[-1], meta={**meta, **({"sample": number} if own is None else own[number])})
    return files


def write_drawings(
    drawings: Sequence[Any],
    stem: Path,
    *,
    meta: dict[str, Any],
    kinds: Iterable[str] = DRAWING,
    columns: int | None = None,
) -> list[Path]:
    """Writes drawings as one sheet with rows of ``columns`` (None: about square), in the forms ``kinds``, of ".svg" and
    ".png"."""
    from zoo.codecs.images import grid, write_png
    from zoo.codecs.strokes import picture
    from zoo.codecs.svg import write_svg

    files = []
    for kind in kinds:
        files.append(with_suffix(stem, kind))
        if kind == ".svg":
            write_svg(drawings, files[-1], meta=meta, columns=columns)
        else:
            size = 512 if len(drawings) == 1 else 128
            sheet = grid(np.stack([picture(drawing, size=size) for drawing in drawings]), columns=columns)
            write_png(sheet, files[-1], meta=meta)
    return files


def write_pieces(
    pieces: Sequence[Notes], stem: Path, *, meta: dict[str, Any], kinds: Iterable[str] = PIECE[:1]
) -> list[Path]:
    """Writes each piece in the forms ``kinds``, of ".mid", ".wav" and ".png". Of several pieces, each carries its
    number as ``sample`` in its meta, and in its name."""
    files = []
    for number, notes in enumerate(pieces):
        alone = len(pieces) == 1
        name = stem if alone else stem.with_name(f"{stem.name}_{number}")
        its = meta if alone else {**meta, "sample": number}
        files += [write_piece(notes, with_suffix(name, kind), meta=its) for kind in kinds]
    return files


def write_piece(notes: Notes, path: Path, *, meta: dict[str, Any]) -> Path:
    """Writes one piece in the form that the suffix names: music to read, to hear, or to see."""
    match path.suffix:
        case ".mid":
            from dataclasses import replace

            from zoo.codecs.midi import write_midi

            write_midi(replace(notes, meta=notes.meta | as_text(meta)), path)
        case ".wav":
            from zoo.codecs.audio import render, write_wav

            write_wav(render(notes), path, meta=meta)
        case ".png":
            from zoo.codecs.images import write_png
            from zoo.codecs.pianoroll import picture

            write_png(picture(notes), path, meta=meta)
        case _:
            raise CodecError(path, f"music is written as {', '.join(PIECE)}")
    return path


def write_waves(
    codec: Any, sounds: np.ndarray, stem: Path, *, meta: dict[str, Any], kinds: Iterable[str] = (".wav", ".png")
) -> list[Path]:
    """Writes sounds int16 [n, T] in the forms ``kinds``: as a ".wav" each, numbered where there are several, and all in
    one ".png", of their outlines and spectrograms."""
    from zoo.codecs.audio import write_wav
    from zoo.codecs.images import grid, write_png
    from zoo.codecs.waves import FULL, picture

    files = []
    if ".wav" in kinds:
        digits = len(str(len(sounds) - 1))
        for number, sound in enumerate(sounds):
            name = "" if len(sounds) == 1 else f"_{number:0{digits}d}"
            files.append(with_suffix(stem, f"{name}.wav"))
            its = meta if len(sounds) == 1 else {**meta, "sample": number}
            write_wav(sound.astype(np.float64) / FULL, files[-1], codec.rate, meta=its)
    if ".png" in kinds:
        files.append(with_suffix(stem, ".png"))
        write_png(grid(np.stack([picture(sound) for sound in sounds])), files[-1], meta=meta)
    return files


def write_texts(texts: Sequence[str], stem: Path, *, meta: dict[str, Any]) -> list[Path]:
    """Writes all texts into one UTF-8 file, a line of dashes between them, and the meta beside it. Bytes that are no
    UTF-8 come out as they went in."""
    path, beside = with_suffix(stem, ".txt"), with_suffix(stem, ".json")
    try:
        data = SEPARATOR.join(texts).encode("utf-8", "surrogateescape")
        note = json.dumps({META_KEY: meta}, indent=2).encode()
    except (UnicodeEncodeError, TypeError, ValueError) as error:
        raise CodecError(path, error) from None
    write_bytes(path, data)
    write_bytes(beside, note)
    return [path, beside]


def write_arrays(path: Path, *, meta: dict[str, Any], **arrays: Any) -> Path:
    """Writes arrays as an .npz, and the meta as JSON among them."""
    try:
        note = json.dumps(meta)
    except (TypeError, ValueError) as error:
        raise CodecError(path, error) from None
    buffer = io.BytesIO()
    contents: dict[str, Any] = {**arrays, META_KEY: np.array(note)}
    np.savez_compressed(buffer, **contents)
    write_bytes(path, buffer.getvalue())
    return path


def as_text(meta: dict[str, Any]) -> dict[str, str]:
    """The same with every value a string, as MIDI files keep them: strings as they are, the rest as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in meta.items()}


def with_suffix(stem: Path, suffix: str) -> Path:
    """``stem`` and a suffix behind it, whatever dots it has: Path.with_suffix would cut them off."""
    return stem.with_name(stem.name + suffix)
