"""A fractal that learns one picture: the maps of an iterated function system descend a gradient (Tu, Chen, Carlyn &
Chao 2023, "Learning Fractals by Gradient Descent", AAAI, arXiv:2303.12722).

They draw points by the chaos game and soften them. Here every word of so many letters, a map each, is a Gaussian: what
becomes of a round spot when the maps are applied one after the other (Hutchinson 1981; the collage theorem, Barnsley
1988). All words together are the whole attractor, without chance.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from zoo.algorithmic import fitted
from zoo.algorithmic.fitted import TINY
from zoo.errors import UserError
from zoo.losses import wide
from zoo.model import Array, Batch, Extra, Params, Phase
from zoo.nn import cast

SPOT = 0.5  # radius of what a word begins with, in that of the canvas
SHARPEST = 0.35  # pixels: no spot is smaller, or no pixel would see it
SPREAD = 0.6  # how far apart the maps begin
SMALLEST, LARGEST = 0.05, 0.9  # what a map may stretch by
VIVID = 4.0  # colours learn so many times as fast as places
MANY = 20_000  # words


class Spots(NamedTuple):
    """N Gaussians on a canvas from -1 to 1 along the shorter side, y downwards."""

    middle: Array
    """[N, 2], x and y."""
    shape: Array
    """[N, 2, 2], a matrix that makes the spot of the unit circle."""
    colour: Array
    """[N, 3], from -1 to 1."""
    weight: Array
    """[N], how much of a pixel at its middle it covers, before others."""
    ground: Array
    """[3], the colour of the canvas."""


@dataclass(frozen=True, kw_only=True)
class Fractal:
    """A system of maps, and a colour and a weight for each."""

    height: int = 128
    width: int = 128
    maps: int = 10
    """K, of the system."""
    depth: int = 3
    """Maps applied one after the other: K to this power spots."""
    dtype: str = "float32"
    """Compute dtype of the colours' sum; parameters and places are float32."""

    works, pixel = property(fitted.works), property(fitted.pixel)
    batch_spec, loss, evaluate, sample = fitted.batch_spec, fitted.loss, fitted.evaluate, fitted.sample

    def __post_init__(self):
        fitted.check_sides(self, "a fractal")
        if self.maps < 2 or self.depth < 1:
            raise UserError("a fractal has at least 2 maps, of depth 1")
        if self.maps**self.depth > MANY:
            raise UserError(f"{self.maps} maps to the depth {self.depth} are more than {MANY:,} spots: use fewer")

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("fractal", self.loss),)

    def init(self, key: Array, batch: Batch | None = None) -> tuple[Params, Extra]:
        """Maps around the middle, each half as large as all; grey."""
        del batch
        turn, tint = jax.random.split(key)
        angle = 2 * jnp.pi * jnp.arange(self.maps) / self.maps
        far = jnp.array([self.width, self.height]) * self.pixel / 2
        fractal = {
            "angle": 0.3 * jax.random.normal(turn, (self.maps, 2)),
            "stretch": jnp.zeros((self.maps, 2)),
            "shift": SPREAD * far[None] * jnp.stack([jnp.sin(angle), -jnp.cos(angle)], axis=1),
            "colour": 0.1 * jax.random.normal(tint, (self.maps, 3)),
            "weight": jnp.zeros(self.maps),
            "ground": jnp.zeros(3),
        }
        return {"fractal": fractal}, {}

    def unfold(self, params: Params, extra: Extra, key: Array, frames: int) -> Array:
        """[frames, H, W, 3]: spots that become the picture, as every map goes from leaving all as it is to what it was
        taught."""
        del extra, key
        told = self.system(params)
        still = jnp.eye(2)[None], jnp.zeros((1, 2))

        def at(share: Array) -> Array:
            linear, shift = (a + share * (b - a) for a, b in zip(still, told[:2], strict=True))
            return self.drawn(self.spots(params, (linear, shift)))

        return jax.lax.map(at, jnp.sqrt(jnp.linspace(0.0, 1.0, frames)))

    def system(self, params: Params) -> tuple[Array, Array]:
        """The maps z -> linear z + shift: [K, 2, 2] and [K, 2]. Each turns, stretches along both axes, and turns
        again."""
        fractal = params["fractal"]
        stretch = SMALLEST + (LARGEST - SMALLEST) * jax.nn.sigmoid(fractal["stretch"])
        first, last = (turned(fractal["angle"][:, number]) for number in range(2))
        return matrices(last * stretch[:, None], first), fractal["shift"]

    def spots(self, params: Params, system: tuple[Array, Array]) -> Spots:
        """What becomes of a round spot in the middle by every word of ``depth`` letters. A word has the mean colour of
        its letters, of which the first, that was applied last and says where it lies, counts the most."""
        fractal, (linear, shift) = params["fractal"], system
        middle, shape = jnp.zeros((1, 2)), SPOT * jnp.eye(2)[None]
        colour, weight = jnp.zeros((1, 3)), jnp.zeros(1)
        for _ in range(self.depth):
            middle = (matrices(linear[:, None], middle[None, ..., None])[..., 0] + shift[:, None]).reshape(-1, 2)
            shape = matrices(linear[:, None], shape[None]).reshape(-1, 2, 2)
            colour = ((fractal["colour"][:, None] + colour[None]) / 2).reshape(-1, 3)
            weight = ((fractal["weight"][:, None] + weight[None]) / 2).reshape(-1)
        # Half, a quarter and so on of the letters' colours: their weights do not quite add up to one.
        whole = 1 - 0.5**self.depth
        return Spots(
            middle, shape, jnp.tanh(VIVID * colour / whole), jax.nn.softplus(weight / whole),
            jnp.tanh(VIVID * fractal["ground"]),
        )  # fmt: skip

    def render(self, params: Params) -> Array:
        """[H, W, 3] from -1 to 1."""
        return self.drawn(self.spots(params, self.system(params)))

    def drawn(self, spots: Spots) -> Array:
        """Spots cover a pixel as independent layers would, and share it by how much of it each covers: [H, W, 3]."""
        x, y = (self.pixel * (jnp.arange(side) + 0.5 - side / 2) for side in (self.width, self.height))
        spread = matrices(spots.shape, jnp.swapaxes(spots.shape, 1, 2))
        spread += (SHARPEST * self.pixel) ** 2 * jnp.eye(2)[None]
        (a, b, _, c), middle = jnp.moveaxis(spread.reshape(-1, 4), 1, 0)[..., None], spots.middle
        whole = a * c - b * b
        right, down = x[None, :] - middle[:, :1], y[None, :] - middle[:, 1:]  # [N, W] and [N, H]

        @jax.checkpoint
        def row(down: Array) -> Array:
            """A row of pixels [W, 3], of spots so far above it [N]."""
            down = down[:, None]
            far = (c * right**2 - 2 * b * right * down + a * down**2) / whole  # by the inverse of [[a, b], [b, c]]
            covers = spots.weight[:, None] * jnp.exp(-0.5 * far)  # [N, W]
            total = jnp.sum(covers, axis=0)[:, None]
            tints = jnp.einsum("nw,nc->wc", cast(covers, self.dtype), cast(spots.colour, self.dtype))
            seen = 1 - jnp.exp(-total)
            return seen * wide(tints) / (total + TINY) + (1 - seen) * spots.ground[None]

        return jax.lax.map(row, down.T)


def turned(angle: Array) -> Array:
    """[K] -> rotations [K, 2, 2]."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([jnp.stack([cosine, -sine], axis=-1), jnp.stack([sine, cosine], axis=-1)], axis=-2)


def matrices(a: Array, b: Array) -> Array:
    """[..., 2, 2] times [..., 2, M], of places, that want all of their digits."""
    return jnp.sum(a[..., None] * b[..., None, :, :], axis=-2)
