"""Loss curves as inline SVG: one line a player, smoothed, with the raw values faint behind it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

WIDTH, HEIGHT = 1000, 260
LEFT, RIGHT, TOP, BOTTOM = 74, 110, 14, 44  # margins: the numbers, the names of the lines, air, the steps
SMOOTHING = 0.02  # of a curve's length: the reach of the average
LOG_RANGE = 30.0  # a curve that spans more than this factor is drawn on a logarithmic axis
COLOURS = ("#ffb03b", "#56b4e9", "#14c896", "#e870ac", "#f0e45a", "#828cff", "#f56941")


@dataclass(frozen=True)
class Curve:
    """``name`` at ``steps`` [N]: ``values`` [N], or [N, members] of a population, where NaN is a member that fell."""

    name: str
    steps: np.ndarray
    values: np.ndarray


def loss_curves(lines: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """A curve for each ``PLAYER/loss`` in the lines of a metrics.jsonl."""
    names = dict.fromkeys(name for line in lines for name in line if name.endswith("/loss"))
    curves = []
    for name in names:
        points = [(line["step"], line[name]) for line in lines if name in line]
        steps, values = zip(*points, strict=True)
        values = np.array([[math.nan if v is None else v for v in np.atleast_1d(value)] for value in values], float)
        curves.append(Curve(name.removesuffix("/loss"), np.array(steps, float), values))
    return curves


def svg(curves: Sequence[Curve], *, unit: str = "loss") -> str:
    """The curves over steps, as an <svg> that scales with the page. "" where there is nothing to draw."""
    curves = [curve for curve in curves if len(curve.steps) > 1]
    if not curves:
        return ""
    smooth = [smoothed(curve.values) for curve in curves]
    axis = Axis.of(np.concatenate([values.ravel() for values in smooth]))
    steps = max(curve.steps[-1] for curve in curves)
    x = lambda step: LEFT + (WIDTH - LEFT - RIGHT) * np.asarray(step) / steps
    parts = [*grid_lines(axis, steps, x), *axis_names(unit, axis)]
    ends = []
    for index, (curve, values) in enumerate(zip(curves, smooth, strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        for member in range(values.shape[1]):
            raw, line = (path(x(curve.steps), axis.place(column[:, member])) for column in (curve.values, values))
            parts.append(f'<path class="raw" d="{raw}" stroke="{colour}"/><path d="{line}" stroke="{colour}"/>')
        alive = values[np.isfinite(values).any(axis=1)]
        ends += [(float(axis.place(np.nanmean(last))), colour, curve.name) for last in alive[-1:]]
    parts += line_names(ends)
    return f'<svg class="curves" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'


def smoothed(values: np.ndarray) -> np.ndarray:
    """The running mean of values [N, M] with exponentially fading weights, both ways, so that nothing lags."""
    keep = 1 - 1 / max(1.0, SMOOTHING * len(values))
    return (_faded(values, keep) + _faded(values[::-1], keep)[::-1]) / 2


def _faded(values: np.ndarray, keep: float) -> np.ndarray:
    out, total, weight = np.empty_like(values), np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for row, value in enumerate(values):
        real = np.isfinite(value)
        total = np.where(real, keep * total + np.where(real, value, 0), total)
        weight = np.where(real, keep * weight + 1, weight)
        out[row] = np.where(real & (weight > 0), total / np.maximum(weight, 1e-12), np.nan)
    return out


@dataclass(frozen=True)
class Axis:
    """The vertical axis: from ``low`` to ``high``, linear or logarithmic."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    @staticmethod
    def of(values: np.ndarray) -> "Axis":
        values = values[np.isfinite(values)]
        if not len(values):
            return Axis(0.0, 1.0, False, (0.0, 1.0))
        low, high = float(values.min()), float(values.max())
        if low > 0 and high > LOG_RANGE * low:
            powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
            ticks = ticks[::3] if high > 1000 * low else ticks
            return Axis(low / 1.1, high * 1.1, True, tuple(t for t in ticks if low / 1.1 <= t <= high * 1.1))
        room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        low, high = low - room, high + room
        return Axis(low, high, False, tuple(t for t in nice(low, high) if low <= t <= high))

    def place(self, values: Any) -> np.ndarray:
        """Values -> y of the picture; what lies outside the axis is drawn at its end."""
        values = np.asarray(values, float)
        if self.log:
            part = np.log(np.maximum(values, self.low / 10) / self.low) / math.log(self.high / self.low)
        else:
            part = (values - self.low) / (self.high - self.low)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - np.clip(part, 0, 1))


def nice(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers that cover [low, high], at most about ``most``."""
    rough = max((high - low) / most, 1e-300)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.floor(low / step)
    return [float(f"{(first + index) * step:.10g}") for index in range(math.ceil((high - low) / step) + 2)]


def grid_lines(axis: Axis, last: float, x: Any) -> list[str]:
    parts, digits = [], max((len(f"{tick:.6g}".partition(".")[2]) for tick in axis.ticks), default=0)
    for tick in axis.ticks:
        y = float(axis.place(tick))
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{number(tick, digits)}</text>')
    for step in nice(0, last):
        if 0 <= step <= last:
            parts.append(
                f'<text x="{float(x(step)):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{step:,.0f}</text>'
            )
    return parts


def number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def axis_names(unit: str, axis: Axis) -> list[str]:
    middle, centre = (TOP + HEIGHT - BOTTOM) / 2, (LEFT + WIDTH - RIGHT) / 2
    unit = escape(unit) + (" (log)" if axis.log else "")
    return [
        f'<text class="name" transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{unit}</text>',
        f'<text class="name" x="{centre}" y="{HEIGHT - 4}" text-anchor="middle">step</text>',
    ]


def line_names(ends: Sequence[tuple[float, str, str]]) -> list[str]:
    """Each line's name at its end, kept apart from the others."""
    parts, before = [], -math.inf
    for y, colour, name in sorted(ends):
        before = y = max(y, before + 17)
        parts.append(
            f'<text class="line" x="{WIDTH - RIGHT + 10}" y="{y + 4:.1f}" style="fill:{colour}">{escape(name)}</text>'
        )
    return parts


def path(x: np.ndarray, y: np.ndarray) -> str:
    """Points [N] as a path; a NaN interrupts it."""
    words, pen = [], "M"
    for px, py in zip(x, y, strict=True):
        if not math.isfinite(py):
            pen = "M"
            continue
        words.append(f"{pen}{px:.1f} {py:.1f}")
        pen = "L"
    return "".join(words)
