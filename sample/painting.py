"""What ``zoo-draw`` writes: pictures, sheets, tables over two parameters, films, and lines as SVG."""

import math
import re
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from sample.draw_options import MOST, Options, described
from sample.moved import harmony, heard, places, spread
from zoo.algorithmic.canvas import Among, Canvas, dimension, mix, ranges, scaled, square
from zoo.algorithmic.colour import PALETTES, SHADES, palette, ramp
from zoo.algorithmic.formulas import FORMULAS, Formula
from zoo.algorithmic.pen import Lines, inks
from zoo.codecs import film as films
from zoo.codecs.images import LIMIT, grid, write_png
from zoo.codecs.listening import Heard
from zoo.codecs.svg import Ink, write_sheet
from zoo.errors import UserError

BAND = 2**18  # pixels that are painted at once, which bounds what memory it takes
ROWS, WALK, HALVINGS = 5, 4, 6.0  # of a table; pictures of a walk, halvings of a zoom when nothing is said
FILM_SIZE = 256
DEEPEST = 23.0  # halvings that float32 sees, those from the canvas to a pixel among them
SECONDS_EACH, SECONDS_HALVING = 1.25, 1.0


class Draft(NamedTuple):
    """Everything that makes a picture, but for its size."""

    parameters: Any
    colours: Array
    """A palette [SHADES + 1, 3]."""
    key: Array
    """For what is random beside the parameters."""


# ---- What is drawn --------------------------------------------------------------------------------------------------


def formula_of(name: str) -> Formula:
    """UserError where there is none of this name."""
    if name not in FORMULAS:
        raise UserError(f"no formula is called {name!r}; there are {', '.join(FORMULAS)}")
    return FORMULAS[name]


def draft(name: str, options: Options, number: int) -> Draft:
    """Picture ``number`` of a seed."""
    kind, table = formula_of(name).parameters, palettes(options)
    where, colours, own = jax.random.split(jax.random.fold_in(jax.random.key(options.seed), number), 3)
    parameters = scaled(jax.random.uniform(where, (dimension(kind),), jnp.float32), kind)
    return Draft(told(parameters, settings(name, options)), table[jax.random.randint(colours, (), 0, len(table))], own)


def told(parameters: Any, values: dict[str, float]) -> Any:
    """Parameters with some replaced: of an array every entry."""
    return parameters._replace(
        **{name: jnp.full_like(getattr(parameters, name), value) for name, value in values.items()}
    )


def settings(name: str, options: Options) -> dict[str, float]:
    """What --set says. Numbers out of the range that is drawn from are fine: it is where pictures are good."""
    values = {}
    for word in (options.set or "").split(",") if options.set is not None else ():
        parameter, _, text = (part.strip() for part in word.partition("="))
        space = space_of(name, parameter, "set")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(f"--set {word.strip()}: write it as {parameter}=NUMBER, {described(space)}")
        if isinstance(space, Among) and value not in space.values:
            raise UserError(f"--set {word.strip()}: {parameter} is {described(space)}")
        values[parameter] = value
    return values


def space_of(name: str, parameter: str, option: str) -> Any:
    """Where a parameter lies. UserError where the formula has no such parameter."""
    spaces = ranges(formula_of(name).parameters)
    if parameter not in spaces:
        known = "; ".join(f"{each}: {described(space)}" for each, space in spaces.items())
        raise UserError(f"--{option}: {name} has no parameter {parameter!r}; it has {known}")
    return spaces[parameter]


def palettes(options: Options) -> Array:
    """Those that a picture's is drawn from: [K, SHADES + 1, 3]."""
    if options.palette is None:
        chosen = list(PALETTES.values())
    elif options.palette in PALETTES:
        chosen = [PALETTES[options.palette]]
    else:
        colours = tuple(colour.strip().removeprefix("#") for colour in options.palette.split(","))
        if len(colours) != 6 or not all(re.fullmatch("[0-9a-fA-F]{6}", colour) for colour in colours):
            raise UserError(
                f"--palette {options.palette}: give one of {', '.join(PALETTES)}, or six colours rrggbb: five from"
                " dark to light, then an accent"
            )
        chosen = [colours]
    return jnp.asarray(np.stack([palette(colours) for colours in chosen]).reshape(-1, SHADES + 1, 3))


def drafts(name: str, options: Options) -> tuple[list[Draft], int | None]:
    """The pictures of a sheet or a table, and how many are in a row (None: about a square's side)."""
    if options.grid is None:
        return [draft(name, options, number) for number in range(options.n or 1)], None
    pair = [parameter.strip() for parameter in options.grid.split(",")]
    if len(pair) != 2 or pair[0] == pair[1]:
        raise UserError(f"--grid {options.grid}: name two parameters, A,B")
    down, right = (steps(space_of(name, parameter, "grid"), options.n) for parameter in pair)
    if len(down) * len(right) > MOST:
        raise UserError(f"--grid with -n {options.n}: a table of more than {MOST} pictures; choose a smaller -n")
    first = draft(name, options, 0)
    tables = [
        first._replace(parameters=told(first.parameters, {pair[0]: one, pair[1]: other}))
        for one in down
        for other in right
    ]
    return tables, len(right)


def steps(space: Any, count: int | None) -> list[float]:
    """Values of a parameter: ``count`` (ROWS) in even steps, or as many (all) of those that it may have."""
    if isinstance(space, Among):
        return list(dict.fromkeys(space.values))[:count]
    return np.linspace(space.low, space.high, count or ROWS).tolist()


# ---- Painting -------------------------------------------------------------------------------------------------------


@partial(jax.jit, static_argnames=("name", "size", "rows"))
def _band(what: Draft, first: Array, *, name: str, size: int, rows: int) -> Array:
    """Rows of a picture from ``first`` on: int16 [rows, size, 3], 0 to 255, or -1 where there is no number."""
    whole = square(size)
    part = Canvas(whole.x, jax.lax.dynamic_slice_in_dim(whole.y, first, rows), whole.pixel)
    painted = jnp.moveaxis(FORMULAS[name].paint(*what[:2], part, what.key), 0, -1)
    return jnp.where(jnp.isnan(painted), -1.0, jnp.round(255 * jnp.clip(painted, 0, 1))).astype(jnp.int16)


def painted(name: str, what: Draft, size: int) -> np.ndarray:
    """The picture, uint8 [size, size, 3], in bands. UserError where parameters lead nowhere."""
    rows = size if FORMULAS[name].whole else min(size, max(1, BAND // size))
    picture = np.empty((size, size, 3), np.int16)
    for first in range(0, size, rows):
        first = min(first, size - rows)
        picture[first : first + rows] = _band(what, jnp.int32(first), name=name, size=size, rows=rows)
    if picture.min() < 0:
        raise UserError(f"{name} has no picture at these parameters: choose others with --set")
    return picture.astype(np.uint8)


def write_picture(name: str, options: Options, path: Path, meta: dict[str, Any]) -> None:
    """One picture, a sheet of several, or a table over two parameters, as PNG."""
    what, columns = drafts(name, options)
    size = options.size or (512 if len(what) == 1 else 128 if options.grid is not None else 256)
    if len(what) * size * size > LIMIT:
        raise UserError(f"{len(what)} x {size} x {size} pixels, more than {LIMIT:,}: choose a smaller --size or -n")
    pictures = [painted(name, one, size) for one in what]
    if len(pictures) == 1:
        write_png(pictures[0], path, meta=meta | {"parameters": as_numbers(what[0].parameters)})
    else:
        write_png(grid(np.stack(pictures), columns=columns), path, meta=meta)


def as_numbers(parameters: Any) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in parameters._asdict().items()}


def made_by(name: str, options: Options) -> dict[str, Any]:
    """The metadata of a file: all that it takes to make it again."""
    from train.folder import version

    formula_of(name)
    return {"formula": name, "seed": options.seed, "options": options.told(), "version": version()}


# ---- Films ----------------------------------------------------------------------------------------------------------


def write_film(name: str, options: Options, path: Path, meta: dict[str, Any]) -> None:
    """A zoom or a walk, as GIF or MP4; or a walk that moves with music, as MP4 with it."""
    size = options.size or FILM_SIZE
    if options.music is not None:
        music = heard(options.music, fps=options.fps, frames=options.frames)
        frames = (painted(name, what, size) for what in moved(name, options, music))
        return films.write_mp4(frames, path, fps=options.fps, meta=meta, sound=(music.sound, music.rate))
    halves = options.zoom is not None or (options.film is None and "depth" in ranges(formula_of(name).parameters))
    count, moments = zoomed(name, options) if halves else walked(name, options)
    if 3 * count * size * size > films.FILM_LIMIT:
        raise UserError(f"{count} frames of {size} x {size} pixels are too many: choose a smaller --size or --frames")
    frames = np.stack([painted(name, what, size) for what in moments])
    films.write_film(frames, path, fps=options.fps, meta=meta)


def zoomed(name: str, options: Options) -> tuple[int, Iterator[Draft]]:
    """(how many frames, they): ever deeper, to where one halving takes as long as another."""
    space_of(name, "depth", "zoom")
    start, halvings = settings(name, options).get("depth", 0.0), options.zoom or HALVINGS
    size = options.size or FILM_SIZE
    if start + halvings + math.log2(size) > DEEPEST:
        raise UserError(f"--zoom {halvings:g}: at {size} pixels float32 sees to depth {DEEPEST - math.log2(size):.1f}")
    count = options.frames or round(SECONDS_HALVING * halvings * options.fps)
    first = draft(name, options, 0)
    depths = start + halvings * np.linspace(0, 1, count)
    return count, (first._replace(parameters=told(first.parameters, {"depth": float(depth)})) for depth in depths)


def walked(name: str, options: Options) -> tuple[int, Iterator[Draft]]:
    """(how many frames, they): from picture to picture and back to the first, at rest at each."""
    stops = stops_of(name, options)
    count = options.frames or round(SECONDS_EACH * len(stops) * options.fps)
    whole = np.linspace(0, len(stops), count, endpoint=False)
    share = whole % 1
    eased = np.floor(whole) + share * share * (3 - 2 * share)
    return count, (between(stops, place) for place in eased.tolist())


def stops_of(name: str, options: Options) -> list[Draft]:
    """The pictures of a walk. What can only jump stays as it is in the first."""
    stops = [draft(name, options, number) for number in range(options.film or WALK)]
    first = stops[0]
    spaces = ranges(formula_of(name).parameters)
    fixed = {each: getattr(first.parameters, each) for each, space in spaces.items() if isinstance(space, Among)}
    return [stop._replace(parameters=stop.parameters._replace(**fixed), key=first.key) for stop in stops]


def between(stops: list[Draft], place: float) -> Draft:
    """What is at ``place`` of the closed walk through the stops: number 0 at 0, number 1 at 1."""
    number, share = int(place), place % 1
    pair = stops[number % len(stops)], stops[(number + 1) % len(stops)]
    moving = [(stop.parameters, stop.colours) for stop in pair]
    parameters, colours = jax.tree.map(lambda one, other: mix(one, other, share), *moving)
    return Draft(parameters, colours, stops[0].key)


def moved(name: str, options: Options, music: Heard) -> Iterator[Draft]:
    """A walk that moves with music, whose harmony says how much of each palette there is."""
    stops, table = stops_of(name, options), palettes(options)
    shares = spread(harmony(music, options.fps), len(table))
    for place, share in zip(places(music, options.fps).tolist(), shares, strict=True):
        yield between(stops, place)._replace(colours=jnp.tensordot(share, table, axes=1))


# ---- Lines ----------------------------------------------------------------------------------------------------------


def write_lines(name: str, options: Options, path: Path, meta: dict[str, Any]) -> None:
    """The lines of a picture, of several or of a table, as SVG."""
    lines = formula_of(name).lines
    if lines is None:
        made = ", ".join(each for each, formula in FORMULAS.items() if formula.lines is not None)
        raise UserError(f"--out {options.out}: {name} paints areas; .svg is for what is made of lines: {made}")
    what, columns = drafts(name, options)
    draw = jax.jit(lines)
    sheets = [sheet(draw(one.parameters, one.key), one.colours) for one in what]
    write_sheet(sheets, path, meta=meta, columns=columns)


def sheet(lines: Lines, colours: Array) -> tuple[int, list[Ink]]:
    """The colour of the paper, and the lines in the order in which they lie on it."""
    paper = hex_of(ramp(colours, lines.ground))
    tints = np.asarray(inks(lines.tone, lines.ground, colours)).T
    looks = zip(map(hex_of, tints), np.asarray(lines.width).tolist(), strict=True)
    strokes = zip(looks, np.asarray(lines.points, np.float64) * [1, -1], strict=True)
    seen = ((look, stroke) for look, stroke in strokes if look[1] > 0)
    return paper, [Ink(*look, tuple(stroke for _, stroke in run)) for look, run in groupby(seen, lambda each: each[0])]


def hex_of(colour: Any) -> int:
    """sRGB [3] as 0xrrggbb."""
    red, green, blue = (round(255 * min(max(float(part), 0), 1)) for part in colour)
    return 2**16 * red + 2**8 * green + blue
