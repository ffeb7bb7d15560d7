"""Pixels: what is known of picture files before they are decoded, and arrays of pictures made to measure."""

import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.images import LIMIT, read_image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
SUFFIXES = frozenset(
    [".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp"]
    + [".tif", ".tiff", ".ppm", ".pgm", ".avif", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".tga"]  # named as skipped
)
CHANNELS = (1, 3, 4)
MODEST = 64  # pixels a side of pictures of many sizes, unless more is asked for: DCGAN's
PADDED = 1.25  # a set of small pictures is padded, not blurred, up to this factor: 28 -> 32 keeps MNIST's pixels


def header(path: Path) -> tuple[int, int]:
    """(width, height) as the file's first bytes tell. Raises OSError where it is no picture that we read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
    except UnidentifiedImageError:
        raise OSError(f"no {', '.join(FORMATS)} picture" if path.stat().st_size else "empty file") from None
    except OSError:
        raise
    except Exception as error:  # Pillow's parsers raise whatever a broken file leads them to
        raise OSError(" ".join(str(error).split()) or type(error).__name__) from None
    if width * height > LIMIT:
        raise OSError(f"{width} x {height} pixels, more than {LIMIT:,}")
    return width, height


def read(path: Path, *, size: int, channels: int) -> np.ndarray:
    """uint8 [size, size, channels] as ``zoo.codecs.images.read_image`` reads it. Of a GIF or BMP, which it does not
    read, it is given the first frame as a PNG. Raises CodecError."""
    from PIL import Image

    if _beginning(path) not in (b"GI", b"BM"):
        return read_image(path, channels=channels, size=size)
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.png"
        try:
            with Image.open(path, formats=("GIF", "BMP")) as picture:
                picture.save(frame)
        except Exception as error:  # as in ``header``
            raise CodecError(path, error) from None
        return read_image(frame, channels=channels, size=size)


def to_unit(pixels: Any) -> Any:
    """uint8 [...] -> float32 [...] in [-1, 1], numpy's or JAX's, bit for bit the same. XLA makes a division by 127.5 a
    product with its rounded inverse, and white then comes out above 1."""
    return (pixels.astype(np.float32) * 2 - 255) * np.float32(1 / 255)


def fit(images: np.ndarray, *, size: int | None, channels: int | None) -> np.ndarray:
    """[N, H, W, C] uint8 or float32 -> [N, size, size, channels], the same dtype.

    Slightly larger is padded with zeros (see PADDED); anything else is cropped to the centre square and resized.
    """
    height, width = images.shape[1:3]
    side = min(height, width) if size is None else size
    if max(height, width) <= side <= PADDED * min(height, width):
        top, left = (side - height) // 2, (side - width) // 2
        images = np.pad(images, ((0, 0), (top, side - height - top), (left, side - width - left), (0, 0)))
    elif (height, width) != (side, side):
        images = np.stack([_resize(image, side) for image in images])
    return images if channels is None else recolour(images, channels)


def recolour(images: np.ndarray, channels: int) -> np.ndarray:
    """[..., C] -> [..., channels], C and channels of 1, 3, 4. Floats lie in [0, 1]."""
    have = images.shape[-1]
    if have == channels:
        return images
    full = 255 if images.dtype == np.uint8 else 1.0
    if channels == 4:
        colour = np.repeat(images, 3, axis=-1) if have == 1 else images
        return np.concatenate([colour, np.full_like(colour[..., :1], full)], axis=-1)
    values = images.astype(np.float32)
    if have == 4:
        alpha = values[..., 3:] / full
        values = values[..., :3] * alpha + full * (1 - alpha)
    if channels == 1 and values.shape[-1] == 3:
        values = values @ np.array([[0.299], [0.587], [0.114]], np.float32)  # ITU-R BT.601 luma, as Pillow's
    if channels == 3 and values.shape[-1] == 1:
        values = np.repeat(values, 3, axis=-1)
    return np.rint(values).astype(np.uint8) if images.dtype == np.uint8 else values


def encode_png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 1 | 3 | 4] -> the bytes of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()


def natural_size(sizes: Iterable[tuple[int, int]]) -> int:
    """Pixels a side of pictures whose (width, height) are given: that of their centre squares where all agree, else the
    power of two that at least half of them reach, at most MODEST."""
    sides = [min(size) for size in sizes]
    if len(set(sides)) == 1:
        return sides[0]
    return min(MODEST, 1 << (int(np.median(sides)).bit_length() - 1))


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(2)
    except OSError as error:
        raise CodecError(path, error) from None


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 or float32 [H, W, C] -> its centre square as [size, size, C]. Colours under full transparency are lost."""
    from PIL import Image, ImageOps

    def resized(plane: np.ndarray) -> np.ndarray:
        return np.asarray(ImageOps.fit(Image.fromarray(plane), (size, size), Image.Resampling.LANCZOS))

    if image.dtype == np.uint8:
        return resized(image[..., 0] if image.shape[-1] == 1 else image).reshape(size, size, -1)
    return np.clip(np.stack([resized(plane) for plane in np.moveaxis(image, -1, 0)], axis=-1), 0, 1)
