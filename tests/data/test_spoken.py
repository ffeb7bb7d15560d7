"""spoken and chimes: sounds with pictures of the same thing; the spectra that are heard of them."""

import gzip

import numpy as np
import pytest

from train.data.source import open_source
from zoo.algorithmic.chimes import NUMBERS
from zoo.codecs.audio import write_wav
from zoo.errors import UserError
from zoo.features.mel import HOP, WINDOW, log_mel, samples_of, triangles


def write_idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Digits d as tones of 300 + 300 d Hz by two speakers, three recordings each of which number 0 is the test; and
    pictures as bright as 20 d, those of the test one brighter."""
    here = tmp_path_factory.mktemp("spoken")
    (here / "pictures").mkdir()
    (here / "sounds").mkdir()
    for split, count, more in (("train", 40, 0), ("t10k", 20, 1)):
        labels = np.arange(count) * 7 % 10
        shades = np.broadcast_to((20 * labels + more)[:, None, None], (count, 8, 8))
        write_idx(here / "pictures" / f"{split}-images-idx3-ubyte.gz", shades)
        write_idx(here / "pictures" / f"{split}-labels-idx1-ubyte.gz", labels)
    for digit in range(10):
        for name in ("ann_0", "bob_0", "ann_5", "bob_6"):
            tone = np.sin(2 * np.pi * (300 + 300 * digit) * np.arange(1500 + 100 * digit) / 8000)
            write_wav(0.5 * tone, here / "sounds" / f"{digit}_{name}.wav", 8000)
    return here


def spec_of(folder, more=""):
    return f"spoken:{folder}/sounds?pictures={folder}/pictures&frames=40&bands=16{more}"


def everything(source):
    return source.read(np.arange(source.size, dtype=np.int32))


def test_a_sound_comes_with_pictures_of_its_digit(folder):
    train, test, valid = (open_source(spec_of(folder, "&pairs=6"), split) for split in ("train", "test", "valid"))
    assert (train.size, test.size, valid.size) == (120, 120, 120) and train.labels == tuple("0123456789")
    assert train.fields == {"image_size": 8, "channels": 1, "classes": 10, "frames": 40, "bands": 16}
    assert open_source(spec_of(folder)).size == 20 * 64 and open_source(spec_of(folder), "test").size == 20 * 4
    for source, more in ((train, 0), (test, 1)):
        found = everything(source)
        shades = np.rint((found["image"][:, 0, 0, 0] + 1) * 127.5).astype(int)
        np.testing.assert_array_equal(shades, 20 * found["label"] + more)  # and of its own split
        np.testing.assert_array_equal(np.bincount(found["label"]), [12] * 10)
        loudest = found["spectrum"].max(axis=1).argmax(axis=1)
        order = [np.unique(loudest[found["label"] == digit]) for digit in range(10)]
        assert all(len(bands) == 1 for bands in order) and (np.diff(np.concatenate(order)) >= 0).all()
        assert len(np.unique(loudest)) >= 8


def test_pairs_and_places_are_drawn_by_the_example_s_number(folder):
    source = open_source(spec_of(folder, "&pairs=50"))
    first, again = everything(source), everything(source)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    heard = first["spectrum"].max(axis=2) > -1
    begins, ends = heard.argmax(axis=1), 40 - heard[:, ::-1].argmax(axis=1)
    for digit in range(10):
        mine = first["label"] == digit
        frames = -(-(1500 + 100 * digit) // HOP)
        assert begins[mine].min() <= 1 and begins[mine].max() >= 40 - frames - 1 and ends[mine].max() == 40
        # Nothing of it goes round: what is heard stays together.
        assert (ends - begins)[mine].max() <= frames and heard[mine].sum(axis=1).min() >= frames - 2


def test_arrays_say_the_same(folder, tmp_path):
    sounds = [0.1 * np.sin(0.2 * (1 + n % 10) * np.arange(1000)) for n in range(30)]
    arrays = {
        "audio": np.concatenate(sounds).astype(np.float32),
        "offsets": np.arange(0, 30_001, 1000),
        "rate": np.int32(8000),
        "digit": np.arange(30) % 10,
    }
    np.savez(tmp_path / "a.npz", **arrays)
    source = open_source(f"spoken:{tmp_path}?pictures={folder}/pictures&pairs=1")
    assert source.size == 27  # a tenth is held out
    np.savez(tmp_path / "a.npz", **arrays, index=np.arange(30) // 10 * 4)
    train, test = (
        open_source(f"spoken:{tmp_path}/a.npz?pictures={folder}/pictures&pairs=1", s) for s in ("train", "test")
    )
    assert (train.size, test.size) == (10, 20)  # numbers below 5 are the test


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("spoken:{here}/sounds", "add ?pictures=DIR"),
        ("spoken:{here}/none?pictures={here}/pictures", "no such folder"),
        ("spoken:{here}/pictures?pictures={here}/pictures", "no sound that can be read"),
        ("spoken:{here}/sounds?pictures={here}/sounds", "no idx files"),
        (
            "spoken:{here}/odd?pictures={here}/pictures",
            "seven.wav does not tell its digit: name it DIGIT_SPEAKER_NUMBER",
        ),
        ("spoken:{here}/bare.npz?pictures={here}/pictures", "2 digits from 0 to 9 are wanted"),
        ("spoken:{here}/sounds?pictures={here}/few", "no pictures of 3, 4, 5, 6, 7, 8, 9"),
        ("chimes?size=0", "size=0"),
    ],
)
def test_faults_are_one_line(folder, spec, words):
    (folder / "odd").mkdir(exist_ok=True)
    write_wav(np.full(500, 0.1), folder / "odd" / "seven.wav", 8000)
    np.savez(folder / "bare.npz", wave=np.zeros((2, 1000)), rate=np.int32(8000))
    (folder / "few").mkdir(exist_ok=True)
    write_idx(folder / "few" / "train-images-idx3-ubyte.gz", np.zeros((6, 8, 8)))
    write_idx(folder / "few" / "train-labels-idx1-ubyte.gz", np.arange(6) % 3)
    with pytest.raises(UserError) as error:
        open_source(spec.format(here=folder))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_chimes_have_as_many_strokes_as_petals():
    source = open_source("chimes?bands=24")
    found = source.read(np.arange(48, dtype=np.int32))
    assert found["spectrum"].shape == (48, 64, 24) and found["image"].shape == (48, 28, 28, 1)
    assert source.labels == ("2", "3", "4", "5", "6", "7") and set(found["label"]) == set(range(6))
    for spectrum, image, label in zip(found["spectrum"], found["image"][..., 0], found["label"], strict=True):
        number = NUMBERS[label]
        # A stroke makes all bands louder at once; the first one is there from the beginning.
        rises = np.maximum(np.diff(spectrum, axis=0), 0).sum(axis=1)
        strokes = np.rint(np.arange(1, number) * samples_of(64) / number / HOP).astype(int)
        near = np.minimum.reduce(abs(np.arange(63)[:, None] - strokes[None] + 1), axis=1, initial=99) < 3
        assert rises[near].max() > 3 * np.median(rises) and rises[~near].max() < rises[near].max()
        petals = np.fft.rfft(around(image))
        assert np.abs(petals[1:12]).argmax() + 1 == number
    other = open_source("chimes?bands=24", "test").read(np.arange(4, dtype=np.int32))
    assert np.abs(other["spectrum"] - found["spectrum"][:4]).max() > 0.1


def around(image):
    """How far a flower reaches in 64 directions from its middle."""
    y, x = np.nonzero(image > 0)
    middle = y.mean(), x.mean()
    angle = 2 * np.pi * np.arange(64) / 64
    steps = np.arange(0, 20, 0.25)
    rows = np.rint(middle[0] + steps[:, None] * np.sin(angle)).astype(int)
    columns = np.rint(middle[1] + steps[:, None] * np.cos(angle)).astype(int)
    within = (rows >= 0) & (rows < 28) & (columns >= 0) & (columns < 28)
    return ((image[rows.clip(0, 27), columns.clip(0, 27)] > 0) & within).sum(axis=0)


def test_bands_hear_what_their_triangles_say():
    weights = triangles(8000, 20)
    assert weights.shape == (WINDOW // 2 + 1, 20) and weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    centres = np.arange(129) * 8000 / WINDOW @ weights
    mel = 2595 * np.log10(1 + centres / 700)
    np.testing.assert_allclose(np.diff(mel), np.diff(mel).mean(), rtol=0.05)  # equal distances in mel
    tone = np.sin(2 * np.pi * centres[12] * np.arange(samples_of(10)) / 8000).astype(np.float32)
    quiet = np.concatenate([tone, 0.1 * tone, 0 * tone])
    heard = np.asarray(log_mel(quiet, rate=8000, bands=20))
    assert heard.shape == (1 + (len(quiet) - WINDOW) // HOP, 20) and (heard.argmax(axis=1)[:8] == 12).all()
    assert heard.max() == 1 and heard[-5:].max() == -1
    assert heard[5, 12] - heard[15, 12] == pytest.approx(2 * 20 / 80, abs=0.02)  # a tenth is 20 decibels, of 80
    assert np.abs(np.asarray(log_mel(0.01 * quiet, rate=8000, bands=20)) - heard).max() < 0.02  # loudness is left out
    assert (np.asarray(log_mel(0 * tone, rate=8000)) == -1).all()


@pytest.mark.data
def test_the_free_spoken_digits(zoo_data):
    spec = f"spoken:{zoo_data}/spoken_digits?pictures={zoo_data}/mnist"
    train, test = open_source(spec), open_source(spec, "test")
    assert (train.size, test.size) == (900 * 64, 300 * 4)
    batch = test.read(np.arange(300, dtype=np.int32))
    np.testing.assert_array_equal(np.bincount(batch["label"]), [30] * 10)
