"""Music as bars, positions and whole notes: REMI (Huang and Yang 2020, "Pop Music Transformer", arXiv:2002.00212).

0..127    PITCH, of a note                         240..419  TEMPO 30..209 quarter notes a minute
128..159  VELOCITY bin, before it                  420       BAR, a new one of four quarter notes
160..223  DURATION 1..64 32nd notes, behind it     421  START, 422  STOP
224..239  POSITION in the bar, a sixteenth each    423..482  CHORD, where a codec tells them
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from zoo.codecs import harmony
from zoo.codecs.errors import CodecError
from zoo.codecs.notes import Notes, Report, Tempo, compare, integers, round_half_up, strike

VELOCITY, DURATION, POSITION, TEMPO, BAR, START, STOP, CHORD = 128, 160, 224, 240, 420, 421, 422, 423
WIDTH = 4  # velocities a bin
LONGEST = POSITION - DURATION  # 32nd notes
SIXTEENTHS = TEMPO - POSITION  # of a bar
SLOWEST, FASTEST = 30, 30 + BAR - TEMPO - 1
BEAT = 4  # sixteenths
QUALITIES = ("maj", "min", "dim", "aug", "7")  # the paper's five
DEFAULT = 120  # quarter notes a minute, until a tempo is told

Array = Any  # numpy's or JAX's


@dataclass(frozen=True)
class Remi:
    """Notes <-> int32 tokens [T]: START, bars, STOP; about three and a half tokens a note.

    A bar is BAR and then, from left to right, POSITION and what begins there: a CHORD, a TEMPO, and notes from low to
    high, each as VELOCITY, PITCH, DURATION. A tempo is told at the beginning and where it changes, up to the last
    onset. The paper's code tells a position before each note, a tempo's class and value apart and at every beat, and
    leaves empty bars out, so that pauses go missing; here they stay. A bar has four quarter notes whatever the metre.

    Onsets are rounded to sixteenths and ends to 32nd notes as they are, never their differences; tempos to whole
    numbers, so that seconds drift. All programs become ``program``, drums are dropped, and a key is struck as by
    ``notes.strike``. Kept exactly: encode(decode(t)) == t for every t that encode makes.

    ``chords``: tells, at a beat where it changes, what chord the notes are (``harmony.recognise``, in ``QUALITIES``, of
    a quarter note each); decoding passes them over, so that they only guide what is written.
    """

    program: int = 0
    chords: bool = False

    media: ClassVar[Literal["image", "text", "music"]] = "music"

    def __post_init__(self):
        if not 0 <= self.program <= 127:
            raise CodecError("remi", "program in 0..127")

    @property
    def vocabulary(self) -> int:
        return CHORD + (12 * len(QUALITIES) if self.chords else 0)

    @property
    def start(self) -> int:
        return START

    @property
    def stop(self) -> int:
        return STOP

    def encode(self, notes: Notes) -> np.ndarray:
        """int32 [T], from START to STOP. What goes missing on the way: ``report``."""
        notes = notes.sorted()
        pitch, on, off, loud, _, _ = self._played(notes)
        if not len(pitch):
            return np.array([START, STOP], np.int32)
        step = on // 2
        tempo = np.array(self._tempo(notes, int(step.max())))
        chord = self._chords(pitch, on, off) if self.chords else np.zeros((0, 2), int)
        moments = np.unique(np.concatenate([step, tempo[:, 0], chord[:, 0]]))
        bars = SIXTEENTHS * np.arange(moments[-1] // SIXTEENTHS + 1)
        rows = [  # step, place among what begins there, token
            (bars, 0, BAR),
            (moments, 1, POSITION + moments % SIXTEENTHS),
            (chord[:, 0], 2, CHORD - 1 + chord[:, 1]),
            (tempo[:, 0], 3, TEMPO - SLOWEST + tempo[:, 1]),
            (step, 4 + 3 * pitch, VELOCITY + loud),
            (step, 5 + 3 * pitch, pitch),
            (step, 6 + 3 * pitch, DURATION - 1 + off - on),
        ]
        at, place, token = np.concatenate([np.stack(np.broadcast_arrays(*row)) for row in rows], axis=1)
        return np.concatenate([[START], token[np.lexsort((place, at))], [STOP]]).astype(np.int32)

    def decode(self, tokens: np.ndarray) -> Notes:
        """The music of any integers [T] up to the first STOP, sorted.

        What a model may get wrong is passed over: a duration without a pitch, a pitch without a duration, unknown
        tokens, a START in the middle. What comes before the first bar is in it; a velocity holds until the next one.
        """
        bar, position, loud, key = -1, 0, VELOCITY // 2 // WIDTH, None
        played, tempo = [], {}
        for token in integers(tokens):
            step = max(bar, 0) * SIXTEENTHS + position
            if token == STOP:
                break
            if 0 <= token < VELOCITY:
                key = token
            elif VELOCITY <= token < DURATION:
                loud = token - VELOCITY
            elif DURATION <= token < POSITION:
                if key is not None:
                    played.append((key, 2 * step, 2 * step + token - DURATION + 1, loud))
                key = None
            elif POSITION <= token < TEMPO:
                position, key = token - POSITION, None
            elif TEMPO <= token < BAR:
                tempo[step] = token - TEMPO + SLOWEST
            elif token == BAR:
                bar, position, key = bar + 1, 0, None
        pitch, on, off, loud = np.array(played, np.int64).reshape(-1, 4).T
        stay, off = strike(pitch, on, off)
        last = int(on.max(initial=-1)) // 2
        changes = {0: DEFAULT} | {step: tempo[step] for step in sorted(tempo) if step <= last}
        return self._notes(pitch[stay], on[stay], off, loud[stay], list(changes.items())).sorted()

    def quantise(self, notes: Notes) -> Notes:
        """What the tokens keep of ``notes``."""
        return self.decode(self.encode(notes))

    def report(self, notes: Notes) -> Report:
        """What encoding these notes loses. Times are those of the tempo that is told."""
        notes = notes.sorted()
        pitch, on, off, loud, stay, cut = self._played(notes)
        kept = self._notes(pitch, on, off, loud, self._tempo(notes, int(on.max(initial=0)) // 2))
        drums = {"drums": int(notes.drum.sum())}
        return compare(notes, stay, kept, cut=cut, dropped=drums, size=len(self.encode(notes)))

    def transpose(self, tokens: Array, semitones: int | Array) -> Array:
        """Moves every pitch, within 0..127, and every chord of tokens of any shape, numpy's or JAX's."""
        pitched, chord = (tokens >= 0) & (tokens < VELOCITY), tokens >= CHORD
        root = (tokens - CHORD) % 12
        moved = tokens - root + (root + semitones) % 12
        return pitched * (tokens + semitones).clip(0, VELOCITY - 1) + chord * moved + (~pitched & ~chord) * tokens

    def _played(self, notes: Notes) -> tuple[np.ndarray, ...]:
        """pitch, onset and end in 32nds, velocity bin, position in ``notes``, cut: of the notes that stay [M]."""
        notes.steps(2 * BEAT)  # refuses what is too long for a grid
        part = np.flatnonzero(~notes.drum)
        on = 2 * round_half_up(BEAT * notes.quarters(notes.start[part]))
        off = np.maximum(round_half_up(2 * BEAT * notes.quarters(notes.end[part])), on + 1)
        stay, end = strike(notes.pitch[part], on, off)
        on, end = on[stay], np.minimum(end, on[stay] + LONGEST)
        loud = (notes.velocity[part][stay] - 1) // WIDTH
        return notes.pitch[part][stay], on, end, loud, part[stay], end != off[stay]

    def _tempo(self, notes: Notes, last: int) -> list[tuple[int, int]]:
        """(sixteenth, quarter notes a minute) of every change that is told, up to the ``last`` onset's."""
        times, per_minute = np.array(notes.tempo).T
        steps = round_half_up(BEAT * notes.quarters(times))
        told = np.clip(np.rint(per_minute), SLOWEST, FASTEST).astype(int)
        changes = {step: tempo for step, tempo in zip(steps.tolist(), told.tolist(), strict=True) if step <= last}
        rows = list(changes.items())  # of several in one sixteenth the last
        return [row for i, row in enumerate(rows) if i == 0 or row[1] != rows[i - 1][1]]

    def _chords(self, pitch: np.ndarray, on: np.ndarray, off: np.ndarray) -> np.ndarray:
        """(sixteenth, class) of each beat up to the last onset's where another chord begins, int [K, 2]."""
        beats = int(on.max()) // (2 * BEAT) + 1
        weight, bass = harmony.sounding(pitch, on, off, steps=2 * BEAT * beats, each=2 * BEAT)
        chord = harmony.recognise(weight, bass, QUALITIES)
        beat = np.flatnonzero(chord)
        beat = beat[np.diff(chord[beat], prepend=0) != 0]
        return np.stack([BEAT * beat, chord[beat]], axis=1)

    def _notes(self, pitch, on, off, loud, tempo: list[tuple[int, int]]) -> Notes:
        clock = Notes(*np.zeros((3, 0)), tempo=_in_seconds(tempo))
        start, end = clock.seconds(np.stack([on, off]) / (2 * BEAT))
        velocity = loud * WIDTH + WIDTH // 2  # the middle of the bin
        return Notes(start, end, pitch, velocity, program=np.array(self.program), tempo=clock.tempo)


def _in_seconds(tempo: list[tuple[int, int]]) -> Tempo:
    """(sixteenth, quarter notes a minute) of each change -> (seconds, quarter notes a minute)."""
    now, rows = 0.0, []
    for (step, per_minute), (before, slower) in zip(tempo, [(0, DEFAULT), *tempo], strict=False):
        now += (step - before) / BEAT * 60 / slower
        rows.append((now, float(per_minute)))
    return tuple(rows)
