"""Music as words: what is struck at one moment, a note or a chord, is one token.

    0..127  one note: the token is the MIDI pitch      130  START      131  STOP
    128     REST, nothing sounds                       132..  chords, in the order of ``chords``
    129     HOLD, what was struck goes on

The words of Skuldur's "Classical Piano Composer" (2017), whose vocabulary is that of its data. What that code loses is
kept here: a chord's own pitches, of which it keeps pitch classes and plays them all around middle C, and, with
``rhythm``, when and how long: its notes follow one another in equal steps.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.notes import VELOCITY, Notes, Report, compare, integers

PITCHES = 128
REST, HOLD, START, STOP = 128, 129, 130, 131
FIRST_CHORD = 132


@dataclass(frozen=True)
class ChordWords:
    """Notes <-> int32 tokens [1 + T + 1]: START, words, STOP.

    ``chords``: those that have a token, lowest pitch first, such as "60.64.67"; `of` finds the most frequent ones of a
    set of pieces. Of another chord the largest word is written that has its highest pitch and no other than its own; of
    several the first.
    ``steps_per_quarter``: 2 is a grid of eighths, along the tempo map of the notes.
    ``rhythm``: a word each step, with REST and HOLD. Without it there is a word each onset and nothing else, as in the
    code whose words these are, and a word lasts one step when it is played.
    ``tempo``, ``program``: quarter notes a minute and instrument of what is decoded; words hold neither.

    A word ends where the next one or a rest begins: it knows no velocity, no drum, and no note that outlasts its chord.
    Kept exactly: encode(decode(t)) == t for every t that encode makes.
    """

    chords: tuple[str, ...] = ()
    steps_per_quarter: int = 2
    rhythm: bool = True
    tempo: float = 120.0
    program: int = 0

    media: ClassVar[Literal["image", "text", "music"]] = "music"

    def __post_init__(self):
        object.__setattr__(self, "chords", tuple(self.chords))  # JSON has lists only
        if not (1 <= self.steps_per_quarter <= 96 and 4 <= self.tempo <= 1000 and 0 <= self.program <= 127):
            raise CodecError("chords", "steps_per_quarter in 1..96, tempo in 4..1000, program in 0..127")
        for chord in self.chords:
            parts = chord.split(".")
            pitches = [int(part) for part in parts if part.isdecimal() and int(part) < PITCHES]
            if len(pitches) != len(parts) or len(pitches) < 2 or pitches != sorted(set(pitches)):
                raise CodecError("chords", f"{chord!r} is no chord: two or more pitches 0..127 that rise, as 60.64.67")
        if len(set(self.chords)) != len(self.chords):
            raise CodecError("chords", "holds a chord twice")

    def of(self, pieces: Iterable[np.ndarray], most: int) -> "ChordWords":
        """The codec with the ``most`` most frequent chords of pieces that ``struck`` gave; of equals the lowest."""
        counts: Counter[bytes] = Counter()
        for piece in pieces:
            rows, times = np.unique(piece[piece[:, :PITCHES].sum(axis=1) > 1], axis=0, return_counts=True)
            counts.update({row.tobytes(): int(count) for row, count in zip(rows, times, strict=True)})
        named = [(".".join(map(str, np.flatnonzero(np.frombuffer(row, bool)))), n) for row, n in counts.items()]
        chosen = sorted(named, key=lambda pair: (-pair[1], pair[0]))[:most]
        return replace(self, chords=tuple(chord for chord, _ in chosen))

    @property
    def vocabulary(self) -> int:
        return FIRST_CHORD + len(self.chords)

    @property
    def start(self) -> int:
        return START

    @property
    def stop(self) -> int:
        return STOP

    @cached_property
    def keys(self) -> np.ndarray:
        """bool [V, 128]: which pitches each token strikes."""
        table = np.zeros((self.vocabulary, PITCHES), bool)
        table[np.arange(PITCHES), np.arange(PITCHES)] = True
        for token, chord in enumerate(self.chords, FIRST_CHORD):
            table[token, [int(pitch) for pitch in chord.split(".")]] = True
        return table

    def encode(self, notes: Notes) -> np.ndarray:
        """int32 [T], from START to STOP. What goes missing on the way: ``report``."""
        return self.spell(self.struck(notes))

    def struck(self, notes: Notes) -> np.ndarray:
        """What is heard, before it has tokens: bool [T, 130], the pitches that each step strikes, whether it is a REST,
        whether a HOLD. Drums are left out. Without ``rhythm``, only the steps that strike something."""
        on, off = notes.select(~notes.drum).steps(self.steps_per_quarter)
        steps, at = int(off.max(initial=0)), on
        if not self.rhythm:
            moments, at = np.unique(on, return_inverse=True)
            steps = len(moments)
        heard = np.zeros((steps, PITCHES + 2), bool)
        heard[at, notes.pitch[~notes.drum]] = True
        if self.rhythm:
            edges = np.zeros(steps + 1, np.int64)
            np.add.at(edges, on, 1)
            np.add.at(edges, off, -1)
            silent, quiet = np.cumsum(edges)[:-1] == 0, ~heard.any(axis=1)
            heard[:, REST], heard[:, HOLD] = quiet & silent, quiet & ~silent
        return heard

    def spell(self, heard: np.ndarray) -> np.ndarray:
        """What ``struck`` gave -> tokens int32 [T], from START to STOP."""
        kinds, which = np.unique(heard, axis=0, return_inverse=True)
        tokens = np.array([self._word(kind) for kind in kinds], np.int32)
        return np.concatenate([[START], tokens[which.reshape(-1)] if len(kinds) else [], [STOP]]).astype(np.int32)

    def decode(self, tokens: np.ndarray) -> Notes:
        """The music of any integers [T] up to the first STOP, sorted. What is no word is passed over."""
        said = np.array(integers(tokens), np.int64)
        said = said[: np.argmax(said == STOP)] if STOP in said else said
        known = (said >= 0) & (said < self.vocabulary) & (said != START)
        said = said[known & (self.rhythm | ~np.isin(said, (REST, HOLD)))]
        begins = np.flatnonzero(~np.isin(said, (REST, HOLD)))
        word, pitch = np.nonzero(self.keys[said[begins]])
        steps = np.stack([begins, self._next(said, begins)])[:, word]
        return self._notes(steps / self.steps_per_quarter * (60 / self.tempo), pitch).sorted()

    def quantise(self, notes: Notes) -> Notes:
        """What the tokens keep of ``notes``."""
        return self.decode(self.encode(notes))

    def report(self, notes: Notes) -> Report:
        """What encoding these notes loses; without ``rhythm`` times are lost altogether, and not told of."""
        notes = notes.sorted()
        tokens, pitched = self.encode(notes), np.flatnonzero(~notes.drum)
        on, off = (steps[pitched] for steps in notes.steps(self.steps_per_quarter))
        at = on if self.rhythm else np.unique(on, return_inverse=True)[1]
        said = self.keys[tokens[1:-1][at], notes.pitch[pitched]]
        _, longest = np.unique(np.stack([at, notes.pitch[pitched]])[:, ::-1], axis=1, return_index=True)
        stay = np.intersect1d(len(at) - 1 - longest, np.flatnonzero(said))
        beyond = self._next(tokens[1:-1], on[stay]) if self.rhythm else off[stay]
        seconds = notes.seconds(np.stack([on[stay], beyond]) / self.steps_per_quarter)  # in the piece's own tempo
        kept = replace(self._notes(seconds, notes.pitch[pitched][stay]), tempo=notes.tempo)
        dropped = len(notes) - int(said.sum())
        return compare(notes, pitched[stay], kept, cut=beyond != off[stay], dropped=dropped, size=len(tokens))

    @cached_property
    def _tokens(self) -> dict[bytes, int]:
        return {row.tobytes(): token for token, row in enumerate(self.keys) if row.any()}

    def _word(self, heard: np.ndarray) -> int:
        """The token of one step, bool [130]."""
        if heard[REST] or heard[HOLD]:
            return REST if heard[REST] else HOLD
        keys = heard[:PITCHES]
        if (token := self._tokens.get(keys.tobytes())) is not None:
            return token
        parts = self.keys[:, np.flatnonzero(keys)[-1]] & ~(self.keys & ~keys).any(axis=1)
        return int(np.argmax(parts * self.keys.sum(axis=1)))

    @staticmethod
    def _next(said: np.ndarray, begins: np.ndarray) -> np.ndarray:
        """Where the words that begin at ``begins`` end: at what follows them and is no HOLD."""
        marks = np.flatnonzero(np.append(said, REST) != HOLD)
        return marks[np.searchsorted(marks, begins, side="right")]

    def _notes(self, seconds: np.ndarray, pitch: np.ndarray) -> Notes:
        tempo = ((0.0, self.tempo),)
        return Notes(seconds[0], seconds[1], pitch, np.array(VELOCITY), np.array(self.program), tempo=tempo)
