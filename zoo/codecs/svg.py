"""Drawings as SVG: written as lines, read as whatever an SVG has, curves and shapes being followed by short lines.

Source: Scalable Vector Graphics (SVG) 1.1, chapters 7 (transforms), 8 (paths) and 9 (shapes); its appendix F.6 on arcs.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np

from zoo.codecs.errors import META_KEY, CodecError, Path, read_bytes, write_bytes
from zoo.codecs.strokes import INK, Drawing, bounds, checked, placed

LIMIT = 8 * 2**20  # bytes
PIECES = 24  # lines that follow a curve
ARITY = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


# ---- Writing --------------------------------------------------------------------------------------------------------


def write_svg(
    drawings: Sequence[Drawing], path: Path, *, meta: dict[str, Any] | None = None, columns: int | None = None
) -> None:
    """One drawing in its own coordinates, which read back exactly; several in rows of ``columns`` (None: about square),
    each in the middle of a square. CodecError where nothing can be written."""
    if not drawings:
        raise CodecError(path, "there are no drawings")
    if len(drawings) == 1:
        low, high = bounds(drawings[0])
        margin = 0.06 * max(float((high - low).max()), 1e-3)
        box, cells = np.append(low - margin, high - low + 2 * margin), [drawings[0]]
    else:
        columns, side = columns or math.ceil(math.sqrt(len(drawings))), 100
        corners = [side * np.array(divmod(at, columns)[::-1], float) for at in range(len(drawings))]
        cells = [
            tuple(stroke + corner for stroke in placed(drawing, side))
            for drawing, corner in zip(drawings, corners, strict=True)
        ]
        box = np.array([0, 0, side * min(columns, len(drawings)), side * math.ceil(len(drawings) / columns)])
    width = max(float(box[2]) / min(columns or 1, len(drawings)), float(box[3]) * (len(drawings) == 1)) / 90
    ink = f'fill="none" stroke="#{INK:02x}{INK:02x}{INK:02x}" stroke-width="{width:.4g}"'
    note = "" if meta is None else f"<metadata>{escape(json.dumps({META_KEY: meta}))}</metadata>\n"
    paths = "\n".join(f'<path d="{path_of(cell)}"/>' for cell in cells)
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{" ".join(map(number, box))}">\n{note}'
        f'<rect x="{number(box[0])}" y="{number(box[1])}" width="100%" height="100%" fill="#fff"/>\n'
        f'<g {ink} stroke-linecap="round" stroke-linejoin="round">\n{paths}\n</g>\n</svg>\n'
    )
    write_bytes(path, text.encode())


class Ink(NamedTuple):
    """Strokes of one colour, 0xrrggbb, and one width."""

    colour: int
    width: float
    strokes: Drawing
    opacity: float = 1.0


def write_sheet(
    sheets: Sequence[tuple[int, Sequence[Ink]]], path: Path, *, meta: dict[str, Any], columns: int | None = None,
    sides: tuple[float, float] = (2.0, 2.0),
) -> None:  # fmt: skip
    """Coloured drawings on papers of their own (0xrrggbb), whose middle is 0, 0 and whose width and height are
    ``sides``, y downwards, in rows of ``columns`` (None: about square). What lies outside its paper is cut off.
    CodecError where it cannot be written."""
    columns, (across, down), gap = columns or math.ceil(math.sqrt(len(sheets))), sides, 0.04
    width = (across + gap) * min(columns, len(sheets)) - gap
    height = (down + gap) * math.ceil(len(sheets) / columns) - gap
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.6g} {height:.6g}">',
        f"<metadata>{escape(json.dumps({META_KEY: meta}))}</metadata>",
    ]
    for at, (paper, inks) in enumerate(sheets):
        row, column = divmod(at, columns)
        parts.append(
            f'<svg x="{(across + gap) * column:.6g}" y="{(down + gap) * row:.6g}" width="{across:.6g}" '
            f'height="{down:.6g}" viewBox="{-across / 2:.6g} {-down / 2:.6g} {across:.6g} {down:.6g}">\n'
            f'<rect x="{-across / 2:.6g}" y="{-down / 2:.6g}" width="100%" height="100%" fill="#{paper:06x}"/>\n'
            '<g fill="none" stroke-linecap="round" stroke-linejoin="round">'
        )
        for ink in inks:
            rounded = tuple(np.round(stroke, 4) for stroke in ink.strokes)
            opacity = f' stroke-opacity="{ink.opacity:.3g}"' if ink.opacity < 1 else ""
            look = f'stroke="#{ink.colour:06x}" stroke-width="{ink.width:.4g}"{opacity}'
            parts.append(f'<path {look} d="{path_of(rounded)}"/>')
        parts.append("</g>\n</svg>")
    write_bytes(path, "\n".join([*parts, "</svg>\n"]).encode())


def path_of(drawing: Drawing) -> str:
    """A drawing as the data of one path; a point is a line of no length, which round ends make visible."""
    pair = lambda point: f"{number(point[0])} {number(point[1])}"
    return " ".join(
        f"M{pair(stroke[0])} L{' '.join(map(pair, stroke[1:] if len(stroke) > 1 else stroke))}" for stroke in drawing
    )


def number(x: float) -> str:
    """The shortest decimal that reads back as this float64."""
    return repr(float(x)).removesuffix(".0")


# ---- Reading --------------------------------------------------------------------------------------------------------


def read_svg(path: Path) -> Drawing:
    """Every line of a file as one drawing, in its order; what is filled counts by its outline, text and pictures not at
    all. CodecError, the only error, names the file and the cause."""
    try:
        root = ElementTree.fromstring(read_bytes(path, limit=LIMIT))
    except (ElementTree.ParseError, ValueError) as error:
        if isinstance(error, CodecError):
            raise
        raise CodecError(path, f"no SVG that can be read: {error}") from None
    if name_of(root) != "svg":
        raise CodecError(path, f"no SVG: its root is <{name_of(root)}>")
    try:
        found = [stroke for stroke in elements(root, np.eye(3)) if len(stroke)]
        return checked(found)
    except CodecError as error:
        raise CodecError(path, error.cause) from None
    except (ValueError, IndexError, OverflowError, RecursionError) as error:
        raise CodecError(path, f"malformed: {error}") from None


def name_of(element: Any) -> str:
    return str(element.tag).rsplit("}", 1)[-1]


def elements(element: Any, outer: np.ndarray) -> Iterator[np.ndarray]:
    """The strokes [P, 2] of an element and what is in it, through their transforms."""
    name, get = name_of(element), lambda key: numbers(element.get(key, "0"))[0]
    if name in ("defs", "clipPath", "mask", "marker", "pattern", "symbol", "metadata"):
        return
    if name == "rect" and element.get("width", "").endswith("%"):  # a ground, not a drawing
        return
    here = outer @ transform_of(element.get("transform", ""))
    strokes: list[np.ndarray] = []
    match name:
        case "path":
            strokes = follow(element.get("d", ""))
        case "polyline" | "polygon":
            points = np.array(numbers(element.get("points", ""))).reshape(-1, 2)
            strokes = [np.concatenate([points, points[:1]]) if name == "polygon" else points]
        case "line":
            strokes = [np.array([[get("x1"), get("y1")], [get("x2"), get("y2")]])]
        case "rect":
            corner, across, down = np.array([get("x"), get("y")]), get("width"), get("height")
            strokes = [corner + np.array([[0, 0], [across, 0], [across, down], [0, down], [0, 0]])]
        case "circle" | "ellipse":
            radii = [get("r"), get("r")] if name == "circle" else [get("rx"), get("ry")]
            angle = np.linspace(0, 2 * np.pi, 2 * PIECES + 1)
            strokes = [np.array([get("cx"), get("cy")]) + np.stack([np.cos(angle), np.sin(angle)], axis=1) * radii]
    yield from (stroke @ here[:2, :2].T + here[:2, 2] for stroke in strokes)
    for child in element:
        yield from elements(child, here)


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(_NUMBER, text)]


def transform_of(text: str) -> np.ndarray:
    """The matrix [3, 3] of a transform attribute."""
    matrix = np.eye(3)
    for name, inside in re.findall(r"(\w+)\s*\(([^)]*)\)", text):
        x = numbers(inside)
        match name:
            case "matrix":
                one = np.array([[x[0], x[2], x[4]], [x[1], x[3], x[5]], [0, 0, 1]])
            case "translate":
                one = np.array([[1, 0, x[0]], [0, 1, (*x, 0)[1]], [0, 0, 1]])
            case "scale":
                one = np.diag([x[0], (*x, x[0])[1], 1])
            case "rotate":
                c, s = math.cos(math.radians(x[0])), math.sin(math.radians(x[0]))
                px, py = (*x, 0, 0)[1:3] if len(x) == 3 else (0, 0)
                one = np.array([[c, -s, px - c * px + s * py], [s, c, py - s * px - c * py], [0, 0, 1]])
            case "skewX" | "skewY":
                one, slant = np.eye(3), math.tan(math.radians(x[0]))
                one[(0, 1) if name == "skewX" else (1, 0)] = slant
            case _:
                raise CodecError("svg", f"unknown transform {name!r}")
        matrix = matrix @ one
    return matrix


def follow(data: str) -> list[np.ndarray]:
    """The strokes [P, 2] of a path's data."""
    strokes: list[list[np.ndarray]] = []
    at = control = np.zeros(2)
    before = ""
    for letter, values in commands(data):
        kind, base = letter.upper(), at if letter.islower() else np.zeros(2)
        if kind == "M":
            at = base + values
            strokes.append([at])
        elif not strokes:
            raise CodecError("svg", "a path has to begin with M")
        elif kind == "Z":
            at = strokes[-1][0]
            strokes[-1].append(at)
        else:
            if before == "Z":
                strokes.append([at])
            if kind in "HV":
                end = np.where([kind == "H", kind == "V"], base + values[0], at)
                line, control = [end], end
            elif kind == "A":
                end = base + values[5:]
                line, control = arc(at, end, values[:5]), end
            else:
                points = base + values.reshape(-1, 2)
                mirrored = 2 * at - control if before in {"S": "CS", "T": "QT"}.get(kind, "-") else at
                points = np.concatenate([[mirrored], points]) if kind in "ST" else points
                line, control = bezier(at, points), points[-2] if len(points) > 1 else points[-1]
                end = points[-1]
            strokes[-1] += line
            at = end
        control = at if kind in "MZ" else control
        before = kind
    return [np.array(stroke) for stroke in strokes]


def commands(data: str) -> Iterator[tuple[str, np.ndarray]]:
    """(letter, its numbers) of a path's data, those that repeat without their letter with it; behind M stands L. Flags
    of an arc may stand together without spaces."""
    for letter, text in re.findall(r"([MmLlHhVvCcSsQqTtAaZz])([^MmLlHhVvCcSsQqTtAaZz]*)", data):
        count = ARITY[letter.upper()]
        if letter in "Aa":
            one = rf"\s*,?\s*({_NUMBER})"
            arcs = re.findall(one * 3 + r"\s*,?\s*([01])" * 2 + one * 2, text)
            yield from ((letter, np.array(found, float)) for found in arcs)
            continue
        values = np.array(numbers(text))
        if not count:
            yield letter, values
            continue
        if not len(values) or len(values) % count:
            raise CodecError("svg", f"{letter} in a path takes {count} numbers, not {len(values)}")
        for index, part in enumerate(values.reshape(-1, count)):
            yield (letter if not index or letter not in "Mm" else "lL"[letter == "M"]), part


def bezier(start: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
    """Points on a line, a quadratic or a cubic curve from ``start`` through its other control points [1..3, 2]; the
    start is not one of them."""
    if len(points) == 1:
        return [points[0]]
    level = np.concatenate([start[None], points])[None].repeat(PIECES, axis=0)
    t = (np.arange(1, PIECES + 1) / PIECES)[:, None, None]
    while level.shape[1] > 1:  # de Casteljau
        level = (1 - t) * level[:, :-1] + t * level[:, 1:]
    return [*level[:, 0]]


def arc(start: np.ndarray, end: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """Points on an elliptic arc; values: both radii, rotation in degrees, the large and the sweep flag. SVG 1.1, F.6.5
    and F.6.6."""
    radii, turn = np.abs(values[:2]), math.radians(values[2])
    if np.any(radii == 0) or np.array_equal(start, end):
        return [end]
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    half = rotation @ (start - end) / 2
    radii = radii * max(1.0, math.sqrt(np.sum(np.square(half / radii))))
    unit = half / radii
    size = float(np.sum(np.square(unit)))
    side = math.sqrt(max(0.0, 1 / size - 1)) * (-1 if values[3] == values[4] else 1)
    centre = side * np.array([unit[1], -unit[0]])
    first, last = (math.atan2(*reversed(point)) for point in (unit - centre, -unit - centre))
    sweep = (last - first) % (2 * math.pi) - (0 if values[4] else 2 * math.pi)
    angle = first + sweep * np.arange(1, PIECES + 1) / PIECES
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) + centre
    return [*((circle * radii) @ rotation + (start + end) / 2)[:-1], end]
