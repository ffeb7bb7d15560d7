"""Line drawings as points that a pen goes through: the forms of Ha & Eck 2018 ("A Neural Representation of Sketch
Drawings", arXiv:1704.03477, section 3.1).

A drawing is a tuple of strokes, each float64 [P, 2], P >= 1: x to the right, y downwards. Its other forms:

    three columns [N, 3]   dx, dy from the point before, and 1 where the pen is lifted behind the point; the pen begins
                           on the paper, at the origin, which is the drawing's first point
    five columns [T, 5]    dx, dy, and one of: the pen stays down (p1), is lifted behind the point (p2), the drawing is
                           over and this is no point of it (p3). The first row is START: the pen is down at the origin

Where a drawing lies on its paper is in none of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError

DOWN, LIFTED, OVER = 2, 3, 4  # columns
START = np.array([0, 0, 1, 0, 0], np.float32)
END = np.array([0, 0, 0, 0, 1], np.float32)

Drawing = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class StrokeCodec:
    """Drawings <-> float32 [T, 5], the five-column form in units of ``scale``.

    ``scale``: the deviation of the offsets of a training set, so that a model's have deviation 1 (section 3.1).
    ``extent``: how large a drawing usually is: its longer side. Pictures from elsewhere are brought to this size.
    ``epsilon``: how far `simplify` may move what pictures from elsewhere show, of an extent of 255; QuickDraw takes 2.

    Points that repeat the one before are left out. Kept exactly, for what encode makes: encode(decode(a)) == a; and of
    a drawing its offsets to float32: 6e-8 of each.
    """

    scale: float = 1.0
    extent: float = 255.0
    epsilon: float = 2.0

    media: ClassVar[Literal["drawing"]] = "drawing"

    def __post_init__(self):
        if not (0 < self.scale < np.inf and 0 < self.extent < np.inf and 0 <= self.epsilon < np.inf):
            raise CodecError("strokes", "scale and extent must be above 0, epsilon at least 0")

    def encode(self, drawing: Sequence[np.ndarray]) -> np.ndarray:
        """float32 [1 + N + 1, 5], from START to END."""
        three = three_columns(checked(drawing))
        return five_columns(np.concatenate([three[:, :2] / self.scale, three[:, 2:]], axis=1))

    def decode(self, array: np.ndarray) -> Drawing:
        """The drawing of rows [T, 5] up to the first END; the largest of the three pens is meant. CodecError of other
        shapes and of NaN."""
        array = np.asarray(array, np.float64)
        if array.ndim != 2 or array.shape[1] != 5 or not np.isfinite(array).all():
            raise CodecError("strokes", f"finite numbers [T, 5] are needed, not {list(array.shape)}")
        three = from_five(array)
        return lines(np.concatenate([three[:, :2] * self.scale, three[:, 2:]], axis=1))

    def fitted(self, drawing: Sequence[np.ndarray]) -> Drawing:
        """A drawing of any size as those of the training set are: as large, and simplified. CodecError where it has no
        extent."""
        drawing = checked(drawing)
        low, high = bounds(drawing)
        size = float((high - low).max())
        if size == 0:
            raise CodecError("drawing", "is a point; nothing can be seen of it")
        larger = ((stroke - low) * (self.extent / size) for stroke in drawing)
        return tuple(simplify(stroke, self.epsilon * self.extent / 255) for stroke in larger)


def checked(drawing: Iterable[np.ndarray]) -> Drawing:
    """The strokes as float64 [P, 2], without points that repeat the one before. CodecError for what is no drawing."""
    strokes = []
    for stroke in drawing:
        stroke = np.asarray(stroke, np.float64)
        if stroke.ndim != 2 or stroke.shape[1] != 2 or not len(stroke) or not np.isfinite(stroke).all():
            raise CodecError("drawing", "every stroke is finite numbers [P, 2], one point or more")
        moved = np.any(np.diff(stroke, axis=0) != 0, axis=1)
        strokes.append(stroke[np.append(True, moved)])
    if not strokes:
        raise CodecError("drawing", "has no strokes")
    return tuple(strokes)


def bounds(drawing: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest x and y, [2] each."""
    points = np.concatenate(drawing)
    return points.min(axis=0), points.max(axis=0)


# ---- Forms ----------------------------------------------------------------------------------------------------------


def three_columns(drawing: Sequence[np.ndarray]) -> np.ndarray:
    """A drawing -> [N, 3]. The first point is the origin and has no row, unless it is all of its stroke."""
    points = np.concatenate(drawing)
    lifted = np.zeros(len(points))
    lifted[np.cumsum([len(stroke) for stroke in drawing]) - 1] = 1
    offsets = np.diff(points, axis=0, prepend=points[:1])
    return np.column_stack([offsets, lifted])[0 if len(drawing[0]) == 1 else 1 :]


def lines(three: np.ndarray) -> Drawing:
    """[N, 3] -> the drawing, from the origin on; of no rows, the origin."""
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(three[:, :2], axis=0)])
    ends = np.flatnonzero(np.append(0, three[:, 2] > 0.5)) + 1
    return checked(stroke for stroke in np.split(points, ends) if len(stroke))


def five_columns(three: np.ndarray) -> np.ndarray:
    """[N, 3] -> float32 [1 + N + 1, 5], from START to END."""
    lifted = (three[:, 2] > 0.5).astype(np.float32)
    pens = [1 - lifted, lifted, np.zeros_like(lifted)]
    rows = np.column_stack([three[:, :2].astype(np.float32), *pens])
    return np.concatenate([START[None], rows, END[None]])


def from_five(five: np.ndarray) -> np.ndarray:
    """[T, 5] -> [N, 3]: without START, up to the first END."""
    pens = np.argmax(five[:, DOWN:], axis=1) + DOWN
    begin = int(len(five) > 0 and np.array_equal(five[0], START))
    over = np.flatnonzero(pens == OVER)
    end = max(int(over[0]), begin) if len(over) else len(five)
    return np.column_stack([five[begin:end, :2], pens[begin:end] == LIFTED]).astype(np.float64)


def simplify(points: np.ndarray, epsilon: float) -> np.ndarray:
    """A line [P, 2] with fewer points: of what is left out nothing is farther than ``epsilon`` from what stays. Ramer
    1972; Douglas & Peucker 1973."""
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    parts = [(0, len(points) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        far = distances(points[first + 1 : last], points[first], points[last])
        at = int(np.argmax(far))
        if far[at] > epsilon:
            keep[first + 1 + at] = True
            parts += [(first, first + 1 + at), (first + 1 + at, last)]
    return points[keep]


def distances(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far points [..., 2] are from the segment between a and b, [...]."""
    along, size = b - a, float(np.sum(np.square(b - a)))
    t = np.clip((points - a) @ along / size, 0, 1) if size else np.zeros(points.shape[:-1])
    return np.linalg.norm(points - a - t[..., None] * along, axis=-1)


# ---- Pictures -------------------------------------------------------------------------------------------------------

PAPER, INK, MARGIN = 255, 24, 0.06


def picture(drawing: Sequence[np.ndarray], *, size: int = 128, width: float | None = None) -> np.ndarray:
    """A drawing as uint8 [size, size, 1], dark lines on white, centred and as large as it fits.

    ``width``: of a line, in pixels (1.25, and more of large pictures). Edges are smooth: how much of a pixel is dark is
    one minus its distance from the line's edge.
    """
    width = max(1.25, size / 90) if width is None else width
    light = np.ones((size, size))
    for stroke in placed(drawing, size):
        stroke = stroke if len(stroke) > 1 else np.repeat(stroke, 2, axis=0)
        for a, b in pairwise(stroke):
            low = np.maximum(np.floor(np.minimum(a, b) - width - 1), 0).astype(int)
            high = np.minimum(np.ceil(np.maximum(a, b) + width + 1), size).astype(int)
            y, x = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
            ink = np.clip((width + 1) / 2 - distances(np.stack([x, y], axis=-1), a, b), 0, 1)
            part = light[low[1] : high[1], low[0] : high[0]]
            np.minimum(part, 1 - ink, out=part)
    return np.rint(INK + light * (PAPER - INK)).astype(np.uint8)[..., None]


def placed(drawing: Sequence[np.ndarray], size: float) -> Drawing:
    """A drawing in the middle of a square of ``size`` a side, as large as its margin lets it be."""
    low, high = bounds(drawing)
    factor = size * (1 - 2 * MARGIN) / max(float((high - low).max()), 1e-9)
    factor = factor if np.any(high > low) else 1.0
    return tuple((stroke - (low + high) / 2) * factor + size / 2 for stroke in drawing)
