"""Maps of labels: PNG files whose pixels are numbers of kinds."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from zoo.codecs.errors import CodecError
from zoo.codecs.maps import LabelError, LabelMap

LABELS = np.random.default_rng(0).integers(0, 5, (9, 12)).astype(np.uint8)


def written(path: Path, mode: str) -> Path:
    picture = Image.fromarray(LABELS.astype(np.uint16) if mode == "I;16" else LABELS)
    if mode == "P":
        picture = picture.convert("P")
        picture.putdata(LABELS.ravel().tolist())
        picture.putpalette(np.random.default_rng(1).integers(0, 256, 768).astype(np.uint8).tobytes())
    picture.save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_numbers_count_and_not_colours(tmp_path, mode):
    np.testing.assert_array_equal(LabelMap(5).read(written(tmp_path / "a.png", mode))[..., 0], LABELS)


def test_a_smaller_map_keeps_labels(tmp_path):
    file = written(tmp_path / "a.png", "L")
    np.testing.assert_array_equal(LabelMap(5).read(file, size=3)[..., 0], LABELS[1::3, 2:-1:3][:, :3])
    np.testing.assert_array_equal(LabelMap(5).read(file, size=18)[::2, ::2, 0], LABELS[:, 1:10])


def test_planes():
    codec = LabelMap(5)
    planes = codec.encode(LABELS[..., None])
    assert planes.dtype == np.float32 and planes.shape == (9, 12, 5)
    np.testing.assert_array_equal(planes.argmax(-1), LABELS)
    assert set(np.unique(planes)) == {-1, 1} and (planes.sum(-1) == -3).all()
    np.testing.assert_array_equal(codec.encode(jnp.asarray(LABELS[..., None])), planes)
    colours = codec.colours(np.arange(5, dtype=np.uint8)[None, :, None])[0].astype(int)
    assert min(np.abs(a - b).max() for i, a in enumerate(colours) for b in colours[:i]) > 40


def test_what_is_no_map(tmp_path):
    file = written(tmp_path / "a.png", "L")
    with pytest.raises(LabelError, match=r"a.png: label 4, where there are 0 to 2$"):
        LabelMap(3).read(file)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "rgb.png")
    Image.fromarray(LABELS).save(tmp_path / "a.jpg")
    (tmp_path / "cut.png").write_bytes(file.read_bytes()[:60])
    for name, words in (("rgb.png", "grey PNG"), ("a.jpg", "not a PNG"), ("cut.png", None), ("none.png", None)):
        with pytest.raises(CodecError, match=words):
            LabelMap(5).read(tmp_path / name)
    for labels in (1, 257):
        with pytest.raises(CodecError, match="2 to 256"):
            LabelMap(labels)
