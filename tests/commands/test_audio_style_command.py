"""zoo-train audio-style of two files, and what zoo-sample writes of it."""

import numpy as np
import pytest
from running import here, one_line, untrained

from sample.__main__ import main
from zoo.codecs.audio import write_wav
from zoo.codecs.images import read_png
from zoo.codecs.waves import read_wav

BUDGET = ("--steps", "2", "--dispatch", "1", "--log-every", "1")
SMALL = (*BUDGET, "--model.filters", "6", "--model.window", "64", "--model.rounds", "2")


@pytest.fixture
def folder(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2000)
    for name, sound in {"content": noise[:1200], "style": noise, "short": noise[:50], "silent": 0 * noise}.items():
        write_wav(sound, tmp_path / f"{name}.wav", 4000)
    write_wav(noise[:0], tmp_path / "empty.wav", 4000)
    (tmp_path / "text.wav").write_text("no sound")
    return tmp_path


def test_two_files_become_a_sound_with_a_picture(folder, capsys):
    pair = ["--data", f"pair:{folder}/content.wav,{folder}/style.wav"]
    done = here(["audio-style", *pair, *SMALL, "--out", folder / "run"], capsys)
    assert done.code == 0, done.err
    preview = sorted(path.suffix for path in (folder / "run" / "samples").glob("step_*"))
    assert preview == [".png", ".wav"]
    assert main([str(folder / "run"), "--out", str(folder / "x.wav")]) == 0
    sound, rate = read_wav(folder / "x.wav")
    assert rate == 4000 and sound.shape == (1200, 1) and 0 < np.abs(sound).max() <= 1
    assert main([str(folder / "run"), "--out", f"{folder}/both/"]) == 0
    written = sorted((folder / "both").iterdir())
    assert [path.suffix for path in written] == [".png", ".wav"] and read_png(written[0])[1]["model"] == "audio-style"
    capsys.readouterr()
    assert main([str(folder / "run"), "--interpolate", "3"]) == 2
    assert "has no latent space" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("pair:{0}/content.wav,{0}/silent.wav", "silent.wav is silent"),
        ("pair:{0}/empty.wav,{0}/style.wav", "empty.wav: holds no sound"),
        ("pair:{0}/content.wav,{0}/text.wav", "not a WAV file"),
        ("pair:{0}/short.wav,{0}/style.wav", "sounds of 50 and 2000 samples: 160 or more are needed"),
        ("pair:{0}/content.wav,{0}/gone.wav", "no such file"),
        ("pair?size=32", "audio-style learns from wave and style; pair?size=32 gives guide and input and style"),
    ],
)
def test_faults_are_one_line(folder, capsys, data, why):
    with untrained():
        done = here(["audio-style", "--data", data.format(folder), *SMALL, "--out", folder / "run"], capsys)
    one_line(done, why)
