"""Music and text of a run: from nothing, or on from a prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sample.options import Options, Target, flag, wanted
from sample.sequences import continued, opening, own_part, prompt_of
from train.data.sequences import alignment
from zoo.codecs.errors import read_bytes
from zoo.codecs.media import PIECE, write_pieces, write_texts
from zoo.decoding import Greedy, Sampler, Sampling
from zoo.errors import UserError
from zoo.model import SequenceModel

LENGTHS = {"text": 500, "music": 1024}  # tokens
FRAMES = 256  # of a roll
COUNTS = {"text": 2, "music": 4}
LARGEST = 2**24  # bytes of a prompt


def write_music(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """A piece for each sample, to read, to hear and to see, or as the suffix says."""
    kinds = wanted(place, PIECE, what="music")
    pieces = [run.codec.decode(row) for row in draw(run, options)]
    return write_pieces(pieces, place.stem, meta=meta, kinds=kinds)


def write_text(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """All samples in one file."""
    return write_texts([run.codec.decode(row) for row in draw(run, options)], place.stem, meta=meta)


def draw(run: Any, options: Options, *, prompts: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """Rows as the codec decodes them, prompts included: all of the first prompt, then all of the second, ...

    ``prompts``: as the model reads them; None: those that the options name. Draw i of a prompt is the same whatever -n,
    and whatever the other prompts are.
    """
    model, codec = run.model, run.codec
    if not isinstance(model, SequenceModel):
        raise UserError(f"{run.config.name} does not decode from left to right")
    prompts = prompts_of(run, options) if prompts is None else prompts
    prompted = bool(prompts)
    count = options.n or (1 if prompted else COUNTS[codec.media])
    rows = continued(
        model,
        run.params,
        run.extra,
        jax.random.key(options.seed),
        [prompt for prompt in prompts or [opening(model)] for _ in range(count)],
        length=options.length or default_length(run),
        sampler=sampler_of(options, rolls=not hasattr(codec, "vocabulary")),
        numbers=[*range(count)] * max(len(prompts), 1),
        stop=getattr(codec, "stop", None),
        align=alignment(codec),
    )
    return [own_part(codec, row, prompted=prompted) for row in rows]


def default_length(run: Any) -> int:
    return LENGTHS[run.codec.media] if hasattr(run.codec, "vocabulary") else FRAMES


def sampler_of(options: Options, *, rolls: bool) -> Sampler:
    """The sampler that the options describe."""
    if rolls and options.top_p is not None:
        raise UserError(f"{flag('top_p')} is for tokens; the keys of a roll are drawn one by one")
    if options.greedy:
        return Greedy()
    return Sampling(temperature=options.temperature, top_p=options.top_p, top_k=options.top_k)


def prompts_of(run: Any, options: Options) -> list[np.ndarray]:
    """--prompt's texts, then --primer's files, as the model reads them."""
    model, codec = run.model, run.codec
    things = [*options.prompt, *[read_primer(Path(file).expanduser(), codec.media) for file in options.primer]]
    return [prompt_of(model, codec, thing) for thing in things]


def read_primer(path: Path, media: str) -> Any:
    """Notes of a MIDI file, or the text of a text file."""
    from zoo.codecs import CodecError, read_midi

    if media == "music":
        return read_midi(path)
    try:
        return read_bytes(path, limit=LARGEST).decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise CodecError(path, error) from None
