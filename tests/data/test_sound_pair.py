"""pair, of sounds: what becomes of files, what is drawn, and what is refused."""

import wave

import numpy as np
import pytest

from train.data.source import open_source
from zoo.codecs.audio import write_wav
from zoo.codecs.images import write_png
from zoo.errors import UserError


def tone(hertz, seconds, rate):
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def folder(tmp_path):
    write_wav(tone(440, 1.5, 8000), tmp_path / "content.wav", 8000)
    with wave.open(str(tmp_path / "style.wav"), "wb") as file:  # of two channels, louder apart than together
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        both = tone(300, 2.5, 44100)[:, None] + tone(700, 2.5, 44100)[:, None] * [2, -2]
        file.writeframes(np.rint(32767 * both).astype("<i2").tobytes())
    write_wav(np.zeros(8000), tmp_path / "silent.wav", 8000)
    write_wav(np.zeros(0), tmp_path / "empty.wav", 8000)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "song.mp3").write_bytes(b"ID3")
    write_png(np.zeros((20, 20, 3), np.uint8), tmp_path / "picture.png")
    return tmp_path


def loudest_hertz(sound, rate):
    return np.abs(np.fft.rfft(sound)).argmax() * rate / len(sound)


def test_files_are_mixed_down_and_brought_to_the_content_s_rate(folder):
    source = open_source(f"pair:{folder}/content.wav,{folder}/style.wav?seconds=2")
    assert source.size == 1 and source.fields == {"length": 12000, "style_length": 16000, "rate": 8000}
    batch = source.read(np.zeros(2, np.int32))
    assert batch["wave"].shape == (2, 12000, 1) and batch["style"].shape == (2, 16000, 1)
    for name, hertz in (("wave", 440), ("style", 300)):
        assert batch[name].dtype == np.float32 and np.abs(batch[name]).max() == pytest.approx(0.9, rel=1e-3)
        assert loudest_hertz(batch[name][0, :, 0], 8000) == pytest.approx(hertz, abs=1)
    other = open_source(f"pair:{folder}/style.wav,{folder}/content.wav")
    assert other.codec.rate == 22050 and other.fields["length"] == 55125  # no more than the paper's
    assert open_source(f"pair:{folder}/style.wav?rate=4000&seconds=1").fields["style_length"] == 4000


def test_one_sound_is_both_and_none_are_drawn(folder):
    alone = open_source(f"pair:{folder}/content.wav")
    np.testing.assert_array_equal(alone.arrays["wave"], alone.arrays["style"])
    spec = "pair?of=sounds&rate=4000&seconds=1"
    found, again, other = (open_source(spec + seed).arrays for seed in ("", "&seed=0", "&seed=1"))
    for name in ("wave", "style"):
        assert found[name].shape == (4000, 1) and np.abs(found[name]).max() == pytest.approx(0.9)
        np.testing.assert_array_equal(found[name], again[name])
        assert not np.array_equal(found[name], other[name])


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("content.wav,{0}/gone.wav", "no such file"),
        ("content.wav,{0}/silent.wav", "silent.wav is silent"),
        ("empty.wav,{0}/content.wav", "empty.wav: holds no sound"),
        ("content.wav,{0}/text.wav", "text.wav: not a WAV file"),
        ("content.wav,{0}/song.mp3", "song.mp3: not a WAV file"),
        ("content.wav,{0}/picture.png", "picture.png: not a WAV file"),
        ("content.wav,{0}/style.wav,{0}/content.wav", "sounds have one style"),
        ("content.wav,{0}/style.wav?rate=10", "rate=10"),
        ("content.wav,{0}/style.wav?size=64", "no option 'size'"),
        ("content.wav,{0}/style.wav?of=films", "one of pictures, sounds"),
    ],
)
def test_bad_specs_are_one_line(folder, rest, why):
    with pytest.raises(UserError, match=why) as caught:
        open_source(f"pair:{folder}/{rest.format(folder)}")
    assert "\n" not in str(caught.value)
