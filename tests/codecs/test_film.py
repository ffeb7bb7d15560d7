"""Films: GIF and MP4 open again with the frames, the speed and the metadata that they were given."""

import json

import numpy as np
import pytest
from PIL import Image

from zoo.codecs import CodecError
from zoo.codecs.film import read_film, read_sound, write_gif, write_mp4

META = {"model": "dcgan", "run": "runs/Höhe", "step": 2000, "seed": 7}


def morph(count: int, height: int, width: int) -> np.ndarray:
    """A film that moves: colours flow into one another, along two axes of the colour solid."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    t = np.arange(count).reshape(-1, 1, 1)
    first = 0.5 + 0.5 * np.sin(5 * x + 3 * y * np.cos(t / 9) + t / 4)
    second = 0.5 + 0.5 * np.cos(4 * y - 3 * x + t / 5)
    return np.rint(first[..., None] * (160, 90, 20) + second[..., None] * (10, 60, 120) + (30, 50, 60)).astype(np.uint8)


@pytest.mark.parametrize("fps", [10, 24, 29.97])
def test_gif_comes_back(tmp_path, fps):
    frames = morph(20, 36, 49)
    write_gif(frames, tmp_path / "a.gif", fps=fps, meta=META)
    film = read_film(tmp_path / "a.gif")
    assert film.frames.shape == frames.shape and film.frames.dtype == np.uint8
    assert np.abs(film.frames.astype(int) - frames).mean() < 2
    assert film.fps == fps and film.meta == META
    assert [file.name for file in tmp_path.iterdir()] == ["a.gif"], "nothing else is left behind"

    seconds = 0
    with Image.open(tmp_path / "a.gif") as image:  # what others see of it
        assert json.loads(image.info["comment"])["zoo"] == META and image.info["loop"] == 0
        for index in range(image.n_frames):
            image.seek(index)
            seconds += image.info["duration"] / 1000
    assert abs(seconds - 20 / fps) < 0.006, "rounding to hundredths of a second does not add up"


def test_a_gif_of_few_colours_is_exact_and_still_frames_are_kept(tmp_path):
    frames = np.repeat(np.repeat(morph(3, 8, 8)[:, ::4, ::4], 4, axis=1), 4, axis=2).repeat(5, axis=0)
    write_gif(frames, tmp_path / "a.gif", fps=24)
    film = read_film(tmp_path / "a.gif")
    assert np.array_equal(film.frames, frames) and film.meta == {}


def test_a_gif_does_not_flicker_where_nothing_moves(tmp_path):
    frames = morph(12, 40, 40)
    frames[:, :20] = frames[0, :20]
    write_gif(frames, tmp_path / "a.gif")
    still = read_film(tmp_path / "a.gif").frames[:, :20].astype(int)
    assert np.abs(np.diff(still, axis=0)).mean() < 0.6


def test_a_gif_is_small(tmp_path):
    frames = morph(24, 64, 64)
    write_gif(frames, tmp_path / "a.gif")
    assert (tmp_path / "a.gif").stat().st_size < 0.36 * frames.size


@pytest.mark.parametrize("fps", [12.5, 24, 29.97])
def test_mp4_comes_back(tmp_path, fps):
    frames = morph(20, 130, 144)
    write_mp4(frames, tmp_path / "a.mp4", fps=fps, meta=META)
    film = read_film(tmp_path / "a.mp4")
    assert film.frames.shape == frames.shape
    assert np.abs(film.frames.astype(int) - frames).mean() < 3
    assert film.fps == pytest.approx(fps, abs=1e-3) and film.meta == META
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"], "nothing else is left behind"


def test_mp4_is_what_browsers_play(tmp_path):
    import av

    write_mp4(morph(4, 33, 40), tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p") and "mp4" in container.format.name


def test_small_and_odd_frames_fill_an_mp4(tmp_path):
    frames = morph(5, 33, 40)
    write_mp4(frames, tmp_path / "a.mp4")
    film = read_film(tmp_path / "a.mp4").frames
    assert film.shape == (5, 4 * 33, 4 * 40, 3)
    assert np.abs(film[:, 1::4, 1::4].astype(int) - frames).mean() < 3
    frames = morph(2, 151, 130)
    write_mp4(frames, tmp_path / "b.mp4")
    film = read_film(tmp_path / "b.mp4").frames
    assert film.shape == (2, 152, 130, 3)
    assert np.abs(film[:, 151].astype(int) - frames[:, 150]).mean() < 6


def test_an_mp4_has_sound_and_frames_that_come_one_by_one(tmp_path):
    frames, rate = morph(12, 128, 128), 22050
    sound = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    write_mp4(iter(frames), tmp_path / "a.mp4", fps=12, meta=META, sound=(sound, rate))
    write_mp4(frames, tmp_path / "b.mp4", fps=12, meta=META)
    np.testing.assert_array_equal(*(read_film(tmp_path / name).frames for name in ("a.mp4", "b.mp4")))
    heard, found = read_sound(tmp_path / "a.mp4")
    assert found == rate and read_sound(tmp_path / "b.mp4") is None
    spectrum = np.abs(np.fft.rfft(heard[:rate] * np.hanning(rate)))
    assert abs(len(heard) - rate) < 4096 and spectrum.argmax() == 440
    with pytest.raises(CodecError, match="at least one frame"):
        write_mp4(iter(()), tmp_path / "c.mp4")


@pytest.mark.parametrize("write", [write_gif, write_mp4])
def test_grey_clear_and_single_frames(tmp_path, write):
    grey = morph(3, 128, 128)[..., :1]
    write(grey, tmp_path / "film")
    assert np.abs(read_film(tmp_path / "film").frames.astype(int) - grey).mean() < 3
    clear = np.zeros((1, 128, 128, 4), np.uint8)
    clear[:, 64:] = (200, 30, 30, 255)
    write(clear, tmp_path / "film")
    film = read_film(tmp_path / "film").frames
    assert film.shape == (1, 128, 128, 3)
    assert film[0, :60].min() > 250, "white where it was transparent"
    assert np.abs(film[0, 70:].astype(int) - (200, 30, 30)).max() < 12


@pytest.mark.parametrize("write", [write_gif, write_mp4])
def test_what_cannot_be_written_is_named(tmp_path, write):
    write(morph(2, 16, 16), tmp_path / "film")
    before = (tmp_path / "film").read_bytes()
    good = morph(2, 16, 16)
    for frames in (good[0], good[:0], good / 255, good[..., :2]):
        with pytest.raises(CodecError, match="film: frames must be"):
            write(frames, tmp_path / "film")
    for fps in (0, -1, float("nan"), 2000):
        with pytest.raises(CodecError, match="frames a second"):
            write(good, tmp_path / "film", fps=fps)
    with pytest.raises(CodecError, match="metadata"):
        write(good, tmp_path / "film", meta={"x": {1, 2}})
    with pytest.raises(CodecError, match="No such file"):
        write(good, tmp_path / "none" / "film")
    assert (tmp_path / "film").read_bytes() == before


def test_what_cannot_be_read_is_named(tmp_path):
    for name, write in [("a.gif", write_gif), ("a.mp4", write_mp4)]:
        write(morph(6, 32, 32), tmp_path / name)
        data = (tmp_path / name).read_bytes()
        for broken in (data[: len(data) // 8], data[:20], b"", b"GIF8", data[:6] + bytes(200), b"no film" * 30):
            (tmp_path / "broken").write_bytes(broken)
            with pytest.raises(CodecError, match="broken: "):
                read_film(tmp_path / "broken")
    with pytest.raises(CodecError, match="No such file"):
        read_film(tmp_path / "none.gif")


def test_huge_gifs_are_refused(tmp_path):
    (tmp_path / "bomb.gif").write_bytes(b"GIF89a" + b"\xff\xff\xff\xff\0\0\0" + b",\0\0\0\0\xff\xff\xff\xff\0\x08\0;")
    with pytest.raises(CodecError, match="65535 x 65535 pixels"):
        read_film(tmp_path / "bomb.gif")
