"""Maps of labels: pictures whose pixels are numbers of kinds of things, as annotators paint them."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.images import open_image

MOST = 256  # labels
TURN = 0.618034  # of the circle of hues from a label to the next: near ones differ much


class LabelError(CodecError):
    """A label that there is none of."""


@dataclass(frozen=True)
class LabelMap:
    """Labels uint8 [..., H, W, 1] <-> planes float32 [..., H, W, N], of each label 1 where it is and -1 elsewhere."""

    labels: int

    def __post_init__(self) -> None:
        if not 2 <= self.labels <= MOST:
            raise CodecError("map", f"labels must be 2 to {MOST}, not {self.labels}")

    def read(self, path: str | os.PathLike[str], *, size: int | None = None) -> np.ndarray:
        """uint8 [H, W, 1] of a PNG that is grey, or has a palette, of which the numbers count and not the colours.

        ``size``: the central square, of whose pixels one each is kept. CodecError names the file and the cause: a
        picture in colours, or a label that there is none of.
        """
        image = open_image(path, ("PNG",))
        if image.mode not in ("L", "P", "1") and not image.mode.startswith("I"):
            raise CodecError(path, f"a map of labels is a grey PNG or one with a palette, not {image.mode}")
        try:
            found = np.asarray(image)
        except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
            raise CodecError(path, error) from error
        if size is not None:
            side = min(found.shape)
            top, left = ((whole - side) // 2 for whole in found.shape)
            places = (np.arange(size) * side + side // 2) // size
            found = found[top + places][:, left + places]
        if found.max() >= self.labels:
            raise LabelError(path, f"label {found.max()}, where there are 0 to {self.labels - 1}")
        return found.astype(np.uint8)[..., None]

    def encode(self, labels: Any) -> Any:
        """Planes of labels; numpy's of numpy's, JAX's of JAX's."""
        every = np.arange(self.labels, dtype=np.uint8).reshape(*[1] * (labels.ndim - 1), -1)
        return (labels == every).astype(np.float32) * 2 - 1

    def colours(self, labels: np.ndarray) -> np.ndarray:
        """uint8 [..., H, W, 1] -> uint8 [..., H, W, 3], to look at: a colour a label."""
        hues = 2 * np.pi * (np.arange(self.labels)[:, None] * TURN + np.arange(3) / 3)
        return np.rint(140 + 90 * np.cos(hues)).astype(np.uint8)[labels[..., 0]]
