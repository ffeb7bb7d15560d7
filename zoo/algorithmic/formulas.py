"""All formulas, by name: what each draws, from which parameters, how, and with which lines."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from zoo.algorithmic import (
    attractor,
    bloom,
    cppn,
    curve,
    cyclic,
    fatou,
    flame,
    flow,
    glass,
    ifs,
    julia,
    life,
    lissajous,
    mandelbrot,
    mosaic,
    newton,
    orbit,
    plant,
    reaction,
    ridges,
    rule,
    spiral,
    streams,
    superformula,
    truchet,
    voronoi,
    warp,
)  # fmt: skip
from zoo.algorithmic.canvas import Canvas
from zoo.algorithmic.pen import Lines

Paint = Callable[[Any, Array, Canvas, Array], Array]


class Formula(NamedTuple):
    """One kind of picture."""

    says: str
    """What it draws, in a line."""
    parameters: type
    """A named tuple of arrays, annotated with their ranges."""
    paint: Paint
    """(parameters, palette [SHADES + 1, 3], canvas, key) -> sRGB [3, H, W], 0 to 1 and slightly beyond: pure, and of a
    part of a canvas that part of the picture."""
    lines: Callable[[Any, Array], Lines] | None = None
    """(parameters, key) -> the lines that ``paint`` draws, where it draws any."""
    smooth: bool = True
    """Whether derivatives by the parameters say where to go; those by the palette always do."""
    whole: bool = False
    """Whether a part of a canvas takes as long as all of it."""


def _keyless(says: str, parameters: type, paint: Callable[[Any, Array, Canvas], Array]) -> Formula:
    """One in which nothing but its parameters is random."""
    return Formula(says, parameters, lambda parameters, palette, canvas, key: paint(parameters, palette, canvas))


FORMULAS: dict[str, Formula] = {
    "mandelbrot": Formula("the Mandelbrot set, at its borders", mandelbrot.Mandelbrot, mandelbrot.paint, smooth=False),
    "fatou": Formula("filled Julia sets and dust, by escape time", fatou.Fatou, fatou.paint, smooth=False),
    "julia": _keyless("Julia sets as shells, by an orbit trap", julia.Julia, julia.paint),
    "newton": Formula("Newton's fractal: the root that each point finds", newton.Newton, newton.paint, smooth=False),
    "ifs": Formula("iterated function systems about a polygon", ifs.Ifs, ifs.paint, smooth=False, whole=True),
    "flame": Formula("fractal flames", flame.Flame, flame.paint, smooth=False, whole=True),
    "attractor": Formula(
        "strange attractors in the plane: veils", attractor.Attractor, attractor.paint, smooth=False, whole=True
    ),
    "orbit": Formula("strange attractors in space: one long path", orbit.Orbit, orbit.paint, orbit.lines),
    "streams": Formula("flow lines through simplex noise", streams.Streams, streams.paint, streams.lines),
    "flow": _keyless("terraces of cut paper, bent by waves", flow.Flow, flow.paint),
    "warp": Formula("marble: noise warped by noise", warp.Warp, warp.paint),
    "curve": Formula("L-systems of one line: Koch, dragon, Hilbert", curve.Curve, curve.paint, curve.lines),
    "plant": Formula("L-systems that branch: plants in blossom", plant.Plant, plant.paint, plant.lines),
    "reaction": Formula("reaction-diffusion: coral, mazes, spots", reaction.Reaction, reaction.paint, smooth=False),
    "rule": Formula("elementary cellular automata", rule.Rule, rule.paint, smooth=False),
    "life": Formula("Life and automata like it, with their traces", life.Life, life.paint, smooth=False),
    "cyclic": Formula("cyclic cellular automata: spirals", cyclic.Cyclic, cyclic.paint, smooth=False),
    "voronoi": Formula("Voronoi cells as pebbles", voronoi.Voronoi, voronoi.paint),
    "glass": _keyless("Voronoi cells as stained glass", glass.Glass, glass.paint),
    "truchet": Formula("Truchet tiles of arcs: wandering stripes", truchet.Truchet, truchet.paint, truchet.lines),
    "mosaic": _keyless("Truchet tiles of discs and rings", mosaic.Mosaic, mosaic.paint),
    "superformula": Formula("superformula outlines", superformula.Superformula, superformula.paint, superformula.lines),
    "bloom": _keyless("superformula flowers of cut paper", bloom.Bloom, bloom.paint),
    "lissajous": Formula("Lissajous figures", lissajous.Lissajous, lissajous.paint, lissajous.lines),
    "cppn": Formula("compositional pattern networks, random weights", cppn.Cppn, cppn.paint),
    "spiral": _keyless("pleated spirals and rings", spiral.Spiral, spiral.paint),
    "ridges": _keyless("a landscape in layers, with a sun", ridges.Ridges, ridges.paint),
}
