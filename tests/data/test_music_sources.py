"""midi:, rolls: and bach."""

import importlib.util
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from train.data import bach, musicxml
from train.data.source import open_source
from train.data.spec import parse
from zoo.codecs import Notes, read_midi, write_midi
from zoo.codecs.drums import PITCHES, DrumGrid
from zoo.codecs.performance import Performance
from zoo.codecs.voices import PROGRAMS, VoiceGrid
from zoo.errors import UserError

SCORE = """<?xml version="1.0"?>
<score-partwise><part-list>{names}</part-list>{parts}</score-partwise>"""


def melody(seed: int, notes: int = 24, **fields) -> Notes:
    rng = np.random.default_rng(seed)
    start = np.arange(notes) * 0.5
    return Notes(start, start + 0.5, rng.integers(50, 80, notes), velocity=rng.integers(30, 120, notes), **fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "midi" / "deep").mkdir(parents=True)
    for i in range(8):
        write_midi(melody(i), tmp_path / "midi" / f"{i}.mid")
    for i in range(8, 10):
        write_midi(melody(i), tmp_path / "midi" / "deep" / f"{i}.MIDI")
    write_midi(melody(10, drum=np.array(True)), tmp_path / "midi" / "drums.mid")
    (tmp_path / "midi" / "broken.mid").write_bytes(b"MThd nonsense")
    (tmp_path / "midi" / "notes.txt").write_text("no music")
    return tmp_path / "midi"


def read(spec: str, split: str = "train", **wishes) -> dict[str, np.ndarray]:
    source = open_source(spec, split, **wishes)
    return source.read(np.arange(source.size, dtype=np.int32))


@pytest.mark.parametrize("kind", ["performance", "remi", "voices", "leadsheet", "roll"])
def test_midi_files_become_what_the_codec_makes_of_them(folder: Path, kind: str) -> None:
    spec = f"midi:{folder}?codec={kind}"
    codec = open_source(spec).codec
    wanted = {codec.encode(melody(i)).tobytes() for i in range(10)}
    got = set()
    for split in ("train", "valid"):
        batch = read(spec, split)
        key = "roll" if kind == "roll" else "tokens"
        got |= {row[:n].tobytes() for row, n in zip(batch[key], batch["length"], strict=True)}
    assert got == wanted


def test_midi_files_without_music_are_named(folder: Path) -> None:
    skipped = dict(line.split(": ", 1) for line in open_source(f"midi:{folder}").skipped)
    assert skipped.keys() == {"broken.mid", "drums.mid"} and "drums=1" in skipped["drums.mid"]
    with pytest.raises(UserError, match="first: "):
        open_source(f"midi:{folder}/deep?drums=1")


def test_drums(tmp_path: Path) -> None:
    for i in range(3):
        write_midi(melody(i, drum=np.array(True)), tmp_path / f"{i}.mid")
    source = open_source(f"midi:{tmp_path}?drums=1&steps=50")
    assert source.codec == Performance(steps_per_second=50, drums=True)
    assert source.fields == {
        "vocabulary": source.codec.vocabulary, "start": source.codec.start, "stop": source.codec.stop,
        "steps_per_second": 50,
    }  # fmt: skip
    tokens = read(f"midi:{tmp_path}?drums=1&steps=50")["tokens"]
    assert source.codec.decode(tokens[0]).drum.all()


def test_grooves(tmp_path: Path, folder: Path) -> None:
    """Windows begin with bars in training, and hold what the codec makes of the drums."""
    codec, rng = DrumGrid(), np.random.default_rng(0)
    for number in range(10):
        hits = np.arange(90) * 0.125 + rng.normal(0, 0.01, 90) + 0.05
        notes = Notes(hits, hits + 0.1, rng.choice(PITCHES, 90), rng.integers(20, 120, 90), drum=np.array(True))
        write_midi(notes, tmp_path / "midi" / f"{number}.mid")
    spec = f"midi:{tmp_path / 'midi'}?codec=drums"
    source = open_source(spec, length=32)
    assert isinstance(source.codec, DrumGrid) and str(folder / "0.mid") not in source.skipped
    files = [path for path in sorted((tmp_path / "midi").glob("*.mid")) if path.stem != "broken"]
    pieces = [codec.encode(read_midi(path)) for path in files]
    batch = read(spec, length=32)
    assert batch["groove"].shape[1:] == (32, 27) and set(batch["length"]) <= set(range(1, 33))
    wanted = {piece[at : at + 32].tobytes() for piece in pieces for at in range(0, len(piece), 16)}
    assert {row[:n].tobytes() for row, n in zip(batch["groove"], batch["length"], strict=True)} <= wanted
    with pytest.raises(UserError, match="drums are not transposed"):
        open_source(f"{spec}&transpose=2", length=32)


def test_a_changed_midi_file_is_read_again(tmp_path: Path) -> None:
    for i in range(3):
        write_midi(melody(i), tmp_path / f"{i}.mid")
    before = read(f"midi:{tmp_path}")["tokens"]
    for i in range(3):
        write_midi(melody(i + 10, 25), tmp_path / f"{i}.mid")
    after = read(f"midi:{tmp_path}")["tokens"]
    assert before.shape != after.shape


def test_windows_of_midi_may_be_transposed(folder: Path) -> None:
    plain = open_source(f"midi:{folder}", length=33)
    moved = open_source(f"midi:{folder}?transpose=3", length=33)
    assert moved.size > plain.size and moved.arrays["tokens"].dtype == np.uint16
    sounds = [s.arrays["tokens"] for s in (plain, moved)]
    assert np.array_equal(*sounds)  # transposed when read, not when stored


def test_many_files_are_read_by_several_processes(tmp_path: Path) -> None:
    for i in range(40):
        write_midi(melody(i, 4), tmp_path / f"{i:02}.mid")
    (tmp_path / "99.mid").write_bytes(b"x")
    source = open_source(f"midi:{tmp_path}")
    assert source.size == 36 and [line[:6] for line in source.skipped] == ["99.mid"]


def test_rolls_of_matlab(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cells = {}
    for key, count in (("traindata", 5), ("validdata", 2), ("testdata", 3)):
        cells[key] = np.empty((1, count), object)
        for i in range(count):
            cells[key][0, i] = (rng.random((i + 3, 88)) < 0.1).astype(np.uint8)
    scipy.io.savemat(tmp_path / "a.mat", cells)
    for split, key in (("train", "traindata"), ("valid", "validdata"), ("test", "testdata")):
        batch = read(f"rolls:{tmp_path}/a.mat", split)
        assert batch["roll"].dtype == np.float32 and batch["length"].tolist() == [len(c) for c in cells[key][0]]
        for row, n, cell in zip(batch["roll"], batch["length"], cells[key][0], strict=True):
            assert np.array_equal(row[:n], cell) and not row[n:].any()
    source = open_source(f"rolls:{tmp_path}/a.mat?steps=2")
    assert source.codec.steps_per_quarter == 2 and source.fields == {"keys": 88}
    padded = {f"{key}_roll": np.stack([np.ones((4, 88))] * 3) for key in ("train", "valid", "test")}
    np.savez(tmp_path / "a.npz", **padded)
    assert open_source(f"rolls:{tmp_path}/a.npz", "test").size == 3


def test_long_rolls_are_cut_for_training_only(tmp_path: Path) -> None:
    long, short = (np.random.default_rng(seed).integers(0, 2, (size, 88)) for seed, size in enumerate((21, 5)))
    cells = np.empty((1, 2), object)
    cells[0, :] = [roll.astype(np.uint8) for roll in (long, short)]
    scipy.io.savemat(tmp_path / "a.mat", {"traindata": cells, "testdata": cells})
    spec = f"rolls:{tmp_path}/a.mat?window=8"
    train, test = read(spec, "train"), read(spec, "test")
    starts = [0, 4, 8, 12, 16]
    assert train["roll"].shape == (6, 8, 88) and train["length"].tolist() == [8, 8, 8, 8, 5, 5]
    for row, n, want in zip(
        train["roll"], train["length"], [*(long[at : at + 8] for at in starts), short], strict=True
    ):
        assert np.array_equal(row[:n], want) and not row[n:].any()
    assert test["length"].tolist() == [21, 5] and np.array_equal(test["roll"][0], long)
    with pytest.raises(UserError, match="leave window out"):
        open_source(spec, length=16)


def test_files_that_hold_no_rolls(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "other.mat", {"x": np.zeros(3)})
    scipy.io.savemat(tmp_path / "narrow.mat", {"traindata": np.zeros((4, 12))})
    (tmp_path / "junk.mat").write_bytes(b"junk" * 100)
    np.savez(tmp_path / "a.npz", image=np.zeros((3, 4)))
    for name, words in [("other.mat", "traindata"), ("narrow.mat", "88"), ("junk.mat", "MATLAB"), ("a.npz", "'roll'")]:
        with pytest.raises(UserError, match=words):
            open_source(f"rolls:{tmp_path}/{name}")


def measure(*notes: str, attributes: str = "") -> str:
    return f"<measure>{attributes}{''.join(notes)}</measure>"


def note(step: str | None, duration: int, extra: str = "") -> str:
    pitch = f"<pitch><step>{step}</step><octave>4</octave></pitch>" if step else "<rest/>"
    return f"<note>{extra}{pitch}<duration>{duration}</duration></note>"


def test_musicxml(tmp_path: Path) -> None:
    divisions = "<attributes><divisions>2</divisions></attributes>"
    tie = '<tie type="{}"/>'.format
    one = measure(note("C", 2), note("D", 2, tie("start")), attributes=divisions) + measure(
        note("D", 2, tie("stop")), note(None, 1), note("E", 1), note("G", 1, "<chord/>")
    )
    two = measure(note("C", 2), "<backup><duration>2</duration></backup>", note("A", 4), attributes=divisions)
    two += measure("<note><grace/><pitch><step>B</step><octave>4</octave></pitch></note>", note("F", 4))
    names = "".join(f"<score-part><part-name>{name}</part-name></score-part>" for name in ("One", "Two"))
    text = SCORE.format(names=names, parts=f"<part>{one}</part><part>{two}</part>")
    (tmp_path / "a.xml").write_text(text)
    with zipfile.ZipFile(tmp_path / "a.mxl", "w") as file:
        file.writestr("META-INF/container.xml", "<container/>")
        file.writestr("score.xml", text)
    for name in ("a.xml", "a.mxl"):
        score = musicxml.read_score(tmp_path / name)
        assert [n[:3] for n in score["One"]] == [(0, 1, 60), (1, 3, 62), (3.5, 4, 67)]
        assert [n[:3] for n in score["Two"]] == [(0, 2, 69), (2, 4, 65)]


needs_music21 = pytest.mark.skipif(importlib.util.find_spec("music21") is None, reason="music21 is not installed")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the tests' own, where the chorales are read once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def chorales(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[bach.Chorale]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return bach.load()


@needs_music21
def test_chorales_are_those_of_music21(chorales: list[bach.Chorale]) -> None:
    ours = {chorale.name: chorale for chorale in chorales}
    assert len(ours) == 364 and "bwv1.6" not in ours  # which has horns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # music21's own affair
        from music21 import corpus
    for name in ("bwv269", "bwv362"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            score = corpus.parse(f"bach/{name}", forceSource=True)
        theirs = {
            (float(n.offset), float(n.offset + n.quarterLength), max(n.pitches).midi, voice)
            for voice, part in enumerate(score.parts)
            for n in part.stripTies().flatten().notes
        }
        assert set(zip(*(table.tolist() for table in ours[name][1:]), strict=True)) == theirs, name


@needs_music21
def test_bach_has_four_voices_that_return(chorales: list[bach.Chorale]) -> None:
    source = open_source("bach?limit=10&transpose=0")
    assert source.codec == VoiceGrid() and source.fields == {"vocabulary": 132, "start": 130, "stop": 131}
    batch = source.read(np.arange(source.size, dtype=np.int32))
    lengths = {len(c.onset) for c in chorales[:10]}
    for row, n in zip(batch["tokens"], batch["length"], strict=True):
        notes = source.codec.decode(row[:n])
        assert len(notes) in lengths and set(notes.program) == set(PROGRAMS)
        means = [notes.pitch[notes.program == program].mean() for program in PROGRAMS]
        assert means == sorted(means, reverse=True)


@needs_music21
def test_options_of_bach(chorales: list[bach.Chorale]) -> None:
    whole = {split: open_source("bach", split, length=65).size for split in ("train", "valid")}
    plain = open_source("bach?transpose=0", length=65).size
    assert 4 * plain < whole["train"] < 11 * plain and whole["valid"] > 300
    assert open_source("bach?steps=2").codec.steps_per_quarter == 2
    assert open_source("bach?codec=roll&limit=10").batch_spec(1)["roll"].shape[-1] == 88
    assert open_source("bach?limit=10&transpose=0").size == 9


@needs_music21
def test_a_damaged_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    few = [bach.Chorale(n, np.arange(4.0), np.arange(4.0) + 1, np.full(4, 60), np.arange(4)) for n in ("a", "b")]
    monkeypatch.setattr(bach, "_read", lambda: few)
    first = bach.load()
    (cache,) = (tmp_path / "artzoo").iterdir()
    whole = cache.read_bytes()
    monkeypatch.setattr(bach, "_read", lambda: pytest.fail("the cache was not used"))
    assert [c.name for c in bach.load()] == ["a", "b"]
    again = []
    monkeypatch.setattr(bach, "_read", lambda: again.append(1) or few)
    with np.load(cache) as arrays:
        np.savez(tmp_path / "short.npz", **{**arrays, "names": arrays["names"][:1], "ends": arrays["ends"][:1]})
    short = (tmp_path / "short.npz").read_bytes()
    for damaged in (b"", b"junk", whole[:-30], whole[: len(whole) // 2], short):
        cache.write_bytes(damaged)
        assert all(np.array_equal(a, b) for a, b in zip(bach.load()[1], first[1], strict=True))
        assert cache.read_bytes() == whole
    assert len(again) == 5 and list(cache.parent.iterdir()) == [cache]


@needs_music21
def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "artzoo").write_text("a file where a folder should be")
    few = [bach.Chorale("a", np.arange(4.0), np.arange(4.0) + 1, np.full(4, 60), np.arange(4))]
    monkeypatch.setattr(bach, "_read", lambda: few)
    assert bach.load() == few
    assert "not kept" in capsys.readouterr().err


def test_bach_without_music21(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(bach, "version", missing)
    with pytest.raises(UserError, match=r"pip install 'artzoo\[music\]'"):
        open_source("bach")


@pytest.mark.data
def test_the_piano_rolls_of_the_likelihood_table(zoo_data: Path) -> None:
    """Frames and pieces as reference tables count them."""
    for name, frames in {"JSB_Chorales": (13_807, 4_602, 4_725), "Piano_midi": (75_911, 8_540, 19_036)}.items():
        for split, count in zip(("train", "valid", "test"), frames, strict=True):
            source = open_source(f"rolls:{zoo_data}/polyphonic_piano_rolls/{name}.mat", split)
            assert source.arrays["piece"][:, 1].sum() == count


@pytest.mark.data
def test_pop_songs(zoo_data: Path, tmp_path: Path) -> None:
    for path in sorted((zoo_data / "pop909" / "midi").glob("00*.mid")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = open_source(f"midi:{tmp_path}", length=513)
    assert not source.skipped and source.size > 10_000
    notes = source.codec.decode(source.read(np.array([0], np.int32))["tokens"][0])
    assert len(notes) > 100 and parse(source.spec).kind == "midi"


def test_what_the_codec_keeps_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all files with notes: ten melodies, and one of drums, which a performance of a piano does not keep."""
    from train.data.__main__ import main

    assert main(["show", f"midi:{folder}"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  keeps")]
    assert "of 11 files 240 of 264 notes (24 dropped, 0 merged, 0 cut)" in line and line.endswith("dropped: 24 drums")
