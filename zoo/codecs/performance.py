"""Music as a stream of performance events, for one keyboard or one drum kit.

Vocabulary of Oore et al. 2018 ("This Time with Feeling", section 3.1) with the 10 ms of Huang et al. 2018 ("Music
Transformer", section 4.2), 388 tokens in this order, and two specials behind them:

    0..127    NOTE_ON pitch            256..355  TIME_SHIFT by 1..100 steps        388  START
    128..255  NOTE_OFF pitch           356..387  VELOCITY bin, until the next one  389  STOP
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.notes import Notes, Report, compare, integers, round_half_up, strike

NOTE_ON, NOTE_OFF, TIME_SHIFT = 0, 128, 256

Array = Any  # numpy's or JAX's


@dataclass(frozen=True)
class Performance:
    """Notes <-> int32 tokens [T]: START, events, STOP; about three events a note.

    Times are rounded as they are, never their differences, so no drift builds up; a time shift is at most a second.
    At one moment come ends first, then onsets, each by pitch; a velocity is told when it changes. All programs become
    ``program``, and a key that two of them hold is one key (``notes.strike``). Kept exactly: decode(encode(n)) ==
    quantise(n), and encode(decode(t)) == t for every t that encode makes.

    ``steps_per_second``: 100 (10 ms).    ``velocities``: bins over 1..127, 32 of width 4.
    ``drums``: keeps the drums and drops what has a pitch, instead of the other way round.
    """

    steps_per_second: int = 100
    velocities: int = 32
    program: int = 0
    drums: bool = False

    media: ClassVar[Literal["image", "text", "music"]] = "music"

    def __post_init__(self):
        if not (1 <= self.steps_per_second <= 1000 and 1 <= self.velocities <= 127 and 0 <= self.program <= 127):
            raise CodecError("performance", "steps_per_second in 1..1000, velocities in 1..127, program in 0..127")

    @property
    def vocabulary(self) -> int:
        return self.stop + 1

    @property
    def start(self) -> int:
        return TIME_SHIFT + self.steps_per_second + self.velocities

    @property
    def stop(self) -> int:
        return self.start + 1

    def encode(self, notes: Notes) -> np.ndarray:
        """int32 [T], from START to STOP. What goes missing on the way: ``report``."""
        pitch, on, off, loud, _, _ = self._played(notes.sorted())
        step, token = np.concatenate([off, on]), np.concatenate([NOTE_OFF + pitch, NOTE_ON + pitch])
        loud = np.concatenate([np.full_like(loud, -1), loud])  # -1: ends have no velocity
        order = np.lexsort((token, loud >= 0, step))
        step, token, loud = step[order], token[order], loud[order]

        onsets = np.flatnonzero(loud >= 0)
        louder = onsets[np.diff(loud[onsets], prepend=-1) != 0]
        changes = np.zeros(len(step), np.int64)
        changes[louder] = 1
        gap = np.diff(step, prepend=0)
        shifts = -(-gap // self.steps_per_second)
        last = np.cumsum(shifts + changes + 1) - 1  # each event: full shifts, the rest, a velocity, its own token
        tokens = np.full(last[-1] + 1 if len(last) else 0, TIME_SHIFT + self.steps_per_second - 1, np.int32)
        tokens[last] = token
        tokens[last[louder] - 1] = self._velocity + loud[louder]
        rest = np.flatnonzero(gap % self.steps_per_second)
        tokens[(last - changes - 1)[rest]] = TIME_SHIFT + gap[rest] % self.steps_per_second - 1
        return np.concatenate([[self.start], tokens, [self.stop]]).astype(np.int32)

    def decode(self, tokens: np.ndarray) -> Notes:
        """The music of any integers [T] up to the first STOP, sorted.

        What a model may get wrong is passed over: ends of keys that are up, unknown tokens, a START in the middle. A
        key that is struck while it is down ends its note; keys that are down at the end come up there.
        """
        now, loud, down, played = 0, self.velocities // 2, {}, []
        for token in integers(tokens):
            if NOTE_ON <= token < NOTE_OFF:
                if token in down:
                    down[token][2] = now
                down[token] = [token, now, now, loud]
                played.append(down[token])
            elif NOTE_OFF <= token < TIME_SHIFT and token - NOTE_OFF in down:
                down.pop(token - NOTE_OFF)[2] = now
            elif TIME_SHIFT <= token < self._velocity:
                now += token - TIME_SHIFT + 1
            elif self._velocity <= token < self.start:
                loud = token - self._velocity
            elif token == self.stop:
                break
        for note in down.values():
            note[2] = now
        pitch, on, off, loud = np.array(played, np.int64).reshape(-1, 4).T
        stay, off = strike(pitch, on, np.maximum(off, on + 1))
        return self._notes(pitch[stay], on[stay], off, loud[stay])

    def quantise(self, notes: Notes) -> Notes:
        """What the tokens keep of ``notes``."""
        pitch, on, off, loud, _, _ = self._played(notes.sorted())
        return self._notes(pitch, on, off, loud)

    def report(self, notes: Notes) -> Report:
        """What encoding these notes loses."""
        notes = notes.sorted()
        pitch, on, off, loud, stay, cut = self._played(notes)
        kept = self._notes(pitch, on, off, loud, ordered=False)
        dropped = {"with a pitch" if self.drums else "drums": int((notes.drum != self.drums).sum())}
        return compare(notes, stay, kept, cut=cut, dropped=dropped, size=len(self.encode(notes)))

    def transpose(self, tokens: Array, semitones: int | Array) -> Array:
        """Moves every pitch of tokens of any shape, numpy's or JAX's, on the device too; keep it within 0..127."""
        key = tokens % 128
        moved = tokens - key + (key + semitones).clip(0, 127)
        pitched = (tokens >= 0) & (tokens < TIME_SHIFT) & (not self.drums)
        return pitched * moved + ~pitched * tokens

    @property
    def _velocity(self) -> int:
        return TIME_SHIFT + self.steps_per_second

    @property
    def _width(self) -> int:
        return -(-127 // self.velocities)

    def _played(self, notes: Notes) -> tuple[np.ndarray, ...]:
        """pitch, onset step, end step, velocity bin, position in ``notes``, cut: of the notes that stay [M]."""
        part = np.flatnonzero(notes.drum == self.drums)
        on = round_half_up(notes.start[part] * self.steps_per_second)
        off = np.maximum(round_half_up(notes.end[part] * self.steps_per_second), on + 1)
        stay, end = strike(notes.pitch[part], on, off)
        loud = (notes.velocity[part] - 1) // self._width
        return notes.pitch[part][stay], on[stay], end, loud[stay], part[stay], end != off[stay]

    def _notes(self, pitch, on, off, loud, *, ordered: bool = True) -> Notes:
        velocity = np.minimum(loud * self._width + (self._width + 1) // 2, 127)  # the middle of the bin
        seconds = on / self.steps_per_second, off / self.steps_per_second
        notes = Notes(*seconds, pitch, velocity, program=np.array(self.program), drum=np.array(self.drums))
        return notes.sorted() if ordered else notes
