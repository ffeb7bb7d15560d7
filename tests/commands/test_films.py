"""zoo-sample --translate of films, on tiny runs of fast-style and cyclegan."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from running import untrained

import sample.films
from sample.__main__ import main
from sample.steady import steady
from train.__main__ import main as zoo_train
from zoo.codecs.film import read_film, read_sound, write_gif, write_mp4
from zoo.codecs.images import read_png, write_png

SIDE, META = 16, {"by": "hand"}
needs_flow = pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed")


def panned(count: int, height: int, width: int, step: int = 1) -> np.ndarray:
    """A film of a smooth picture that goes by."""
    y, x = np.mgrid[:height, : width + step * count]
    waves = [np.sin(x / a + y / b) for a, b in ((3, 4), (5, -3), (2, 7))]
    whole = np.rint(127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)
    return np.stack([whole[:, step * t : step * t + width] for t in range(count)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The runs ``fast-style`` and ``cyclegan``; ``a.gif`` and ``a.mp4``, with sound; and files that are no films."""
    folder = tmp_path_factory.mktemp("films")
    film = panned(4, 20, 24)
    write_gif(film, folder / "a.gif", fps=12.5, meta=META)
    write_mp4(film, folder / "a.mp4", fps=10, meta=META, sound=(np.sin(np.arange(4000) / 10), 8000))
    write_gif(film[:1], folder / "still.gif")
    (folder / "bad.gif").write_bytes(b"GIF89a, or so it says")
    (folder / "bad.mp4").write_text("words")
    write_png(film[0], folder / "frame.png")
    budget = ["--steps", "1", "--batch-size", "8", "--dispatch", "1", "--save-every", "1", "--model.blocks", "1"]
    for name, more in (("fast-style", ["--model.filters", "3"]), ("cyclegan", ["--model.critic-layers", "1"])):
        words = [name, "--data", f"seasons?size={SIDE}", *budget, "--model.width", "4", *more]
        with untrained():
            assert zoo_train([*words, "--out", str(folder / name)]) == 0
    return folder


def drawn(capsys, *words: object) -> Path:
    assert main([str(word) for word in words]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return Path(line)


@pytest.mark.parametrize("name", ["fast-style", "cyclegan"])
def test_a_gif_of_a_gif(runs, tmp_path, capsys, name):
    path = drawn(capsys, runs / name, "--translate", runs / "a.gif", "--out", tmp_path / "out")
    film = read_film(path)
    assert path.suffix == ".gif" and film.frames.shape == (4, SIDE, SIDE, 3) and film.fps == 12.5
    assert film.meta["source"] == "a.gif" and film.meta["source_meta"] == META and film.meta["model"] == name
    assert np.abs(np.diff(film.frames.astype(int), axis=0)).max() > 2  # it moves


def test_an_mp4_of_an_mp4_in_its_size_with_its_sound(runs, tmp_path, capsys):
    path = drawn(
        capsys, runs / "fast-style", "--translate", runs / "a.mp4", "--keep-size", "--frames", 3, "--out", tmp_path
    )
    film, source = read_film(path), read_film(runs / "a.mp4")
    assert path.suffix == ".mp4" and film.frames.shape == (3, *source.frames.shape[1:]) and film.fps == 10
    sound, rate = read_sound(path)
    assert rate == 8000 and len(sound) / rate == pytest.approx(0.3, abs=0.15) and sound.std() > 0.5
    assert read_sound(runs / "a.gif") is None
    gif = drawn(capsys, runs / "fast-style", "--translate", runs / "a.mp4", "--fps", 5, "--out", tmp_path / "a.gif")
    assert read_film(gif).fps == 5 and read_film(gif).meta["options"]["fps"] == 5


@pytest.fixture
def written(monkeypatch) -> list[np.ndarray]:
    """The frames of films before they are coded."""
    films, write = [], sample.films.write_gif
    monkeypatch.setattr(
        sample.films, "write_gif", lambda frames, *words, **more: (films.append(frames), write(frames, *words, **more))
    )
    return films


def test_each_frame_is_what_becomes_of_the_picture(runs, tmp_path, capsys, written):
    words = runs / "cyclegan", "--keep-size", "--out", tmp_path, "--translate"
    drawn(capsys, *words, runs / "a.gif")
    for number, frame in enumerate(read_film(runs / "a.gif").frames):
        write_png(frame, tmp_path / "frame.png")
        picture, _ = read_png(drawn(capsys, *words, tmp_path / "frame.png"))
        assert np.abs(picture.astype(int) - written[0][number]).max() <= 1


def test_steady_is_held_where_the_flow_leads():
    """Noise on a film that stands still: (1 - s) / (1 + s) of its variance is left, in the end."""
    rng = np.random.default_rng(0)
    made = rng.normal(size=(40, 24, 32, 3)).astype(np.float32)
    still = lambda frame, other: np.zeros((*frame.shape[:2], 2), np.float32)
    flat = np.full(made.shape, 9, np.uint8)
    shown = np.stack([*steady(flat, made, share=0.5, flow=still)])
    np.testing.assert_array_equal(shown[0], made[0])
    assert shown[20:].var() == pytest.approx(1 / 3, rel=0.05)
    free = np.stack([*steady(flat, made, share=0.0, flow=still)])
    np.testing.assert_array_equal(free, made)
    cut = np.where(np.arange(40)[:, None, None, None] < 20, np.uint8(9), np.uint8(200)) + np.zeros_like(flat)
    np.testing.assert_allclose(
        np.stack([*steady(cut, made, share=0.5, flow=still)])[20], made[20], atol=1e-5
    )  # another scene begins anew


def test_steady_follows_what_moves():
    film = panned(5, 24, 32, step=2)
    made = film.astype(np.float32) / 127.5 - 1
    number = {frame.tobytes(): i for i, frame in enumerate(film)}

    def flow(frame, other):
        steps = number[frame.tobytes()] - number[other.tobytes()]
        return np.broadcast_to(np.array([2.0 * steps, 0], np.float32), (24, 32, 2))

    shown = np.stack([*steady(film, made, share=0.9, flow=flow)])
    np.testing.assert_allclose(shown, made, atol=1e-4)
    shaken = made + np.array([0, 1, 0, 0, 0], np.float32)[:, None, None, None]
    held = np.stack([*steady(film, shaken, share=0.9, flow=flow)]) - made
    np.testing.assert_allclose(held[1:4, :, :20].mean(axis=(1, 2, 3)), [0.1, 0.09, 0.081], atol=1e-4)
    np.testing.assert_allclose(held[1, :, -2:], 1, atol=1e-4)  # what came in from beyond the border is new


@needs_flow
def test_a_steady_film_begins_as_the_other_and_moves_on_slowly(runs, tmp_path, capsys, written):
    words = runs / "fast-style", "--translate", runs / "a.gif", "--out"
    drawn(capsys, *words, tmp_path / "free.gif")
    path = drawn(capsys, *words, tmp_path / "held.gif", "--steady", 0.8)
    assert read_film(path).meta["options"]["steady"] == 0.8
    free, held = (film.astype(int) for film in written)
    np.testing.assert_array_equal(held[0], free[0])
    assert np.abs(held[1:] - free[1:]).mean() > 1


@needs_flow
def test_the_library_s_flow_is_that_of_a_pan():
    from sample.flow import flow

    first, second = panned(2, 48, 64, step=3)
    np.testing.assert_allclose(np.median(flow(second, first), axis=(0, 1)), [3, 0], atol=0.1)


def test_without_the_library_one_line_says_so(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    words = [runs / "fast-style", "--translate", runs / "a.gif", "--steady", 0.8, "--out", tmp_path]
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert "pip install opencv-python-headless" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--translate", "{0}/still.gif"], "it has one frame only"),
        (["--translate", "{0}/bad.gif"], "bad.gif"),
        (["--translate", "{0}/bad.mp4"], "not a GIF, an MP4"),
        (["--translate", "{0}/gone.mp4"], "no such file"),
        (["--translate", "{0}/a.gif", "--out", "{1}/a.png"], "a film can be written as .gif, .mp4"),
        (["--translate", "{0}/a.gif", "--steady", "1"], "--steady 1: it must be at least 0 and below 1"),
        (["--translate", "{0}/a.gif", "--fps", "90"], "0.1 to 50 frames a second"),
        (["--translate", "{0}/frame.png", "--steady", "0.5"], "--steady is for films"),
        (["--steady", "0.5"], "add --translate FILM.mp4"),
    ],
)
def test_one_line_says_what_would_mend_it(runs, tmp_path, capsys, words, why):
    given = [str(runs / "fast-style"), *(word.format(runs, tmp_path) for word in words)]
    given += [] if "--out" in given else ["--out", str(tmp_path / "out")]
    assert main(given) == 2
    error = capsys.readouterr().err
    assert why in error and error.count("\n") == 1
