"""pairs: matched by name, side by side, or not at all; and the pairs that are drawn."""

from pathlib import Path

import numpy as np
import pytest

from train.data.source import open_source
from zoo.codecs.images import write_png
from zoo.errors import UserError


def colour(value: int, *, width: int = 8, height: int = 8, channels: int = 3) -> np.ndarray:
    return np.full((height, width, channels), value, np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """a/N.png of grey 10 N, b/N.png of 10 N + 5, for 20 N."""
    for name in "ab":
        (tmp_path / name).mkdir()
    for n in range(20):
        write_png(colour(10 * n), tmp_path / "a" / f"{n}.png")
        write_png(colour(10 * n + 5), tmp_path / "b" / f"{n}.png")
    return tmp_path


def values(source, count=None):
    """(input, image) of the first examples, as the greys that they were written with."""
    batch = source.read(np.arange(count or source.size, dtype=np.int32))
    return tuple(np.rint((batch[key][:, 0, 0, 0] + 1) * 127.5).astype(int) for key in ("input", "image"))


@pytest.mark.parametrize("store", ["memory", "disk"])
def test_pairs_belong_together(folders, store):
    spec = f"pairs:{folders}/a,{folders}/b?from={store}"
    train, valid = open_source(spec), open_source(spec, "valid")
    assert (train.size, valid.size) == (18, 2)
    assert train.fields == {"image_size": 8, "channels": 3, "input_channels": 3}
    seen = set()
    for source in (train, valid):
        first, second = values(source)
        np.testing.assert_array_equal(second, first + 5)
        seen |= set(first.tolist())
    assert seen == set(range(0, 200, 10))  # every pair once, in one of the splits
    first, second = values(open_source(f"{spec}&direction=ba"))
    np.testing.assert_array_equal(first, second + 5)


def test_channels_of_both_sides_and_a_size(folders):
    source = open_source(f"pairs:{folders}/a,{folders}/b?channels=1&input_channels=4&size=16")
    shapes = {key: spec.shape for key, spec in source.batch_spec(2).items()}
    assert shapes == {"input": (2, 16, 16, 4), "image": (2, 16, 16, 1)}
    assert source.codec.channels == 1


@pytest.mark.parametrize("store", ["memory", "disk"])
def test_maps_of_labels(folders, store):
    (folders / "maps").mkdir()
    rng = np.random.default_rng(0)
    maps = {n: rng.integers(0, 4, (8, 8, 1)).astype(np.uint8) for n in range(20)}
    for n, labels in maps.items():
        write_png(labels, folders / "maps" / f"{n}.png")
    spec = f"pairs:{folders}/maps,{folders}/b?from={store}"
    source = open_source(f"{spec}&labels=4")
    assert source.fields == {"image_size": 8, "channels": 3, "input_channels": 4, "maps": True}
    batch = source.read(np.arange(source.size, dtype=np.int32))
    numbers = (np.rint((batch["image"][:, 0, 0, 0] + 1) * 127.5).astype(int) - 5) // 10
    for n, planes in zip(numbers, batch["input"], strict=True):
        np.testing.assert_array_equal(planes, np.eye(4)[maps[int(n)][..., 0]] * 2 - 1)
    with pytest.raises(UserError, match=r"label 3, where there are 0 to 2; say how many there are by labels=N"):
        read = open_source(f"{spec}&labels=3")
        read.read(np.arange(read.size, dtype=np.int32))
    for more, words in (("labels=4&input_channels=1", "leave input_channels out"), ("labels=1", "at least 2")):
        with pytest.raises(UserError, match=words):
            open_source(f"{spec}&{more}")
    with pytest.raises(UserError, match="folder of their own"):
        open_source(f"pairs:{folders}/maps?labels=4")


def test_two_halves_of_a_picture(tmp_path):
    for n in range(10):
        both = np.concatenate([colour(10 * n, height=6, width=6), colour(10 * n + 5, height=6, width=6)], axis=1)
        write_png(both, tmp_path / f"{n}.png")
    first, second = values(open_source(f"pairs:{tmp_path}"))
    assert len(first) == 9
    np.testing.assert_array_equal(second, first + 5)
    write_png(colour(0, width=7, height=6), tmp_path / "odd.png")
    assert "odd.png: 7 pixels wide" in open_source(f"pairs:{tmp_path}").skipped[0]


@pytest.mark.parametrize("store", ["memory", "disk"])
def test_without_a_match_an_epoch_is_all_pairs(folders, store):
    for n in range(10, 20):
        (folders / "b" / f"{n}.png").unlink()
    spec = f"pairs:{folders}/a,{folders}/b?match=none&from={store}"
    train, valid = open_source(spec), open_source(spec, "valid")
    assert train.size == 18 * 9
    assert len(set(zip(*values(train), strict=True))) == 18 * 9
    assert valid.size == 2 and len(set(values(valid)[0].tolist())) == 2


def test_what_cannot_be_read_goes_with_its_partner(folders):
    (folders / "a" / "3.png").write_bytes(b"no picture")
    whole = (folders / "b" / "5.png").read_bytes()
    (folders / "b" / "5.png").write_bytes(whole[:45])  # its header is a picture's
    spec = f"pairs:{folders}/a,{folders}/b"
    sources = [open_source(spec, split) for split in ("train", "valid")]
    seen = np.concatenate([values(source)[0] for source in sources])
    assert not {30, 50} & set(seen.tolist()) and len(seen) == 18
    assert len({line.split(":")[0] for source in sources for line in source.skipped}) == 2


def lonely(folder: Path):
    (folder / "a" / "7.png").unlink()
    return "", "7.png has no partner of that name in"


def doubled(folder: Path):
    write_png(colour(0), folder / "a" / "7.PNG")
    return "", "keep one"


def squeezed(folder: Path):
    write_png(colour(0, width=9), folder / "b" / "7.png")
    return "", "a pair has one shape"


def unreadable(folder: Path):
    for file in (folder / "b").iterdir():
        file.write_bytes(b"")
    return "", "no picture that can be read; first: 0.png: empty file"


@pytest.mark.parametrize("spoil", [lonely, doubled, squeezed, unreadable])
def test_what_does_not_match_is_one_line(folders, spoil):
    options, words = spoil(folders)
    with pytest.raises(UserError) as error:
        open_source(f"pairs:{folders}/a,{folders}/b{options}")
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("pairs:{0}/a,{0}/c", "no such folder: {0}/c; write pairs:A,B"),
        ("pairs:{0}/a,", "no such folder: (none given)"),
        ("pairs:{0}/a,{0}/b?match=maybe", "match=maybe should be one of name, none"),
        ("pairs:{0}/a,{0}/b?channels=2", "channels=2 should be one of 1, 3, 4"),
        ("sketch?match=none", "no option 'match'; sketch takes size, count, family, palette"),
        ("sketch?palette=grey", "palette=grey should be one of great wave"),
        ("seasons?family=bloom", "no option 'family'; seasons takes size, count"),
    ],
)
def test_bad_specs_are_one_line(folders, spec, words):
    with pytest.raises(UserError) as error:
        open_source(spec.format(folders))
    assert words.format(folders) in str(error.value) and "\n" not in str(error.value)


def test_a_sketch_is_of_its_picture():
    """White where nothing changes, dark on edges; the picture is art's own, and the splits share none."""
    source, art = open_source("sketch?size=32&palette=all&family=bloom"), open_source("art?size=32&family=bloom")
    batch, plain = (s.read(np.arange(6, dtype=np.int32)) for s in (source, art))
    assert batch["input"].shape == (6, 32, 32, 1) and source.fields["input_channels"] == 1
    np.testing.assert_allclose(batch["image"], plain["image"], atol=1e-6)
    steps = np.abs(np.diff(batch["image"], axis=2)).sum(-1)
    lines = batch["input"][:, :, 1:, 0]
    assert lines[steps > 1].mean() < -0.8 and lines[steps < 0.01].mean() > 0.3
    sunset = open_source("sketch?size=32&family=bloom").read(
        np.arange(6, dtype=np.int32)
    )  # the same places in one light
    assert np.abs(sunset["image"] - batch["image"]).max() > 0.3
    assert (sunset["image"][..., 0].mean((1, 2)) > sunset["image"][..., 2].mean((1, 2))).all()  # red, every one
    other = open_source("sketch?size=32&palette=all&family=bloom", "valid")
    assert other.size == 1024 and np.abs(other.read(np.arange(6, dtype=np.int32))["image"] - batch["image"]).max() > 0.1


def test_looks_have_nothing_to_do_with_the_pictures():
    source = open_source("looks?size=16")
    batch = source.read(np.arange(8, dtype=np.int32))
    assert batch["input"].shape == batch["image"].shape == (8, 16, 16, 3) and source.fields["input_channels"] == 3
    assert np.abs(batch["input"] - batch["image"]).mean((1, 2, 3)).min() > 0.05


def test_seasons_are_warm_and_cold():
    """Red over blue in the one set, blue over red in the other, of different places."""
    batch = open_source("seasons?size=16").read(np.arange(16, dtype=np.int32))
    warmth = {key: batch[key][..., 0].mean((1, 2)) - batch[key][..., 2].mean((1, 2)) for key in ("input", "image")}
    assert warmth["input"].mean() > 0.2 and warmth["image"].mean() < -0.05
    grey = {key: batch[key].mean(-1).reshape(16, -1) for key in warmth}
    assert np.abs(np.corrcoef(grey["input"], grey["image"])[range(16), range(16, 32)]).mean() < 0.9


def test_pairs_are_not_prepared(folders, tmp_path):
    from train.data.prepare import prepare

    with pytest.raises(UserError, match="read from their folders"):
        prepare(f"pairs:{folders}/a,{folders}/b", tmp_path / "sets")
