"""Palettes: a few colours that go together, and even gradients between them.

A palette is an array [SHADES + 1, 3] of sRGB values in [0, 1]: a ramp from dark to light, then an accent that contrasts
with it. The ramp is interpolated in Oklab (Ottosson 2020, "A perceptual color space for image processing",
bottosson.github.io/posts/oklab), whose straight lines look like even gradients, where those of sRGB turn grey half-way.

While a picture is painted its channels come first, [3, H, W]: loops along pixels are much faster than along RGB.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

SHADES = 9
UNSEEN = 0.08  # squared distance of an accent from its paper

# Five colours each, from dark to light, then the accent.
PALETTES: dict[str, tuple[str, str, str, str, str, str]] = {
    "great wave": ("0b2545", "1f5480", "6c9fb8", "d3cdb4", "f7efdc", "d1495b"),
    "ukiyo-e": ("1c1b2e", "3f4a6b", "a67b73", "e6bf99", "f8ead0", "c8322b"),
    "gold leaf": ("1a120f", "5c3a1c", "b07d2b", "e3bd5b", "f7ebc8", "2f7f79"),
    "starry night": ("0a1640", "20418f", "4d86c6", "a3c9cf", "f4e8b4", "f5b82e"),
    "sunset": ("1d1140", "6a1b66", "c73b63", "f58a5f", "ffd9a0", "fff1d6"),
    "water lilies": ("22343f", "4a6f6d", "8fae9b", "d2c9d6", "f3ecea", "d9739a"),
    "terracotta": ("2a1613", "7d3122", "c9603f", "eda96b", "f8e8cf", "2f6f80"),
    "aurora": ("06122b", "0f4c5c", "1f9a8a", "83dba6", "f0f9d2", "f26fa0"),
    "colour field": ("24090f", "741a24", "bf3524", "ec7a2c", "fbc766", "5b2a6d"),
    "bauhaus": ("17213c", "224e9c", "cf3a2b", "efb52b", "f6edd9", "17213c"),
}

# Row vectors times these: linear sRGB -> responses of the cones, and the cube roots of those -> Oklab.
_CONES = np.array(
    [
        [0.4122214708, 0.2119034982, 0.0883024619],
        [0.5363325363, 0.6806995451, 0.2817188376],
        [0.0514459929, 0.1073969566, 0.6299787005],
    ]
)
_OKLAB = np.array(
    [
        [0.2104542553, 1.9779984951, 0.0259040371],
        [0.7936177850, -2.4285922050, 0.7827717662],
        [-0.0040720468, 0.4505937099, -0.8086757660],
    ]
)


def to_oklab(srgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] -> Oklab, both [..., 3]: lightness 0 to 1, green to red, blue to yellow."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _CONES) @ _OKLAB


def from_oklab(lab: np.ndarray) -> np.ndarray:
    """The inverse of ``to_oklab``, clipped to what a screen can show."""
    linear = np.clip((lab @ np.linalg.inv(_OKLAB)) ** 3 @ np.linalg.inv(_CONES), 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def palette(colours: tuple[str, ...]) -> np.ndarray:
    """Colours "rrggbb", from dark to light, the last one the accent -> float32 [SHADES + 1, 3]."""
    given = np.array([list(bytes.fromhex(colour)) for colour in colours]) / 255
    *tones, accent = to_oklab(given)
    places = np.linspace(0, len(tones) - 1, SHADES)
    shades = [np.interp(places, range(len(tones)), axis) for axis in np.transpose(tones)]
    return from_oklab(np.vstack([np.transpose(shades), accent])).astype(np.float32)


def ramp(palette: Array, tone: Array) -> Array:
    """The colours [3, ...] of tones [...], 0 dark to 1 light and clipped there."""
    place = (SHADES - 1) * jnp.clip(tone, 0, 1)
    below = jnp.minimum(jnp.floor(place), SHADES - 2)
    index = below.astype(jnp.int32)
    return over(palette.T[:, index], palette.T[:, index + 1], place - below)


def accent(palette: Array) -> Array:
    """The colour [3] that contrasts with the ramp."""
    return palette[SHADES]


def accent_on(palette: Array, paper: Array) -> Array:
    """The accent [3] on paper of a tone []; where it would hardly be seen there, a middle shade instead."""
    hidden = jnp.sum((accent(palette) - ramp(palette, paper)) ** 2) < UNSEEN
    return jnp.where(hidden, ramp(palette, jnp.float32(0.6)), accent(palette))


def lit(colour: Array, light: Array) -> Array:
    """Colours [3, ...] brightened (``light`` [...] > 0) or shaded (< 0) by that part of themselves."""
    return colour * (1 + light[None])


def over(below: Array, colour: Array, coverage: Array) -> Array:
    """Paints ``colour``, [3, ...] or one [3], over ``below`` [3, ...] where ``coverage`` [...] says."""
    colour = colour.reshape(colour.shape + (1,) * (below.ndim - colour.ndim))
    return below + coverage[None] * (colour - below)
