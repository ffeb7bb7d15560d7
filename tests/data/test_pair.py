"""pair: a content and the pictures whose look it is to have."""

import numpy as np
import pytest

from train.data.source import open_source
from zoo.codecs.images import write_png
from zoo.errors import UserError


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, shape in {
        "content": (30, 60),
        "style": (50, 40),
        "wide": (40, 70),
        "dot": (1, 1),
        "thin": (4, 400),
    }.items():
        write_png(rng.integers(0, 256, (*shape, 3), np.uint8), tmp_path / f"{name}.png")
    return tmp_path


def test_pictures_keep_their_shapes_and_styles_take_the_first_one_s(folder):
    source = open_source(
        f"pair:{folder}/content.png,{folder}/style.png,{folder}/wide.png?size=64&style_size=32&weights=3,1"
    )
    assert source.size == 1 and source.fields == {
        "height": 32, "width": 64, "style_height": 32, "style_width": 26, "styles": 2
    }  # fmt: skip
    batch = source.read(np.zeros(2, np.int32))
    assert batch["input"].shape == (2, 32, 64, 3) and batch["style"].shape == (2, 2, 32, 26, 3)
    assert np.abs(batch["input"]).max() <= 1
    np.testing.assert_array_equal(batch["guide"], np.broadcast_to(np.float32([3, 1]), (2, 32, 64, 2)))


def test_one_picture_is_both_and_none_are_drawn(folder):
    source = open_source(f"pair:{folder}/style.png?size=40")
    np.testing.assert_array_equal(source.arrays["input"], source.arrays["style"][0])
    drawn, other = open_source("pair?size=16"), open_source("pair?size=16&seed=1")
    assert drawn.arrays["input"].shape == (16, 16, 3)
    assert not np.array_equal(drawn.arrays["style"], other.arrays["style"])


def test_regions_have_styles_of_their_own(folder):
    labels = np.zeros((30, 60, 1), np.uint8)
    labels[:, 30:] = 1
    write_png(labels, folder / "map.png")
    spec = f"pair:{folder}/content.png,{folder}/style.png,{folder}/wide.png?size=60&regions={folder}/map.png"
    guide = open_source(spec).arrays["guide"]
    assert guide[:, :30, 0].min() == guide[:, 30:, 1].min() == 1 and guide.sum() == 30 * 60


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("content.png,{0}/gone.png", "no such file"),
        ("content.png,{0}/dot.png", "1 x 1 pixels"),
        ("thin.png,{0}/style.png", "16 or more are needed"),
        ("content.png,{0}/style.png?weights=1,2", "weights should be 1 numbers"),
        ("content.png,{0}/style.png?weights=0", "above 0"),
        ("content.png,{0}/style.png,{0}/wide.png?regions={0}/gone.png", "gone.png"),
        ("content.png,{0}/style.png,{0}/wide.png?regions={0}/content.png", "labels 0 to 1"),
        ("content.png,{0}/style.png?colour=blue", "no option"),
        ("content.png,{0}/style.png?size=4", "at least 16"),
    ],
)
def test_bad_specs_are_one_line(folder, rest, why):
    with pytest.raises(UserError, match=why) as caught:
        open_source(f"pair:{folder}/{rest.format(folder)}")
    assert "\n" not in str(caught.value)
