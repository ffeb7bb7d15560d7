"""Pictures whose small patches are those of others, as a whole: no network is asked.

Elnekave & Weiss 2022, "Generating Natural Images with Direct Patch Distributions Matching" (arXiv:2203.11862): patches
are compared by the sliced Wasserstein distance (Rabin et al. 2011), from the coarsest picture to the finest.
"""

import jax
import jax.numpy as jnp
import numpy as np

from zoo.losses import wide
from zoo.model import Array
from zoo.nn.conv import conv2d
from zoo.style.painting import half

SIDE = 7  # pixels of a patch
POINTS = 4096  # patches of a picture that are looked at in a step, about; all of them where there are fewer
COARSEST = 24  # pixels a side of the smallest picture, at least, so that a patch is a part of it and not all


def octaves_of(*sides: int) -> int:
    """How many pictures, each half the one before, have ``COARSEST`` pixels a side or more."""
    return max((min(sides) // COARSEST).bit_length(), 1)


def octaves(images: Array, count: int) -> list[Array]:
    """[B, H, W, C] -> ``count`` pictures, each half the one before."""
    found = [images]
    while len(found) < count:
        found.append(half(found[-1]))
    return found


def apart(picture: Array, others: Array, key: Array, directions: int) -> Array:
    """[], how far the patches of a picture [1, H, W, C] without borders are from those of pictures [B, h, w, C] taken
    together: the mean, over random directions, of the Wasserstein distance of what patches are along it. A patch's
    direction has length 1, so that this is in units of the pixels. Other directions and patches with every key."""
    of_direction, of_picture, of_others = jax.random.split(key, 3)
    side = min(SIDE, *picture.shape[1:3], *others.shape[1:3])
    kernel = jax.random.normal(of_direction, (side, side, picture.shape[-1], directions))
    kernel /= jnp.sqrt(jnp.sum(jnp.square(kernel), axis=(0, 1, 2), keepdims=True))
    ours = sorted_along(_round(picture, of_picture, side), kernel)
    theirs = jax.lax.stop_gradient(sorted_along(_elsewhere(others, of_others), kernel))
    return jnp.mean(jnp.abs(ours - _quantiles(theirs, ours.shape[1])))


def sorted_along(images: Array, kernel: Array) -> Array:
    """[B, H, W, C], directions [s, s, C, D] -> [D, N], what patches that lie a stride apart are along each, sorted."""
    stride = _stride(images)
    seen = wide(conv2d(images, kernel.astype(images.dtype), stride=stride, padding="VALID"))
    return jnp.sort(seen.reshape(-1, kernel.shape[-1]).T, axis=-1)


def _stride(images: Array) -> int:
    return max(int(np.ceil(np.sqrt(images.shape[1] * images.shape[2] / POINTS))), 1)


def _round(picture: Array, key: Array, side: int) -> Array:
    """Beginning anywhere, and as much wider as patches reach over its borders."""
    height, width = picture.shape[1:3]
    turned = jnp.roll(picture, jax.random.randint(key, (2,), 0, jnp.array([height, width])), axis=(1, 2))
    return jnp.pad(turned, ((0, 0), (0, side - 1), (0, side - 1), (0, 0)), mode="wrap")


def _elsewhere(images: Array, key: Array) -> Array:
    """Beginning at any of the pixels of a stride."""
    spare = _stride(images) - 1
    batch, height, width, channels = images.shape
    top, left = jax.random.randint(key, (2,), 0, spare + 1)
    return jax.lax.dynamic_slice(images, (0, top, left, 0), (batch, height - spare, width - spare, channels))


def _quantiles(rows: Array, count: int) -> Array:
    """Sorted rows [D, N] -> [D, count], as many numbers spread alike."""
    place = np.clip((np.arange(count) + 0.5) * rows.shape[1] / count - 0.5, 0, rows.shape[1] - 1)
    below = np.minimum(np.floor(place).astype(int), max(rows.shape[1] - 2, 0))
    above = np.minimum(below + 1, rows.shape[1] - 1)
    share = jnp.asarray(place - below, rows.dtype)[None]
    return rows[:, below] * (1 - share) + rows[:, above] * share
