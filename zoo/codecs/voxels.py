"""Volumes of voxels: arrays <-> occupied cells, and pictures of them from any side.

Volumes are [D, H, W, C]: D from the ground upwards, H from the front to the back, W to the right. Their last channel
says what is occupied; with C 4 the first three are colours (RGB, and the last an alpha of 0 or 255).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import cos, hypot, radians, sin
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from zoo.codecs.errors import CodecError

CHANNELS = (1, 4)
SIDE = 128  # pixels of a picture
AZIMUTH, ELEVATION = 30.0, 25.0  # degrees: how far an object is turned, and how far one looks down at it
GROUND = np.array([14, 15, 20], np.float32)
PLAIN = np.array([255, 196, 92], np.float32)  # what has no colour of its own
FINER = 2  # times the side of a picture while it is painted
LIGHT = np.array([-0.45, 0.75, 0.5])  # where it comes from: to the right, upwards, towards the eye
AMBIENT, CREVICE = 0.35, 0.75  # light from everywhere; how much of it what is around a face takes away


@dataclass(frozen=True)
class VoxelCodec:
    """Volumes in [-1, 1] as models see them <-> cells that are occupied, with their colours, or empty."""

    channels: int

    media: ClassVar[Literal["voxels"]] = "voxels"

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise CodecError("voxels", f"channels must be 1 (occupied) or 4 (RGB, occupied), not {self.channels!r}")

    def encode(self, voxels: np.ndarray) -> np.ndarray:
        """uint8 [..., D, H, W, C] -> float32 in [-1, 1]. CodecError where C or the type differs."""
        voxels = np.asarray(voxels)
        if voxels.dtype != np.uint8:
            raise CodecError("voxels", f"must be uint8, not {voxels.dtype}")
        self._check(voxels)
        return voxels.astype(np.float32) / np.float32(127.5) - np.float32(1)

    def decode(self, array: np.ndarray) -> np.ndarray:
        """float [..., D, H, W, C] -> uint8: occupied (255) where the last channel is above 0, and all 0 elsewhere.

        The inverse of ``encode`` for volumes that are so. CodecError where C differs or a NaN is.
        """
        array = np.asarray(array, np.float32)
        self._check(array)
        if np.isnan(array).any():
            raise CodecError("voxels", "holds NaN")
        voxels = np.rint((np.clip(array, -1, 1) + 1) * 127.5).astype(np.uint8)
        voxels[..., -1] = 255
        voxels[array[..., -1] <= 0] = 0
        return voxels

    def _check(self, array: np.ndarray) -> None:
        if array.ndim < 4 or array.shape[-1] != self.channels:
            raise CodecError("voxels", f"shape must be [..., D, H, W, {self.channels}], not {list(array.shape)}")


# ---- Pictures -------------------------------------------------------------------------------------------------------


class Camera(NamedTuple):
    """Where one looks from, without perspective; vectors are along D, H, W."""

    right: np.ndarray
    up: np.ndarray
    forward: np.ndarray
    """From the eye into the picture."""
    reach: float
    """Cells from the middle of the picture to its edges, so that the volume stays in it however it is turned."""
    pixels: int


def views(
    voxels: np.ndarray, *, azimuth: float = AZIMUTH, elevation: float = ELEVATION, side: int = SIDE
) -> np.ndarray:
    """Volumes uint8 [N, D, H, W, C] -> pictures uint8 [N, side, side, 3] of them, turned by ``azimuth`` degrees.

    The faces of cells that are occupied, where those beside them are not, are painted from the farthest to the nearest.
    A face is lit by its direction, and the less the more is around it.
    """
    voxels = np.asarray(voxels)
    if voxels.dtype != np.uint8 or voxels.ndim != 5 or voxels.shape[-1] not in CHANNELS or 0 in voxels.shape:
        got = f"{voxels.dtype} {list(voxels.shape)}"
        raise CodecError("voxels", f"must be uint8 [N, D, H, W, C] with 1 or 4 channels, not {got}")
    camera = _camera(voxels.shape[1:4], radians(azimuth), radians(elevation), FINER * side)
    return np.stack([_view(one, camera) for one in voxels])


def turntable(volumes: Iterable[np.ndarray], frames: int, *, side: int = SIDE) -> np.ndarray:
    """One turn in ``frames`` pictures of volumes uint8 [N, D, H, W, C], one array of them for each: uint8 [frames, N,
    side, side, 3]."""
    angles = AZIMUTH + 360 * np.arange(frames) / frames
    return np.stack([views(one, azimuth=angle, side=side) for one, angle in zip(volumes, angles, strict=True)])


def _camera(sides: tuple[int, int, int], azimuth: float, elevation: float, pixels: int) -> Camera:
    right = np.array([0, sin(azimuth), cos(azimuth)])
    inwards = np.array([0, cos(azimuth), -sin(azimuth)])
    forward = np.array([-sin(elevation), *(cos(elevation) * inwards[1:])])
    up = np.array([cos(elevation), *(sin(elevation) * inwards[1:])])
    across = hypot(*sides[1:]) / 2
    reach = max(across, sides[0] / 2 * abs(cos(elevation)) + across * abs(sin(elevation)))
    return Camera(right, up, forward, reach, pixels)


def _view(voxels: np.ndarray, camera: Camera) -> np.ndarray:
    """One volume -> uint8 [side, side, 3]."""
    full = voxels[..., -1] > 0
    around, towards = _around(full), np.where(camera.forward > 0, -1, 1)  # the eye, along each axis
    light = LIGHT @ np.stack([camera.right, camera.up, -camera.forward]) / np.linalg.norm(LIGHT)
    bright = AMBIENT + (1 - AMBIENT) * np.maximum(towards * light, 0)
    found = []
    for axis in np.flatnonzero(np.abs(camera.forward) > 1e-6):  # the others are seen from their edges
        free = np.roll(~np.pad(full, 1), -towards[axis], axis)[1:-1, 1:-1, 1:-1]
        cells = np.argwhere(full & free)
        # What of the 3 x 3 x 3 cells in front of a face is occupied keeps light away; on a plane that is a third.
        beside = cells + 1 + towards[axis] * (np.arange(3) == axis)
        shade = 1 - CREVICE * np.maximum(around[tuple(beside.T)] - 1 / 3, 0)
        found.append((cells, np.full(len(cells), axis), bright[axis] * shade))
    cells, axes, shades = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(-cells @ camera.forward, kind="stable")
    cells, axes = cells[order], axes[order]
    colours = voxels[(*cells.T, slice(3))] if voxels.shape[-1] == 4 else PLAIN
    picture = np.tile(GROUND, (camera.pixels, camera.pixels, 1))
    face, at = _covered(cells, axes, towards, full.shape, camera)
    picture[at[:, 0], at[:, 1]] = np.broadcast_to(colours * shades[order, None], (len(cells), 3))[face]
    side = camera.pixels // FINER
    return np.rint(picture.reshape(side, FINER, side, FINER, 3).mean(axis=(1, 3))).astype(np.uint8)


def _covered(
    cells: np.ndarray, axes: np.ndarray, towards: np.ndarray, sides: tuple[int, ...], camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels the faces cover, one face after the other: (number of the face [M], row and column [M, 2])."""
    scale = camera.pixels / (2 * camera.reach)
    project = scale * np.stack([-camera.up, camera.right], axis=1)  # [3, 2]: from cells to rows and columns
    others = np.array([[1, 2], [0, 2], [0, 1]])[axes]
    edges = project[others]  # [F, 2 edges, 2]
    corner = cells + (towards[axes] > 0)[:, None] * (axes[:, None] == np.arange(3)) - np.array(sides) / 2
    corner = corner @ project + camera.pixels / 2
    first = np.floor(corner + np.minimum(edges, 0).sum(axis=1))
    reach = int(np.ceil(np.abs(edges).sum(axis=1).max(initial=0))) + 1
    steps = np.stack(np.meshgrid(np.arange(reach), np.arange(reach), indexing="ij"), axis=-1).reshape(1, -1, 2)
    pixels = first[:, None] + steps
    # Where a pixel's middle lies in the face: on both edges between 0 and 1.
    shares = (pixels + 0.5 - corner[:, None]) @ np.linalg.inv(edges)
    inside = ((shares >= 0) & (shares < 1) & (pixels >= 0) & (pixels < camera.pixels)).all(axis=-1)
    face, which = np.nonzero(inside)
    return face, pixels[face, which].astype(np.int64)


def _around(full: np.ndarray) -> np.ndarray:
    """bool [D, H, W] -> float32 [D + 2, H + 2, W + 2]: of the 27 cells around each one, and one outside, the share
    that is occupied."""
    share = np.pad(full, 2).astype(np.float32)
    for axis in range(3):
        share = np.moveaxis(share, axis, 0)
        share = np.moveaxis((share[:-2] + share[1:-1] + share[2:]) / 3, 0, axis)
    return share
