"""Pictures: what is written is read again bit for bit, and whatever a file holds, only CodecError comes out of it."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.codecs import CodecError, from_config, to_config
from zoo.codecs.images import LIMIT, ImageCodec, grid, read_image, read_png, write_png

META = {"model": "dcgan", "run": "runs/Höhe", "step": 2000, "seed": 7, "nested": {"truncation": 0.7, "none": None}}


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width] / max(height, width)
    return (255 * np.stack([x, y, 1 - x * y], axis=-1)).astype(np.uint8)


def saved(path, image: Image.Image, **options) -> str:
    image.save(path, **options)
    return str(path)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_encode_and_decode_are_inverse(channels):
    codec = ImageCodec(channels)
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), channels, axis=-1)
    array = codec.encode(levels)
    assert array.dtype == np.float32 and array.min() == -1 and array.max() == 1
    assert np.array_equal(codec.decode(array), levels)
    assert codec.decode(codec.encode(levels[None])).shape == (1, 16, 16, channels)
    assert np.array_equal(codec.decode(np.full((1, 1, channels), 9.0)), np.full((1, 1, channels), 255))
    assert from_config(to_config(codec)) == codec and codec.media == "image"


def test_the_codec_refuses_what_it_cannot_hold():
    with pytest.raises(CodecError, match="channels"):
        ImageCodec(2)
    with pytest.raises(CodecError, match="shape"):
        ImageCodec(3).encode(pixels(4, 4, 1))
    with pytest.raises(CodecError, match="uint8"):
        ImageCodec(1).encode(np.zeros((4, 4, 1)))
    with pytest.raises(CodecError, match="NaN"):
        ImageCodec(1).decode(np.full((4, 4, 1), np.nan))


def test_a_grid_lays_pictures_out_in_rows():
    images = pixels(5, 3, 4, 3)
    sheet = grid(images, columns=2, padding=1)
    assert sheet.shape == (3 * 4 + 1, 2 * 5 + 1, 3) and sheet.dtype == np.uint8
    for index, image in enumerate(images):
        top, left = 1 + 4 * (index // 2), 1 + 5 * (index % 2)
        assert np.array_equal(sheet[top : top + 3, left : left + 4], image)
    assert (sheet[0] == 255).all() and (sheet[:, 0] == 255).all() and (sheet[9:, 6:] == 255).all()
    assert grid(pixels(9, 2, 2, 1), padding=0).shape == (6, 6, 1), "three by three"
    assert grid(pixels(2, 2, 2, 4), columns=8).shape == (6, 10, 4), "no empty columns"
    assert (grid(pixels(1, 2, 2, 4))[0] == 0).all(), "transparent between"
    for wrong in (pixels(0, 2, 2, 3), pixels(2, 2, 3), pixels(1, 2, 2, 2), np.zeros((1, 2, 2, 3))):
        with pytest.raises(CodecError):
            grid(wrong)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_round_trip_is_exact(tmp_path, channels):
    given = pixels(5, 7, channels)
    write_png(given, tmp_path / "a.png", meta=META)
    array, meta = read_png(tmp_path / "a.png")
    assert array.dtype == np.uint8 and np.array_equal(array, given) and meta == META
    assert np.array_equal(read_image(tmp_path / "a.png"), given)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"], "nothing else is left behind"
    with Image.open(tmp_path / "a.png") as image:
        assert image.text["zoo"].startswith('{"model": "dcgan"'), "a text chunk that others can read"


def test_png_without_metadata(tmp_path):
    write_png(pixels(2, 2, 3), tmp_path / "a.png")
    assert read_png(tmp_path / "a.png")[1] == {}
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == {}


def test_write_png_names_what_it_cannot_write(tmp_path):
    write_png(pixels(2, 2, 3), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    for wrong, meta in [(np.zeros((2, 2, 3)), {}), (pixels(2, 2), {}), (pixels(2, 2, 3), {"x": np.float32(1)})]:
        with pytest.raises(CodecError, match=r"a\.png: "):
            write_png(wrong, tmp_path / "a.png", meta=meta)
    with pytest.raises(CodecError, match=r"none.a\.png: No such file"):
        write_png(pixels(2, 2, 3), tmp_path / "none" / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before


def test_jpeg_and_webp(tmp_path):
    given = smooth(60, 90)
    jpeg = saved(tmp_path / "a.jpg", Image.fromarray(given), quality=95)
    lossless = saved(tmp_path / "a.webp", Image.fromarray(given), lossless=True)
    assert np.abs(read_image(jpeg).astype(int) - given).mean() < 3
    assert np.array_equal(read_image(lossless), given)
    assert read_image(saved(tmp_path / "g.jpg", Image.fromarray(given).convert("L"))).shape == (60, 90, 1)
    assert read_image(saved(tmp_path / "c.jpg", Image.fromarray(given).convert("CMYK"))).shape == (60, 90, 3)
    with pytest.raises(CodecError, match="not a PNG"):
        read_png(jpeg)


def test_the_suffix_does_not_matter_but_the_content_does(tmp_path):
    assert read_image(saved(tmp_path / "a.txt", Image.fromarray(smooth(4, 4)), format="PNG")).shape == (4, 4, 3)
    with pytest.raises(CodecError, match="not a PNG, JPEG or WEBP"):
        read_image(saved(tmp_path / "a.png", Image.fromarray(smooth(4, 4)), format="BMP"))


def test_sixteen_bits_palettes_and_masks_become_eight_bits(tmp_path):
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    sixteen = read_image(saved(tmp_path / "16.png", Image.fromarray(levels)))
    assert np.array_equal(sixteen, np.arange(256, dtype=np.uint8).reshape(16, 16, 1))
    colours = Image.fromarray(np.repeat(np.repeat(pixels(2, 2, 3), 8, axis=0), 8, axis=1))
    assert np.array_equal(read_image(saved(tmp_path / "p.png", colours.quantize(4))), np.asarray(colours))
    clear = colours.quantize(4)
    clear.info["transparency"] = clear.getpixel((0, 0))
    alpha = read_image(saved(tmp_path / "t.png", clear))
    assert alpha.shape == (16, 16, 4) and alpha[0, 0, 3] == 0 and alpha[-1, -1, 3] == 255
    mask = Image.fromarray(pixels(8, 8) > 127)
    assert np.array_equal(read_image(saved(tmp_path / "1.png", mask))[..., 0], np.asarray(mask) * np.uint8(255))


def test_channels_as_asked_for(tmp_path):
    given = np.concatenate([smooth(8, 8), np.full((8, 8, 1), 255, np.uint8)], axis=-1)
    given[:4, :, 3] = 0
    path = saved(tmp_path / "a.png", Image.fromarray(given))
    assert np.array_equal(read_image(path, channels=4), given)
    opaque = read_image(path, channels=3)
    assert (opaque[:4] == 255).all(), "white where it was transparent"
    assert np.array_equal(opaque[4:], given[4:, :, :3])
    assert read_image(path, channels=1).shape == (8, 8, 1)
    grey = saved(tmp_path / "g.png", Image.fromarray(pixels(4, 4)))
    assert read_image(grey, channels=3).shape == (4, 4, 3) and (read_image(grey, channels=4)[..., 3] == 255).all()
    with pytest.raises(CodecError, match="channels"):
        read_image(path, channels=2)


def test_size_is_the_central_square(tmp_path):
    given = np.zeros((40, 120, 3), np.uint8)
    given[:, 40:80] = (10, 200, 30)
    for name in ("a.png", "a.jpg"):
        picture = read_image(saved(tmp_path / name, Image.fromarray(given)), size=8)
        assert picture.shape == (8, 8, 3)
        assert np.abs(picture[:, 1:-1].astype(int) - (10, 200, 30)).max() < 30
    assert read_image(tmp_path / "a.png", size=64).shape == (64, 64, 3), "enlarged where it is smaller"
    one = saved(tmp_path / "one.png", Image.fromarray(pixels(1, 1, 3)))
    assert np.array_equal(read_image(one, size=4), np.broadcast_to(pixels(1, 1, 3), (4, 4, 3)))
    with pytest.raises(CodecError, match="size"):
        read_image(one, size=0)


def test_a_picture_is_upright(tmp_path):
    given = smooth(6, 9)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: to be turned by a quarter, clockwise
    for name in ("a.png", "a.webp"):
        turned = saved(tmp_path / name, Image.fromarray(given), exif=exif, lossless=True)
        assert np.array_equal(read_image(turned), np.rot90(given, -1)), name


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_bombs_are_refused(tmp_path):
    for width, height in [(10_001, 8_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)]:
        (tmp_path / "bomb.png").write_bytes(bomb(width, height))
        with pytest.raises(CodecError, match=f"bomb.png: .*{LIMIT:,}" if width < 2**31 - 1 else "bomb.png: "):
            read_image(tmp_path / "bomb.png")


def test_what_is_no_file_is_named(tmp_path):
    for path, cause in [(tmp_path / "none.png", "No such file"), (tmp_path, "not a regular file")]:
        with pytest.raises(CodecError, match=cause):
            read_image(path)
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(CodecError, match="not a PNG"):
        read_image(tmp_path / "empty.png")


def test_a_broken_chunk_is_named(tmp_path):
    data = bytearray(SAMPLES["PNG"])
    data[data.index(b"IDAT") - 1] -= 40  # its length: the next chunk then begins in the middle of the pixels
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(CodecError, match=r"a\.png: broken PNG"):
        read_image(tmp_path / "a.png")


def samples() -> dict[str, bytes]:
    files = {}
    for kind, options in [("PNG", {}), ("JPEG", {}), ("WEBP", {}), ("PNG", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"})]:
        file = io.BytesIO()
        Image.fromarray(smooth(12, 9)).save(file, kind, **options)
        files[kind + "+" * bool(options)] = file.getvalue()
    return files


SAMPLES = samples()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(SAMPLES)),
    keep=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
)
@pytest.mark.filterwarnings("ignore")  # Pillow warns of broken EXIF, and reads on
def test_damaged_files_raise_only_codec_error(tmp_path_factory, kind, keep, flips):
    data = bytearray(SAMPLES[kind])
    for place, value in flips:
        data[int(place * len(data))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(data[: round(keep * len(data))]) if keep < 0.9 else bytes(data))
    for size in (None, 4):
        try:
            assert read_image(path, size=size).dtype == np.uint8
        except CodecError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
