"""A map of regions, and a picture of it: each kind of land has its colours and its pattern.

Regions are the cells of a Voronoi diagram (Voronoi 1908) seen through waves. What is drawn of a pixel depends on its
label alone, and no two kinds share a colour, so that labels can be read off a picture again (see ``labels_of``).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from zoo.algorithmic.canvas import Canvas, square

SITES = 12

# Two colours of each, and its two waves: radians a unit to the right and upwards.
KINDS: dict[str, tuple[str, str, tuple[float, float], tuple[float, float]]] = {
    "sea": ("1f5480", "3f7fa8", (6.0, 34.0), (9.0, 5.0)),
    "sand": ("e3bd5b", "f3d98c", (31.0, 9.0), (-12.0, 27.0)),
    "meadow": ("6fa03c", "93c356", (22.0, 22.0), (-18.0, 25.0)),
    "forest": ("17402a", "2c6340", (25.0, 0.0), (0.0, 25.0)),
    "rock": ("6b6670", "8f8a93", (40.0, 14.0), (14.0, -40.0)),
    "snow": ("e4eef5", "ffffff", (8.0, 16.0), (-16.0, 6.0)),
}
NAMES = tuple(KINDS)
_COLOURS = np.array([[list(bytes.fromhex(colour)) for colour in kind[:2]] for kind in KINDS.values()], np.float32) / 255
_WAVES = np.array([kind[2:] for kind in KINDS.values()], np.float32)  # [K, 2, 2]


def draw_regions(key: Array, size: int, *, alike: bool = False) -> tuple[Array, Array]:
    """(labels int32 [size, size], picture [size, size, 3] in [-1, 1]). ``alike``: kinds share their colours with the
    third after them, so that only patterns tell which is which."""
    places, kinds, waves, phases = jax.random.split(key, 4)
    canvas = square(size)
    bend, turn = jax.random.uniform(waves, (2, 2), minval=2.0, maxval=4.0), jax.random.uniform(phases, (2, 2))
    x = canvas.x + 0.12 * jnp.sin(bend[0, 0] * canvas.y + 2 * jnp.pi * turn[0, 0])
    y = canvas.y + 0.12 * jnp.sin(bend[0, 1] * canvas.x + 2 * jnp.pi * turn[0, 1])
    sites = jax.random.uniform(places, (SITES, 2), minval=-1.1, maxval=1.1)
    away = (x[None] - sites[:, :1, None]) ** 2 + (y[None] - sites[:, 1:, None]) ** 2
    label = jax.random.randint(kinds, (SITES,), 0, len(NAMES))[jnp.argmin(away, axis=0)]
    return label, _painted(label, label % 3 if alike else label, canvas, jax.random.fold_in(phases, 1))


def labels_of(picture: Array) -> Array:
    """[..., H, W, 3] in [-1, 1] -> int32 [..., H, W]: of each pixel the kind whose colours it is nearest to, or a
    mixture of the two."""
    low, high = (x.reshape(*[1] * (picture.ndim - 1), len(KINDS), 3) for x in (_COLOURS[:, 0], _COLOURS[:, 1]))
    apart, along = (picture[..., None, :] + 1) / 2 - low, high - low
    share = jnp.clip(jnp.sum(apart * along, axis=-1) / np.sum(along**2, axis=-1), 0, 1)
    return jnp.argmin(jnp.sum(jnp.square(apart - share[..., None] * along), axis=-1), axis=-1).astype(jnp.int32)


def _painted(label: Array, coloured: Array, canvas: Canvas, key: Array) -> Array:
    """The two waves of each pixel's ``label``, by phases of the picture's own, mix the colours of ``coloured``."""
    first, second = 2 * jnp.pi * jax.random.uniform(key, (2, len(NAMES)))
    x, y = canvas.x[None], canvas.y[None]
    wave = lambda rate, phase: jnp.sin(rate[:, :1, None] * x + rate[:, 1:, None] * y + phase[:, None, None])
    tone = (1 + wave(_WAVES[:, 0], first) * wave(_WAVES[:, 1], second)) / 2  # [K, H, W]
    own = jnp.take_along_axis(tone, label[None], axis=0)[0][..., None]
    low, high = (jnp.asarray(colours)[coloured] for colours in (_COLOURS[:, 0], _COLOURS[:, 1]))
    return 2 * (low + own * (high - low)) - 1
