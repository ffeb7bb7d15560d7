"""The sliced Wasserstein distance of patches at every level of a Laplacian pyramid (Karras et al. 2018,
arXiv:1710.10196, section 5): coarse levels tell the layout, fine ones the texture. No network is asked."""

import math

import numpy as np

KERNEL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16  # of Burt & Adelson 1983
SMALLEST = 16  # pixels a side of the coarsest level
SIDE, PATCHES = 7, 128  # pixels of a patch's side; patches of each picture and level
SETS, DIRECTIONS = 4, 128  # of random directions


def sliced_wasserstein(real: np.ndarray, fake: np.ndarray, *, seed: int = 0) -> dict[int, float]:
    """Images [N, H, W, C] twice, as many of each -> {side of a level: 1000 times the distance of its patches}, from the
    finest to 16 pixels a side. ValueError for sets of different shapes, and for other sides than 16, 32, 64, ..."""
    real, fake = np.asarray(real, np.float32), np.asarray(fake, np.float32)
    if real.shape != fake.shape or real.ndim != 4 or real.shape[1] != real.shape[2]:
        raise ValueError(f"pictures must be [N, H, H, C], and as many of both: {real.shape} and {fake.shape}")
    if real.shape[1] < SMALLEST or not math.log2(real.shape[1]).is_integer():
        raise ValueError(f"pictures of {real.shape[1]} pixels a side; it takes 16, 32, 64, ...")
    found, both = {}, [pyramid(images) for images in (real, fake)]
    for level, pictures in enumerate(zip(*both, strict=True)):
        # The same places and directions of both sets.
        a, b = (normalised(patches(images, np.random.default_rng((seed, level)))) for images in pictures)
        rng = np.random.default_rng((seed, level, 1))
        found[pictures[0].shape[1]] = 1000 * float(np.mean([sliced(a, b, rng) for _ in range(SETS)]))
    return found


def sliced(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, *, directions: int = DIRECTIONS) -> float:
    """Points [N, D] twice, as many of each -> the mean over random directions of the Wasserstein-1 distance of their
    shadows there (Rabin et al. 2011): sorted, the i-th belongs to the i-th."""
    way = rng.normal(size=(a.shape[1], directions))
    way = (way / np.linalg.norm(way, axis=0)).astype(a.dtype)
    return float(np.abs(np.sort(a @ way, axis=0) - np.sort(b @ way, axis=0)).mean())


def pyramid(images: np.ndarray) -> list[np.ndarray]:
    """[N, H, W, C] -> what each level has beyond the next coarser one, and the coarsest."""
    levels = []
    while images.shape[1] > SMALLEST:
        smaller = blurred(images)[:, ::2, ::2]
        levels.append(images - enlarged(smaller))
        images = smaller
    return [*levels, images]


def blurred(images: np.ndarray) -> np.ndarray:
    """By ``KERNEL`` both ways, the picture reflected at its borders."""
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (2, 2)
        wider, n = np.pad(images, pad, mode="reflect"), images.shape[axis]
        parts = [weight * np.take(wider, range(i, i + n), axis) for i, weight in enumerate(KERNEL)]
        images = np.sum(parts, axis=0, dtype=images.dtype)
    return images


def enlarged(images: np.ndarray) -> np.ndarray:
    """Twice as high and wide: zeros between the pixels, blurred."""
    n, height, width, channels = images.shape
    larger = np.zeros((n, 2 * height, 2 * width, channels), images.dtype)
    larger[:, ::2, ::2] = 4 * images
    return blurred(larger)


def patches(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[N, H, W, C] -> ``PATCHES`` random ones of each, [N * PATCHES, SIDE, SIDE, C]."""
    n, height, width, _ = images.shape
    picture = np.repeat(np.arange(n), PATCHES)
    y, x = (rng.integers(0, side - SIDE + 1, len(picture)) for side in (height, width))
    near = np.arange(SIDE)
    return images[picture[:, None, None], y[:, None, None] + near[:, None], x[:, None, None] + near]


def normalised(found: np.ndarray) -> np.ndarray:
    """Patches as points [N, D], each channel with mean 0 and deviation 1 over all of them."""
    mean, std = found.mean(axis=(0, 1, 2)), found.std(axis=(0, 1, 2))
    return ((found - mean) / np.maximum(std, 1e-8)).reshape(len(found), -1)
