"""audio: recordings in examples of one length; plucks, that are drawn."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.data.source import open_source
from zoo.algorithmic.plucks import PARTIALS, Pluck, damped, modes, pluck
from zoo.codecs.audio import write_wav
from zoo.codecs.media import write_arrays
from zoo.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(10):
        (tmp_path / ("ab"[n % 2])).mkdir(exist_ok=True)
        write_wav(np.full(300 + 100 * n, 0.1 * n), tmp_path / "ab"[n % 2] / f"{n}.wav", 8000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "song.mp3").write_bytes(b"ID3")
    write_wav(np.zeros(0), tmp_path / "nothing.wav", 8000)
    return tmp_path


def waves(source) -> np.ndarray:
    return source.read(np.arange(source.size, dtype=np.int32))["wave"]


def test_recordings_are_cut_into_examples(folder):
    train, valid = (open_source(f"audio:{folder}", split, length=400) for split in ("train", "valid"))
    assert train.codec.rate == 8000 and train.fields == {"length": 400}
    assert {line.split(":")[0] for line in train.skipped} == {"broken.wav", "song.mp3", "nothing.wav"}
    found = waves(train)
    assert found.shape[1:] == (400, 1) and found.dtype == np.float32
    # In training examples begin at every 100 samples as long as there is something new; elsewhere at every 400.
    sizes = {round(float(one.max()), 1): [] for one in found}
    for one in found:
        sizes[round(float(one.max()), 1)].append(int((one != 0).sum()) if one.max() else 0)
    for loud, lengths in sizes.items():
        if loud:
            whole = 300 + round(loud * 1000)
            assert len(lengths) == max(-(-(whole - 400) // 100), 0) + 1
            assert max(lengths) == min(whole, 400)
    total = sum(300 + 100 * n for n in range(10))
    heard = sum((waves(source) != 0).sum() for source in (valid,))
    assert 0 < heard < total and valid.size == -(-max(int(heard), 1) // 400)


def test_rates_levels_and_arrays(folder, tmp_path):
    source = open_source(f"audio:{folder}?rate=16000&level=peak", length=400)
    assert source.codec.rate == 16000 and open_source(f"audio:{folder}/a/0.wav", "train", length=16).size
    peaks = np.abs(waves(source)).max(axis=(1, 2))
    assert {round(float(peak), 1) for peak in peaks if peak > 0.5} <= {0.9, 1.0} and peaks.max() == 1  # ends ring
    sound = (np.arange(1000) % 50 * 600).astype(np.int16)
    write_arrays(
        tmp_path / "flat.npz", meta={}, audio=sound, offsets=np.arange(0, 1001, 100), sample_rate=np.int32(4000)
    )
    write_arrays(tmp_path / "rows.npz", meta={}, wave=sound.reshape(10, 100), rate=np.int32(4000))
    flat, rows = (waves(open_source(f"audio:{tmp_path}/{name}.npz", length=100)) for name in ("flat", "rows"))
    assert len(flat) == 9  # a tenth is held out
    np.testing.assert_array_equal(flat, rows)
    whole = np.rint(flat[..., 0] * 32767).astype(np.int16)
    assert {one.tobytes() for one in whole} <= {one.tobytes() for one in sound.reshape(10, 100)}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("audio:{here}/none", "no such folder"),
        ("audio:{here}", "no sound that can be read; first: a.wav: not a WAV file"),
        ("audio:{here}?rate=10", "rate=10 should be an integer of at least 1000"),
        ("audio:{here}?level=loud", "level=loud should be one of own, peak"),
        ("audio:{here}/silent.npz", "does not tell its rate"),
        ("audio:{here}/other.npz", "no sound wave [N, T] or audio [T] in it; it holds y"),
        ("plucks?rate=10", "rate=10"),
    ],
)
def test_faults_are_one_line(tmp_path, spec, words):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    np.savez(tmp_path / "silent.npz", wave=np.zeros((2, 10)))
    np.savez(tmp_path / "other.npz", y=np.zeros((2, 10)))
    with pytest.raises(UserError) as error:
        open_source(spec.format(here=tmp_path))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_plucks_are_endless_and_fade():
    source = open_source("plucks?rate=8000", length=4096)
    found = waves_of = source.read(np.arange(16, dtype=np.int32))["wave"]
    assert found.shape == (16, 4096, 1) and np.isfinite(found).all() and source.codec.rate == 8000
    peaks = np.abs(waves_of).max(axis=(1, 2))
    assert peaks.min() > 0.34 and peaks.max() < 0.91 and len({one.tobytes() for one in found}) == 16
    power = np.square(found[..., 0]).reshape(16, 4, -1).mean(axis=-1)
    assert (power[:, 3] < 0.7 * power[:, 0]).all()


def test_damped_partials_are_their_formula():
    rng = np.random.default_rng(0)
    amplitudes, angle, decay = rng.normal(size=(2, 5)), rng.uniform(0, 3, 5), -rng.uniform(0, 0.01, 5)
    time = np.arange(300)[:, None]
    want = np.exp(decay * time) * (amplitudes[0] * np.cos(angle * time) + amplitudes[1] * np.sin(angle * time))
    got = damped(*(jnp.asarray(x, jnp.float32) for x in (amplitudes, angle, decay)), 300)
    np.testing.assert_allclose(got, want.sum(axis=1), atol=1e-3)


def test_a_pluck_goes_round_as_karplus_and_strong_s():
    """Its first round led through their recursion, y[t] = g (y[t - N] + y[t - N - 1]) / 2, gives the rest."""
    rate, gain, size = 8000, 0.995, 40
    hertz = rate / (size + 0.5)
    angle, decay = modes(jnp.float32(hertz), jnp.float32(gain), rate)
    loud = jnp.where(jnp.arange(PARTIALS) < 12, jax.random.normal(jax.random.key(0), (2, PARTIALS)), 0)
    wave = np.asarray(damped(loud, angle, decay, 2000), np.float64)
    recursion = wave[: size + 1].tolist()
    for t in range(size + 1, 2000):
        recursion.append(gain * (recursion[t - size] + recursion[t - size - 1]) / 2)
    error = np.sqrt(np.mean((wave - recursion) ** 2) / np.mean(wave**2))
    assert error < 0.05
    string = Pluck(*(jnp.float32(x) for x in (69.0, 0.5, 0.2, 0.7, 0.5)))
    sound = np.asarray(pluck(string, jax.random.normal(jax.random.key(1), (2, PARTIALS)), 8000, 8000))[:, 0]
    spectrum = np.abs(np.fft.rfft(sound[500:] * np.hanning(7500)))
    peaks = np.flatnonzero(spectrum > 0.3 * spectrum.max()) * 8000 / 7500
    assert np.abs(peaks / 440 - np.rint(peaks / 440)).max() * 440 < 4  # all at multiples of a'


@pytest.mark.data
def test_spoken_digits(zoo_data):
    source = open_source(f"audio:{zoo_data}/spoken_digits/fsdd_8khz_int16.npz", length=4096)
    assert source.codec.rate == 8000 and source.size > 1080
    batch = source.read(np.arange(8, dtype=np.int32))["wave"]
    assert batch.shape == (8, 4096, 1) and 0.05 < np.abs(batch).max() <= 1
