"""Hostile files into every public reader: CodecError and nothing else, soon, and with little memory."""

import json
import os
import random
import subprocess
import sys
import time
import zlib
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.codecs import CODECS, CodecError, Notes, from_config, read_midi, write_midi
from zoo.codecs.audio import write_wav
from zoo.codecs.bpe import BpeCodec, byte_characters
from zoo.codecs.film import read_film, write_gif, write_mp4
from zoo.codecs.images import read_image, read_png, write_png
from zoo.codecs.midi import read_tracks
from zoo.codecs.songs import read_song

ROOT = Path(__file__).parents[2]
SECONDS = 5  # of one small file, on a busy machine


def read_pairs(path: Path) -> BpeCodec:
    """The file as the one file of a tokenizer, and as the merges of another."""
    folder = path.parent / "pairs"
    folder.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    if path.read_bytes()[:1] == b"{":
        (folder / "tokenizer.json").write_bytes(path.read_bytes())
    else:
        (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(byte_characters())}))
        (folder / "merges.txt").write_bytes(path.read_bytes())
    return BpeCodec.of(folder)


def read_annotated(path: Path) -> Notes:
    """A song beside which the file lies as its chords and as its beats."""
    folder = path.parent / "song"
    folder.mkdir(exist_ok=True)
    (folder / "song.mid").write_bytes(files()["tracks.mid"])
    for name in ("chord_midi.txt", "beat_midi.txt"):
        (folder / name).write_bytes(path.read_bytes())
    return read_song(folder / "song.mid")


READERS = {
    "midi": read_midi,
    "tracks": read_tracks,
    "song": read_song,
    "annotations": read_annotated,
    "png": read_png,
    "image": read_image,
    "small image": lambda path: read_image(path, channels=3, size=8),
    "film": read_film,
    "pairs": read_pairs,
}


@cache
def files() -> dict[str, bytes]:
    """A small one of every kind that is read, and some of kinds that are not."""
    import mido
    from PIL import Image

    folder = Path(files.folder)  # type: ignore[attr-defined]
    noise = np.random.default_rng(0)
    start = np.arange(24) / 4
    pitch, program = noise.integers(30, 80, 24), noise.choice([0, 33, 48], 24)
    notes = Notes(start, start + 0.3, pitch, noise.integers(1, 128, 24), program, start % 1 == 0, ((0, 97), (2, 140)))
    write_midi(notes, folder / "song.mid")
    song = mido.MidiFile(ticks_per_beat=96)
    for channel, name in enumerate(("MELODY", "PIANO")):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        track += [mido.Message("control_change", channel=channel, control=64, value=value) for value in (127, 0, 127)]
        track += [mido.Message("sysex", data=(1, 2, 3)), mido.MetaMessage("set_tempo", tempo=400_000)]
        for key in (60, 64, 64, 67):
            track.append(mido.Message("note_on", channel=channel, note=key, time=10))
            track.append(mido.Message("note_on", channel=channel, note=key, velocity=0, time=50))
        song.tracks.append(track)
    song.save(folder / "tracks.mid")
    pixels = noise.integers(0, 256, (12, 16, 4)).astype(np.uint8)
    for channels in (1, 3, 4):
        write_png(pixels[..., :channels], folder / f"{channels}.png", meta={"seed": 7})
    coloured = Image.fromarray(pixels[..., :3])
    coloured.quantize(7).save(folder / "palette.png", transparency=3)
    Image.fromarray(noise.integers(0, 2**16, (9, 5)).astype(np.uint16)).save(folder / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    coloured.save(folder / "a.jpg", exif=exif)
    coloured.convert("CMYK").save(folder / "b.jpg", progressive=True)
    Image.fromarray(pixels).save(folder / "a.webp", lossless=True)
    write_gif(np.stack([pixels[..., :3], pixels[::-1, :, :3]]), folder / "a.gif", meta={"seed": 7})
    write_mp4(pixels[None, ..., :3].repeat(3, axis=0), folder / "a.mp4")
    write_wav(np.sin(np.arange(200)), folder / "a.wav")
    np.savez(folder / "a.npz", image=pixels)
    pairs = {"model": {"type": "BPE", "vocab": {n: i for i, n in enumerate([*byte_characters(), "he"])}}}
    pairs["model"]["merges"] = ["h e"]
    (folder / "pairs.json").write_text(
        json.dumps(pairs | {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}})
    )
    (folder / "merges.txt").write_text("#version: 0.2\nh e\nhe l\n")
    (folder / "chords.txt").write_text("0 1.5 C:maj\n1.5 3 A:min7/5\n")
    (folder / "beats.txt").write_text("0.1 1.0 1.0\n0.7 0.0 0.0\n1.3 1.0 0.0\n")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def whole(tmp_path_factory) -> dict[str, bytes]:
    files.folder = tmp_path_factory.mktemp("whole")  # type: ignore[attr-defined]
    return files()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "file"


def into_every_reader(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for name, read in READERS.items():
        began = time.process_time()
        try:
            found = read(path)
        except CodecError as error:
            assert "\n" not in str(error) and error.cause, name
        else:
            into_every_codec(found)
        assert time.process_time() - began < SECONDS, name


def into_every_codec(found) -> None:
    """What was read of a damaged file is music like any other."""
    for notes in found.values() if isinstance(found, dict) else [found] if isinstance(found, Notes) else []:
        for codec in music_codecs():
            try:
                again = codec.decode(codec.encode(notes))
                report = codec.report(notes)
            except CodecError:
                continue
            assert report.notes == len(notes) and (len(again) > 0) == (report.size > 2), codec


@cache
def music_codecs() -> list:
    kinds = {name: getattr(import_module(module), kind) for name, (module, kind) in CODECS.items()}
    names = [name for name, kind in kinds.items() if kind.media == "music"]
    return [from_config({"codec": name}) for name in names] + [from_config({"codec": "performance", "drums": True})]


def damage(data: bytes, draw: random.Random) -> bytes:
    """Bytes changed, put in, cut out, repeated; then perhaps the sums of a PNG made right again, to get behind them."""
    data = bytearray(data)
    for _ in range(draw.randint(1, 5)):
        at, size = draw.randint(0, len(data)), draw.choice([1, 1, 2, 4, 30])
        match draw.randrange(6):
            case 0:
                data[at : at + size] = draw.randbytes(size)
            case 1:
                data[at : at + size] = draw.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * size
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size] * draw.choice([1, 2, 100])
            case 4:
                del data[at:]
            case 5 if data:
                data[at % len(data)] ^= 1 << draw.randrange(8)
    return summed(data) if draw.random() < 0.5 else bytes(data)


def summed(data: bytes) -> bytes:
    """A PNG whose chunks have the sums that belong to them, as far as it is one."""
    if not data.startswith(b"\x89PNG"):
        return bytes(data)
    whole, at = bytearray(data), 8
    while at + 12 <= len(whole):
        end = at + 8 + int.from_bytes(whole[at : at + 4], "big")
        whole[end : end + 4] = zlib.crc32(whole[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(whole[: len(data)])


def test_whole_files_are_read_and_others_refused(whole, place):
    """The seeds are good: each is read by what is made for it. No reader takes a file of another kind."""
    kinds = {".mid": "midi", ".png": "png", ".jpg": "image", ".webp": "image", ".gif": "film", ".mp4": "film"}
    for name, data in whole.items():
        suffix = Path(name).suffix
        place.write_bytes(data)
        if kind := {**kinds, ".json": "pairs"}.get(suffix):
            READERS[kind](place)
        for other in set(READERS) - {"pairs", "annotations", "tracks", "song", "small image"}:
            if kinds.get(suffix) != other and not (suffix == ".png" and other == "image"):
                with pytest.raises(CodecError):
                    READERS[other](place)


@given(st.integers(0, 2**63), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files(whole, place, seed, data):
    name = data.draw(st.sampled_from(sorted(whole)))
    into_every_reader(place, damage(whole[name], random.Random(seed)))


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"{"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(place, data, head):
    into_every_reader(place, head + data)


@given(
    st.dictionaries(
        st.sampled_from(["codec", "steps_per_quarter", "tempo", "tracks", "qualities", "chords", "alphabet"]),
        st.one_of(st.integers(), st.floats(), st.text(max_size=5), st.none(), st.lists(st.integers(), max_size=3)),
        max_size=4,
    ),
    st.sampled_from(sorted(CODECS)),
)
@settings(max_examples=200, deadline=None)
def test_any_config(config, name):
    try:
        from_config({"codec": name} | config)
    except CodecError as error:
        assert "\n" not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_many_damaged_files(whole, place, seed):
    draw = random.Random(seed)
    for _ in range(800):
        into_every_reader(place, damage(whole[draw.choice(sorted(whole))], draw))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    "pattern", ["pop909/midi/*.mid", "groove_midi/**/*.mid", "style_content/**/*.jpg", "dcss_tiles/**/*.png"]
)
def test_damaged_files_of_others(zoo_data, place, pattern):
    draw, files = random.Random(1), sorted(zoo_data.glob(pattern))
    for path in draw.sample(files, min(60, len(files))):
        data = path.read_bytes()
        for _ in range(3):
            into_every_reader(place, damage(data[:20_000] if len(data) > 200_000 else data, draw))


# Bombs: all read in one process that measures itself, so that a bad one does not take the tests with it.


def burst(folder: Path, *which: str) -> list[dict]:
    """What `bombs.py` says of each."""
    command = [sys.executable, str(Path(__file__).with_name("bombs.py")), str(folder), *which]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=900, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_bombs(tmp_path):
    found = burst(tmp_path)
    assert len(found) > 12 and not [bomb for bomb in found if not bomb["right"]]
    assert max(bomb["seconds"] for bomb in found) < 8 and max(bomb["megabytes"] for bomb in found) < 1000


@pytest.mark.slow
def test_large_bombs(tmp_path):
    found = burst(tmp_path, "large")
    assert len(found) > 20 and not [bomb for bomb in found if not bomb["right"]]
    assert max(bomb["seconds"] for bomb in found) < 60 and max(bomb["megabytes"] for bomb in found) < 1000
