"""The plot of the ratios, as an SVG: a bar a row on a logarithmic axis, away from 1, with its interval.

Written by hand, so that the same results give the same file. Its greys and colours can be read on white and on black.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

WIDTH, LABELS, VALUES, ROW, HEAD = 860, 250, 110, 20, 34  # pixels
TEXT, LINE, FASTER, SLOWER = "#7d8590", "#7d859066", "#2f9e8f", "#d9822b"
MARGIN = 1.15  # of the axis, beyond the outermost interval

Line = dict[str, Any]


def plot(lines: Sequence[Line]) -> str:
    """Of lines of results, grouped by device and by whether they train or sample."""
    groups = grouped(lines)
    low = min([0.5, *(line["ratio"]["low"] for line in lines)]) / MARGIN
    high = max([2.0, *(line["ratio"]["high"] for line in lines)]) * MARGIN
    room = WIDTH - LABELS - VALUES
    at = lambda ratio: LABELS + room * math.log(ratio / low) / math.log(high / low)
    height = sum(HEAD + ROW * len(rows) for rows in groups.values()) + HEAD
    parts, y = [], 0
    for tick in ticks(low, high):
        parts.append(vertical(at(tick), height - HEAD, strong=tick == 1))
        parts.append(text(at(tick), height - 14, f"{tick:g}", anchor="middle"))
    for (device, kind), rows in groups.items():
        title = {"train": "training", "sample": "sampling"}[kind]
        parts.append(text(8, y + HEAD - 10, f"{title}: {device}", weight="bold"))
        y += HEAD
        for line in rows:
            parts += bar(line, y + ROW / 2, at)
            y += ROW
    parts.append(text(WIDTH - 8, height - 14, "times PyTorch's best", anchor="end"))
    style = 'font-family="system-ui, sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" {style}>'
    return "\n".join([head, *parts, "</svg>", ""])


def grouped(lines: Sequence[Line]) -> dict[tuple[str, str], list[Line]]:
    """{(device, kind): its lines by name}; processors last, training first."""
    first = lambda key: (key[0].startswith("cpu"), key[0], key[1] != "train")
    keys = sorted({(line["device"], line["kind"]) for line in lines}, key=first)
    order = lambda line: (natural(line["row"]), line["dispatch"])
    return {key: sorted((one for one in lines if (one["device"], one["kind"]) == key), key=order) for key in keys}


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts decode-8 before decode-32."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in name.split("-")]


def label(line: Line) -> str:
    return line["row"] + (f", {line['dispatch']} steps a dispatch" if line["dispatch"] > 1 else "")


def bar(line: Line, y: float, at: Any) -> Iterator[str]:
    low, median, high = (line["ratio"][key] for key in ("low", "median", "high"))
    left, right = sorted((at(1.0), at(median)))
    yield text(LABELS - 8, y + 4, label(line), anchor="end")
    colour = FASTER if median >= 1 else SLOWER
    yield f'<rect x="{left:.1f}" y="{y - 6:.1f}" width="{right - left:.1f}" height="12" fill="{colour}"/>'
    yield f'<path d="M{at(low):.1f} {y:.1f}H{at(high):.1f}" stroke="{TEXT}" stroke-width="2"/>'
    for end in (low, high):
        yield f'<path d="M{at(end):.1f} {y - 4:.1f}V{y + 4:.1f}" stroke="{TEXT}" stroke-width="2"/>'
    yield text(WIDTH - 8, y + 4, f"{median:.2f}  [{low:.2f}, {high:.2f}]", anchor="end")


def ticks(low: float, high: float) -> list[float]:
    """Powers of two on the axis."""
    return [2.0**power for power in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]


def vertical(x: float, height: float, *, strong: bool) -> str:
    how = f'stroke="{TEXT}" stroke-width="1.5"' if strong else f'stroke="{LINE}" stroke-dasharray="2 3"'
    return f'<path d="M{x:.1f} 8V{height:.1f}" {how}/>'


def text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{TEXT}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )
