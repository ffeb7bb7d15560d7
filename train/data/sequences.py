"""Sources of sequences: tokens (text, music) and piano rolls, cut into windows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from train.data.source import Source
from train.data.spec import Spec
from train.data.splits import select
from train.data.windows import Cut, narrow, window_table
from zoo.errors import UserError

KEYS = 88
GROOVE = 27  # numbers of a step
BAR = 4  # quarter notes
TRAIN_SHARE = 0.9  # of a single text; nanoGPT's split (data/shakespeare_char/prepare.py)

Pieces = Sequence[np.ndarray]


def sequence_source(
    spec: Spec,
    codec: Any,
    own: Mapping[str, Pieces],
    *,
    split: str,
    length: int | None,
    align: int = 1,
    names: Mapping[str, Sequence[str]] | None = None,
    transpose: int = 0,
    skipped: Sequence[str] = (),
) -> Source:
    """Pieces of ``codec``, tokens int [T], rolls [T, 88], grooves [T, 27] or tracks [bars, ...], as windows of
    ``length`` (None: whole pieces).

    ``own``: the pieces in each split that the data itself has. Pieces of text follow one another as one text, of which
    the last tenth is held out where the data has no splits; of music, whole pieces are, by hash of their ``names``.
    ``align``: windows of rolls start at multiples of it in "train", those of tokens and grooves where their codec says.
    ``transpose``: in "train" each window comes in every key within so many semitones that its piece has room for.
    """
    if codec.media == "text":
        pieces: Pieces = [_text(spec, own, split)]
    else:
        names = {name: [str(i) for i in range(len(x))] for name, x in own.items()} if names is None else names
        part, index = select(names, split, spec=spec.text)
        pieces = [own[part][i] for i in index]
    if not sum(map(len, pieces)):
        raise UserError(f"{spec.text}: nothing to read in {split!r}")
    transpose = transpose if split == "train" else 0
    kinds: dict[Any, Any] = {(): _tokens, (KEYS,): _rolls, (GROOVE,): _grooves}
    make = kinds.get(pieces[0].shape[1:], _tracks)
    own_align = alignment(codec) if make in (_tokens, _grooves) else align
    cut = Cut(length=length, align=own_align, overlap=1 if make is _tokens else 0)
    return make(spec, codec, pieces, split=split, cut=cut, transpose=transpose, skipped=tuple(skipped))


def _text(spec: Spec, own: Mapping[str, Pieces], split: str) -> np.ndarray:
    if len(own) > 1:
        part, _ = select({name: [""] for name in own}, split, spec=spec.text)
        return np.concatenate(own[part])
    (pieces,) = own.values()
    text = np.concatenate(pieces)
    cut = int(TRAIN_SHARE * len(text))
    return text[:cut] if split == "train" else text[cut:]


def _tokens(
    spec: Spec, codec: Any, pieces: Pieces, *, split: str, cut: Cut, transpose: int, skipped: tuple[str, ...]
) -> Source:
    longest = max(map(len, pieces))
    if cut.length is not None and codec.media == "text" and longest < cut.length:
        raise UserError(
            f"{spec.text}: {split!r} has {longest:,} tokens, less than a window of {cut.length}: use a shorter context"
        )
    table = window_table(
        [narrow(piece, codec.vocabulary) for piece in pieces],
        "tokens",
        cut=cut,
        split=split,
        shifts=_token_rooms(codec, pieces, transpose) if transpose else None,
        transpose=codec.transpose if transpose else None,
    )
    fields = {"vocabulary": codec.vocabulary, "start": codec.start}
    if hasattr(codec, "steps_per_second"):
        fields["steps_per_second"] = codec.steps_per_second
    return Source(
        spec=spec.text,
        codec=codec,
        size=table.size,
        fields=fields if codec.stop is None else fields | {"stop": codec.stop},
        arrays=table.arrays,
        example=table.example,
        skipped=skipped,
    )


def _rolls(
    spec: Spec, codec: Any, pieces: Pieces, *, split: str, cut: Cut, transpose: int, skipped: tuple[str, ...]
) -> Source:
    table = window_table(
        [(piece > 0.5).astype(np.uint8) for piece in pieces],
        "roll",
        cut=cut,
        split=split,
        shifts=roll_rooms(pieces, transpose) if transpose else None,
        transpose=move_keys if transpose else None,
        dtype=np.float32,
    )
    return Source(
        spec=spec.text,
        codec=codec,
        size=table.size,
        fields={"keys": KEYS},
        arrays=table.arrays,
        example=table.example,
        skipped=skipped,
    )


def _grooves(
    spec: Spec, codec: Any, pieces: Pieces, *, split: str, cut: Cut, transpose: int, skipped: tuple[str, ...]
) -> Source:
    if transpose:
        raise UserError(f"{spec.text}: drums are not transposed; leave transpose out")
    table = window_table(pieces, "groove", cut=cut, split=split, dtype=np.float32)
    return Source(
        spec=spec.text,
        codec=codec,
        size=table.size,
        fields={},
        arrays=table.arrays,
        example=table.example,
        skipped=skipped,
    )


def _tracks(
    spec: Spec, codec: Any, pieces: Pieces, *, split: str, cut: Cut, transpose: int, skipped: tuple[str, ...]
) -> Source:
    if transpose:
        raise UserError(f"{spec.text}: tracks are not transposed; leave transpose out")
    whole = [(piece > 0.5).astype(np.uint8) for piece in pieces]
    table = window_table(whole, "tracks", cut=cut, split=split, dtype=np.float32)
    steps, pitches, tracks = whole[0].shape[1:]
    return Source(
        spec=spec.text,
        codec=codec,
        size=table.size,
        fields={"steps": steps, "pitches": pitches, "tracks": tracks},
        arrays=table.arrays,
        example=table.example,
        skipped=skipped,
    )


def alignment(codec: Any) -> int:
    """Positions between two places where a window may start: a quarter note of a voice grid, a chord of a lead sheet,
    or a bar of drums, so that a position in a window always means the same voice and the same place in the beat."""
    from zoo.codecs.drums import DrumGrid
    from zoo.codecs.leadsheet import CELLS, LeadSheet
    from zoo.codecs.voices import VOICES, VoiceGrid

    match codec:
        case VoiceGrid():
            return VOICES * codec.steps_per_quarter
        case LeadSheet():
            return CELLS * codec.steps_per_chord
        case DrumGrid():
            return BAR * codec.steps_per_quarter
    return 1


def _token_rooms(codec: Any, pieces: Pieces, most: int) -> np.ndarray:
    """int [P, 2]: how far down and up each piece may go: as far as its voices have room, where the codec knows voices,
    else within the pitches that the pieces use together."""
    from zoo.codecs.performance import NOTE_OFF

    if hasattr(codec, "room"):
        rooms = np.array([codec.room(piece) for piece in pieces])
    else:
        played = [piece[piece < NOTE_OFF] for piece in pieces]
        low = np.array([p.min(initial=NOTE_OFF) for p in played])
        high = np.array([p.max(initial=0) for p in played])
        rooms = np.stack([np.minimum(low.min() - low, 0), np.maximum(high.max() - high, 0)], axis=1)
    return np.clip(rooms, -most, most)


def roll_rooms(pieces: Pieces, most: int) -> np.ndarray:
    """int [P, 2]: how far down and up each piece may go without leaving the 88 keys."""
    used = [np.flatnonzero(piece.any(axis=0)) for piece in pieces]
    rooms = [(-int(keys[0]), KEYS - 1 - int(keys[-1])) if len(keys) else (0, 0) for keys in used]
    return np.clip(np.array(rooms), -most, most)


def move_keys(roll: Any, shift: Any) -> Any:
    import jax.numpy as jnp

    return jnp.roll(roll, shift, axis=1)
