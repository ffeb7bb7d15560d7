"""Four-part music on a grid: soprano, alto, tenor and bass, one cell a voice and step.

    0..127  a pitch is struck: the token is the MIDI pitch, so transposing is adding
    128     REST, the voice is silent      129  HOLD, the voice goes on with its note
    130     START                          131  STOP

HOLD is what tells a long note from a repeated one (Hadjeres et al. 2017, "DeepBach", section 2.2); the cells of a step
follow one another from soprano to bass, as the voices of Jsb16thSeparated do.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.notes import VELOCITY, Notes, Report, Tempo, compare, integers

FIRST_PITCH, PITCHES = 0, 128  # the pitch tokens are FIRST_PITCH + MIDI pitch
REST, HOLD, START, STOP = 128, 129, 130, 131
VOICES = 4
PROGRAMS = np.array([40, 41, 42, 43])  # violin, viola, cello, contrabass: a voice is known by its program
RANGES = np.array([[60, 81], [52, 76], [46, 69], [36, 66]])  # lowest and highest pitch in Bach's chorales, by voice

_CUTTING, _CROSSING = 24, 12  # what it costs to end a sounding note, and to sing across one, in semitones

Array = Any  # numpy's or JAX's


@dataclass(frozen=True)
class VoiceGrid:
    """Notes <-> int32 tokens [1 + 4 T + 1]: START, then S A T B of each of T steps, STOP.

    ``steps_per_quarter``: 4 is a grid of sixteenths, along the tempo map of the notes.
    ``tempo``: quarter notes a minute of what is decoded; the tokens hold none.

    Notes whose programs are all in ``PROGRAMS``, one at a time each, keep their voices: so do the files, with a track a
    voice, that ``write_midi`` makes of decoded notes. Of other notes each step's onsets go, from high to low, to the
    voices that are nearest (``assign``); drums and what is more than four at once are dropped.
    Kept exactly: encode(decode(t)) == t for every t that ``from_grid`` makes of a grid from ``to_grid``.
    """

    steps_per_quarter: int = 4
    tempo: float = 84.0

    media: ClassVar[Literal["image", "text", "music"]] = "music"

    def __post_init__(self):
        if not (1 <= self.steps_per_quarter <= 96 and 4 <= self.tempo <= 1000):
            raise CodecError("voices", "steps_per_quarter in 1..96, tempo in 4..1000")

    @property
    def vocabulary(self) -> int:
        return STOP + 1

    @property
    def start(self) -> int:
        return START

    @property
    def stop(self) -> int:
        return STOP

    def encode(self, notes: Notes) -> np.ndarray:
        """int32 [T]. What goes missing on the way: ``report``."""
        notes = notes.sorted()
        stay, voice, on, off, _ = self._sung(notes)
        grid = np.full((off.max(initial=0), VOICES), REST, np.int32)
        for position, part, first, beyond in zip(stay, voice, on, off, strict=True):
            grid[first:beyond, part] = HOLD
            grid[first, part] = notes.pitch[position]
        return self.from_grid(grid)

    def decode(self, tokens: np.ndarray) -> Notes:
        """The music of any integers [T] as ``to_grid`` reads them, sorted; voice i has the program ``PROGRAMS[i]``."""
        grid = self.to_grid(tokens)
        voice, step = np.nonzero(grid.T != HOLD)  # voice by voice; what follows an onset ends its note
        beyond = np.where(voice == np.append(voice[1:], -1), np.append(step[1:], 0), len(grid))
        pitch = grid[step, voice]
        sung = pitch < REST
        seconds = np.stack([step, beyond])[:, sung] / self.steps_per_quarter * (60 / self.tempo)
        return _sung_notes(seconds, pitch[sung] - FIRST_PITCH, voice[sung], ((0.0, self.tempo),)).sorted()

    def report(self, notes: Notes) -> Report:
        """What encoding these notes loses."""
        notes = notes.sorted()
        stay, voice, on, off, cut = self._sung(notes)
        seconds = notes.seconds(np.stack([on, off]) / self.steps_per_quarter)  # in the piece's own tempo
        kept = _sung_notes(seconds, notes.pitch[stay], voice, notes.tempo)
        drums = int(notes.drum.sum())
        dropped = {"drums": drums, f"more than {VOICES} at once": len(notes) - len(stay) - drums}
        return compare(notes, stay, kept, cut=cut, dropped=dropped, size=len(self.encode(notes)))

    def to_grid(self, tokens: np.ndarray) -> np.ndarray:
        """Any integers [T] up to the first STOP -> grid int32 [S, 4] of pitches, REST and HOLD.

        A leading START is left out; anything else that is no cell is silence, so that the voices stay in their columns.
        Cells missing from the last step hold, a HOLD with nothing to hold is a REST, and silence at the end is cut off.
        """
        cells = np.array(integers(tokens), np.int64)
        cells = cells[: np.argmax(cells == STOP)] if STOP in cells else cells
        cells = cells[1:] if len(cells) and cells[0] == START else cells
        cells = np.where((cells >= 0) & (cells <= HOLD), cells, REST)
        grid = np.append(cells, [HOLD] * (-len(cells) % VOICES)).reshape(-1, VOICES).astype(np.int32)
        step = np.arange(len(grid))[:, None]
        held = np.maximum.accumulate(np.where(grid == HOLD, -1, step), axis=0)  # what a HOLD goes on with
        source = np.take_along_axis(np.concatenate([np.full_like(grid[:1], REST), grid]), held + 1, axis=0)
        grid = np.where(source == REST, REST, grid)
        return grid[: step[np.any(grid != REST, axis=1)].max(initial=-1) + 1]

    def from_grid(self, grid: np.ndarray) -> np.ndarray:
        """Grid [S, 4] of pitches, REST and HOLD -> tokens int32 [1 + 4 S + 1]. CodecError for another shape or cell."""
        grid = np.asarray(grid)
        if grid.ndim != 2 or grid.shape[1] != VOICES or np.any((grid < 0) | (grid > HOLD)):
            raise CodecError("grid", f"cells 0..{HOLD} of shape [T, {VOICES}] are needed, not {list(grid.shape)}")
        return np.concatenate([[START], grid.ravel(), [STOP]]).astype(np.int32)

    def transpose(self, tokens: Array, semitones: int | Array) -> Array:
        """Moves every pitch of tokens of any shape, numpy's or JAX's, on the device too. ``room`` says how far."""
        pitched = (tokens >= FIRST_PITCH) & (tokens < REST)
        return pitched * (tokens + semitones).clip(FIRST_PITCH, REST - 1) + ~pitched * tokens

    def room(self, tokens: np.ndarray) -> tuple[int, int]:
        """(down <= 0, up >= 0): the semitones by which tokens [T] can move while each voice stays in its ``RANGES``."""
        grid = self.to_grid(tokens)
        low = np.where(grid < REST, grid, 127).min(axis=0, initial=127)
        high = np.where(grid < REST, grid, 0).max(axis=0, initial=0)
        return min(0, int((RANGES[:, 0] - low).max())), max(0, int((RANGES[:, 1] - high).min()))

    def _sung(self, notes: Notes) -> tuple[np.ndarray, ...]:
        """Position in ``notes``, voice, onset step, end step, cut: of the notes that stay [M]."""
        on, off = notes.steps(self.steps_per_quarter)
        voice = np.full(len(notes), -1)
        pitched = ~notes.drum
        voice[pitched] = _voices(notes.program[pitched], notes.pitch[pitched], on[pitched], off[pitched])
        stay = np.flatnonzero(voice >= 0)
        stay = stay[np.lexsort((on[stay], voice[stay]))]
        voice, on, off = voice[stay], on[stay], off[stay]
        following = np.where(voice == np.append(voice[1:], -1), np.append(on[1:], 0), off.max(initial=0))
        return stay, voice, on, np.minimum(off, following), off > following


def sustain(pitches: np.ndarray) -> np.ndarray:
    """Sounding pitches [S, 4], negative for silence, with no mark of what is struck again -> grid int32 [S, 4]: a pitch
    that stays is held. (The form of Jsb16thSeparated; its repeated notes cannot be told from long ones.)"""
    grid = np.where(np.asarray(pitches) < 0, REST, pitches).astype(np.int32)
    same = np.zeros(grid.shape, bool)
    same[1:] = (grid[1:] == grid[:-1]) & (grid[1:] != REST)
    return np.where(same, np.int32(HOLD), grid)


def assign(pitch: np.ndarray, on: np.ndarray, off: np.ndarray) -> np.ndarray:
    """A voice 0..3 for each note of any music (int [N] each, in order of ``on``), or -1 for what is more than four.

    The onsets of a step keep their order from high to low, and take the voices that have the least way to go from their
    last pitch, that are free, and between whose neighbours they fit. Of more than four, the highest, the lowest and two
    between them stay, doublings left out first.
    """
    voice = np.full(len(pitch), -1)
    last, until = RANGES.mean(axis=1), np.zeros(VOICES)
    for group in np.split(np.arange(len(pitch)), np.flatnonzero(np.diff(on)) + 1):
        group = group[np.argsort(-pitch[group], kind="stable")]
        if len(group) > VOICES:
            group = group[np.append(True, np.diff(pitch[group]) != 0)]
        if len(group) > VOICES:
            group = group[[0, len(group) // 3, len(group) * 2 // 3, -1]]
        sounding = until > (on[group[0]] if len(group) else 0)
        options = combinations(range(VOICES), len(group))
        best = list(min(options, key=lambda option: _cost(pitch[group], np.array(option, int), last, sounding)))
        voice[group] = best
        last[best], until[best] = pitch[group], off[group]
    return voice


def _cost(pitch: np.ndarray, option: np.ndarray, last: np.ndarray, sounding: np.ndarray) -> float:
    others = sounding.copy()
    others[option] = False
    above = option[:, None] > np.arange(VOICES)  # [k, 4]: voices that ought to be higher
    across = np.where(above, pitch[:, None] > last, pitch[:, None] < last) & others
    return np.abs(pitch - last[option]).sum() + _CUTTING * sounding[option].sum() + _CROSSING * across.sum()


def _sung_notes(seconds: np.ndarray, pitch: np.ndarray, voice: np.ndarray, tempo: Tempo) -> Notes:
    return Notes(seconds[0], seconds[1], pitch, np.array(VELOCITY), PROGRAMS[voice], tempo=tempo)


def _voices(program: np.ndarray, pitch: np.ndarray, on: np.ndarray, off: np.ndarray) -> np.ndarray:
    voice = program - PROGRAMS[0]
    known = np.all((voice >= 0) & (voice < VOICES))
    alone = len(np.unique(np.stack([voice, on]), axis=1).T) == len(on)  # a part with chords is no voice
    return voice if known and alone else assign(pitch, on, off)
