"""Drums as a groove: what is struck in each step of a grid, how hard, and how far from it (Gillick et al. 2019,
"Learning to Groove with Inverse Sequence Transformations", arXiv:1905.06118).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.notes import Notes, Report, Tempo, compare, round_half_up

# The paper's nine classes of what a Roland TD-11 plays, the pitch that stands for each first (its appendix; the table
# is on the Groove MIDI Dataset's page). General MIDI's second bass drum, hand clap and low floor tom go with them.
KIT = {
    "kick": (36, 35),
    "snare": (38, 37, 40, 39),
    "closed hi-hat": (42, 22, 44),
    "open hi-hat": (46, 26),
    "low tom": (43, 58, 41),
    "mid tom": (47, 45),
    "high tom": (50, 48),
    "crash": (49, 52, 55, 57),
    "ride": (51, 53, 59),
}
CLASSES = len(KIT)
PITCHES = np.array([pitches[0] for pitches in KIT.values()])
FINE = 512  # parts of a step that offsets are told in: the 600 ticks of a sixteenth in our MIDI files keep them apart

_CLASS = np.full(128, -1)
for _number, _pitches in enumerate(KIT.values()):
    _CLASS[list(_pitches)] = _number


@dataclass(frozen=True)
class DrumGrid:
    """Notes <-> float32 [T, 27]: hits of nine classes, 0 or 1; their velocities in [0, 1]; their offsets in [-0.5, 0.5)
    of a step, before or behind it. Velocity and offset of what is not struck are 0. The classes are those of ``KIT``.

    ``steps_per_quarter``: 4 is a grid of sixteenths, along the tempo map of the notes.
    ``tempo``: quarter notes a minute of what is decoded when nothing else is told; a grid holds none.

    Of several hits of a class in a step the loudest stays; a drum has no length; what has a pitch is dropped.
    Kept exactly: decode(encode(n), tempo=n.tempo) == quantise(n), and encode(decode(g)) == g for every grid that encode
    makes.
    """

    steps_per_quarter: int = 4
    tempo: float = 120.0

    media: ClassVar[Literal["image", "text", "music"]] = "music"

    def __post_init__(self):
        if not (1 <= self.steps_per_quarter <= 96 and 4 <= self.tempo <= 1000):
            raise CodecError("drums", "steps_per_quarter in 1..96, tempo in 4..1000")

    def encode(self, notes: Notes) -> np.ndarray:
        """float32 [T, 27]. What goes missing on the way: ``report``."""
        notes = notes.sorted()
        stay, step, offset = self._struck(notes)
        drum = _CLASS[notes.pitch[stay]]
        grid = np.zeros((3, step.max(initial=-1) + 1, CLASSES), np.float32)
        grid[0, step, drum] = 1
        grid[1, step, drum] = notes.velocity[stay] / 127
        grid[2, step, drum] = offset / FINE
        return np.concatenate(list(grid), axis=1)

    def decode(self, grid: np.ndarray, *, tempo: Tempo | None = None) -> Notes:
        """The music of a grid [T, 27] of any numbers, sorted: a drum is struck where its hit is above one half.

        ``tempo``: as `Notes` have it, None for the codec's own. What would come before the beginning comes at it.
        """
        grid = np.asarray(grid, np.float64)
        if grid.ndim != 2 or grid.shape[1] != 3 * CLASSES:
            raise CodecError("drums", f"shape [T, {3 * CLASSES}] is needed, not {list(grid.shape)}")
        hits, velocities, offsets = np.split(grid, 3, axis=1)
        step, drum = np.nonzero(hits > 0.5)
        most = 0.5 - 1 / FINE
        offset = round_half_up(FINE * np.nan_to_num(offsets[step, drum]).clip(-0.5, most))
        velocity = np.rint(127 * np.nan_to_num(velocities[step, drum]).clip(0, 1)).clip(1, 127)
        return self._notes(step, offset, PITCHES[drum], velocity, tempo or ((0.0, self.tempo),)).sorted()

    def quantise(self, notes: Notes) -> Notes:
        """What the grid keeps of ``notes``, in their own tempo."""
        notes = notes.sorted()
        stay, step, offset = self._struck(notes)
        pitch = PITCHES[_CLASS[notes.pitch[stay]]]
        return self._notes(step, offset, pitch, notes.velocity[stay], notes.tempo).sorted()

    def report(self, notes: Notes) -> Report:
        """What encoding these notes loses."""
        notes = notes.sorted()
        stay, step, offset = self._struck(notes)
        pitch, velocity = PITCHES[_CLASS[notes.pitch[stay]]], notes.velocity[stay]
        kept = self._notes(step, offset, pitch, velocity, notes.tempo, end=notes.end[stay])
        others = int((notes.drum & (_CLASS[notes.pitch] < 0)).sum())
        dropped = {"with a pitch": int((~notes.drum).sum()), "of no class": others}
        size = int(step.max(initial=-1)) + 1
        return compare(notes, stay, kept, cut=np.zeros(len(stay), bool), dropped=dropped, size=size)

    def _struck(self, notes: Notes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position in ``notes``, step, offset in ``FINE`` parts of a step: of the hits that stay [M]."""
        notes.steps(self.steps_per_quarter)  # refuses what is too long for a grid
        part = np.flatnonzero(notes.drum & (_CLASS[notes.pitch] >= 0))
        drum, velocity = _CLASS[notes.pitch[part]], notes.velocity[part]
        fine = round_half_up(FINE * self.steps_per_quarter * notes.quarters(notes.start[part]))
        step = (fine + FINE // 2) // FINE
        order = np.lexsort((fine, -velocity, drum, step))
        first = np.ones(len(order), bool)
        first[1:] = (np.diff(step[order]) != 0) | (np.diff(drum[order]) != 0)
        loudest = order[first]
        return part[loudest], step[loudest], (fine - FINE * step)[loudest]

    def _notes(self, step, offset, pitch, velocity, tempo: Tempo, *, end: np.ndarray | None = None) -> Notes:
        """Each hit half a step long, unless it is told when it ends."""
        at = np.maximum(step + offset / FINE, 0)
        clock = Notes(*np.zeros((3, 0)), tempo=tempo)
        start, over = clock.seconds(np.stack([at, at + 0.5]) / self.steps_per_quarter)
        until = over if end is None else np.maximum(start, end)
        return Notes(start, until, pitch, velocity, drum=np.array(True), tempo=clock.tempo)
