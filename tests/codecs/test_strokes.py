"""Drawings: their three forms, what an SVG is read as, and how they look."""

import json
from itertools import pairwise

import numpy as np
import pytest

from zoo.codecs import CodecError, from_config, to_config
from zoo.codecs.images import read_png
from zoo.codecs.media import write_samples
from zoo.codecs.strokes import END, START, StrokeCodec, bounds, lines, picture, simplify, three_columns
from zoo.codecs.svg import read_svg, write_svg


def drawing(*strokes):
    return tuple(np.array(stroke, np.float64) for stroke in strokes)


def random_drawing(seed: int):
    """Strokes of one to seven points with whole coordinates, the first at the origin; some begin where one ended."""
    rng = np.random.default_rng(seed)
    strokes, at = [], np.zeros(2)
    for _ in range(rng.integers(1, 6)):
        steps = rng.integers(-9, 10, (rng.integers(0, 7), 2))
        stroke = np.concatenate([at[None], at + np.cumsum(steps[np.any(steps != 0, axis=1)], axis=0)])
        strokes.append(stroke)
        at = stroke[-1] + rng.integers(0, 2) * rng.integers(-20, 21, 2)
    return tuple(strokes)


def same(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_forms_by_hand():
    music = drawing([[5, 5], [8, 5], [8, 9]], [[1, 1]], [[1, 2], [0, 2]])
    three = [[3, 0, 0], [0, 4, 1], [-7, -8, 1], [0, 1, 0], [-1, 0, 1]]
    assert three_columns(music).tolist() == three
    assert same(lines(np.array(three)), [stroke - 5 for stroke in music])  # the first point is the origin
    five = [
        [0, 0, 1, 0, 0],
        [1.5, 0, 1, 0, 0],
        [0, 2, 0, 1, 0],
        [-3.5, -4, 0, 1, 0],
        [0, 0.5, 1, 0, 0],
        [-0.5, 0, 0, 1, 0],
    ]
    codec = StrokeCodec(scale=2.0)
    assert codec.encode(music).tolist() == [*five, [0, 0, 0, 0, 1]] and codec.encode(music).dtype == np.float32
    dot = codec.encode(drawing([[3, 3]]))
    assert dot.tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]] and same(
        codec.decode(dot), drawing([[0, 0]])
    )


@pytest.mark.parametrize("scale", [1.0, 53.4])
def test_what_is_kept_is_kept_exactly(scale):
    codec = StrokeCodec(scale=scale)
    for seed in range(40):
        first = random_drawing(seed)
        rows = codec.encode(first)
        np.testing.assert_array_equal(codec.encode(codec.decode(rows)), rows)
        again = codec.decode(np.concatenate([rows, np.full((3, 5), 7)]))  # what comes behind END is nothing
        assert same([np.rint(stroke) for stroke in again], first)
        assert scale != 1.0 or same(again, first)


def test_a_model_s_rows_need_not_be_clean():
    codec = StrokeCodec()
    assert same(
        codec.decode(np.array([[3, 0, 0.4, 0.3, 0.3], [0, 2, 0.1, 0.2, 0.1]])), drawing([[0, 0], [3, 0], [3, 2]])
    )
    assert same(codec.decode(np.stack([START, END])), drawing([[0, 0]])) and same(
        codec.decode(END[None]), drawing([[0, 0]])
    )
    assert same(codec.decode(np.zeros((0, 5))), drawing([[0, 0]]))
    for wrong in (np.zeros((3, 4)), np.full((2, 5), np.nan)):
        with pytest.raises(CodecError):
            codec.decode(wrong)
    for wrong in ([], [np.zeros((0, 2))], [np.zeros(3)], [np.full((2, 2), np.inf)]):
        with pytest.raises(CodecError):
            codec.encode(wrong)
    assert from_config(json.loads(json.dumps(to_config(StrokeCodec(scale=3.5))))) == StrokeCodec(scale=3.5)


def test_simplified_lines_stay_near():
    angle = np.linspace(0, 3, 200)
    arc = 100 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for epsilon in (0.5, 2.0, 10.0):
        few = simplify(arc, epsilon)
        assert len(few) < 30 and np.array_equal(few[[0, -1]], arc[[0, -1]])
        dense = np.concatenate([np.linspace(a, b, 50) for a, b in pairwise(few)])
        assert np.linalg.norm(arc[:, None] - dense[None], axis=-1).min(1).max() <= epsilon + 0.3
    assert len(simplify(arc, 10.0)) < len(simplify(arc, 0.5))
    np.testing.assert_array_equal(simplify(np.array([[0, 0], [1, 0], [2, 0], [3, 1.0]]), 0.0), [[0, 0], [2, 0], [3, 1]])


# ---- SVG ------------------------------------------------------------------------------------------------------------


def test_a_drawing_in_an_svg_file_reads_back_exactly(tmp_path):
    for seed in range(10):
        one = tuple(stroke / 7 + 0.1 for stroke in random_drawing(seed))
        write_svg([one], tmp_path / "one.svg", meta={"model": "a & b <c>"})
        assert same(read_svg(tmp_path / "one.svg"), one)
    many = [random_drawing(seed) for seed in range(5)]
    write_svg(many, tmp_path / "many.svg", columns=2)
    assert len(read_svg(tmp_path / "many.svg")) == sum(map(len, many))
    low, high = bounds(read_svg(tmp_path / "many.svg"))
    assert low.min() >= 0 and high[0] <= 200 and 200 < high[1] <= 300


CIRCLE = [[10 + 5 * np.cos(a), 20 + 5 * np.sin(a)] for a in np.linspace(0, 2 * np.pi, 49)]
PATHS = {
    "M1 2 3 4 5,6": [[[1, 2], [3, 4], [5, 6]]],
    "m1,2 1 1 1 1 m-1 0 0 5z": [[[1, 2], [2, 3], [3, 4]], [[2, 4], [2, 9], [2, 4]]],
    "M0 0h5v-5H1V2": [[[0, 0], [5, 0], [5, -5], [1, -5], [1, 2]]],
    "M0 0L1 1zL-2-3": [[[0, 0], [1, 1], [0, 0]], [[0, 0], [-2, -3]]],
    "M.5.5l1e1-.5": [[[0.5, 0.5], [10.5, 0.0]]],
}


@pytest.mark.parametrize("data", PATHS)
def test_paths(data, tmp_path):
    found = svg(tmp_path, f'<path d="{data}"/>')
    assert len(found) == len(PATHS[data])
    for ours, theirs in zip(found, PATHS[data], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def svg(folder, inside):
    (folder / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="9">{inside}</svg>')
    return read_svg(folder / "a.svg")


def test_curves_and_shapes(tmp_path):
    t = np.arange(1, 25)[:, None] / 24
    points = [np.array(p, float) for p in ([0, 0], [1, 3], [4, 3], [5, 0])]
    cubic = sum(c * (1 - t) ** (3 - k) * t**k * p for k, (c, p) in enumerate(zip((1, 3, 3, 1), points, strict=True)))
    (ours,) = svg(tmp_path, '<path d="M0 0C1 3 4 3 5 0s4-3 5 0"/>')
    np.testing.assert_allclose(ours[1:25], cubic, atol=1e-12)
    np.testing.assert_allclose(ours[25:], np.array([5, 0]) + cubic * [1, -1], atol=1e-12)  # the mirrored control point
    (ours,) = svg(tmp_path, '<path d="M0 0q2 4 4 0t4 0"/>')
    np.testing.assert_allclose(ours[12], [2, 2], atol=1e-12)
    np.testing.assert_allclose(ours[36], [6, -2], atol=1e-12)
    (ours,) = svg(tmp_path, '<path d="M15 20A5 5 0 0 1 10 25 5 5 0 1110.001 15"/>')  # flags without spaces between
    np.testing.assert_allclose(np.linalg.norm(ours - [10, 20], axis=1), 5, atol=0.01)
    (ours,) = svg(tmp_path, '<circle cx="10" cy="20" r="5"/>')
    np.testing.assert_allclose(ours, CIRCLE, atol=1e-12)
    (ours,) = svg(
        tmp_path,
        '<g transform="translate(1,2) scale(2)"><line x1="1" y1="1" x2="2" y2="3" transform="rotate(90)"/></g>',
    )
    np.testing.assert_allclose(ours, [[-1, 4], [-5, 6]], atol=1e-12)
    ground = '<rect width="100%" height="100%"/><defs><path d="M0 0L9 9"/></defs>'
    (ours,) = svg(tmp_path, f'{ground}<polygon points="0,0 2,0 2,2"/>')
    np.testing.assert_allclose(ours, [[0, 0], [2, 0], [2, 2], [0, 0]])


@pytest.mark.parametrize(
    "text",
    ["", "<html/>", "<svg>", "<svg/>", '<svg><path d="L1 1"/></svg>', '<svg><path d="M1"/></svg>',
     '<svg><path transform="spin(3)" d="M1 1L2 2"/></svg>', '<svg><line x1="a" y1="" x2="1" y2="1"/></svg>'],
)  # fmt: skip
def test_what_is_no_drawing_is_one_line(text, tmp_path):
    (tmp_path / "a.svg").write_text(text)
    with pytest.raises(CodecError) as caught:
        read_svg(tmp_path / "a.svg")
    assert str(caught.value).startswith(str(tmp_path / "a.svg")) and "\n" not in str(caught.value)


# ---- Pictures -------------------------------------------------------------------------------------------------------


def test_pictures_have_ink_where_the_lines_are(tmp_path):
    cross = drawing([[0, 0], [10, 10]], [[10, 0], [0, 10]])
    pixels = picture(cross, size=64)
    assert pixels.shape == (64, 64, 1) and pixels.dtype == np.uint8
    assert pixels[32, 32] < 60 and pixels[10, 10] < 90 and pixels[10, 32] == 255 == pixels[0, 0]
    np.testing.assert_array_equal(pixels, pixels[::-1])
    assert (picture(drawing([[3, 3]]), size=32) < 200).sum() >= 1  # a point can be seen
    length = (255 - picture(drawing([[0, 0], [1, 0]]), size=100, width=3.0).astype(float)).sum() / (255 - 24)
    assert length == pytest.approx(88 * 3 + np.pi * 2.25, rel=0.03)
    files = write_samples(StrokeCodec(), [StrokeCodec().encode(cross)] * 3, tmp_path / "some", meta={"seed": 4})
    assert [file.name for file in files] == ["some.svg", "some.png"]
    assert read_png(files[1])[1] == {"seed": 4} and len(read_svg(files[0])) == 6


def test_pictures_from_elsewhere_are_brought_to_size():
    codec = StrokeCodec(extent=446.0)
    many = np.stack([np.linspace(0, 1, 300), np.sin(np.linspace(0, 6, 300))], axis=1)
    (line,) = codec.fitted([many])
    low, high = bounds([line])
    assert low.max() < 4 and max(high) == pytest.approx(446, abs=8) and 6 < len(line) < 40
    with pytest.raises(CodecError, match="is a point"):
        codec.fitted([np.zeros((1, 2))])
