"""Music and text of a run: from nothing, or on from a prompt."""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.between import interpolated
from sample.by_heart import by_heart
from sample.grooves import played
from sample.options import DRAWS, Options, Target, flag, wanted
from sample.restyled import restyled, scores_of
from sample.sequences import continued, opening, own_part, prompt_of, searched
from sample.steer import rules_of, sampler_of
from sample.tempo import in_tempo
from sample.voices import arranged
from train.data.sequences import alignment
from zoo.codecs.errors import read_bytes
from zoo.codecs.media import PIECE, write_pieces, write_texts
from zoo.decoding import ragged
from zoo.errors import UserError
from zoo.guidance import Guided
from zoo.infilling import infill
from zoo.model import SequenceModel
from zoo.rules import TONICS, Form, form

LENGTHS = {"text": 500, "music": 1024}  # tokens
FRAMES = 256  # of a roll
COUNTS = {"text": 2, "music": 4}
BLANK = "_"  # of a text to fill in
LARGEST = 2**24  # bytes of a prompt


def write_music(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """A piece for each sample, to read, to hear and to see, or as the suffix says."""
    kinds = wanted(place, PIECE, what="music")
    if options.translate is not None:
        meta |= {"sources": [file.name for file in scores_of(options)]}
    pieces = [run.codec.decode(row) for row in draw(run, options)]
    meta |= by_heart(run, options, pieces, things(run, options))
    return write_pieces(in_tempo(run.codec, options, pieces), place.stem, meta=meta, kinds=kinds)


def write_text(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """All samples in one file."""
    texts = [run.codec.decode(row) for row in draw(run, options)]
    return write_texts(texts, place.stem, meta=meta | by_heart(run, options, texts, things(run, options)))


def draw(run: Any, options: Options, *, prompts: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """Rows as the codec decodes them, prompts included: all of the first prompt, then all of the second, ...

    ``prompts``: as the model reads them; None: those that the options name. Draw i of a prompt is the same whatever -n,
    and whatever the other prompts are.
    """
    model, codec = run.model, run.codec
    if options.harmonise is not None or options.infill is not None:
        return arranged(run, options)
    if options.play is not None:
        return played(run, options)
    if options.translate is not None or options.label is not None:
        return restyled(run, options)
    if options.interpolate is not None:
        return [interpolated(run, options)]
    if not isinstance(model, SequenceModel) or hasattr(model, "together"):
        return unprompted(run, options)
    prompts = prompts_of(run, options) if prompts is None else prompts
    prompted = bool(prompts)
    count = options.n or (1 if prompted else COUNTS[codec.media])
    poem = None if options.form is None else form(codec, options.form, skip=1)
    if poem is not None:
        prompts, prompted = [begun(poem, opening(model), prompt) for prompt in prompts], False
    prompts = prompts or [opening(model)]
    sampler = sampler_of(options, rolls=not hasattr(codec, "vocabulary"))
    how = {
        "length": length_of(run, options, prompts, poem),
        "rules": (*rules_of(options, codec), *([] if poem is None else [poem])),
        "stop": getattr(codec, "stop", None),
    }
    how["cond"] = told(run, options, len(prompts) * (1 if options.beam is not None else count))
    if options.guidance is not None:
        model = Guided(model, options.guidance)
    if options.beam is not None:
        rows = searched(model, run.params, run.extra, prompts, beams=options.beam, best=options.n or 1, **how)
    else:
        rows = continued(
            model,
            run.params,
            run.extra,
            jax.random.key(options.seed),
            [prompt for prompt in prompts for _ in range(count)],
            sampler=sampler,
            numbers=[*range(count)] * len(prompts),
            align=alignment(codec),
            **how,
        )
    rows = [own_part(codec, row, prompted=prompted) for row in rows]
    return rows if poem is None else [row[: len(poem.tokens)] for row in rows]


def unprompted(run: Any, options: Options) -> list[np.ndarray]:
    """Draws of a model that does not continue what it is given: text with gaps is filled, music begins from nothing."""
    if run.codec.media == "text" and options.prompt:
        return filled(run, options)
    if options.prompt or options.primer:
        takes = "--play" if hasattr(run.model, "hears") else "--harmonise, or --infill with one"
        raise UserError(f"{run.config.name} does not go on from a prompt; it takes {takes}")
    count = options.n or COUNTS[run.codec.media]
    drawn = jax.jit(run.model.sample, static_argnums=3)
    key, how = jax.random.key(options.seed), {}
    if "sampler" in signature(run.model.sample).parameters:
        how["sampler"] = sampler_of(options, rolls=False)
    elif strange := [name for name in (*DRAWS, "greedy") if name in options.told()]:
        raise UserError(f"{flag(strange[0])}: {run.config.name} draws all of a piece at once, without a choice")
    return [*np.asarray(drawn(run.params, run.extra, key, count, **how))]


def filled(run: Any, options: Options) -> list[np.ndarray]:
    """--prompt's texts with every "_" filled in."""
    parts = [[run.codec.encode(part) for part in text.split(BLANK)] for text in options.prompt]
    gap = [np.array([run.codec.start], np.int32)]
    rows = [np.concatenate([*(x for part in text[:-1] for x in (part, *gap)), text[-1]]) for text in parts]
    blanks = [np.zeros(len(row), bool) for row in rows]
    for text, blank in zip(parts, blanks, strict=True):
        blank[np.cumsum([len(part) + 1 for part in text[:-1]], dtype=int) - 1] = True
    if max(map(len, rows)) > run.model.context:
        raise UserError(f"{run.config.name} reads {run.model.context} characters at once; give it a shorter --prompt")
    (tokens, lengths), (missing, _) = ragged(rows, run.model.context), ragged(blanks, run.model.context)
    found = infill(
        run.model, run.params, jax.random.key(options.seed), tokens=jnp.asarray(tokens), missing=jnp.asarray(missing),
        lengths=jnp.asarray(lengths), sampler=sampler_of(options, rolls=False),
    )  # fmt: skip
    return [row[:length] for row, length in zip(np.asarray(found), lengths, strict=True)]


def told(run: Any, options: Options, rows: int) -> Any:
    """What the model is told of all ``rows``: the label that --code names, what --density and --pitches ask for; None
    where there is nothing to tell."""
    label, asked = code_of(run, options), [name for name in ("density", "pitches") if name in options.told()]
    if not asked:
        return None if label is None else jnp.full(rows, label, jnp.int32)
    if not hasattr(run.model, "heard"):
        raise UserError(f"{flag(asked[0])}: {run.config.name} has not learnt to be told; performance-rnn has")
    pitches = None if options.pitches is None else histogram(options.pitches)
    return run.model.told(rows, density=options.density, pitches=pitches)


def histogram(text: str) -> np.ndarray:
    """ "C,E,G" or "C:2,Eb:1.5" -> how much of each of the twelve pitch classes, float32 [12]."""
    weights = np.zeros(12, np.float32)
    for part in text.split(","):
        name, _, weight = part.strip().partition(":")
        try:
            weights[TONICS[name[:1].upper() + name[1:]]] += float(weight or 1)
        except (KeyError, ValueError):
            raise UserError(f"--pitches {text}: write pitch classes such as C,E,G or C:2,Eb:1") from None
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0):
        raise UserError(f"--pitches {text}: how much of each must be at least 0, and above 0 of one")
    return weights


def code_of(run: Any, options: Options) -> int | None:
    """The label that --code names; UserError where the model knows none, or not this one."""
    if options.code is None:
        return None
    names = run.data.get("labels", ())
    if not hasattr(run.model, "codes") or options.code not in names:
        known = f"its codes are {', '.join(names)}" if hasattr(run.model, "codes") else "it has learnt none"
        raise UserError(f"--code {options.code}: {run.config.name} does not know it; {known}")
    return names.index(options.code)


def length_of(run: Any, options: Options, prompts: Sequence[np.ndarray], poem: Form | None) -> int:
    """How many tokens to write: what is missing from a poem, what was said, or what is usual."""
    if poem is not None:
        return max(len(poem.tokens) + 1 - min(map(len, prompts)), 1)
    if options.length is not None:
        return options.length
    usual = LENGTHS[run.codec.media] if hasattr(run.codec, "vocabulary") else FRAMES
    if options.beam is None or run.model.capacity is None:
        return usual
    return max(min(usual, run.model.capacity - max(map(len, prompts))), 1)  # beams do not slide


def begun(poem: Form, opening: np.ndarray, prompt: np.ndarray) -> np.ndarray:
    """A poem's first characters behind the model's opening; UserError where they are not of its form."""
    if not poem.fits(prompt):
        raise UserError("the prompt is not of the --form; it must begin the poem, marks and line ends included")
    return np.concatenate([opening, prompt])


def prompts_of(run: Any, options: Options) -> list[np.ndarray]:
    """--prompt's texts, then --primer's files, as the model reads them."""
    return [prompt_of(run.model, run.codec, thing) for thing in things(run, options)]


def things(run: Any, options: Options) -> list[Any]:
    """The same as text or notes."""
    files = [Path(file).expanduser() for file in options.primer]
    return [*options.prompt, *[read_primer(file, run.codec.media) for file in files]]


def read_primer(path: Path, media: str) -> Any:
    """Notes of a MIDI file or of a picture, or the text of a text file."""
    from zoo.codecs import CodecError
    from zoo.codecs.pictured import read_music

    if media == "music":
        return read_music(path)
    try:
        return read_bytes(path, limit=LARGEST).decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise CodecError(path, error) from None
