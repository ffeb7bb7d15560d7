"""ring, grid: mixtures of normals in the plane, drawn on the device. What a GAN misses of them can be counted.

The defaults are those of VEEGAN's and PacGAN's tables (Srivastava et al. 2017; Lin et al. 2018, section 4.1).
"""

import math
from typing import Any

import numpy as np

from train.data.source import ENDLESS, Source
from train.data.spec import Spec
from train.data.splits import SPLITS
from zoo.codecs.points import PointCodec
from zoo.errors import UserError

HELD_OUT = 2500  # points, as many as those tables count modes with


def ring_centres(modes: int = 8, radius: float = 1.0) -> np.ndarray:
    """float32 [modes, 2]: evenly around a circle, from (radius, 0) on."""
    angles = np.arange(modes) * (2 * math.pi / modes)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1).astype(np.float32)


def grid_centres(side: int = 5, spacing: float = 2.0) -> np.ndarray:
    """float32 [side * side, 2]: a square around the origin."""
    ticks = (np.arange(side) - (side - 1) / 2) * spacing
    return np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)


def open_ring(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """ring?modes=8&radius=1&std=0.01: normals around a circle, each as likely. "train" never repeats a point; "valid"
    and "test" have 2500."""
    spec.allow("modes", "radius", "std")
    centres = ring_centres(spec.integer("modes", 8) or 8, _number(spec, "radius", 1.0))
    return mixture(spec, split, centres, _number(spec, "std", 0.01))


def open_grid(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """grid?side=5&spacing=2&std=0.05: side x side normals in a square, each as likely; splits as a ring's."""
    spec.allow("side", "spacing", "std")
    centres = grid_centres(spec.integer("side", 5) or 5, _number(spec, "spacing", 2.0))
    return mixture(spec, split, centres, _number(spec, "std", 0.05))


def mixture(spec: Spec, split: str, centres: np.ndarray, std: float) -> Source:
    """Normals of deviation ``std`` around ``centres`` [M, D]: batches of ``point`` [B, D] and ``label`` [B], the mode
    that a point was drawn from."""

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        import jax

        key = jax.random.fold_in(jax.random.key(SPLITS.index(split)), index)
        mode, noise = jax.random.split(key)
        label = jax.random.randint(mode, (), 0, len(centres))
        point = arrays["centres"][label] + std * jax.random.normal(noise, centres.shape[1:], np.float32)
        return {"point": point, "label": label}

    return Source(
        spec=spec.text,
        codec=PointCodec(extent=float(np.abs(centres).max()) * 1.5 or 1.0),
        size=ENDLESS if split == "train" else HELD_OUT,
        fields={"dimensions": centres.shape[1], "classes": len(centres)},
        arrays={"centres": centres},
        example=example,
        labels=tuple(map(str, range(len(centres)))),
    )


def _number(spec: Spec, name: str, default: float) -> float:
    """Option ``name`` as a number above 0."""
    try:
        value = float(spec.options.get(name, default))
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"{spec.text}: {name}={spec.options[name]} should be a number above 0")
    return value
