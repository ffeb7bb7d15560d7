"""What is heard of a sound, of which all is known."""

import numpy as np
import pytest

from zoo.codecs import CodecError, Notes
from zoo.codecs.audio import write_wav
from zoo.codecs.listening import hear, listen
from zoo.codecs.midi import write_midi

RATE, FPS = 22050, 24


def tone(hertz, seconds, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE)


@pytest.mark.parametrize(("hertz", "pitch"), [(440.0, 9), (261.63, 0), (1244.5, 3), (155.6, 3)])
def test_a_tone_has_its_pitch_class(hertz, pitch):
    music = hear(tone(hertz, 1.0), RATE, fps=FPS)
    assert music.chroma.shape == (24, 12)
    assert (music.chroma[3:-3].argmax(axis=1) == pitch).all() and music.chroma[3:-3, pitch].min() > 0.5
    np.testing.assert_allclose(music.chroma.sum(axis=1), 1)


def test_strokes_are_heard_when_they_are_struck():
    sound, times = np.zeros(4 * RATE), [0.5, 1.25, 2.0, 3.1]
    for time, hertz in zip(times, (220, 330, 440, 550), strict=True):
        at = int(time * RATE)
        fading = tone(hertz, 0.6) * np.exp(-np.arange(int(RATE * 0.6)) / (0.15 * RATE))
        sound[at : at + len(fading)] += fading
    strokes = hear(sound, RATE, fps=FPS).strokes
    highest = lambda at: strokes[at] > 0.3 and strokes[at] == strokes[at - 1 : at + 2].max()
    peaks = [at for at in range(1, len(strokes) - 1) if highest(at)]
    np.testing.assert_allclose(np.array(peaks) / FPS, times, atol=1.5 / FPS)
    assert strokes.max() == 1 and strokes.min() == 0
    held = hear(tone(440, 4.0), RATE, fps=FPS).strokes
    assert held[3:-3].max() < 0.1 * held.max(), "what only sounds on is no stroke"


def test_loudness_is_a_share_of_the_loudest():
    music = hear(np.concatenate([tone(440, 1.0, 0.1), tone(440, 1.0, 0.4)]), RATE, fps=FPS)
    np.testing.assert_allclose(music.loudness[[10, 36]], [0.25, 1], atol=0.02)


def test_files_are_heard(tmp_path):
    notes = Notes(pitch=[60, 64], start=[0.0, 1.0], end=[1.0, 2.0])
    write_midi(notes, tmp_path / "a.mid")
    played = listen(tmp_path / "a.mid", fps=FPS)
    assert played.rate == RATE and played.chroma[[12, 36]].argmax(axis=1).tolist() == [0, 4]
    write_wav(played.sound, tmp_path / "a.wav", rate=RATE)
    again = listen(tmp_path / "a.wav", fps=FPS, frames=30)
    assert len(again.strokes) == 30 and len(again.sound) == round(30 * RATE / FPS)
    np.testing.assert_allclose(again.chroma[:24], played.chroma[:24], atol=1e-2)


def test_what_cannot_be_heard_is_one_line(tmp_path):
    write_wav(np.zeros(RATE, np.float32), tmp_path / "a.wav", rate=RATE)
    with pytest.raises(CodecError, match=r"a\.wav: is silent"):
        listen(tmp_path / "a.wav", fps=FPS)
    (tmp_path / "b.mp3").write_bytes(b"x")
    with pytest.raises(CodecError, match=r"b\.mp3: music is read from \.mid, \.midi and \.wav"):
        listen(tmp_path / "b.mp3", fps=FPS)
