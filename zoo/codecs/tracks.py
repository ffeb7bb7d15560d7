"""Several instruments as piano rolls side by side (Dong et al. 2018, "MuseGAN", arXiv:1709.06298, section 3)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.notes import VELOCITY, Notes, Report, Tempo, compare
from zoo.codecs.rolls import told_apart

QUARTERS = 4  # of a bar
MAX_CELLS = 2**26  # of one piece: 256 MB

# The five of the Lakh Pianoroll Dataset, and the General MIDI programs that each plays; what is none of the first
# four's is the strings', but for the sounds of effects and of percussion. Decoded, a track has its first program.
PROGRAMS = {
    "drums": (0,),
    "piano": tuple(range(0, 8)),
    "guitar": tuple(range(24, 32)),
    "bass": tuple(range(32, 40)),
    "strings": (*range(48, 96), *range(40, 48), *range(8, 24), *range(104, 112)),
}


@dataclass(frozen=True)
class MultiTrack:
    """Notes <-> float32 [bars, steps, pitches, tracks] of 0 and 1: what sounds, in bars of four quarter notes.

    ``steps_per_bar``: a multiple of 4; 96 in the paper, 48 in the authors' later code, 24 and 16 in others'.
    ``lowest``, ``pitches``: the rows are the MIDI pitches from ``lowest`` up, of drums too.
    ``tracks``: names of ``PROGRAMS``, in their order along the last axis. Notes of no track are dropped.
    ``restrike``: see ``rolls.PianoRoll``; without it a note that is repeated at once is one long note.
    ``tempo``: quarter notes a minute of what is decoded.

    Kept exactly: decode(encode(n)) == quantise(n), and encode(decode(t)) == t for tensors whose last bar sounds.
    """

    steps_per_bar: int = 48
    lowest: int = 24
    pitches: int = 84
    tracks: tuple[str, ...] = tuple(PROGRAMS)
    restrike: bool = False
    tempo: float = 100.0

    media: ClassVar[Literal["image", "text", "music"]] = "music"

    def __post_init__(self):
        object.__setattr__(self, "tracks", tuple(self.tracks))  # JSON has lists only
        if self.steps_per_bar % QUARTERS or not QUARTERS <= self.steps_per_bar <= 96 * QUARTERS:
            raise CodecError("tracks", f"steps_per_bar must be a multiple of {QUARTERS}, up to {96 * QUARTERS}")
        if not (self.lowest >= 0 and 1 <= self.pitches <= 128 - self.lowest and 4 <= self.tempo <= 1000):
            raise CodecError("tracks", "lowest from 0 on, pitches from 1 up to 128 - lowest, tempo in 4..1000")
        if not self.tracks or len(set(self.tracks)) != len(self.tracks) or not set(self.tracks) <= set(PROGRAMS):
            raise CodecError("tracks", f"tracks must be some of {', '.join(PROGRAMS)}, each once")

    def encode(self, notes: Notes) -> np.ndarray:
        """float32 [bars, steps, pitches, tracks]. What goes missing on the way: ``report``."""
        notes = notes.sorted()
        stay, on, off, _ = self._played(notes)
        bars = self._bars(off)
        cells = bars * self.steps_per_bar * self.pitches * len(self.tracks)
        if cells > MAX_CELLS:
            raise CodecError("notes", f"{bars:,} bars of {len(self.tracks)} tracks are more than {MAX_CELLS:,} cells")
        roll = np.zeros((bars * self.steps_per_bar, self.pitches, len(self.tracks)), np.float32)
        places = zip(on, off, notes.pitch[stay] - self.lowest, self._track(notes)[stay], strict=True)
        for first, beyond, row, track in places:
            roll[first:beyond, row, track] = 1
        return roll.reshape(bars, self.steps_per_bar, *roll.shape[1:])

    def decode(self, roll: np.ndarray) -> Notes:
        """The notes of any tensor [bars, steps, pitches, tracks] of numbers or truths, sorted: what is above one half
        sounds. Bars follow one another, and a note may sound across their lines."""
        roll = np.asarray(roll)
        shape = (self.steps_per_bar, self.pitches, len(self.tracks))
        if roll.ndim != 4 or roll.shape[1:] != shape:
            raise CodecError("tracks", f"shape [bars, {', '.join(map(str, shape))}] is needed, not {list(roll.shape)}")
        lanes = (roll > 0.5).reshape(-1, self.pitches * len(self.tracks))
        edges = np.diff(lanes.astype(np.int8), axis=0, prepend=0, append=0).T
        (lane, on), off = np.nonzero(edges == 1), np.nonzero(edges == -1)[1]
        row, track = np.divmod(lane, len(self.tracks))
        seconds = np.stack([on, off]) / self._per_quarter * (60 / self.tempo)
        return self._notes(seconds, row + self.lowest, track, ((0.0, self.tempo),)).sorted()

    def quantise(self, notes: Notes) -> Notes:
        """What the rolls keep of ``notes``."""
        return self.decode(self.encode(notes))

    def report(self, notes: Notes) -> Report:
        """What encoding these notes loses."""
        notes = notes.sorted()
        stay, on, off, cut = self._played(notes)
        track = self._track(notes)
        seconds = notes.seconds(np.stack([on, off]) / self._per_quarter)  # in the piece's own tempo
        kept = self._notes(seconds, notes.pitch[stay], track[stay], notes.tempo)
        far = (track >= 0) & ~self._inside(notes)
        dropped = {"of no track": int((track < 0).sum()), f"outside the {self.pitches} pitches": int(far.sum())}
        return compare(notes, stay, kept, cut=cut, dropped=dropped, size=self._bars(off) * self.steps_per_bar)

    @property
    def _per_quarter(self) -> int:
        return self.steps_per_bar // QUARTERS

    def _bars(self, off: np.ndarray) -> int:
        return -(-int(off.max(initial=0)) // self.steps_per_bar)

    def _track(self, notes: Notes) -> np.ndarray:
        """Where each note goes, int [N]; -1 for nowhere."""
        table = np.full(128, -1)
        for number, name in enumerate(self.tracks):
            if name != "drums":
                table[list(PROGRAMS[name])] = number
        return np.where(notes.drum, self.tracks.index("drums") if "drums" in self.tracks else -1, table[notes.program])

    def _inside(self, notes: Notes) -> np.ndarray:
        return (notes.pitch >= self.lowest) & (notes.pitch < self.lowest + self.pitches)

    def _played(self, notes: Notes) -> tuple[np.ndarray, ...]:
        """Position in ``notes``, onset step, end step, cut: of the notes that the rolls tell apart [M]."""
        track = self._track(notes)
        part = np.flatnonzero((track >= 0) & self._inside(notes))
        on, off = (steps[part] for steps in notes.steps(self._per_quarter))
        key = 128 * track[part] + notes.pitch[part]
        stay, on, off, cut = told_apart(key, on, off, restrike=self.restrike)
        return part[stay], on, off, cut

    def _notes(self, seconds: np.ndarray, pitch: np.ndarray, track: np.ndarray, tempo: Tempo) -> Notes:
        program = np.array([PROGRAMS[name][0] for name in self.tracks])[track]
        drum = np.array([name == "drums" for name in self.tracks])[track]
        return Notes(seconds[0], seconds[1], pitch, np.array(VELOCITY), program, drum, tempo)
