"""What is prepared comes back: the same examples, codec and splits, in another process, and by plain tfds."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from train.data.__main__ import main
from train.data.loader import sweep
from train.data.prepare import prepare
from train.data.source import open_source
from zoo.codecs import Notes, write_midi
from zoo.errors import UserError

RNG = np.random.default_rng(0)


def examples(spec: str, split: str) -> list[dict[str, np.ndarray]]:
    source = open_source(spec, split)
    return [
        {key: value[i] for key, value in b.items()}
        for b in sweep(source, 8)
        for i in range(len(next(iter(b.values()))))
    ]


def assert_same(spec: str, folder: Path) -> None:
    for split in ("train", "valid", "test"):
        ours, theirs = open_source(spec, split), open_source(f"tfds:{folder}", split)
        assert (ours.codec, ours.size, ours.fields, ours.labels) == (
            theirs.codec,
            theirs.size,
            theirs.fields,
            theirs.labels,
        )
        for a, b in zip(examples(spec, split), examples(f"tfds:{folder}", split), strict=True):
            assert a.keys() == b.keys()
            assert all(np.array_equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures(tmp_path: Path, channels: int) -> None:
    for label in ("cats", "dogs"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(RNG.integers(0, 256, (6, 9, 4), np.uint8)).save(tmp_path / "pets" / label / f"{i}.png")
    spec = f"images:{tmp_path}/pets?channels={channels}"
    folder, written = prepare(spec, tmp_path / "out")
    assert written and folder == tmp_path / "out" / "pets" / "1.0.0"
    assert_same(spec, folder)


def test_music(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    for i in range(12):
        start = np.arange(9 + i) * 0.5
        write_midi(Notes(start, start + 0.5, RNG.integers(50, 70, 9 + i)), tmp_path / "songs" / f"{i}.mid")
    for kind in ("performance", "voices", "roll"):
        spec = f"midi:{tmp_path}/songs?codec={kind}"
        folder, _ = prepare(spec, tmp_path / "out", name=f"songs_{kind}")
        assert_same(spec, folder)
    prepare(f"midi:{tmp_path}/songs?codec=voices&transpose=3", tmp_path / "out", name="moved")
    moved = open_source(f"tfds:{tmp_path}/out/moved?transpose=3", length=17)  # whole pieces are stored, in their key
    assert moved.size == open_source(f"midi:{tmp_path}/songs?codec=voices&transpose=3", length=17).size


def test_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.data.prepare.CHUNK", 100)
    (tmp_path / "poems.txt").write_text("床前明月光\nab" * 120)
    spec = f"text:{tmp_path}/poems.txt"
    folder, _ = prepare(spec, tmp_path / "out")
    assert_same(spec, folder)
    for split in ("train", "valid"):
        sizes = {source: open_source(source, split, length=33).size for source in (spec, f"tfds:{folder}")}
        assert len(set(sizes.values())) == 1


def test_art_wants_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = lambda key, size, families: (jax.random.uniform(key, (size, size, 3), minval=-1), jax.numpy.int32(0))
    monkeypatch.setattr("zoo.algorithmic.art.draw_labelled", noise)
    with pytest.raises(UserError, match=r"art is endless.*count="):
        prepare("art", tmp_path)
    folder, _ = prepare("art?count=40&size=8", tmp_path)
    sizes = {split: open_source(f"tfds:{folder}", split).size for split in ("train", "valid", "test")}
    assert sizes == {"train": 40, "valid": 4, "test": 4}
    a, b = (open_source(spec).read(np.arange(9))["image"] for spec in ("art?count=40&size=8", f"tfds:{folder}"))
    assert np.abs(a - b).max() <= 1 / 255 + 1e-6  # 8 bits a channel


def test_splits_of_the_data_itself(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        **{f"{split}_roll": np.ones((n, 4, 88)) for split, n in (("train", 5), ("valid", 2), ("test", 3))},
    )
    folder, _ = prepare(f"rolls:{tmp_path}/a.npz?steps=2", tmp_path / "out")
    assert_same(f"rolls:{tmp_path}/a.npz?steps=2", folder)
    assert open_source(f"tfds:{folder}").codec.steps_per_quarter == 2


def test_again_is_nothing_and_something_else_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello, world\n" * 9)
    (tmp_path / "b.txt").write_text("something else\n" * 9)
    folder, written = prepare(f"text:{tmp_path}/a.txt", tmp_path / "out", name="hello")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert written and prepare(f"text:{tmp_path}/a.txt", tmp_path / "out", name="hello") == (folder, False)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    with pytest.raises(UserError, match="holds something else"):
        prepare(f"text:{tmp_path}/b.txt", tmp_path / "out", name="hello")
    with pytest.raises(UserError, match="no name for a set"):
        prepare(f"text:{tmp_path}/a.txt", tmp_path / "out", name="Hello world")


def test_a_failure_leaves_no_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("hello, world\n" * 9)

    def fails(source, kind):
        yield {"tokens": np.zeros(3, np.int32)}
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("train.data.prepare._records", fails)
        with pytest.raises(UserError, match="No space left"):
            prepare(f"text:{tmp_path}/a.txt", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("dataset_info.json"))
    assert prepare(f"text:{tmp_path}/a.txt", tmp_path / "out")[1]


def test_a_catalogue_set_needs_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'artzoo\[prepare\]'"):
        prepare("tfds:mnist", tmp_path)


def test_another_process_and_plain_tfds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One process writes; another reads, with our source and with tfds alone. Neither has TensorFlow."""
    (tmp_path / "a.txt").write_text("hello, world\n" * 9)
    assert main(["prepare", f"text:{tmp_path}/a.txt", "--out", f"{tmp_path}/out"]) == 0
    assert capsys.readouterr().out == f"written: {tmp_path}/out/a/1.0.0; use it as tfds:{tmp_path}/out/a/1.0.0\n"
    program = f"""
import json, sys
import tensorflow_datasets as tfds
from train.data.source import open_source
(row,) = tfds.data_source("a", split="train", data_dir="{tmp_path}/out")
codec = tfds.builder("a", data_dir="{tmp_path}/out").info.metadata["artzoo_codec"]
ours = open_source("tfds:{tmp_path}/out/a/1.0.0").arrays["tokens"]
print(json.dumps([row["tokens"].tolist(), ours.tolist(), codec, "tensorflow" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    tokens, ours, codec, imported = json.loads(done.stdout)
    assert codec == {"codec": "char", "alphabet": "\n ,dehlorw"} and not imported
    assert "".join(codec["alphabet"][t] for t in tokens) == ("hello, world\n" * 9)[: int(0.9 * 117)]
    assert ours[: len(tokens)] == tokens


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("figures?count=20", "pictures with words"),
        ("chimes?count=20", "sounds with pictures"),
        ("bounce?count=20", "films"),
    ],
)
def test_what_no_set_can_hold_is_one_line(tmp_path: Path, spec: str, what: str) -> None:
    with pytest.raises(UserError) as error:
        prepare(spec, tmp_path)
    assert str(error.value) == f"{spec}: {what} are read from their folders; there is no set to prepare"
    assert not any(tmp_path.iterdir())
