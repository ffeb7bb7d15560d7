"""tfds: sets that tfds wrote itself, mocked catalogue sets, sets that are not there. TensorFlow is never imported."""

import importlib.util
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.data.loader import Loader
from train.data.source import open_source
from zoo.errors import UserError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tfds's own affair, when it is imported
    import tensorflow_datasets as tfds

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (20, 8, 8, 3), np.uint8)


def build(name: str, folder: Path, features: dict, splits: dict[str, list[dict]], **options) -> Path:
    """A set as anybody writes one with tfds."""

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(rows) for split, rows in splits.items()}

        def _generate_examples(self, rows):
            yield from enumerate(rows)

    Builder.name = name
    options = {"file_format": "array_record"} | options
    builder = Builder(data_dir=str(folder), **options)
    builder.download_and_prepare(download_dir=str(folder.parent / "downloads"))
    return Path(builder.data_dir)


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sets that holds one, ``paintings``."""
    folder = tmp_path_factory.mktemp("tfds")
    features = {
        "image": tfds.features.Image(shape=(8, 8, 3)),
        "label": tfds.features.ClassLabel(names=["calm", "wild"]),
        "title": tfds.features.Text(),
    }
    rows = [{"image": Image.fromarray(x), "label": i % 2, "title": str(i)} for i, x in enumerate(PICTURES)]
    build("paintings", folder, features, {"train": rows[:15], "validation": rows[15:]})
    return folder


def everything(spec: str, split: str = "train", **wishes) -> dict[str, np.ndarray]:
    source = open_source(spec, split, **wishes)
    return source.read(np.arange(source.size, dtype=np.int32))


def pixels(batch: dict[str, np.ndarray]) -> set[bytes]:
    return {np.rint((image + 1) * 127.5).astype(np.uint8).tobytes() for image in batch["image"]}


def test_pictures_by_name_and_by_folder(paintings: Path) -> None:
    for spec in (f"tfds:paintings?data_dir={paintings}", f"tfds:{paintings}", f"tfds:{paintings}/paintings/1.0.0"):
        source = open_source(spec)
        assert source.fields == {"image_size": 8, "channels": 3, "classes": 2} and source.labels == ("calm", "wild")
        batch = everything(spec)
        assert pixels(batch) == {image.tobytes() for image in PICTURES[:15]}
        where = {image.tobytes(): i for i, image in enumerate(PICTURES)}
        for image, label in zip(batch["image"], batch["label"], strict=True):
            assert label == where[np.rint((image + 1) * 127.5).astype(np.uint8).tobytes()] % 2
        for split in ("valid", "test"):
            assert pixels(everything(spec, split)) == {image.tobytes() for image in PICTURES[15:]}


def test_pictures_at_other_sizes_and_from_disk(paintings: Path) -> None:
    spec = f"tfds:{paintings}"
    assert everything(spec, image_size=10)["image"].shape == (15, 10, 10, 3)
    assert everything(f"{spec}?size=4&channels=1")["image"].shape == (15, 4, 4, 1)
    memory, disk = (Loader(open_source(f"{spec}?from={where}"), 4, 0) for where in ("memory", "disk"))
    stream = disk.stream(5)
    for step in (5, 6, 7):
        batch, wanted = next(stream), memory.batch(step)
        assert all(np.array_equal(batch[key], wanted[key]) for key in wanted) and batch.keys() == wanted.keys()
    stream.close()


def test_a_set_without_splits_is_divided(tmp_path: Path) -> None:
    features = {"image": tfds.features.Image(shape=(4, 4, 1)), "label": tfds.features.ClassLabel(num_classes=30)}
    rows = [{"image": Image.fromarray(np.full((4, 4), i, np.uint8)), "label": i} for i in range(30)]
    build("shades", tmp_path, features, {"train": rows})
    train, valid = (everything(f"tfds:{tmp_path}", split) for split in ("train", "valid"))
    assert sorted([*train["label"], *valid["label"]]) == list(range(30)) and len(valid["label"]) == 3
    for batch in (train, valid):
        assert np.array_equal(np.rint((batch["image"][:, 0, 0, 0] + 1) * 127.5), batch["label"])


def test_texts_become_characters(tmp_path: Path) -> None:
    features = {"text": tfds.features.Text()}
    build("poems", tmp_path, features, {"train": [{"text": "abc" * 20}], "test": [{"text": "déf" * 9}]})
    source = open_source(f"tfds:{tmp_path}", length=6)
    assert source.codec.alphabet == "abcdfé" and source.size == 55
    assert (
        "".join(source.codec.decode(row[:5]) for row in everything(f"tfds:{tmp_path}", "test", length=6)["tokens"])[:9]
        == "défdéfdéf"
    )


def test_mocked_catalogue_set(tmp_path: Path) -> None:
    builder = tfds.builder("mnist", data_dir=tmp_path)
    template = tfds.core.ShardedFileTemplate(data_dir=Path(builder.data_dir), dataset_name="mnist", filetype_suffix="x")
    infos = [
        tfds.core.SplitInfo(name=n, shard_lengths=[5], num_bytes=9, filename_template=template.replace(split=n))
        for n in ("train", "test")
    ]
    Path(builder.data_dir).mkdir(parents=True)
    builder.info.set_splits(tfds.core.SplitDict(infos))
    builder.info.set_file_format("array_record", override=True)
    builder.info.write_to_directory(builder.data_dir)
    with tfds.testing.mock_data(num_examples=5, data_dir=str(tmp_path)):
        source = open_source(f"tfds:mnist?data_dir={tmp_path}", image_size=32)
        assert source.size == 5 and source.fields == {"image_size": 32, "channels": 1, "classes": 10}
        batch = source.read(np.arange(5, dtype=np.int32))
    assert batch["image"].shape == (5, 32, 32, 1) and batch["image"][:, 2:30, 2:30].std() > 0.2
    assert batch["label"].dtype == np.int32 and batch["label"].max() < 10


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("tfds:mnist?data_dir={here}", "python -m train.data prepare tfds:mnist"),
        ("tfds:nsynth?data_dir={here}", "python -m train.data prepare tfds:nsynth"),
        ("tfds:no_such_set?data_dir={here}", "no set of that name"),
        ("tfds:mnist/config?data_dir={here}", "BuilderConfig config not found"),
        ("tfds:mnist:9.9.9?data_dir={here}", "cannot be loaded at version 9.9.9"),
        ("tfds:{here}", "no prepared set in that folder"),
        ("tfds:{here}/none", "no such folder"),
    ],
)
def test_a_set_that_is_not_there_is_told_at_once(
    spec: str, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        open_source(spec.format(here=tmp_path))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert time.monotonic() - start < 10  # tfds would try the network for 204 s
    assert capfd.readouterr() == ("", "")


def test_several_sets_in_one_folder(paintings: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build(name, tmp_path, {"text": tfds.features.Text()}, {"train": [{"text": "hello"}]})
    with pytest.raises(UserError, match=r"name one of one/1\.0\.0, two/1\.0\.0"):
        open_source(f"tfds:{tmp_path}")


def test_sets_that_we_cannot_use(tmp_path: Path) -> None:
    build("numbers", tmp_path / "a", {"x": tfds.features.Scalar(np.int32)}, {"train": [{"x": 1}]})
    with pytest.raises(UserError, match="none of its features"):
        open_source(f"tfds:{tmp_path}/a")
    tokens = {"tokens": tfds.features.Tensor(shape=(None,), dtype=np.int32)}
    build("tokens", tmp_path / "b", tokens, {"train": [{"tokens": np.arange(3, dtype=np.int32)}] * 3})
    with pytest.raises(UserError, match="codec"):
        open_source(f"tfds:{tmp_path}/b")


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_nobody_imported_tensorflow(paintings: Path) -> None:
    everything(f"tfds:{paintings}")
    assert "tensorflow" not in sys.modules
