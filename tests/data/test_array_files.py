"""idx: and npz:, pictures and sequences that come as arrays; and art, which comes as nothing."""

import gzip
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from train.data.loader import Loader
from train.data.source import ENDLESS, open_source
from zoo.codecs import to_config
from zoo.codecs.voices import VoiceGrid
from zoo.errors import UserError

RNG = np.random.default_rng(0)
DIGITS = RNG.integers(0, 256, (30, 28, 28), np.uint8)
LABELS = np.arange(30, dtype=np.uint8) % 10


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(DIGITS[:20])))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[:20])))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(DIGITS[20:]))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS[20:]))
    return tmp_path


def read(spec: str, split: str = "train", **wishes) -> dict[str, np.ndarray]:
    source = open_source(spec, split, **wishes)
    return source.read(np.arange(source.size, dtype=np.int32))


def test_idx_files(mnist: Path) -> None:
    source = open_source(f"idx:{mnist}")
    assert source.fields == {"image_size": 28, "channels": 1, "classes": 10} and source.size == 20
    batch = read(f"idx:{mnist}")
    assert np.array_equal(source.codec.decode(batch["image"])[..., 0], DIGITS[:20])
    assert np.array_equal(batch["label"], LABELS[:20]) and batch["label"].dtype == np.int32
    for split in ("valid", "test"):
        assert np.array_equal(read(f"idx:{mnist}", split)["label"], LABELS[20:])


def test_slightly_larger_is_padded_and_the_rest_resized(mnist: Path) -> None:
    padded = read(f"idx:{mnist}", image_size=32)["image"]
    assert np.array_equal(padded[:, 2:30, 2:30], read(f"idx:{mnist}")["image"])
    assert (padded[:, :2] == -1).all() and (padded[:, :, 30:] == -1).all()
    small = read(f"idx:{mnist}", image_size=14)["image"]
    assert small.shape == (20, 14, 14, 1) and 0.1 < small.std() < padded[:, 2:30, 2:30].std()
    assert read(f"idx:{mnist}?channels=3")["image"].shape == (20, 28, 28, 3)
    assert np.ptp(read(f"idx:{mnist}?channels=3")["image"], axis=-1).max() == 0


@pytest.mark.parametrize("damage", [lambda b: b[:-5], lambda b: b[:7], lambda b: b"PK" + b, lambda b: b""])
def test_damaged_idx_files(mnist: Path, damage) -> None:
    for name in ("t10k-images-idx3-ubyte", "train-images-idx3-ubyte.gz"):
        whole = (mnist / name).read_bytes()
        (mnist / name).write_bytes(damage(whole))
        with pytest.raises(UserError, match=name):
            open_source(f"idx:{mnist}")
        (mnist / name).write_bytes(whole)


def test_the_usual_arrays(tmp_path: Path) -> None:
    colour = RNG.integers(0, 256, (30, 8, 8, 3), np.uint8)
    forms = {
        "nhwc": ({"images": colour, "labels": LABELS}, colour),
        "nchw": ({"x": np.moveaxis(colour, -1, 1), "y": LABELS}, colour),
        "unit": ({"image": colour / np.float32(255)}, colour),
        "signed": ({"image": colour / np.float64(127.5) - 1}, colour),
        "floats": ({"data": colour.astype(np.float32)}, colour),
        "wide": ({"image": colour.astype(np.uint16) * 257}, colour),
        "named": ({"stuff": np.zeros(3), "mine": colour, "label": LABELS}, colour),
    }
    for name, (arrays, wanted) in forms.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        source = open_source(f"npz:{tmp_path}/{name}.npz" + ("?key=mine" if name == "named" else ""))
        got = source.codec.decode(source.read(np.arange(source.size, dtype=np.int32))["image"])
        assert source.size == 27
        assert {image.tobytes() for image in got} < {image.tobytes() for image in wanted}, name
        assert ("classes" in source.fields) == any(key in arrays for key in ("labels", "y", "label"))


def test_floats_keep_their_precision(tmp_path: Path) -> None:
    values = RNG.random((10, 4, 4, 1)).astype(np.float32)
    np.savez(tmp_path / "a.npz", image=values)
    source = open_source(f"npz:{tmp_path}/a.npz")
    assert source.arrays["image"].dtype == np.float32
    assert np.isin(np.round(read(f"npz:{tmp_path}/a.npz")["image"], 5), np.round(values * 2 - 1, 5)).all()
    assert open_source(f"npz:{tmp_path}/a.npz", image_size=8).arrays["image"].shape[1:] == (8, 8, 1)


def test_arrays_with_splits_of_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "keras.npz", x_train=DIGITS[:20], y_train=LABELS[:20], x_test=DIGITS[20:], y_test=LABELS[20:])
    assert open_source(f"npz:{tmp_path}/keras.npz").size == 20
    assert np.array_equal(read(f"npz:{tmp_path}/keras.npz", "test")["label"], LABELS[20:])


def test_held_out_arrays_keep_their_labels(tmp_path: Path) -> None:
    numbered = np.full((40, 4, 4), np.arange(40)[:, None, None], np.uint8)
    np.savez(tmp_path / "a.npz", image=numbered, label=np.arange(40))
    train, valid = (read(f"npz:{tmp_path}/a.npz", split) for split in ("train", "valid"))
    assert sorted([*train["label"], *valid["label"]]) == list(range(40)) and len(valid["label"]) == 4
    for batch in (train, valid):
        assert np.array_equal(np.rint((batch["image"][:, 0, 0, 0] + 1) * 127.5), batch["label"])


def test_names_of_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=DIGITS, label=LABELS % 2, label_names=["even", "odd"])
    np.savez(tmp_path / "b.npz", image=DIGITS, label=np.array(["odd" if n % 2 else "even" for n in LABELS]))
    for name in "ab":
        source = open_source(f"npz:{tmp_path}/{name}.npz")
        assert source.labels == ("even", "odd") and source.fields["classes"] == 2
    assert np.array_equal(read(f"npz:{tmp_path}/a.npz")["label"], read(f"npz:{tmp_path}/b.npz")["label"])


def test_tokens_and_rolls(tmp_path: Path) -> None:
    table = RNG.integers(1, 100, (20, 6))
    np.savez(tmp_path / "bytes.npz", tokens_train=table, tokens_test=table[:2])
    batch = read(f"npz:{tmp_path}/bytes.npz", "test")
    assert np.array_equal(batch["tokens"][0], table[:2].ravel())  # bytes are one text
    codec = VoiceGrid(steps_per_quarter=2)
    np.savez(
        tmp_path / "voices.npz",
        tokens=np.full(40, 60),
        offsets=np.arange(0, 44, 4),
        codec=json.dumps(to_config(codec)),
    )
    source = open_source(f"npz:{tmp_path}/voices.npz")
    assert source.codec == codec and source.size == 9 and source.fields["vocabulary"] == codec.vocabulary
    np.savez(tmp_path / "rolls.npz", roll=np.ones((10, 5, 88), np.uint8), length=np.arange(10) % 5 + 1)
    rolls = read(f"npz:{tmp_path}/rolls.npz")
    assert rolls["roll"].shape == (9, 5, 88) and np.array_equal(rolls["roll"].sum(axis=(1, 2)), 88 * rolls["length"])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"image": np.array([{}], dtype=object)}, "Python objects"),
        ({"image": np.zeros((3, 5))}, "no set of pictures"),
        ({"image": np.zeros((0, 8, 8))}, "no examples"),
        ({"image": np.full((3, 8, 8), np.nan)}, "NaN"),
        ({"image": np.full((3, 8, 8), 300)}, "0..255"),
        ({"image": np.full((3, 8, 8), -2.0)}, "[-1, 1]"),
        ({"image": np.full((3, 8, 8), "a")}, "numbers"),
        ({"image": np.zeros((3, 8, 8)), "label": np.zeros(2, int)}, "labels of shape (2,)"),
        ({"image": np.zeros((3, 8, 8)), "label": np.array([0, -1, 2])}, "whole numbers from 0"),
        ({"pixels": np.zeros((3, 8, 8))}, "it holds pixels"),
        ({"tokens": np.array([[1, 900]])}, "tokens up to 900"),
        ({"tokens": np.array([[0.5]])}, "cannot be read as tokens"),
        ({"tokens": np.arange(9), "offsets": np.array([0, 99])}, "offsets should rise"),
        ({"tokens": np.ones((2, 3), int), "length": np.array([1, 9])}, "2 lengths from 0 to 3"),
        ({"tokens": np.arange(9), "codec": "{}"}, "'codec'"),
        ({"roll": np.zeros((5, 87))}, "cannot be read as roll"),
    ],
)
def test_arrays_that_make_no_sense(arrays: dict, words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError) as caught:
        open_source(f"npz:{tmp_path}/a.npz")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", image=DIGITS)
    whole = (tmp_path / "whole.npz").read_bytes()
    for name, data in {"junk": b"junk", "none": b"", "half": whole[: len(whole) // 2]}.items():
        (tmp_path / f"{name}.npz").write_bytes(data)
        with pytest.raises(UserError, match=name):
            open_source(f"npz:{tmp_path}/{name}.npz")


@pytest.fixture
def scribble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise instead of art, which takes long to compile."""
    noise = lambda key, size, families: (jax.random.uniform(key, (size, size, 3), minval=-1), jax.numpy.int32(0))
    monkeypatch.setattr("zoo.algorithmic.art.draw_labelled", noise)


def test_art_gives_pictures() -> None:
    spec = open_source("art?size=8").batch_spec(5)["image"]
    assert spec.shape == (5, 8, 8, 3) and spec.dtype == np.float32


def test_art_never_repeats(scribble: None) -> None:
    source = open_source("art?size=8")
    assert source.size == ENDLESS and not source.arrays
    assert source.fields == {"image_size": 8, "channels": 3, "classes": len(source.labels)}
    batch = Loader(source, 8, seed=0).batch(0)["image"]
    assert batch.shape == (8, 8, 8, 3) and batch.dtype == np.float32 and np.abs(batch).max() <= 1
    assert len({image.tobytes() for image in batch}) == 8 and batch.std() > 0.2
    assert np.array_equal(batch, Loader(open_source("art", image_size=8), 8, seed=0).batch(0)["image"])


def test_splits_of_art_share_no_picture(scribble: None) -> None:
    same = np.arange(8, dtype=np.int32)
    pictures = [open_source("art?size=8&count=100", split).read(same)["image"] for split in ("train", "valid", "test")]
    assert len({image.tobytes() for batch in pictures for image in batch}) == 24
    assert [open_source("art?count=100", split).size for split in ("train", "valid")] == [100, 10]
    assert open_source("art", "test").size == 1024


@pytest.mark.data
def test_mnist_itself(zoo_data: Path) -> None:
    train, test = (open_source(f"idx:{zoo_data}/mnist", split, image_size=32) for split in ("train", "test"))
    assert (train.size, test.size) == (60_000, 10_000)
    assert abs(train.arrays["image"][:, 2:30, 2:30].mean() / 255 - 0.1307) < 1e-4  # the mean that everybody knows
    assert train.read(np.arange(5, dtype=np.int32))["label"].tolist() == [5, 0, 4, 1, 9]
