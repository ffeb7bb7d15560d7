"""styles: music of several styles, each window with its own; bach's textures."""

import numpy as np
import pytest
import scipy.io

from train.data.source import open_source
from zoo.codecs import Notes, write_midi
from zoo.errors import UserError


def chords(seed: int, steps: int = 40) -> Notes:
    rng = np.random.default_rng(seed)
    start = np.arange(steps) * 0.5
    return Notes(start, start + 0.5, rng.integers(50, 80, steps))


@pytest.fixture
def folder(tmp_path):
    """Ten pieces of a style in ``jigs``, forty in ``airs``, and a .mat of rolls whose splits are its own."""
    for name, count in (("jigs", 10), ("airs", 40)):
        (tmp_path / name).mkdir()
        for i in range(count):
            write_midi(chords(i + (100 if name == "airs" else 0)), tmp_path / name / f"{i}.mid")
    cells = {}
    for key, sizes in (("traindata", (30, 50)), ("validdata", (20,)), ("testdata", (25,))):
        cells[key] = np.empty((1, len(sizes)), object)
        for i, size in enumerate(sizes):
            cells[key][0, i] = np.eye(88, dtype=np.uint8)[:size]
    scipy.io.savemat(tmp_path / "hymns.mat", cells)
    return tmp_path


def test_each_window_has_its_style_and_styles_take_turns(folder):
    spec = f"styles:{folder}/jigs,{folder}/airs?steps=1"
    source = open_source(spec, length=8)
    assert source.labels == ("jigs", "airs") and source.fields["classes"] == 2
    batch = source.read(np.arange(source.size, dtype=np.int32))
    assert batch["roll"].shape[1:] == (8, 88) and batch["label"].dtype == np.int32
    np.testing.assert_array_equal(batch["label"], np.arange(source.size) % 2)
    wanted = {name: open_source(f"midi:{folder}/{name}?codec=roll&steps=1", length=8) for name in source.labels}
    for label, own in enumerate(wanted.values()):
        rows = own.read(np.arange(own.size, dtype=np.int32))["roll"]
        found = {row.tobytes() for row in batch["roll"][batch["label"] == label]}
        assert found == {row.tobytes() for row in rows}  # all of them, the smaller style's again and again
    held = open_source(spec, "valid", length=8)
    once = held.read(np.arange(held.size, dtype=np.int32))
    assert held.size == sum(open_source(one.spec, "valid", length=8).size for one in wanted.values())
    assert sorted(set(once["label"].tolist())) == [0, 1]


def test_files_of_rolls_and_folders_of_styles(folder):
    source = open_source(f"styles:{folder}?steps=1", length=8)
    assert source.labels == ("airs", "hymns", "jigs")
    test = open_source(f"styles:{folder}/hymns.mat,{folder}/jigs?steps=1", "test")
    batch = test.read(np.arange(1, dtype=np.int32))
    assert batch["label"][0] == 0 and batch["length"][0] == 25
    np.testing.assert_array_equal(batch["roll"][0, :25], np.eye(88)[:25])
    moved = open_source(f"styles:{folder}?steps=1&transpose=2", length=8)
    assert moved.size > source.size


FAULTS = {
    "one style": ("styles:{0}/jigs", "one style; put each into a folder of its own"),
    "one of a list": ("styles:{0}/only", "1 style; music becomes another's where there are two"),
    "no such folder": ("styles:{0}/jigs,{0}/reels", "no such folder or file"),
    "the same twice": ("styles:{0}/jigs,{0}/jigs", "two styles are called 'jigs'"),
    "no MIDI": ("styles:{0}/jigs,{0}/empty", "no MIDI file with music in"),
    "no rolls": ("styles:{0}/jigs,{0}/bad.npz", "no rolls in"),
    "an option": ("styles:{0}/jigs,{0}/airs?codec=remi", "no option 'codec'"),
    "textures of voices": ("bach?textures=1", "textures are of rolls; add codec=roll"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(folder, fault):
    (folder / "empty").mkdir()
    (folder / "only" / "reels").mkdir(parents=True)
    write_midi(chords(1), folder / "only" / "reels" / "a.mid")
    write_midi(chords(2), folder / "only" / "reels" / "b.mid")
    np.savez(folder / "bad.npz", x=np.zeros(3))
    spec, reason = FAULTS[fault]
    with pytest.raises(UserError, match=reason) as error:
        open_source(spec.format(folder), length=8)
    assert "\n" not in str(error.value)


def test_chorales_as_they_are_and_broken():
    pytest.importorskip("music21")
    source = open_source("bach?codec=roll&textures=1&limit=12", length=64)
    assert source.labels == ("chorale", "arpeggio")
    batch = source.read(np.arange(40, dtype=np.int32))
    at_once = batch["roll"].sum(-1).max(1)
    assert np.all(at_once[batch["label"] == 1] == 1) and np.all(at_once[batch["label"] == 0] > 2)
