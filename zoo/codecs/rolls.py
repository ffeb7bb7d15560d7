"""Music as a piano roll: which of 88 keys sound in each step of a grid (Boulanger-Lewandowski et al. 2012)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.notes import VELOCITY, Notes, Report, Tempo, compare, strike

LOWEST, KEYS = 21, 88  # A0 .. C8


@dataclass(frozen=True)
class PianoRoll:
    """Notes <-> float32 [T, 88] of 0 and 1; column k is the MIDI pitch 21 + k.

    ``steps_per_quarter``: 4 is a grid of sixteenths, along the tempo map of the notes.
    ``restrike``: a note gives up its last step when its key is struck again right after it, so that both are heard;
    otherwise (and where a note has one step only) they are one long note in a roll.
    ``tempo``, ``program``: quarter notes a minute and instrument of what is decoded; a roll holds neither.

    Kept exactly: decode(encode(n)) == quantise(n), and encode(decode(r)) == r for rolls that do not end in silence.
    """

    steps_per_quarter: int = 4
    restrike: bool = False
    tempo: float = 100.0
    program: int = 0

    media: ClassVar[Literal["image", "text", "music"]] = "music"

    def __post_init__(self):
        if not (1 <= self.steps_per_quarter <= 96 and 4 <= self.tempo <= 1000 and 0 <= self.program <= 127):
            raise CodecError("roll", "steps_per_quarter in 1..96, tempo in 4..1000, program in 0..127")

    def encode(self, notes: Notes) -> np.ndarray:
        """float32 [T, 88]. What goes missing on the way: ``report``."""
        stay, on, off, _ = self._played(notes.sorted())
        roll = np.zeros((off.max(initial=0), KEYS), np.float32)
        for key, first, beyond in zip(notes.sorted().pitch[stay] - LOWEST, on, off, strict=True):
            roll[first:beyond, key] = 1
        return roll

    def decode(self, roll: np.ndarray) -> Notes:
        """The notes of a roll [T, 88] of any numbers, sorted: a key sounds where it is above one half."""
        roll = np.asarray(roll)
        if roll.ndim != 2 or roll.shape[1] != KEYS:
            raise CodecError("roll", f"shape [T, {KEYS}] is needed, not {list(roll.shape)}")
        edges = np.diff((roll > 0.5).astype(np.int8), axis=0, prepend=0, append=0).T  # key by key
        (key, on), off = np.nonzero(edges == 1), np.nonzero(edges == -1)[1]
        seconds = np.stack([on, off]) / self.steps_per_quarter * (60 / self.tempo)
        return self._notes(seconds, key + LOWEST, ((0.0, self.tempo),)).sorted()

    def quantise(self, notes: Notes) -> Notes:
        """What a roll keeps of ``notes``."""
        return self.decode(self.encode(notes))

    def report(self, notes: Notes) -> Report:
        """What encoding these notes loses."""
        notes = notes.sorted()
        stay, on, off, cut = self._played(notes)
        seconds = notes.seconds(np.stack([on, off]) / self.steps_per_quarter)  # in the piece's own tempo
        kept = self._notes(seconds, notes.pitch[stay], notes.tempo)
        far = ~self._playable(notes) & ~notes.drum
        dropped = {"drums": int(notes.drum.sum()), f"outside the {KEYS} keys": int(far.sum())}
        return compare(notes, stay, kept, cut=cut, dropped=dropped, size=int(off.max(initial=0)))

    def _playable(self, notes: Notes) -> np.ndarray:
        return ~notes.drum & (notes.pitch >= LOWEST) & (notes.pitch < LOWEST + KEYS)

    def _played(self, notes: Notes) -> tuple[np.ndarray, ...]:
        """Position in ``notes``, onset step, end step, cut: of the notes that a roll tells apart [M]."""
        part = np.flatnonzero(self._playable(notes))
        on, off = (steps[part] for steps in notes.steps(self.steps_per_quarter))
        stay, on, off, cut = told_apart(notes.pitch[part], on, off, restrike=self.restrike)
        return part[stay], on, off, cut

    def _notes(self, seconds: np.ndarray, pitch: np.ndarray, tempo: Tempo) -> Notes:
        return Notes(seconds[0], seconds[1], pitch, np.array(VELOCITY), np.array(self.program), tempo=tempo)


def told_apart(
    key: np.ndarray, on: np.ndarray, was: np.ndarray, *, restrike: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a roll shows of notes (key, onset and end step, int [N] each), on any keys: those that meet on a key are
    one, unless the first gives up its last step to a ``restrike``.

    Returns positions, onset steps, end steps [M] of what is shown, and whether it ends where its note did not.
    """
    stay, off = strike(key, on, was)
    key, on, was = key[stay], on[stay], was[stay]
    meets = (key == np.append(key[1:], -1)) & (off == np.append(on[1:], -1))  # struck again at once
    if restrike:
        off = off - (meets & (off - on > 1))
        meets &= off == np.append(on[1:], -1)
    head, last = np.ones(len(on), bool), np.ones(len(on), bool)  # of each run of notes that meet: one note
    head[1:], last[:-1] = ~meets[:-1], ~meets[:-1]
    return stay[head], on[head], off[last], off[last] != was[head]
