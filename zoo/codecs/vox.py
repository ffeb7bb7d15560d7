"""MagicaVoxel's files, .vox. Volumes are those of `zoo.codecs.voxels`, uint8 [D, H, W, C].

What is written is read again bit for bit, up to 255 colours; more are brought to the nearest of 255. The format:
github.com/ephtracy/voxel-model, "MagicaVoxel-file-format-vox.txt". Reading raises CodecError and nothing else.
"""

import struct
from collections.abc import Iterator

import numpy as np

from zoo.codecs.errors import CodecError, Path, read_bytes, write_bytes

FILE_LIMIT = 2**28  # bytes
LARGEST = 256  # cells a side, of a .vox
COLOURS = 255
LIMIT = 2**28  # cells of all the volumes of a file


def write_vox(voxels: np.ndarray, path: Path) -> None:
    """Writes one volume; what has no colour of its own becomes white. CodecError for one of more than 256 a side."""
    voxels = _checked(voxels, path)
    if max(voxels.shape[:3]) > LARGEST:
        raise CodecError(path, f"a .vox holds up to {LARGEST} cells a side, not {max(voxels.shape[:3])}")
    z, y, x = np.nonzero(voxels[..., -1])
    colours = voxels[z, y, x, :3] if voxels.shape[-1] == 4 else np.full((len(z), 3), 255, np.uint8)
    palette, index = np.unique(colours, axis=0, return_inverse=True)
    if len(palette) > COLOURS:
        palette, index = _fewer(colours)
    table = np.zeros((256, 4), np.uint8)
    table[: len(palette)] = np.concatenate([palette, np.full((len(palette), 1), 255)], axis=1)
    cells = np.stack([x, y, z, index.ravel() + 1], axis=1).astype(np.uint8)
    depth, height, width = voxels.shape[:3]
    chunks = _chunk(b"SIZE", struct.pack("<3i", width, height, depth))
    chunks += _chunk(b"XYZI", struct.pack("<i", len(cells)) + cells.tobytes())
    chunks += _chunk(b"RGBA", table.tobytes())
    write_bytes(path, b"VOX " + struct.pack("<i", 150) + b"MAIN" + struct.pack("<2i", 0, len(chunks)) + chunks)


def read_vox(path: Path) -> list[np.ndarray]:
    """The volumes of a .vox, uint8 [D, H, W, 4] each; where they stand in a scene is not heeded."""
    data = read_bytes(path, limit=FILE_LIMIT)
    if data[:4] != b"VOX ":
        raise CodecError(path, "not a MagicaVoxel file")
    try:
        return _volumes(list(_chunks(data, 8, len(data))))
    except CodecError as error:
        raise CodecError(path, error.cause) from None
    except (struct.error, ValueError, IndexError) as error:
        raise CodecError(path, error) from None


def default_palette() -> np.ndarray:
    """uint8 [255, 4], of files without one: a cube of 6 x 6 x 6 colours without black, then ramps of ten shades."""
    levels = np.arange(255, -1, -51)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)[:-1]
    shades = np.array([0xEE, 0xDD, 0xBB, 0xAA, 0x88, 0x77, 0x55, 0x44, 0x22, 0x11])
    ramps = np.concatenate([shades[:, None] * np.array(axis) for axis in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1])])
    colours = np.concatenate([cube, ramps])
    return np.concatenate([colours, np.full((len(colours), 1), 255)], axis=1).astype(np.uint8)


def coloured(index: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Cells int [...], 0 empty and else a colour's number from 1 on, in a palette uint8 [P, 3 or 4] -> uint8 [..., 4].
    IndexError where there is no such colour."""
    table = np.zeros((len(palette) + 1, 4), np.uint8)
    table[1:, :3], table[1:, 3] = palette[:, :3], 255
    return table[index]


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<2i", len(body), 0) + body


def _chunks(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of all chunks, those inside of others too."""
    while at < end:
        size, inside = struct.unpack_from("<2i", data, at + 4)
        if size < 0 or inside < 0 or at + 12 + size > len(data):
            raise CodecError("vox", "its end is missing")
        yield data[at : at + 4], data[at + 12 : at + 12 + size]
        at += 12 + size  # what is inside of a chunk follows it


def _volumes(chunks: list[tuple[bytes, bytes]]) -> list[np.ndarray]:
    palette = next((np.frombuffer(body, np.uint8, 1024) for name, body in chunks if name == b"RGBA"), None)
    palette = default_palette() if palette is None else palette.reshape(256, 4)
    volumes, size, total = [], (0, 0, 0), 0
    for name, body in chunks:
        if name == b"SIZE":
            size = struct.unpack_from("<3i", body)
        elif name == b"XYZI":
            total += int(np.prod(size, dtype=np.float64))
            if min(size) < 1 or max(size) > LARGEST or total > LIMIT:
                raise CodecError("vox", f"a volume of {' x '.join(map(str, size))} cells cannot be read")
            (count,) = struct.unpack_from("<i", body)
            x, y, z, index = np.frombuffer(body, np.uint8, 4 * count, 4).reshape(-1, 4).T
            cells = np.zeros(size[::-1], np.uint8)
            cells[z, y, x] = index
            volumes.append(coloured(cells, palette))
    if not volumes:
        raise CodecError("vox", "holds no volume")
    return volumes


def _fewer(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours uint8 [M, 3] -> 255 of them, and which of those is for each [M], by median cuts."""
    from PIL import Image

    chosen = Image.fromarray(colours[None]).quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=1)
    palette = np.array(chosen.getpalette(), np.uint8).reshape(-1, 3)[:COLOURS]
    return palette, np.asarray(chosen)[0].astype(np.int64)


def _checked(voxels: np.ndarray, path: Path) -> np.ndarray:
    voxels = np.asarray(voxels)
    if voxels.dtype != np.uint8 or voxels.ndim != 4 or voxels.shape[-1] not in (1, 4) or 0 in voxels.shape:
        got = f"{voxels.dtype} {list(voxels.shape)}"
        raise CodecError(path, f"voxels must be uint8 [D, H, W, C] with 1 or 4 channels, not {got}")
    return voxels
