"""Four voices: a melody harmonised, bars of a piece written anew; by models of three kinds."""

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.options import Options
from sample.steer import rules_of, sampler_of
from zoo.codecs.midi import read_midi
from zoo.codecs.notes import Notes
from zoo.codecs.voices import HOLD, PROGRAMS, REST, START, VOICES, VoiceGrid
from zoo.decoding import generate
from zoo.errors import UserError
from zoo.guidance import Guided
from zoo.infilling import gibbs
from zoo.model import SequenceModel
from zoo.rules import Allow, Fixed, scale

BAR = 4  # quarter notes


def arranged(run: Any, options: Options) -> list[np.ndarray]:
    """Tokens of ``options.n`` (1) pieces: the melody of --harmonise with the other voices, or --primer with the bars of
    --infill written anew."""
    codec, count = run.codec, options.n or 1
    if not isinstance(codec, VoiceGrid):
        raise UserError(f"{run.config.name} has not learnt four voices: train it on bach, or midi:DIR?codec=voices")
    if options.infill is not None:
        grid = codec.to_grid(codec.encode(read_midi(Path(options.primer[0]).expanduser())))
        missing = np.zeros(grid.shape, bool)
        missing[bars(options.infill, len(grid), BAR * codec.steps_per_quarter)] = True
    else:
        grid = melody_of(codec, read_midi(Path(options.harmonise or "").expanduser()))
        missing = np.broadcast_to(np.arange(VOICES) > 0, grid.shape)
    if not len(grid):
        raise UserError(f"{options.harmonise or options.primer[0]} holds no music")
    if hasattr(run.model, "denoise"):
        grids = rewritten(run, options, grid, missing, count)
    elif options.infill is not None:
        raise UserError(f"{run.config.name} cannot look ahead; a coconet fills bars in")
    elif hasattr(run.model, "together"):
        grids = accompanied(run, options, grid[:, 0], count)
    elif isinstance(run.model, SequenceModel):
        grids = led(run, options, grid, count)
    else:
        raise UserError(f"{run.config.name} cannot harmonise; gpt, seq2seq and coconet can")
    return [np.concatenate([[START], row.ravel()]) for row in grids]


def bars(text: str, steps: int, bar: int) -> slice:
    """ "3-4" or "3" -> the steps of these bars, counted from 1."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last or (first - 1) * bar >= steps:
        raise UserError(f"--infill {text}: write bars such as 3-4; the piece has {-(-steps // bar)}")
    return slice((first - 1) * bar, min(last * bar, steps))


def melody_of(codec: VoiceGrid, notes: Notes) -> np.ndarray:
    """The melody as a grid [S, 4] whose other voices are silent: of four voices as the codec writes them the first; of
    other music the highest notes, without those that begin under one that still sounds."""
    notes = notes.sorted()
    on, off = notes.steps(codec.steps_per_quarter)
    ours = np.isin(notes.program, PROGRAMS).all() and (notes.program == PROGRAMS[0]).any()
    above = lambda i: (on <= on[i]) & (off > on[i]) & (notes.pitch > notes.pitch[i]) & ~notes.drum
    kept = [
        not notes.drum[i] and (notes.program[i] == PROGRAMS[0] if ours else not above(i).any()) for i in range(len(on))
    ]
    line = notes.select(np.array(kept, bool))
    return codec.to_grid(codec.encode(replace(line, program=np.full(len(line), PROGRAMS[0]))))


# ---- Models that see both sides -------------------------------------------------------------------------------------


def rewritten(run: Any, options: Options, grid: np.ndarray, missing: np.ndarray, count: int) -> np.ndarray:
    """Grids [n, S, 4], window by window: each holds as much as it can of what stays on both sides."""
    if options.key is not None or options.greedy:
        raise UserError(f"--key and --greedy are for models that decode from left to right; {run.config.name} does not")
    model, size = run.model, run.model.context // VOICES
    states, known = (np.asarray(array)[0].reshape(grid.shape) for array in model.states(jnp.asarray(grid)[None]))
    if np.any(~known & ~missing):
        reach = f"{model.lowest} to {model.lowest + model.pitches - 1}"
        raise UserError(f"{run.config.name} knows the MIDI pitches {reach}; transpose the music into them")
    pad = ((0, max(size - len(grid), 0)), (0, 0))
    states, missing = np.pad(states, pad), np.pad(missing, pad, constant_values=True)
    states = np.repeat(states[None], count, axis=0)
    key, sampler = jax.random.key(options.seed), sampler_of(options, rolls=False)
    left: np.ndarray = np.any(missing, axis=1)
    while left.any():
        first, last = np.flatnonzero(left)[[0, -1]]
        margin = max((size - (last + 1 - first)) // 2, 0) or size // 2
        start = int(np.clip(first - margin, 0, len(left) - size))
        window = slice(start, start + size)
        asked = np.broadcast_to((missing & left[:, None])[window].ravel(), (count, size * VOICES))
        new = gibbs(
            model, run.params, jax.random.fold_in(key, start), tokens=jnp.asarray(states[:, window].reshape(count, -1)),
            missing=jnp.asarray(asked), steps=model.steps, sampler=sampler,
        )  # fmt: skip
        states[:, window] = np.asarray(new).reshape(count, size, VOICES)
        left[window] = False
    return np.asarray(model.cells(jnp.asarray(states.reshape(count, -1))))[:, : len(grid)]


# ---- Models that read the melody first ------------------------------------------------------------------------------


def accompanied(run: Any, options: Options, melody: np.ndarray, count: int) -> np.ndarray:
    """Grids [n, S, 4]: windows that overlap by half, what was written before being the next one's prompt."""
    model, size, other = run.model, run.model.steps, VOICES - 1
    target = np.full((count, len(melody) * other), REST, np.int32)
    guided: Any = model if options.guidance is None else Guided(model, options.guidance)
    mask = np.arange(model.vocabulary) < START
    mask[: len(scale("C"))] &= True if options.key is None else scale(options.key)
    rules = (Allow(mask), *[rule for rule in rules_of(replace(options, key=None), run.codec) if not is_grammar(rule)])
    write = functools.partial(generate, guided, run.params, run.extra, sampler=sampler_of(options, rolls=False))
    done = 0
    while done < len(melody):
        start = max(done - size // 2, 0)
        source = np.repeat(melody[None, start : start + size], count, axis=0)
        prompt = np.concatenate([np.full((count, 1), START), target[:, start * other : done * other]], axis=1)
        end = start + source.shape[1]
        new = write(
            jax.random.fold_in(jax.random.key(options.seed), start), prompt=jnp.asarray(prompt, jnp.int32),
            lengths=jnp.full(count, prompt.shape[1]), length=(end - done) * other, rules=rules,
            cond={"source": jnp.asarray(source), "length": jnp.full(count, source.shape[1])},
        )  # fmt: skip
        target[:, done * other : end * other] = np.asarray(new)
        done = end
    voices = target.reshape(count, -1, other)
    return np.concatenate([np.repeat(melody[None, :, None], count, axis=0), voices], axis=2)


def is_grammar(rule: Any) -> bool:
    from zoo.grammar import VoiceGrammar

    return isinstance(rule, VoiceGrammar)


# ---- Models that write all voices from left to right ----------------------------------------------------------------


def led(run: Any, options: Options, grid: np.ndarray, count: int) -> np.ndarray:
    """Grids [n, S, 4] by a model of all four voices that may write nothing but the melody into the first one."""
    from train.data.sequences import alignment

    cells = np.concatenate([[START], grid.ravel()])
    given = np.concatenate([[True], np.tile(np.arange(VOICES) == 0, len(grid))])
    sung = np.isin(np.arange(HOLD - 1), grid[:, 0])
    free = lambda rule: replace(rule, playable=rule.playable | sung) if is_grammar(rule) else rule
    rules = (*map(free, rules_of(options, run.codec)), Fixed(cells, given))
    row = generate(
        run.model, run.params, run.extra, jax.random.key(options.seed), prompt=jnp.full((1, 1), START, jnp.int32),
        lengths=jnp.ones(1, jnp.int32), length=grid.size, num_return=count, rules=rules,
        sampler=sampler_of(options, rolls=False), align=alignment(run.codec),
    )  # fmt: skip
    return np.asarray(row).reshape(count, -1, VOICES)
