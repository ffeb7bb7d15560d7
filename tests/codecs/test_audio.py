"""The synthesizer: pitch, loudness, time and drums, measured; WAV files."""

import sys
import time
import types
import wave

import numpy as np
import pytest

from zoo.codecs import CodecError, Notes
from zoo.codecs.audio import MAX_MINUTES, TAIL, TIMBRES, render, write_wav

RATE = 22050


def numpy_render(notes: Notes, rate: int = RATE) -> np.ndarray:
    return render(notes, rate, engine="numpy")


def power(samples: np.ndarray, first: float, last: float) -> float:
    return float(np.mean(np.square(samples[int(first * RATE) : int(last * RATE)])))


def peak_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    return float(np.argmax(spectrum)) * RATE / (8 * len(samples))


def one(pitch: int, seconds: float = 1.0, **fields) -> Notes:
    return Notes([0.0], [seconds], [pitch], **{name: np.array(value) for name, value in fields.items()})


def test_the_sound_of_a_chorale():
    """A minute of four voices: never clipped, neither faint nor crushed, no offset, the same twice, in little time."""
    random = np.random.default_rng(0)
    start = np.repeat(np.arange(0, 60, 0.75), 4)
    pitch = (np.array([70, 64, 57, 48]) + random.integers(-5, 6, (80, 4))).ravel()
    notes = Notes(start, start + 0.75, pitch, program=np.tile([40, 41, 42, 43], 80))
    before = time.process_time()
    samples = numpy_render(notes)
    assert time.process_time() - before < 5  # 0.5 s when the machine is quiet
    assert samples.dtype == np.float32 and len(samples) == int((60 + TAIL) * RATE) + 1
    assert np.abs(samples).max() == pytest.approx(0.9, abs=0.01) and np.mean(np.abs(samples) > 0.89) < 1e-3
    assert 0.1 < np.sqrt(np.mean(samples**2)) < 0.4 and abs(samples.mean()) < 0.005
    assert np.abs(np.diff(samples)).max() < 0.6 and samples[-1] == 0
    np.testing.assert_array_equal(samples, numpy_render(notes))


@pytest.mark.parametrize("family", range(len(TIMBRES)))
def test_every_family_sounds_at_its_pitch_and_ends(family):
    samples = numpy_render(one(69, program=8 * family))
    spectrum = np.abs(np.fft.rfft(samples[: RATE // 2 * 2] * np.hanning(RATE // 2 * 2)))
    near = lambda hertz: spectrum[int(hertz) - 8 : int(hertz) + 9].max()
    assert near(440) > 20 * near(415) and near(440) > 20 * near(466)
    assert power(samples, 2.1, 2.2) < 1e-3 * power(samples, 0.1, 0.9)


@pytest.mark.parametrize("pitch", [28, 60, 93])
def test_pitch_is_in_tune(pitch):
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    found = peak_hertz(numpy_render(one(pitch, 2.0, program=16))[RATE // 2 : 2 * RATE])
    harmonic = max(1, round(found / hertz))
    assert abs(1200 * np.log2(found / (harmonic * hertz))) < 5  # cents


def test_no_alias_above_the_top():
    """The highest key holds no harmonic beyond half the rate: nothing folds down below its fundamental."""
    samples = numpy_render(one(108, program=80))[:RATE]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert spectrum[50:4000].max() < 1e-2 * spectrum.max()  # what is left, the limiter makes


def test_time_velocity_and_decay():
    notes = Notes([0.5, 2.0], [1.0, 2.5], [60, 60], [40, 120], 16)
    samples = numpy_render(notes)
    assert power(samples, 0, 0.49) < 1e-12 and power(samples, 2.1, 2.4) > 5 * power(samples, 0.6, 0.9) > 0
    assert power(samples, 1.5, 1.9) < 0.02 * power(samples, 0.6, 0.9)
    strings = numpy_render(one(60, 1.0, program=48))  # they die away over 0.4 s
    assert power(strings, 0.8, 1.0) > 1.5 * power(strings, 1.0, 1.05) > 10 * power(strings, 1.3, 1.35) > 0
    piano, organ = (numpy_render(one(60, 3.0, program=program)) for program in (0, 16))
    assert power(piano, 2, 2.5) < 0.2 * power(piano, 0.2, 0.7) and power(organ, 2, 2.5) > 0.5 * power(organ, 0.2, 0.7)


def test_drums():
    """A kick is low, a hat is high and short, a crash is high and long, and every key of the kit makes a sound."""
    centre = {}
    for key in range(27, 88):
        samples = numpy_render(one(key, drum=True))
        assert np.abs(samples).max() == pytest.approx(0.9, abs=0.01)
        spectrum = np.abs(np.fft.rfft(samples[:8192]))
        centre[key] = np.average(np.arange(len(spectrum)) * RATE / 8192, weights=spectrum**2)
    assert (
        centre[36] < 120 and centre[41] < centre[45] < centre[50] < 400 < centre[38] and centre[42] > 4000 < centre[49]
    )
    hat, crash = (numpy_render(one(key, drum=True)) for key in (42, 49))
    assert power(hat, 0.4, 0.6) < 1e-3 * power(hat, 0, 0.1) and power(crash, 0.4, 0.6) > 0.05 * power(crash, 0, 0.1)


def test_silence_and_length():
    assert not numpy_render(Notes([], [], [])).any()
    with pytest.raises(CodecError, match="minutes long"):
        render(one(60, 60.0 * MAX_MINUTES + 1))
    with pytest.raises(CodecError, match="8000"):
        render(one(60), 200_000)


def test_soundfont_is_asked_for_or_done_without(monkeypatch):
    import pretty_midi

    notes = Notes([0.0, 0.0], [0.2, 0.2], [60, 36], drum=[False, True])
    monkeypatch.setitem(sys.modules, "fluidsynth", None)  # what a machine without pyfluidsynth answers
    np.testing.assert_array_equal(render(notes), numpy_render(notes))
    with pytest.raises(CodecError, match="soundfont: needs pyfluidsynth"):
        render(notes, engine="soundfont")

    def fluidsynth(song, fs):
        assert [(part.is_drum, [note.pitch for note in part.notes]) for part in song.instruments] == [
            (False, [60]),
            (True, [36]),
        ]
        return np.sin(np.arange(fs) / 10)

    monkeypatch.setitem(sys.modules, "fluidsynth", types.ModuleType("fluidsynth"))
    monkeypatch.setattr(pretty_midi.PrettyMIDI, "fluidsynth", fluidsynth)
    played = render(notes, 8000)
    assert len(played) == 8000 and played.dtype == np.float32 and np.abs(played).max() == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("meta", [None, {"model": "gpt", "seed": 7}])
def test_wav(tmp_path, meta):
    path = tmp_path / "song.wav"
    write_wav(np.array([0, 0.5, -1, 2, -2]), path, 8000, meta=meta)
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (1, 2, 8000, 5)
        assert np.frombuffer(file.readframes(5), "<i2").tolist() == [0, 16384, -32767, 32767, -32767]
    data = path.read_bytes()
    assert int.from_bytes(data[4:8], "little") == len(data) - 8 and len(data) % 2 == 0
    assert (b'{"zoo": {"model": "gpt", "seed": 7}}\0' in data) == (meta is not None)


def test_wav_errors(tmp_path):
    for samples, path, cause in (
        (np.zeros((2, 2)), tmp_path / "a.wav", "one dimension"),
        (np.array([np.nan]), tmp_path / "a.wav", "finite"),
        (np.zeros(3), tmp_path / "no" / "a.wav", "No such file"),
    ):
        with pytest.raises(CodecError, match=cause):
            write_wav(samples, path)
    assert list(tmp_path.iterdir()) == []
