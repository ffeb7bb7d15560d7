"""Clips: films as models see them <-> frames of pixels, and sheets of them. `zoo.codecs.film` has the files."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.images import ImageCodec, grid


@dataclass(frozen=True)
class ClipCodec:
    """Frames in [-1, 1] as models see them <-> pixels 0 to 255, exact inverses on the latter; and their speed."""

    channels: int
    """1 is grey, 3 RGB."""
    fps: float
    """Frames a second."""

    media: ClassVar[Literal["video"]] = "video"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise CodecError("video", f"channels must be 1 (grey) or 3 (RGB), not {self.channels!r}")
        if not 0.1 <= self.fps <= 1000:
            raise CodecError("video", f"fps must be in 0.1 .. 1000, not {self.fps!r}")

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [..., T, H, W, C] -> float32 in [-1, 1]. CodecError where C or the type differs."""
        return ImageCodec(self.channels).encode(pixels)

    def decode(self, array: np.ndarray) -> np.ndarray:
        """float [..., T, H, W, C], clipped to [-1, 1] -> uint8. CodecError where C differs or a NaN is."""
        return ImageCodec(self.channels).decode(array)


def side_by_side(clips: np.ndarray) -> np.ndarray:
    """uint8 [N, T, H, W, C] -> frames [T, H', W', C]: the clips in a grid, all at once."""
    return clips[0] if len(clips) == 1 else np.stack([grid(frames) for frames in clips.swapaxes(0, 1)])


def strips(clips: np.ndarray) -> np.ndarray:
    """uint8 [N, T, H, W, C] -> one picture: a row a clip, its frames one after the other."""
    return grid(clips.reshape(-1, *clips.shape[2:]), columns=clips.shape[1])
