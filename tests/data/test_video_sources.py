"""video: films and folders of frames; bounce, films that are drawn."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.data.source import open_source
from train.data.video import _numbered
from zoo.algorithmic.bounce import Motion, place
from zoo.codecs.film import write_gif
from zoo.codecs.images import write_png
from zoo.errors import UserError


def film(count: int, grey: int, side: int = 8) -> np.ndarray:
    """Frames that can be told apart: each has its number for a grey level."""
    return np.broadcast_to((grey + np.arange(count)).astype(np.uint8)[:, None, None, None], (count, side, side, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(9):
        write_gif(film(6, 20 * n), tmp_path / f"{n}.gif", fps=10)
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(film(12, 200)):
        write_png(frame, tmp_path / "frames" / f"f{number}.png")
    write_gif(film(3, 0), tmp_path / "short.gif", fps=10)
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    write_png(film(1, 0)[0], tmp_path / "loose.png")
    return tmp_path


def test_films_are_cut_into_clips(folder):
    train, valid = (open_source(f"video:{folder}", split, length=4) for split in ("train", "valid"))
    assert train.fields == {"image_size": 8, "channels": 3, "length": 4} and train.codec.fps == 10
    assert {line.split(":")[0] for line in train.skipped} == {"short.gif", "broken.mp4", "loose.png"}
    greys = {}
    for source in (train, valid):
        batch = source.read(np.arange(source.size, dtype=np.int32))["video"]
        assert batch.shape[1:] == (4, 8, 8, 3) and batch.dtype == np.float32
        pixels = source.codec.decode(batch)[:, :, 0, 0, 0].astype(int)
        np.testing.assert_array_equal(np.diff(pixels, axis=1), 1)
        greys[source] = {int(start) for start in pixels[:, 0]}
    whole = {20 * n + start for n in range(9) for start in range(3)} | {200 + start for start in range(9)}
    assert greys[train] <= whole and len(whole - greys[train]) in (3, 9)  # one film is held out
    assert not greys[train] & greys[valid] and len(greys[valid]) in (2, 3)


def test_sizes_channels_and_speed(folder):
    source = open_source(f"video:{folder}?size=16&channels=1&every=2", length=3)
    assert source.batch_spec(2)["video"].shape == (2, 3, 16, 16, 1) and source.codec.fps == 5
    assert sorted(["f10", "f9", "f1"], key=_numbered) == ["f1", "f9", "f10"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("video:{here}/none", "no such folder"),
        ("video:{here}", "no film that can be read; first: a.png: a picture is no film"),
        ("video:{here}?channels=4", "channels=4 should be one of 1, 3"),
        ("bounce?length=1", "length=1 should be an integer of at least 2"),
    ],
)
def test_faults_are_one_line(tmp_path, spec, words):
    write_png(film(1, 0)[0], tmp_path / "a.png")
    with pytest.raises(UserError) as error:
        open_source(spec.format(here=tmp_path))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_bouncing_shapes():
    source = open_source("bounce?size=16", length=8)
    clips = source.read(np.arange(12, dtype=np.int32))["video"]
    assert clips.shape == (12, 8, 16, 16, 3) and np.abs(clips).max() <= 1
    assert len({clip.tobytes() for clip in clips}) == 12
    moved = np.abs(np.diff(clips, axis=1)).mean(axis=(2, 3, 4))
    still = clips - clips.mean(axis=1, keepdims=True)
    assert (moved.max(axis=1) > 0.005).mean() > 0.8 and np.abs(still).mean() < 0.5
    assert (np.abs(clips[:, :, 0, 0] - clips[:, :1, 0, 0]) < 1e-5).mean() > 0.95  # the ground stays


def test_motions_are_even_and_come_back():
    motion = lambda way: Motion(*(jnp.float32(x) for x in (way, 0.1, 0.0, 0.0, 0.5, 1.0)))
    walk = lambda way: np.stack(jax.vmap(lambda time: jnp.stack(place(motion(way), time)))(jnp.arange(11.0)))
    bounce, circle, spin = (walk(way) for way in (0.5, 1.5, 2.5))
    np.testing.assert_allclose(bounce[:6, 0], 0.5 - 0.2 * np.arange(6), atol=1e-6)
    for path in (bounce, circle):
        np.testing.assert_allclose(path[0], path[10], atol=1e-5)
    np.testing.assert_allclose(np.hypot(circle[:, 0], circle[:, 1]), 0.5, atol=1e-6)
    np.testing.assert_allclose(spin[:, :2], 0)
    np.testing.assert_allclose(np.diff(spin[:, 2]), np.pi / 10, atol=1e-5)
