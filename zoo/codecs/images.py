"""Pictures: arrays <-> PNG, and the picture files that users have -> arrays.

Pixels are uint8 [H, W, C]: C 1 is grey, 3 RGB, 4 RGBA. Reading raises CodecError and nothing else, whatever the file
holds, and decodes no picture that claims to be larger than LIMIT. What the zoo made carries how it was made, as JSON in
a text chunk of the PNG called "zoo".
"""

import io
import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError, read_bytes, write_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

LIMIT = 50_000_000  # pixels: what is done to so many of them, one copy after another, stays below 1 GB
FILE_LIMIT = 2**27  # bytes
CHUNK = "zoo"
MODES = {1: "L", 3: "RGB", 4: "RGBA"}

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class ImageCodec:
    """Pixels in [-1, 1] as models see them <-> pixels 0 to 255: exact inverses on the latter."""

    channels: int

    media: ClassVar[Literal["image"]] = "image"

    def __post_init__(self) -> None:
        if self.channels not in MODES:
            raise CodecError("image", f"channels must be 1 (grey), 3 (RGB) or 4 (RGBA), not {self.channels!r}")

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [..., H, W, C] -> float32 [..., H, W, C] in [-1, 1]. CodecError where C or the type differs."""
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8:
            raise CodecError("image", f"pixels must be uint8, not {pixels.dtype}")
        self._check(pixels)
        return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)

    def decode(self, array: np.ndarray) -> np.ndarray:
        """float [..., H, W, C], clipped to [-1, 1] -> uint8 [..., H, W, C]. CodecError where C differs or a NaN is."""
        array = np.asarray(array, np.float32)
        self._check(array)
        if np.isnan(array).any():
            raise CodecError("image", "holds NaN")
        return np.rint((np.clip(array, -1, 1) + 1) * 127.5).astype(np.uint8)

    def _check(self, array: np.ndarray) -> None:
        if array.ndim < 3 or array.shape[-1] != self.channels:
            raise CodecError("image", f"shape must be [..., H, W, {self.channels}], not {list(array.shape)}")


def grid(images: np.ndarray, *, columns: int | None = None, padding: int = 2) -> np.ndarray:
    """uint8 [N, H, W, C] -> one picture of rows of ``columns`` (None: about square), white or transparent between.

    uint8 [rows * (H + padding) + padding, columns * (W + padding) + padding, C].
    """
    images = _pixels(images, 4, "[N, H, W, C]")
    count, height, width, channels = images.shape
    if count == 0:
        raise CodecError("images", "there are none")
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    ground = 0 if channels == 4 else 255
    cells = np.full((rows * columns, height + padding, width + padding, channels), ground, np.uint8)
    cells[:count, padding:, padding:] = images
    cells = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    sheet = cells.reshape(rows * (height + padding), columns * (width + padding), channels)
    return np.pad(sheet, ((0, padding), (0, padding), (0, 0)), constant_values=ground)


def write_png(pixels: np.ndarray, path: Path, *, meta: dict[str, Any] | None = None) -> None:
    """Writes uint8 [H, W, C] and, as JSON, ``meta``, in one move. CodecError where either cannot be written."""
    from PIL import Image, PngImagePlugin

    pixels = _pixels(pixels, 3, "[H, W, C]", path)
    info = PngImagePlugin.PngInfo()
    if meta is not None:
        info.add_text(CHUNK, to_json(meta, path))
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG", pnginfo=info)
    write_bytes(path, file.getvalue())


def read_png(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """(uint8 [H, W, C], what ``write_png`` was given as ``meta``, or {}). CodecError where it is no PNG."""
    image = open_image(path, ("PNG",))
    try:
        pixels = _converted(image, None)
        return np.array(pixels).reshape(*pixels.size[::-1], -1), from_json(getattr(image, "text", {}).get(CHUNK))
    except Exception as error:
        raise CodecError(path, error) from error


def read_image(path: Path, *, channels: int | None = None, size: int | None = None) -> np.ndarray:
    """A PNG, JPEG or WebP file, upright, as uint8 [H, W, C].

    ``channels``: 1, 3 or 4; None keeps what the file has (of 16 bits the upper 8, of a palette its colours). What is
    transparent becomes white where there is no alpha. ``size``: the central square, resampled to [size, size].
    CodecError, the only error, names the file and the cause.
    """
    if channels is not None and channels not in MODES:
        raise CodecError(path, f"channels must be 1, 3 or 4, not {channels!r}")
    if size is not None and size < 1:
        raise CodecError(path, f"size must be at least 1, not {size}")
    image = open_image(path, ("PNG", "JPEG", "WEBP"))
    # Pillow's decoders raise whatever a broken file leads them to (OSError, SyntaxError, struct.error, KeyError, ...).
    try:
        from PIL import Image, ImageOps

        if size is not None:
            image.draft(None, (2 * size, 2 * size))  # a JPEG may be decoded at a half, a quarter or an eighth
        ImageOps.exif_transpose(image, in_place=True)
        image = _converted(image, channels)
        if size is not None:
            image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
        return np.array(image).reshape(*image.size[::-1], -1)
    except Exception as error:
        raise CodecError(path, error) from error


def to_json(meta: dict[str, Any], path: Path) -> str:
    """``meta`` as ASCII; CodecError where it is no JSON."""
    try:
        return json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CodecError(path, f"metadata: {error}") from None


def from_json(text: Any) -> dict[str, Any]:
    """The inverse of ``to_json``; {} for anything that is no JSON object, as a stranger may have put it there."""
    try:
        meta = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}


def _pixels(pixels: np.ndarray, rank: int, shape: str, path: Path = "images") -> np.ndarray:
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != rank or pixels.shape[-1] not in MODES or 0 in pixels.shape[-3:]:
        got = f"{pixels.dtype} {list(pixels.shape)}"
        raise CodecError(path, f"pixels must be uint8 {shape} with 1, 3 or 4 channels, not {got}")
    return pixels


def open_image(path: Path, formats: tuple[str, ...]) -> "Image":
    """The opened file, its pixels not yet decoded.

    Its class is chosen by its first bytes, past ``PIL.Image.open``: that tries formats which nobody asked for, and
    warns of large pictures where we refuse them.
    """
    data = read_bytes(path, limit=FILE_LIMIT)
    kind = _kind(data)
    if kind not in formats:
        raise CodecError(path, f"not a {', '.join(formats[:-1])} or {formats[-1]}" if len(formats) > 1 else "not a PNG")
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    try:
        image = {"PNG": PngImageFile, "JPEG": JpegImageFile, "WEBP": WebPImageFile}[kind](io.BytesIO(data))
    except Exception as error:
        raise CodecError(path, error) from error
    if image.width * image.height > LIMIT:
        raise CodecError(path, f"{image.width} x {image.height} pixels, more than {LIMIT:,}")
    return image


def _kind(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _converted(image: "Image", channels: int | None) -> "Image":
    """As L, RGB or RGBA; None: whichever of them holds what the picture has."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, which PIL's own conversion would clip to 255
        image = Image.fromarray((np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode in ("1", "L"):
        image = image.convert("L")
    elif image.mode != "RGB":
        image = image.convert("RGB")
    if channels is None or image.mode == MODES[channels]:
        return image
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(MODES[channels])
