"""What ``zoo-draw`` may be told. Imports nothing heavy: ``--help`` answers at once."""

import dataclasses
from dataclasses import dataclass
from typing import Any

MOST = 4096  # pictures


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything ``zoo-draw`` may be told about a picture."""

    n: int | None = None
    """How many pictures: more than one make a sheet (default: 1; with --grid rows and columns, 5)."""
    seed: int = 0
    """Of all that is random: the same seed gives the same file."""
    size: int | None = None
    """Pixels of a picture's side (default: 512, on a sheet or in a film 256, in a table 128)."""
    palette: str | None = None
    """A palette by name, or five colours from dark to light and an accent: 1d1140,6a1b66,c73b63,f58a5f,ffd9a0,fff1d6
    (default: drawn at random)."""
    set: str | None = None
    """Parameters that are not left to chance: depth=2,angle=0. Of a parameter with several numbers all are set."""
    grid: str | None = None
    """Two parameters, A,B: a table in which A changes from row to row and B from column to column."""
    zoom: float | None = None
    """A film that goes in: so many times the view is halved. For formulas with a depth, which --set may begin with."""
    film: int | None = None
    """A film that walks through so many pictures and back to the first (default where --out is a film: 4, or of
    formulas with a depth a zoom by 6)."""
    music: str | None = None
    """A film that moves with a MIDI or WAV file, and carries it (.mp4): strokes push it on, loudness drives it, harmony
    chooses the palette. With --film through so many pictures."""
    frames: int | None = None
    """Films: frames in all (default: 1.25 seconds from each picture to the next, 1 for each halving; with --music as
    long as it is)."""
    fps: float = 24.0
    """Films: frames a second."""
    out: str | None = None
    """A file, whose suffix says what to write: .png, .gif or .mp4, and .svg for formulas made of lines (default:
    FORMULA_seedS and .png or .gif, here)."""
    list: bool = False
    """Tell which formulas there are; with FORMULA, which parameters it has."""

    def told(self) -> dict[str, Any]:
        """What differs from the defaults, for the file's metadata, which holds the seed already."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in ("out", "seed", "list")]
        defaults = vars(Options())
        return {name: value for name in names if (value := getattr(self, name)) != defaults[name]}


def described(space: Any) -> str:
    """A range in words."""
    from zoo.algorithmic.canvas import Among

    if isinstance(space, Among):
        return "one of " + " ".join(f"{value:g}" for value in dict.fromkeys(space.values))
    return f"{space.low:.3g} .. {space.high:.3g}" + (f", {space.count} numbers" if space.count else "")
