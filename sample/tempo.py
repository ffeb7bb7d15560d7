"""The tempo of what goes on from a file: that file's, whatever it is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sample.options import Options
from sample.restyled import scores_of
from zoo.codecs.notes import Notes
from zoo.codecs.pictured import read_music


def in_tempo(codec: Any, options: Options, pieces: Sequence[Notes]) -> list[Notes]:
    """Pieces that go on from --primer, as many from each, or that --harmonise a melody, --play drums or --translate
    music, in its tempo and metre."""
    whole = options.harmonise if options.play is None else options.play
    files = options.primer if whole is None else (whole,)
    if options.translate is not None:
        files = scores_of(options)
    if not files or options.interpolate is not None:
        return [*pieces]
    primers = [read_music(Path(file).expanduser()) for file in files]
    each = len(pieces) // len(primers)
    return [paced(codec, piece, primers[number // each]) for number, piece in enumerate(pieces)]


def paced(codec: Any, notes: Notes, primer: Notes) -> Notes:
    """``notes`` as ``primer`` counts time: a grid follows its changes of tempo, and goes on in the last one; what holds
    seconds, as performance events do, keeps them, and has only its bars drawn otherwise."""
    start, end = notes.start, notes.end
    if hasattr(codec, "tempo"):
        start, end = (primer.seconds(notes.quarters(np.asarray(times))) for times in (start, end))
    return replace(notes, start=start, end=end, tempo=primer.tempo, metre=primer.metre)
