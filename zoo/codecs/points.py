"""Points of the plane -> one picture of where they lie."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError

SIDE = 384  # pixels
_GROUND, _INK = np.array([[14, 15, 20], [255, 196, 92]], np.float32)
_DOT = np.array([[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]], np.float32)


@dataclass(frozen=True)
class PointCodec:
    """Points [n, 2] as models see them; for people, a picture of [-extent, extent] squared."""

    extent: float

    media: ClassVar[Literal["points"]] = "points"

    def __post_init__(self) -> None:
        if not 0 < self.extent < np.inf:
            raise CodecError("points", f"extent must be above 0, not {self.extent!r}")

    def encode(self, points: np.ndarray) -> np.ndarray:
        """[n, 2] -> float32 [n, 2]."""
        return self._checked(points)

    def decode(self, points: np.ndarray) -> np.ndarray:
        """[n, 2] -> uint8 [1, 384, 384, 3]: a dot each, brighter where they are many; the first axis to the right, the
        second upwards. What lies outside is not seen. CodecError of other shapes and of NaN."""
        points = self._checked(points)
        edges = np.linspace(-self.extent, self.extent, SIDE - 1)
        counts, _, _ = np.histogram2d(-points[:, 1], points[:, 0], bins=(edges, edges))
        ink = sum(
            np.pad(counts * _DOT[i, j], ((i, 2 - i), (j, 2 - j))) for i in range(3) for j in range(3)
        )  # counts have one bin less than edges: SIDE pixels with the dots' margins
        light = (1 - np.exp(-ink))[..., None]
        return np.rint(_GROUND + light * (_INK - _GROUND)).astype(np.uint8)[None]

    def _checked(self, points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, np.float32)
        if points.ndim != 2 or points.shape[1] != 2:
            raise CodecError("points", f"shape must be [n, 2], not {list(points.shape)}")
        if np.isnan(points).any():
            raise CodecError("points", "holds NaN")
        return points
