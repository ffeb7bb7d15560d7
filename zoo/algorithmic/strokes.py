"""A painter that learns one picture: brush strokes whose places, widths and colours descend a gradient (Li, Lukac,
Gharbi & Ragan-Kelley 2020, "Differentiable Vector Graphics Rasterization for Editing and Learning", ACM TOG 39(6), with
edges softened over a pixel instead of sampled). What is learnt is a drawing: of any size, and lines as SVG."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp

from zoo.algorithmic import fitted
from zoo.algorithmic.fitted import TINY
from zoo.errors import UserError
from zoo.model import Array, Batch, Extra, Params, Phase

PIECES = 6  # straight pieces of a stroke
LONGEST, SHORTEST = 0.7, 0.06  # of strokes at the beginning, where the picture's shorter side is 2
BROAD = 0.4  # a stroke's width at the beginning, as a share of its length
BENT = 0.15  # how far its middle is from straight, likewise
VIVID = 4.0  # colours learn so many times as fast as places


class Strokes(NamedTuple):
    """N strokes, the first at the bottom, on a canvas from -1 to 1 along the shorter side, y downwards."""

    points: Array
    """[N, PIECES + 1, 2], x and y."""
    width: Array
    """[N]."""
    colour: Array
    """[N, 3], from -1 to 1."""
    opacity: Array
    """[N], from 0 to 1."""
    ground: Array
    """[3], the colour of the canvas."""


@dataclass(frozen=True, kw_only=True)
class Painter:
    """Bends of three points each (quadratic Bezier curves), broad ones first."""

    height: int = 128
    width: int = 128
    count: int = 400
    """How many strokes."""
    dtype: str = "float32"
    """Compute dtype; parameters are float32."""

    works, pixel = property(fitted.works), property(fitted.pixel)
    batch_spec, loss, evaluate, sample = fitted.batch_spec, fitted.loss, fitted.evaluate, fitted.sample

    def __post_init__(self):
        fitted.check_sides(self, "a painting")
        if self.count < 1:
            raise UserError("count should be at least 1")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("painter", self.loss),)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """Strokes everywhere, each shorter than the one below it; grey."""
        del batch
        place, way, bend, tint = jax.random.split(key, 4)
        far = jnp.array([[self.width, self.height]]) * self.pixel / 2
        middle = far * jax.random.uniform(place, (self.count, 2), minval=-1.0, maxval=1.0)
        length = LONGEST * (SHORTEST / LONGEST) ** jnp.linspace(0.0, 1.0, self.count)
        angle = jax.random.uniform(way, (self.count,), maxval=jnp.pi)
        along = length[:, None] / 2 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        aside = BENT * jax.random.normal(bend, (self.count, 1)) * along[:, ::-1] * jnp.array([[-1.0, 1.0]])
        painter = {
            "points": jnp.stack([middle - along, middle + 2 * aside, middle + along], axis=1),
            "width": jnp.log(BROAD * length),
            "colour": 0.1 / VIVID * jax.random.normal(tint, (self.count, 3)),
            "opacity": jnp.full((self.count,), 1.0),
            "ground": jnp.zeros(3),
        }
        return {"painter": painter}, {}

    def strokes(self, params: Params) -> Strokes:
        painter = params["painter"]
        along = jnp.linspace(0.0, 1.0, PIECES + 1)[None, :, None]
        start, middle, end = (painter["points"][:, None, number] for number in range(3))
        return Strokes(
            points=(1 - along) ** 2 * start + 2 * along * (1 - along) * middle + along**2 * end,
            width=jnp.exp(painter["width"]),
            colour=jnp.tanh(VIVID * painter["colour"]),
            opacity=jax.nn.sigmoid(painter["opacity"]),
            ground=jnp.tanh(VIVID * painter["ground"]),
        )

    def render(self, params: Params) -> Array:
        """[H, W, 3] from -1 to 1."""
        return painted(self.strokes(params), self.height, self.width, self.dtype)


def painted(strokes: Strokes, height: int, width: int, dtype: str = "float32") -> Array:
    """The strokes one over the other [height, width, 3], from -1 to 1, whatever the size."""
    pixel = 2 / min(height, width)
    x, y = (pixel * (jnp.arange(side) + 0.5 - side / 2) for side in (width, height))
    cover = jax.vmap(lambda points, broad: covered(points, broad, x, y, pixel))
    # Distances are computed once more on the way back: kept, they would be several pictures a stroke.
    opaque = strokes.opacity[:, None, None] * jax.checkpoint(cover)(strokes.points, strokes.width)
    under = lambda seen, opaque: (seen * (1 - opaque), seen * opaque)
    seen, shares = jax.lax.scan(under, jnp.ones((height, width)), opaque, reverse=True)
    colours = strokes.colour.astype(dtype)
    picture = jnp.einsum("nhw,nc->hwc", shares.astype(dtype), colours, preferred_element_type=jnp.float32)
    return picture + seen[..., None] * strokes.ground[None, None]


def covered(points: Array, broad: Array, x: Array, y: Array, pixel: float) -> Array:
    """How much of each pixel [H, W] a line through points [P, 2] covers that is so broad and ends round."""
    nearest = jnp.full((len(y), len(x)), jnp.inf)
    for start, end in pairwise(points):
        way = end - start
        right, down = x[None, :] - start[0], y[:, None] - start[1]
        along = jnp.clip((right * way[0] + down * way[1]) / (jnp.sum(jnp.square(way)) + TINY), 0, 1)
        apart = jnp.square(right - along * way[0]) + jnp.square(down - along * way[1])
        nearest = jnp.minimum(nearest, apart)
    inside = (broad / 2 - jnp.sqrt(nearest + TINY)) / pixel
    return jax.nn.sigmoid(4 * inside)  # as steep in its middle as an edge that a pixel is wide
