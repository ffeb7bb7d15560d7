"""Sound: samples and back, WAV files of every kind, other rates, and pictures of what is heard."""

import struct
import wave

import numpy as np
import pytest

from zoo.codecs import CodecError, from_config, to_config
from zoo.codecs.audio import write_wav
from zoo.codecs.media import write_waves
from zoo.codecs.waves import FULL, WaveCodec, outline, picture, read_wav, resampled, spectrogram


def sine(hertz: float, rate: int, seconds: float = 0.5, loud: float = 0.8) -> np.ndarray:
    return (loud * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def test_encode_and_decode_are_inverse():
    codec, sound = WaveCodec(rate=16000), np.arange(-FULL, FULL + 1, dtype=np.int16)
    array = codec.encode(sound)
    assert array.shape == (2 * FULL + 1, 1) and array.dtype == np.float32 and array.min() == -1 and array.max() == 1
    np.testing.assert_array_equal(codec.decode(array), sound)
    assert codec.decode(np.full((2, 3, 1), 9.0)).tolist() == [[FULL] * 3] * 2
    assert from_config(to_config(codec)) == codec and codec.media == "audio"
    for wrong in (lambda: WaveCodec(10), lambda: codec.encode(array), lambda: codec.decode(sound)):
        with pytest.raises(CodecError):
            wrong()
    with pytest.raises(CodecError, match="NaN"):
        codec.decode(np.full((2, 1), np.nan))


def test_what_is_written_is_read_again(tmp_path):
    codec, sounds = WaveCodec(rate=8000), np.random.default_rng(0).integers(-FULL, FULL, (3, 500)).astype(np.int16)
    files = write_waves(codec, sounds, tmp_path / "a", meta={"seed": 1})
    assert [path.name for path in files] == ["a_0.wav", "a_1.wav", "a_2.wav", "a.png"]
    for sound, path in zip(sounds, files, strict=False):
        again, rate = read_wav(path)
        assert rate == 8000 and again.shape == (500, 1)
        np.testing.assert_array_equal(codec.decode(again), sound)
    (alone,) = write_waves(codec, sounds[:1], tmp_path / "b", meta={}, kinds=[".wav"])
    assert alone.name == "b.wav"


@pytest.mark.parametrize("bits", [8, 16, 24, 32, -32, -64])
def test_every_kind_of_wav(tmp_path, bits):
    """Two channels, a quiet and a loud one; floats are said by a minus sign."""
    want = np.stack([sine(440, 8000) / 4, sine(440, 8000)], axis=1)
    if bits < 0:
        data, kind = want.astype(f"<f{-bits // 8}").tobytes(), 3
    else:
        full, kind = 2 ** (bits - 1) - 1, 1
        whole = np.rint(want.astype(np.float64) * full).astype(np.int64)
        data = (whole + 128).astype(np.uint8).tobytes() if bits == 8 else b""
        data = data or b"".join(int(v).to_bytes(bits // 8, "little", signed=True) for v in whole.ravel())
    width = abs(bits) // 8
    header = struct.pack("<HHIIHH", kind, 2, 8000, 16000 * width, 2 * width, abs(bits))
    chunks = b"LIST\x03\0\0\0abc\0" + b"fmt \x10\0\0\0" + header + b"data" + struct.pack("<I", len(data)) + data
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    sound, rate = read_wav(tmp_path / "a.wav")
    assert rate == 8000 and sound.dtype == np.float32
    np.testing.assert_allclose(sound, want, atol=2.0 ** -(7 if bits == 8 else 14))


def test_files_of_the_standard_library_and_broken_ones(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes(np.arange(100, dtype="<i2").tobytes())
    sound, rate = read_wav(path)
    assert rate == 22050 and np.array_equal(np.rint(sound[:, 0] * FULL), np.arange(100))
    data = path.read_bytes()
    path.write_bytes(data[:-51])  # it breaks off in the middle of a sample
    assert len(read_wav(path)[0]) == 74
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(data[: rng.integers(12, len(data))])
        broken[rng.integers(12, len(broken)) if len(broken) > 12 else 0] = rng.integers(256)
        path.write_bytes(broken)
        try:
            read_wav(path)
        except CodecError as error:
            assert str(error).startswith(str(path))
    for content in (b"", b"RIFF\0\0\0\0WAVE", data[:20] + b"\x55\0" + data[22:]):
        path.write_bytes(content)
        with pytest.raises(CodecError):
            read_wav(path)


def test_another_rate_is_the_same_sound():
    for rate, to in ((8000, 16000), (44100, 16000), (16000, 16000)):
        again = resampled(sine(440, rate), rate, to)
        middle = slice(to // 10, -to // 10)
        np.testing.assert_allclose(again[middle], sine(440, to)[middle], atol=0.01)
    folded = resampled(sine(7000, 16000), 16000, 8000)  # above half the new rate: it may not come back as 1000 hertz
    assert np.abs(folded[500:-500]).max() < 0.05


def test_pictures_show_pitch_and_loudness():
    low, high = ((sine(hertz, 8000) * FULL).astype(np.int16) for hertz in (500, 3000))
    for sound, hertz in ((low, 500), (high, 3000)):
        shown = spectrogram(sound).sum(axis=-1).astype(float)
        assert abs(shown.mean(axis=1).argmax() - 127 * (1 - hertz / 4000)) <= 2
    half = np.concatenate([low, np.zeros_like(low)])
    lit = spectrogram(half).sum(axis=-1).astype(int) - spectrogram(np.zeros_like(low)).sum(axis=-1)
    assert lit[:, :100].sum() > 20 * np.abs(lit[:, -100:]).sum()
    drawn = outline(half, height=20)
    assert (drawn[1, :120] != drawn[1, -1]).any() or (drawn[3, :120] != drawn[3, -1]).any()
    assert (drawn[2, 140:] == drawn[0, 0]).all() and picture(half[:10]).shape == (160, 256, 3)


def test_wav_files_are_those_of_audio(tmp_path):
    write_wav(sine(440, 8000), tmp_path / "a.wav", 8000)
    np.testing.assert_allclose(read_wav(tmp_path / "a.wav")[0][:, 0], sine(440, 8000), atol=2e-5)
