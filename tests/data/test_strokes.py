"""strokes: drawings from files of three kinds, with the splits that they have."""

import json
from pathlib import Path

import numpy as np
import pytest

from train.data.source import open_source
from zoo.codecs.svg import write_svg
from zoo.errors import UserError


def read(source, index=0):
    return {key: value[0] for key, value in source.read(np.array([index], np.int32)).items()}


def test_npz_with_splits_of_its_own(tmp_path: Path) -> None:
    points = np.array([[3, 0, 0], [0, 4, 1], [0, 0, 0], [-3, 0, 0], [0, 0, 1], [9, 9, 0], [1, 0, 1]], np.int16)
    arrays = {"train_points": points, "train_offsets": np.array([0, 2, 7]), "test_points": points[:2] * [[2, 2, 1]]}
    np.savez(tmp_path / "a.npz", **arrays, test_offsets=np.array([0, 2]))
    source = open_source(f"strokes:{tmp_path / 'a.npz'}", length=5)
    assert source.size == 2 and source.codec.scale == pytest.approx(points[[0, 1, 3, 5, 6], :2].std(), rel=1e-6)
    one = read(source)
    assert one["length"] == 3 and one["strokes"][3:].tolist() == [[0, 0, 0, 0, 1]] * 2
    np.testing.assert_allclose(one["strokes"][1:3, :2] * source.codec.scale, [[3, 0], [0, 4]], rtol=1e-6)
    assert one["strokes"][:3, 2:].tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0]]
    other = open_source(f"strokes:{tmp_path / 'a.npz'}", "valid", length=5)  # the one held-out set is both
    assert other.size == 1 and other.codec == source.codec
    np.testing.assert_allclose(read(other)["strokes"][1, :2] * source.codec.scale, [6, 0], rtol=1e-6)
    short = open_source(f"strokes:{tmp_path / 'a.npz'}", length=3)
    assert short.size == 1 and short.skipped == ("a.npz:1: 3 points, more than 2",)


def test_a_line_of_json_a_drawing(tmp_path: Path) -> None:
    rows = [{"word": "cat", "drawing": [[[0, 9, 9], [0, 0, 5], [1, 2, 3]], [[4], [k]]]} for k in range(20)]
    text = [*map(json.dumps, rows), "", "nonsense", '{"drawing": []}']
    (tmp_path / "cat.ndjson").write_text("\n".join(text))
    train, valid = (open_source(f"strokes:{tmp_path / 'cat.ndjson'}", split, length=9) for split in ("train", "valid"))
    assert (train.size, valid.size) == (18, 2) and len(train.skipped) == 2 and "cat.ndjson:22" in train.skipped[0]
    drawing = train.codec.decode(read(train)["strokes"])
    assert [len(stroke) for stroke in drawing] == [3, 1]


def test_a_folder_of_svg_files(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 2)):
        (tmp_path / part).mkdir()
        for number in range(count):
            square = np.array([[0, 0], [1, 0], [1, 1 + number], [0, 1], [0, 0.0]]) * 10
            write_svg([(square,)], tmp_path / part / f"{number}.svg")
    (tmp_path / "train" / "broken.svg").write_text("<svg>")
    source = open_source(f"strokes:{tmp_path}", length=8)
    assert source.size == 3 and open_source(f"strokes:{tmp_path}", "test", length=8).size == 2
    assert len(source.skipped) == 1 and "broken.svg" in source.skipped[0]
    low, high = (f(source.codec.decode(read(source, 1)["strokes"])[0], axis=0) for f in (np.min, np.max))
    assert max(high - low) == pytest.approx(255, rel=1e-5)  # of any size: brought to one


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("strokes:{here}/none.npz", "no such file"),
        ("strokes:{here}", "no drawings"),
        ("strokes:{here}/a.txt", "are read from .svg, .npz, .ndjson"),
        ("strokes:{here}/b.npz", "needs offsets"),
        ("strokes:{here}/c.npz", "finite numbers [N, 3]"),
        ("strokes:{here}/d.npz", "longer --model.context"),
        ("strokes:{here}/d.npz?epsilon=x", "epsilon=x"),
        ("doodles?family=dragon", "no family 'dragon'"),
    ],
)
def test_one_line_says_what_would_mend_it(spec: str, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (tmp_path / "a.txt").write_text("x")
    np.savez(tmp_path / "b.npz", points=np.zeros((3, 3)))
    np.savez(tmp_path / "c.npz", points=np.zeros((3, 2)), offsets=np.array([0, 3]))
    np.savez(tmp_path / "d.npz", points=np.arange(60).reshape(20, 3), offsets=np.array([0, 10, 20]))
    here = folder if spec.endswith("{here}") else tmp_path
    with pytest.raises(UserError) as caught:
        open_source(spec.format(here=here), length=5)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_real_kanji(zoo_data: Path) -> None:
    """KanjiVG: no row is lost, whether the pen is on the paper at first or not."""
    file = zoo_data / "sketch_strokes" / "short_kanji.npz"
    source = open_source(f"strokes:{file}", "test", length=97)
    with np.load(file) as arrays:
        points, offsets = arrays["test_points"], arrays["test_offsets"]
    assert source.size == 500 and source.skipped == ()
    for index in (0, 7, 499):
        rows = read(source, index)
        piece = points[offsets[index] : offsets[index + 1]]
        assert rows["length"] == len(piece) + 1
        np.testing.assert_array_equal(
            np.rint(rows["strokes"][1 : len(piece) + 1, :2] * source.codec.scale), piece[:, :2]
        )
