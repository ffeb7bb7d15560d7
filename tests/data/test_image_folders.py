"""images:DIR with everything that lies around in folders of pictures."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.data.loader import Loader
from train.data.source import open_source
from zoo.errors import UserError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def picture(source, index: int) -> np.ndarray:
    return source.codec.decode(source.read(np.array([index], np.int32))["image"])[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dozen good pictures of every kind, called after their order, and what else there may be."""
    warnings.filterwarnings("ignore", module="PIL")
    where = tmp_path / "pictures"
    (where / "deep" / "er").mkdir(parents=True)
    gradient(40, 24).save(where / "00_wide.jpg", quality=95)
    gradient(24, 40).convert("L").save(where / "01_grey.png")
    Image.new("RGBA", (30, 30), (255, 0, 0, 0)).save(where / "02_clear.png")
    Image.new("RGB", (20, 20), BLUE).save(where / "03_blue.webp", lossless=True)
    Image.new("P", (20, 20), 0).save(where / "04_palette.png")
    Image.fromarray(np.full((20, 20), 65535, np.uint16)).save(where / "05_sixteen.png")
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(where / "06_cmyk.jpg", quality=95)
    Image.new("1", (20, 20), 1).save(where / "07_bits.png")
    sideways = Image.new("RGB", (40, 20), RED)
    sideways.paste(GREEN, (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, clockwise: green above red
    sideways.save(where / "08_exif.jpg", quality=95, exif=exif)
    gradient(1, 1).save(where / "deep" / "09_dot.PNG")
    Image.new("LA", (16, 16), (0, 128)).save(where / "deep" / "er" / "10_half.png")
    gradient(200, 150).save(where / "deep" / "er" / "11_large.png")
    (where / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nonsense")
    (where / "empty.jpg").touch()
    (where / "text.gif").write_text("no picture")
    data = (where / "00_wide.jpg").read_bytes()
    (where / "truncated.jpg").write_bytes(data[: len(data) // 2])
    (where / "README.txt").write_text("not a picture, and not called one")
    (where / ".hidden.png").write_text("x")
    return where


def test_every_kind_of_picture(folder: Path) -> None:
    names = [path.name for path in sorted(folder.rglob("[01]*"), key=lambda p: p.relative_to(folder).as_posix())]
    train = open_source(f"images:{folder}?size=16")
    held = open_source(f"images:{folder}?size=16", "valid")
    assert train.size + held.size == len(names) == 12
    assert train.fields == {"image_size": 16, "channels": 3}
    stacked = np.concatenate([s.read(np.arange(s.size, dtype=np.int32))["image"] for s in (train, held)])
    assert stacked.shape == (12, 16, 16, 3) and stacked.dtype == np.float32
    assert stacked.min() >= -1 and stacked.max() <= 1
    means = {tuple(mean) for mean in np.round(train.codec.decode(stacked).mean(axis=(1, 2))).astype(int).tolist()}
    for wanted in [(255, 255, 255), BLUE, (0, 0, 0), (127, 127, 127)]:  # clear and 16 bits, webp, palette, half
        assert any(np.abs(np.subtract(mean, wanted)).max() <= 2 for mean in means), wanted
    assert any(np.abs(np.subtract(mean, RED)).max() <= 6 for mean in means)  # cmyk


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    sources = [open_source(f"images:{folder}?size=16", split) for split in ("train", "valid")]
    skipped = {line.split(":")[0]: line for source in sources for line in source.skipped}
    assert skipped.keys() == {"broken.png", "empty.jpg", "text.gif", "truncated.jpg"}
    assert "empty" in skipped["empty.jpg"] and str(folder) not in " ".join(skipped.values())


def test_pictures_stand_upright_and_are_cropped_to_the_centre(tmp_path: Path) -> None:
    sideways = Image.new("RGB", (40, 20), RED)
    sideways.paste(GREEN, (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        sideways.save(tmp_path / f"{name}.png", exif=exif)
    pixels = picture(open_source(f"images:{tmp_path}"), 0)
    assert pixels.shape == (20, 20, 3)
    assert (pixels[:10] == GREEN).all() and (pixels[10:] == RED).all()


def test_channels(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(tmp_path / f"{name}.png")
    means = {c: picture(open_source(f"images:{tmp_path}?channels={c}"), 0).mean(axis=(0, 1)) for c in (1, 3, 4)}
    assert np.allclose(means[4], [255, 0, 0, 128], atol=1)
    assert np.allclose(means[3], [255, 127, 127], atol=1)
    assert np.allclose(means[1], [0.299 * 255 + 0.701 * 127], atol=1.5)


def test_sizes(folder: Path, tmp_path: Path) -> None:
    assert open_source(f"images:{folder}").fields["image_size"] == 16  # a power of two that most reach
    assert open_source(f"images:{folder}?size=20", image_size=8).fields["image_size"] == 8
    for name in ("a", "b"):
        gradient(30, 44).save(tmp_path / f"{name}.png")
    assert open_source(f"images:{tmp_path}").fields["image_size"] in (16, 30)


def test_one_size_is_kept_pixel_by_pixel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 12, 12, 3), np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    source = open_source(f"images:{tmp_path}")
    assert source.arrays["image"].dtype == np.uint8
    read = source.codec.decode(source.read(np.arange(9, dtype=np.int32))["image"])
    assert {image.tobytes() for image in read} < {image.tobytes() for image in images}


def test_subfolders_are_classes_and_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label, colour in (("cats", RED), ("dogs", BLUE)):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (8, 8), colour).save(tmp_path / split / label / f"{i}.png")
    train, valid = (open_source(f"images:{tmp_path}", split) for split in ("train", "valid"))
    assert train.size == 6 and valid.size == 6 and train.fields["classes"] == 2 and train.labels == ("cats", "dogs")
    batch = train.read(np.arange(6, dtype=np.int32))
    assert batch["label"].dtype == np.int32
    assert all((pixels[0, 0, 2] == 1) == label for pixels, label in zip(batch["image"], batch["label"], strict=True))
    Image.new("RGB", (8, 8), RED).save(tmp_path / "train" / "stray.png")
    assert "classes" not in open_source(f"images:{tmp_path}").fields


def test_labels_stay_with_their_pictures_when_files_are_skipped(tmp_path: Path) -> None:
    for label, colour in (("cats", RED), ("dogs", BLUE)):
        (tmp_path / label).mkdir()
        for i in range(10):
            Image.new("RGB", (32, 32), colour).save(tmp_path / label / f"{i}.png")
    for i in range(5):  # a whole header, and half of the pixels
        path = tmp_path / "cats" / f"{i}.png"
        path.write_bytes(path.read_bytes()[:60])
    for split in ("train", "valid"):
        source = open_source(f"images:{tmp_path}", split)
        batch = source.read(np.arange(source.size, dtype=np.int32))
        assert (batch["image"][:, 0, 0, 2] == 2 * batch["label"] - 1).all()
        assert all(line.startswith("cats/") for line in source.skipped)
    assert len(open_source(f"images:{tmp_path}").skipped) >= 3


def test_from_disk_is_the_same_as_from_memory(folder: Path) -> None:
    (folder / "truncated.jpg").unlink()  # only decoding tells, which reading from disk puts off
    memory = Loader(open_source(f"images:{folder}?size=16"), 4, seed=1)
    disk = Loader(open_source(f"images:{folder}?size=16&from=disk"), 4, seed=1)
    assert disk.source.fetch is not None and not disk.source.arrays
    assert disk.source.skipped == memory.source.skipped and disk.source.fields == memory.source.fields
    assert disk.source.batch_spec(4) == memory.source.batch_spec(4)
    stream = disk.stream(2)
    for step in range(2, 6):
        assert np.array_equal(next(stream)["image"], memory.batch(step)["image"])
    stream.close()


def test_a_file_that_breaks_during_a_run_is_named(tmp_path: Path) -> None:
    for i in range(10):
        gradient(8, 8).save(tmp_path / f"{i}.jpg")
    source = open_source(f"images:{tmp_path}?from=disk")
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"\d.jpg: .*take the file away and resume"):
        next(Loader(source, 4, 0).stream())


def test_a_bomb_is_skipped(tmp_path: Path) -> None:
    for i in range(2):
        gradient(8, 8).save(tmp_path / f"{i}.png")
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")
    for where in ("memory", "disk"):
        source = open_source(f"images:{tmp_path}?from={where}")
        assert source.fields["image_size"] == 8
        assert len(source.skipped) == 1 and source.skipped[0].startswith("bomb.png: 12000 x 12000 pixels")


def test_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    suffixes = ["png", "gif", "bmp", "tiff", "webp", "ppm"]
    for suffix in suffixes:
        gradient(8, 8).save(tmp_path / f"a.{suffix}")
    sources = [open_source(f"images:{tmp_path}", split) for split in ("train", "valid")]
    named = {line.split(":")[0] for source in sources for line in source.skipped}
    assert sum(source.size for source in sources) + len(named) == len(suffixes)
    assert named == {"a.tiff", "a.ppm"}


def test_the_first_frame_of_a_film(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    gradient(8, 8).save(tmp_path / "still.bmp")
    (tmp_path / "broken.gif").write_bytes((tmp_path / "film.gif").read_bytes()[:40])
    sources = [open_source(f"images:{tmp_path}", split) for split in ("train", "valid")]
    pictures = {picture(source, i).tobytes() for source in sources for i in range(source.size)}
    assert pictures == {np.asarray(frames[0]).tobytes(), np.asarray(gradient(8, 8)).tobytes()}
    assert {line.split(":")[0] for source in sources for line in source.skipped} == {"broken.gif"}


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for i in range(3):
        gradient(8, 8).save(tmp_path / "elsewhere" / f"{i}.png")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    sizes = [open_source(f"images:{tmp_path / 'set'}", split).size for split in ("train", "valid")]
    assert sum(sizes) == 3


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no picture that can be read"):
        open_source(f"images:{tmp_path}")
    (tmp_path / "a.png").write_text("x")
    with pytest.raises(UserError, match=r"first: a\.png: "):
        open_source(f"images:{tmp_path}")


@pytest.mark.data
def test_photographs_and_paintings(zoo_data: Path) -> None:
    source = open_source(f"images:{zoo_data}/style_content", image_size=32)
    assert source.size == 14 and source.labels == ("content", "style") and not source.skipped
    batch = source.read(np.arange(14, dtype=np.int32))
    assert batch["image"].std() > 0.3 and set(batch["label"]) == {0, 1}
