"""Figures and what is said of them: "a small blue spiral on a dark ground".

Pictures whose words are known without a file: a figure of one kind, colour and size on a dark or a light ground, each
chosen by itself. Where it lies, how it is turned and the exact tones are drawn too, and nothing is said of them. A
caption tells the kind, and the rest mostly.
"""

from math import cos, pi, sin

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic.canvas import Canvas, inside, polar, rotated, square
from zoo.algorithmic.colour import from_oklab, over

KINDS = ("circle", "ring", "square", "star", "flower", "spiral", "moon")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
SIZES = ("small", "large")
GROUNDS = ("dark", "light")
FACTORS = {"kind": KINDS, "colour": COLOURS, "size": SIZES, "ground": GROUNDS}
WORDS = ("", "a", "an", "on", "ground", *SIZES, *COLOURS, *KINDS, *GROUNDS)
"""0 stands where a caption has ended."""
LONGEST = 8  # words of a caption
SAID = {"colour": 0.9, "size": 0.7, "ground": 0.85}  # how often a caption tells it

# Lightness, chroma and hue (degrees) in Oklab: as far apart as seven are, and seen on both grounds.
TONES = np.array(
    [
        (0.58, 0.22, 27), (0.70, 0.17, 55), (0.86, 0.17, 100), (0.64, 0.18, 145), (0.55, 0.19, 258), (0.48, 0.20, 305),
        (0.74, 0.15, 350),
    ]
)  # fmt: skip
PAPERS = np.array([0.20, 0.95])  # lightness of the grounds
RADII = np.array([(0.30, 0.40), (0.58, 0.70)])
TURN = pi / 8  # at most, to either side
SHADES = 9  # of a colour, between which a figure's own is chosen


def held_out(kind: Array | int, colour: Array | int) -> Array | bool:
    """Whether a kind and a colour are one of the pairs, one in seven, that are kept from training, so that it can be
    seen whether a model has learnt the words or the pairs. Each kind and each colour is in one of them."""
    return (kind + 2 * colour) % len(COLOURS) == 0  # type: ignore[operator]


def choose(key: Array, *, pairs: str = "seen") -> Array:
    """int32 [4], which of each factor, all as likely; ``pairs`` "seen" without those that are held out, "new" only
    those, "all"."""
    bounds = jnp.asarray([len(values) for values in FACTORS.values()])
    kind, colour, size, ground = jax.random.randint(key, (4,), 0, bounds)
    if pairs != "all":
        # Of each kind's seven colours one is held out: 2 c = -k modulo 7, whose answer is c = -4 k.
        new = (-4 * kind) % len(COLOURS)
        other = jax.random.randint(jax.random.fold_in(key, 1), (), 1, len(COLOURS))
        colour = new if pairs == "new" else (new + other) % len(COLOURS)
    return jnp.stack([kind, colour, size, ground]).astype(jnp.int32)


def caption(key: Array, factors: Array) -> Array:
    """The words of a figure, numbers in ``WORDS`` [LONGEST] with 0 behind them; what it leaves out is random."""
    told = jax.random.uniform(key, (len(SAID),)) < jnp.asarray(list(SAID.values()))
    return words(factors, *told)


def words(factors: Array, colour: Array | bool = True, size: Array | bool = True, ground: Array | bool = True) -> Array:
    """The same, with the factors that are to be told."""
    number = lambda name, which: WORDS.index(FACTORS[name][0]) + which
    word = WORDS.index
    kind, tone, large, light = factors
    told = [
        jnp.where(size, number("size", large), 0),
        jnp.where(colour, number("colour", tone), 0),
        number("kind", kind),
        *(jnp.where(ground, which, 0) for which in (word("on"), word("a"), number("ground", light), word("ground"))),
    ]
    vowel = jnp.logical_not(size) & colour & (tone == COLOURS.index("orange"))
    said = jnp.stack([jnp.where(vowel, word("an"), word("a")), *told]).astype(jnp.int32)
    return said[jnp.argsort(said == 0, stable=True)]


def draw(key: Array, factors: Array, size: int) -> Array:
    """A figure of these factors: float32 [size, size, 3] in [-1, 1]."""
    place, tone, paper = jax.random.split(key, 3)
    kind, colour, large, light = factors
    canvas, u = square(size), jax.random.uniform(place, (4,))
    low, high = jnp.asarray(RADII, jnp.float32)[large]
    radius = low + (high - low) * u[0]
    reach = 0.94 - radius
    x, y = canvas.x - reach * (2 * u[1] - 1), canvas.y - reach * (2 * u[2] - 1)
    covered = figure(kind, Canvas(*rotated(x / radius, y / radius, TURN * (2 * u[3] - 1)), canvas.pixel / radius))
    fill = _shade(tone, jnp.asarray(_tones(), jnp.float32)[colour])
    ground = _shade(paper, jnp.asarray(_papers(), jnp.float32)[light])
    slope = 0.06 * (canvas.x * (2 * u[1] - 1) + canvas.y)  # lit from above
    picture = over(ground[:, None, None] * (1 + slope[None]), fill, covered)
    return jnp.moveaxis(2 * jnp.clip(picture, 0, 1) - 1, 0, -1)


def figure(kind: Array, canvas: Canvas) -> Array:
    """How much of each pixel a figure of radius 1 about the middle covers, 0 to 1."""
    x, y = canvas.x, canvas.y
    away, angle = polar(x, y)
    fold = jnp.abs((angle / (2 * pi / 5) + 0.5) % 1 - 0.5) * (2 * pi / 5)  # of a star's ray, from its middle
    inner = 0.42 * jnp.array([cos(pi / 5), sin(pi / 5)])
    edge = jnp.array([inner[1], 1 - inner[0]]) / jnp.hypot(inner[1], 1 - inner[0])  # the normal of a ray's side
    turns = (away / 0.55 - angle / (2 * pi)) % 1
    distances = [
        away - 0.9,
        jnp.abs(away - 0.72) - 0.22,
        jnp.maximum(jnp.abs(x), jnp.abs(y)) - 0.74,
        away * (edge[0] * jnp.cos(fold) + edge[1] * jnp.sin(fold)) - edge[0],
        jnp.maximum(away - (0.72 + 0.28 * jnp.cos(6 * angle)), 0.18 - away),
        jnp.maximum(0.55 * (jnp.abs(turns - 0.5) - 0.27), away - 1),
        jnp.maximum(away - 0.95, 0.8 - jnp.hypot(x - 0.5, y)),
    ]
    return inside(jnp.stack(distances)[kind], canvas.pixel)


def _shade(key: Array, shades: Array) -> Array:
    """One of a colour's [SHADES, 3]."""
    return shades[jax.random.randint(key, (), 0, len(shades))]


def _tones() -> np.ndarray:
    """sRGB [colour, SHADES, 3]."""
    light, chroma, hue = TONES.T[:, :, None]
    change = np.linspace(-1, 1, SHADES)[None]
    hue = np.deg2rad(hue + 6 * change)
    return from_oklab(np.stack([light + 0.03 * change, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1))


def _papers() -> np.ndarray:
    """sRGB [ground, SHADES, 3]: grey with a breath of any hue."""
    hue = np.linspace(0, 2 * pi, SHADES, endpoint=False)[None]
    light = np.broadcast_to(PAPERS[:, None], (2, SHADES))
    return from_oklab(np.stack([light, 0.02 * np.cos(hue) + 0 * light, 0.02 * np.sin(hue) + 0 * light], axis=-1))
