"""A painting's strokes as lines."""

from pathlib import Path
from typing import Any

import numpy as np

from sample.options import Options, Target
from sample.painting import hex_of
from zoo.codecs.media import with_suffix
from zoo.codecs.svg import Ink, write_sheet
from zoo.errors import UserError


def write_strokes(run: Any, options: Options, place: Target, meta: dict[str, Any]) -> list[Path]:
    """The run's painting as SVG, the strokes one over the other."""
    if not hasattr(run.model, "strokes"):
        raise UserError(f"--out {options.out}: {run.config.name} paints areas; .svg is for painter, and for zoo-draw")
    strokes = run.model.strokes(run.params)
    looks = zip(strokes.points, strokes.width, strokes.colour, strokes.opacity, strict=True)
    inks = [
        Ink(hex_of((colour + 1) / 2), float(width), (np.asarray(points, np.float64),), float(opacity))
        for points, width, colour, opacity in looks
    ]
    sides = run.model.width * run.model.pixel, run.model.height * run.model.pixel
    path = with_suffix(place.stem, ".svg")
    write_sheet([(hex_of((strokes.ground + 1) / 2), inks)], path, meta=meta, sides=sides)
    return [path]
