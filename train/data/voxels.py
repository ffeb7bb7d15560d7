"""voxels: volumes from .vox and .npz files, brought into cubes of one size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.data.folders import by_folder, find
from train.data.npz import split_keys
from train.data.pixels import to_unit
from train.data.progress import track
from train.data.source import RESIDENT_BYTES, Source
from train.data.spec import Spec
from train.data.splits import select
from zoo.codecs.errors import CodecError
from zoo.codecs.vox import coloured, read_vox
from zoo.codecs.voxels import CHANNELS, VoxelCodec
from zoo.errors import UserError

SUFFIXES = frozenset([".vox", ".npz"])
KEYS = ("voxel", "voxels", "color_index", "colour_index", "data", "x", "arr_0")
PALETTES = ("palette", "palette_rgba", "colours", "colors")
AXES = ("zyx", "xyz", "xzy", "yzx", "yxz", "zxy")
SMALLEST, MODEST = 8, 32  # cells a side, unless another size is asked for

Volumes = dict[str, np.ndarray]  # by name, uint8 [D, H, W, 4] each


def open_voxels(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """voxels:DIR|FILE?size=N&channels=1|4&key=NAME&axes=zyx, the .vox and .npz files under DIR, at any depth.

    An .npz holds volumes [N, D, H, W] or one [D, H, W], as zoo-sample writes them: 0 is empty; numbers are colours of
    its ``palette`` where it has one. Or [..., 1] and [..., 4], the last channel saying what is occupied. ``axes``: what
    its axes are, z upwards and y to the back; ``axes=xyz`` for arrays in the order of MagicaVoxel's coordinates.

    ``size``: by default the power of two, 32 at most, that holds half of the volumes. They stand in the middle of the
    ground, all as many times enlarged as all can be; what is too large is made smaller by a whole factor. Folders
    train, valid and test at the top are splits.
    """
    spec.allow("size", "channels", "key", "axes")
    channels = int(spec.choice("channels", map(str, CHANNELS), "4"))
    axes = spec.choice("axes", AXES, "zyx")
    path = Path(spec.path).expanduser()
    if path.is_file():
        folder, files, lost = path.parent, [path.name], []
    else:
        folder = spec.folder()
        files, lost = find(folder, SUFFIXES)
    own: dict[str, Volumes] = {"train": {}}
    skipped = [*lost]
    for part, rows in by_folder(files).items():
        for name in track([files[i] for i in rows], f"reading {folder}", len(rows)):
            try:
                volumes, broken = _read(spec, folder / name, axes)
            except CodecError as error:
                broken, volumes = [f"{name}: {error.cause}"], {}
            skipped += broken
            for known, found in volumes.items():
                own.setdefault(known or part, {}).update({f"{name}{key}": one for key, one in found.items()})
    if not any(own.values()):
        raise UserError(f"{spec.text}: no voxels that can be read" + (f"; first: {skipped[0]}" if skipped else ""))
    part, index = select({name: [*found] for name, found in own.items()}, split, spec=spec.text)
    largest = [max(one.shape[:3]) for found in own.values() for one in found.values()]
    size = image_size or spec.integer("size") or natural_side(largest)
    chosen = [*own[part].values()]
    if len(index) * size**3 * channels > RESIDENT_BYTES:
        raise UserError(f"{spec.text}: {len(index)} volumes of {size} cells a side are more than 2 GiB; use size=N")
    times = max(1, size // max(largest))
    cubes = np.stack([cube(chosen[i], size, times=times)[..., 4 - channels :] for i in index])
    return voxel_source(spec, cubes, skipped)


def voxel_source(spec: Spec, voxels: np.ndarray, skipped: Sequence[str] = ()) -> Source:
    """uint8 [N, S, S, S, C] as a source that is resident on the device."""

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        return {"voxel": to_unit(arrays["voxel"][index])}

    return Source(
        spec=spec.text,
        codec=VoxelCodec(channels=voxels.shape[-1]),
        size=len(voxels),
        fields={"image_size": voxels.shape[1], "channels": voxels.shape[-1]},
        arrays={"voxel": voxels},
        example=example,
        skipped=tuple(skipped),
    )


def natural_side(largest: Sequence[int]) -> int:
    """The power of two that holds half of the volumes whose largest sides are given."""
    half = int(np.ceil(np.median(largest)))
    return min(max(1 << (half - 1).bit_length(), SMALLEST), MODEST)


def cube(voxels: np.ndarray, size: int, *, times: int = 1) -> np.ndarray:
    """uint8 [D, H, W, C] -> [size, size, size, C]: ``times`` as large, or as many times smaller as it must be; in the
    middle of the ground. Of cells that become one the occupied ones count, by the mean of their colours."""
    for axis in range(3):
        voxels = voxels.repeat(times, axis=axis)
    parts = -(-max(voxels.shape[:3]) // size)
    if parts > 1:
        voxels = _smaller(voxels, parts)
    depth, height, width = voxels.shape[:3]
    top, left = (size - height) // 2, (size - width) // 2
    edges = (0, size - depth), (top, size - height - top), (left, size - width - left), (0, 0)
    return np.pad(voxels, edges)


def _smaller(voxels: np.ndarray, parts: int) -> np.ndarray:
    """Blocks of ``parts`` cells a side as one."""
    voxels = np.pad(voxels, [(0, -side % parts) for side in voxels.shape[:3]] + [(0, 0)])
    cut = [n for side in voxels.shape[:3] for n in (side // parts, parts)]
    blocks = voxels.reshape(*cut, -1).astype(np.float32)
    full = (blocks[..., -1:] > 0).sum(axis=(1, 3, 5))
    return np.rint(blocks.sum(axis=(1, 3, 5)) / np.maximum(full, 1)).astype(np.uint8)


def _read(spec: Spec, path: Path, axes: str) -> tuple[dict[str | None, Volumes], list[str]]:
    """({split that the file itself names, or None: its volumes, by their names in it}, why others are left out).
    Raises CodecError."""
    if path.suffix.lower() == ".vox":
        found: dict[str | None, Volumes] = {None: {f"#{i}": one for i, one in enumerate(read_vox(path))}}
    else:
        found = _from_arrays(spec, path, axes)
    empty = [
        f"{path.name}{name}: empty" for own in found.values() for name, one in own.items() if not one[..., 3].any()
    ]
    full = {part: {name: one for name, one in own.items() if one[..., 3].any()} for part, own in found.items()}
    return full, empty


def _from_arrays(spec: Spec, path: Path, axes: str) -> dict[str | None, Volumes]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except Exception as error:  # numpy and zipfile raise whatever a broken file leads them to
        raise CodecError(path, error) from None
    keys = split_keys(arrays, (spec.options["key"],) if "key" in spec.options else KEYS)
    if not keys:
        raise CodecError(path, f"no array of voxels; it holds {', '.join(arrays) or 'nothing'}: add ?key=NAME")
    palette = next((arrays[name] for name in PALETTES if name in arrays), None)
    found: dict[str | None, Volumes] = {}
    for part, key in keys.items():
        volumes = _volumes(path, arrays[key], palette, axes)
        # An array that bears no split's name leaves the choice to the folders.
        found[part if len(keys) > 1 else None] = {f"#{i}": one for i, one in enumerate(volumes)}
    return found


def _volumes(path: Path, cells: np.ndarray, palette: np.ndarray | None, axes: str) -> np.ndarray:
    """Arrays in any of the usual forms -> uint8 [N, D, H, W, 4]."""
    named = cells.ndim in (4, 5) and cells.shape[-1] in CHANNELS and cells.shape[-1] < min(cells.shape[-4:-1])
    cells = cells if named else cells[..., None]
    cells = cells[None] if cells.ndim == 4 else cells
    if cells.ndim != 5 or 0 in cells.shape or cells.dtype.kind not in "buif":
        raise CodecError(path, f"{cells.dtype} of shape {list(cells.shape[:-1])} is no set of volumes [N, D, H, W]")
    cells = np.moveaxis(cells, [1 + axes.index(axis) for axis in "zyx"], [1, 2, 3])
    if palette is not None and cells.shape[-1] == 1 and cells.dtype.kind in "iu":
        try:
            return coloured(cells[..., 0], np.asarray(palette))
        except IndexError:
            raise CodecError(path, f"colours up to {cells.max()} are more than its palette has") from None
    full = cells[..., -1:] > _threshold(cells)
    colours = _bytes(cells[..., :3]) if cells.shape[-1] == 4 else np.full((*full.shape[:-1], 3), 255, np.uint8)
    return np.where(full, np.concatenate([colours, np.full_like(colours[..., :1], 255)], axis=-1), np.uint8(0))


def _threshold(cells: np.ndarray) -> float:
    """What is more is occupied: any number or True; of floats half-way through [-1, 1], or [0, 1]."""
    return 0.5 if cells.dtype.kind == "f" and cells.min() >= 0 else 0.0


def _bytes(colours: np.ndarray) -> np.ndarray:
    """Colours 0..255, or floats in [-1, 1], or [0, 1] -> uint8."""
    if colours.dtype.kind == "f":
        colours = np.rint(255 * ((colours + 1) / 2 if colours.min() < 0 else colours))
    return np.clip(colours, 0, 255).astype(np.uint8)
