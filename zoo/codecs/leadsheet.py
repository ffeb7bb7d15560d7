"""Lead sheets on a grid: in each step the chord, and one cell of the melody.

    0..127  a pitch is struck      128  REST      129  HOLD, the melody goes on with its note
    130     START                  131  STOP
    132     no chord               133.. chords: 133 + 12 quality + root

The melody's cells are those of ``voices``; every step has its chord, so that a window from anywhere knows its harmony.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from zoo.codecs import harmony
from zoo.codecs.errors import CodecError
from zoo.codecs.notes import VELOCITY, Notes, Report, compare, integers

REST, HOLD, START, STOP, CHORD = 128, 129, 130, 131, 132
CELLS = 2  # of a step: chord, melody
MELODY, CHORDS = 73, 4  # flute and electric piano: a part of a lead sheet is known by its program
SOFT = 56  # velocity of chords
RESTRUCK = 4  # quarter notes after which a chord that stays is played again

Array = Any  # numpy's or JAX's


@dataclass(frozen=True)
class LeadSheet:
    """Notes <-> int32 tokens [1 + 2 S + 1]: START, then chord and melody of each of S steps, STOP.

    ``steps_per_quarter``: 4 is a grid of sixteenths, along the tempo map of the notes.
    ``steps_per_chord``: a chord lasts a multiple of so many steps; 4 is a quarter note.
    ``qualities``: of ``harmony.QUALITIES``, those that are told apart; major and minor make 24 chords, and none.
    ``tempo``: quarter notes a minute of what is decoded; the tokens hold none.

    Notes whose programs all are ``MELODY`` or ``CHORDS`` are a melody and its chords: so are what ``songs.read_song``
    makes of files and what this codec decodes. Of other notes the melody is the highest at each moment, and their
    chords are recognised (``harmony.recognise``). Drums are dropped.
    Kept exactly: encode(decode(t)) == t for every t that encode makes.
    """

    steps_per_quarter: int = 4
    steps_per_chord: int = 4
    qualities: tuple[str, ...] = ("maj", "min")
    tempo: float = 100.0

    media: ClassVar[Literal["image", "text", "music"]] = "music"

    def __post_init__(self):
        object.__setattr__(self, "qualities", harmony.check(self.qualities))  # JSON has lists only
        if not (1 <= self.steps_per_quarter <= 96 and 1 <= self.steps_per_chord <= 384 and 4 <= self.tempo <= 1000):
            raise CodecError("leadsheet", "steps_per_quarter in 1..96, steps_per_chord in 1..384, tempo in 4..1000")

    @property
    def chords(self) -> list[str]:
        """The labels of the chord classes, "N" first."""
        return harmony.names(self.qualities)

    @property
    def vocabulary(self) -> int:
        return CHORD + 1 + 12 * len(self.qualities)

    @property
    def start(self) -> int:
        return START

    @property
    def stop(self) -> int:
        return STOP

    def encode(self, notes: Notes) -> np.ndarray:
        """int32 [T]. What goes missing on the way: ``report``."""
        notes = notes.sorted()
        stay, on, off, _ = self._sung(notes)
        chords = self._harmony(notes)
        steps = max(int(off.max(initial=0)), self.steps_per_chord * int(np.max(np.flatnonzero(chords) + 1, initial=0)))
        windows = -(-steps // self.steps_per_chord)
        chords = np.pad(chords[:windows], (0, max(windows - len(chords), 0)))
        grid = np.full((windows * self.steps_per_chord, CELLS), REST, np.int32)
        grid[:, 0] = chords.repeat(self.steps_per_chord)
        for position, first, beyond in zip(stay, on, off, strict=True):
            grid[first:beyond, 1] = HOLD
            grid[first, 1] = notes.pitch[position]
        return self.from_grid(grid)

    def decode(self, tokens: np.ndarray) -> Notes:
        """The music of any integers [T] as ``to_grid`` reads them, sorted: a flute and, as ``harmony.voice`` plays
        them, chords, which are played again every four quarter notes."""
        grid = self.to_grid(tokens)
        chord, cells = grid.T
        event = np.flatnonzero(cells != HOLD)
        sung = cells[event] < REST
        melody = np.stack([event, np.append(event[1:], len(grid))[: len(event)], cells[event]])[:, sung]
        again = np.arange(len(grid)) % (RESTRUCK * self.steps_per_quarter) == 0
        struck = np.flatnonzero(again | (np.diff(chord, prepend=-1) != 0))
        over = np.append(struck[1:], len(grid))[: len(struck)]
        played = [
            (on, off, pitch)
            for on, off, kind in zip(struck.tolist(), over.tolist(), chord[struck].tolist(), strict=True)
            for pitch in self._voiced(kind)
        ]
        rows = np.concatenate([melody.T, np.array(played, np.int64).reshape(-1, 3)]).T
        of_melody = np.arange(rows.shape[1]) < melody.shape[1]
        seconds = rows[:2] / self.steps_per_quarter * (60 / self.tempo)
        loud, program = np.where(of_melody, VELOCITY, SOFT), np.where(of_melody, MELODY, CHORDS)
        return Notes(seconds[0], seconds[1], rows[2], loud, program, tempo=((0.0, self.tempo),)).sorted()

    def report(self, notes: Notes) -> Report:
        """What encoding these notes loses. A note of the accompaniment that is in its chord has merged into it."""
        notes = notes.sorted()
        stay, on, off, cut = self._sung(notes)
        seconds = notes.seconds(np.stack([on, off]) / self.steps_per_quarter)  # in the piece's own tempo
        pitch = notes.pitch[stay]
        kept = Notes(seconds[0], seconds[1], pitch, np.array(VELOCITY), np.array(MELODY), tempo=notes.tempo)
        chords, table = self._harmony(notes), harmony.tones(self.qualities)
        first = notes.steps(self.steps_per_quarter)[0] // self.steps_per_chord
        inside = table[np.append(chords, 0)[np.minimum(first, len(chords))], notes.pitch % 12]
        others = np.isin(np.arange(len(notes)), stay, invert=True) & ~notes.drum
        harmonies = others if self._unmarked(notes) else others & (notes.program == CHORDS)
        dropped = {
            "drums": int(notes.drum.sum()),
            "not in their chord": int((harmonies & ~inside).sum()),
            "more than one at once": int((others & ~harmonies).sum()),
        }
        return compare(notes, stay, kept, cut=cut, dropped=dropped, size=len(self.encode(notes)))

    def to_grid(self, tokens: np.ndarray) -> np.ndarray:
        """Any integers [T] up to the first STOP -> grid int32 [S, 2] of chord classes, and of pitches, REST and HOLD.

        A leading START is left out; what is no chord where one must stand is none, and what is no cell of a melody is
        silence. The first chord of ``steps_per_chord`` steps is that of all of them; steps missing from the last go on
        as they are; a HOLD with nothing to hold is a REST; silence at the end is cut off.
        """
        cells = np.array(integers(tokens), np.int64)
        cells = cells[: np.argmax(cells == STOP)] if STOP in cells else cells
        cells = cells[1:] if len(cells) and cells[0] == START else cells
        rows = np.append(cells, [HOLD] * (len(cells) % CELLS)).reshape(-1, CELLS)
        missing = -len(rows) % self.steps_per_chord
        rows = np.concatenate([rows, np.full((missing, CELLS), HOLD)])
        chord = rows[:: self.steps_per_chord, 0] - CHORD
        chord = np.where((chord >= 0) & (chord <= 12 * len(self.qualities)), chord, 0)
        melody = np.where((rows[:, 1] >= 0) & (rows[:, 1] <= HOLD), rows[:, 1], REST)
        begun = np.maximum.accumulate(np.where(melody == HOLD, -1, np.arange(len(melody))))
        source = np.append(melody, REST)[begun]  # -1, nothing held: the REST at the end
        melody = np.where(source == REST, REST, melody)
        sounds = (melody != REST).reshape(-1, self.steps_per_chord).any(axis=1) | (chord > 0)
        windows = int(np.max(np.flatnonzero(sounds) + 1, initial=0))
        grid = np.stack([chord.repeat(self.steps_per_chord), melody], axis=1).astype(np.int32)
        return grid[: windows * self.steps_per_chord]

    def from_grid(self, grid: np.ndarray) -> np.ndarray:
        """Grid [S, 2] of chord classes, and of pitches, REST and HOLD -> tokens int32 [1 + 2 S + 1]. CodecError for
        another shape or cell."""
        grid = np.asarray(grid)
        classes = 1 + 12 * len(self.qualities)
        if grid.ndim != 2 or grid.shape[1] != CELLS or np.any((grid < 0) | (grid >= [classes, HOLD + 1])):
            raise CodecError("grid", f"[S, {CELLS}] of 0..{classes - 1} and 0..{HOLD} is needed, not such {grid.shape}")
        return np.concatenate([[START], (grid + [CHORD, 0]).ravel(), [STOP]]).astype(np.int32)

    def transpose(self, tokens: Array, semitones: int | Array) -> Array:
        """Moves every pitch, within 0..127, and every chord of tokens of any shape, numpy's or JAX's."""
        pitched, chord = (tokens >= 0) & (tokens < REST), tokens > CHORD
        root = (tokens - CHORD - 1) % 12
        moved = tokens - root + (root + semitones) % 12
        plain = ~pitched & ~chord
        return pitched * (tokens + semitones).clip(0, REST - 1) + chord * moved + plain * tokens

    def _voiced(self, kind: int) -> list[int]:
        if not kind:
            return []
        quality, root = divmod(kind - 1, 12)
        return harmony.voice(root, self.qualities[quality])

    def _unmarked(self, notes: Notes) -> bool:
        """Whether the programs do not tell the melody from its chords."""
        return not np.isin(notes.program[~notes.drum], (MELODY, CHORDS)).all()

    def _sung(self, notes: Notes) -> tuple[np.ndarray, ...]:
        """Position in ``notes``, onset step, end step, cut: of the melody [M]."""
        on, off = notes.steps(self.steps_per_quarter)
        unmarked = self._unmarked(notes)
        part = np.flatnonzero(~notes.drum & (unmarked | (notes.program == MELODY)))
        line = part[_line(notes.pitch[part], on[part], off[part], below=not unmarked)]
        following = np.append(on[line][1:], off.max(initial=0))[: len(line)]
        return line, on[line], np.minimum(off[line], following), off[line] > following

    def _harmony(self, notes: Notes) -> np.ndarray:
        """The chord class of every window, int [W]."""
        part = ~notes.drum & (self._unmarked(notes) | (notes.program == CHORDS))
        on, off = (steps[part] for steps in notes.steps(self.steps_per_quarter))
        steps = -(-int(off.max(initial=0)) // self.steps_per_chord) * self.steps_per_chord
        weight, bass = harmony.sounding(notes.pitch[part], on, off, steps=steps, each=self.steps_per_chord)
        return harmony.recognise(weight, bass, self.qualities)


def _line(pitch: np.ndarray, on: np.ndarray, off: np.ndarray, *, below: bool) -> np.ndarray:
    """Positions [M] of one line in notes (int [N] each): the highest of each onset; and one that begins ``below`` a
    sounding one only where that is asked for."""
    line: list[int] = []
    for index in np.lexsort((-pitch, on)).tolist():
        last = line[-1] if line else None
        together = last is not None and on[index] == on[last]
        under = last is not None and on[index] < off[last] and pitch[index] < pitch[last]
        if not together and (below or not under):
            line.append(index)
    return np.array(line, np.int64)
