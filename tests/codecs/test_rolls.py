"""Piano rolls as arrays, and pictures of notes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, Notes
from zoo.codecs.pianoroll import MAX_WIDTH, picture
from zoo.codecs.rolls import LOWEST, PianoRoll

BOTH = [PianoRoll(), PianoRoll(restrike=True)]


def some_notes(seed: int, size: int = 40) -> Notes:
    random = np.random.default_rng(seed)
    start = random.integers(0, 200, size) / 16
    return Notes(
        start, start + random.integers(0, 40, size) / 16, random.integers(15, 30, size), random.integers(1, 128, size)
    )


def test_roll_by_hand():
    """Two notes that meet, one that is too high, a drum."""
    notes = Notes([0, 0.5, 0, 0], [0.5, 1, 1, 1], [21, 21, 109, 40], drum=[0, 0, 0, 1])
    plain, struck = (codec.encode(notes) for codec in BOTH)
    assert plain.shape == (8, 88) and plain.dtype == np.float32
    assert plain[:, 0].tolist() == [1] * 8 and struck[:, 0].tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    assert plain.sum() == 8 and struck.sum() == 7
    quarter = 60 / 100
    assert BOTH[0].decode(plain) == Notes([0.0], [2 * quarter], [21], tempo=((0, 100),))
    again = BOTH[1].decode(struck)
    assert again.start.tolist() == [0, quarter] and again.end.tolist() == pytest.approx([0.75 * quarter, 2 * quarter])


@pytest.mark.parametrize("codec", BOTH, ids=["plain", "restrike"])
@given(st.integers(0, 2**31), st.floats(0, 0.6))
@settings(max_examples=60, deadline=None)
def test_encoding_inverts_decoding(codec, seed, density):
    roll = (np.random.default_rng(seed).random((30, 88)) < density).astype(np.float32)
    roll[-1, 5] = 1
    np.testing.assert_array_equal(codec.encode(codec.decode(roll)), roll)


@pytest.mark.parametrize("codec", BOTH, ids=["plain", "restrike"])
@pytest.mark.parametrize("seed", range(10))
def test_report_counts_every_note(codec, seed):
    notes = some_notes(seed)
    report, kept = codec.report(notes), codec.quantise(notes)
    assert codec.quantise(kept) == kept
    assert report.kept == len(kept) and report.notes == report.kept + report.dropped + report.merged
    assert report.dropped == np.sum(notes.pitch < LOWEST) and report.size == len(codec.encode(notes))
    assert report.time_error_ms <= 187.5 + 1e-6  # half a step for an onset, and one more for a note without duration


def test_restrike_keeps_more_notes():
    merged = [sum(codec.report(some_notes(seed)).merged for seed in range(10)) for codec in BOTH]
    assert merged[1] < 0.6 * merged[0]


def test_any_numbers_decode():
    roll = np.full((4, 88), 0.5)
    assert len(PianoRoll().decode(roll)) == 0 and len(PianoRoll().decode(roll + 0.1)) == 88
    assert len(PianoRoll().decode(np.zeros((0, 88)))) == 0 and PianoRoll().encode(Notes([], [], [])).shape == (0, 88)
    for wrong in (np.zeros((4, 87)), np.zeros(88)):
        with pytest.raises(CodecError, match="roll: shape"):
            PianoRoll().decode(wrong)
    with pytest.raises(CodecError, match="roll: steps_per_quarter"):
        PianoRoll(steps_per_quarter=0)


# Pictures


def test_picture_shows_notes_where_they_are():
    """One loud and one soft note, an octave and a second apart, on an otherwise grey ground."""
    notes = Notes([0.0, 2.0], [1.0, 3.0], [60, 72], [120, 30])
    image = picture(notes, height=200, pixels_per_second=50).astype(int)
    assert image.dtype == int and image.shape == (200, 16 + 150 + 4, 3)
    colour = image.max(axis=-1) - image.min(axis=-1) > 40
    columns, rows = np.flatnonzero(colour.any(axis=0)), np.flatnonzero(colour.any(axis=1))
    loud, soft = colour[:, 16:66], colour[:, 116:166]
    assert loud.any(axis=0).mean() > 0.9 and soft.any(axis=0).mean() > 0.9
    assert not colour[:, 70:114].any() and columns.min() >= 16 and columns.max() < 166
    assert (
        np.flatnonzero(loud.any(axis=1)).min() > np.flatnonzero(soft.any(axis=1)).max()
        and rows.min() >= 4
        and rows.max() < 196
    )
    assert image[:, 20:60].max() > image[:, 120:160].max() + 40


def test_picture_draws_bars_at_the_metre():
    notes = Notes([0.0], [6.0], [60], metre=((0, 3, 4),))
    top = picture(notes, pixels_per_second=40)[8, 16:-4].astype(int).sum(axis=-1)
    bars = np.flatnonzero(top > np.median(top) + 60)
    assert bars.tolist() == [0, 60, 120, 180]  # three beats of half a second


def test_picture_tells_voices_apart_and_gives_drums_lanes():
    voices = picture(Notes([0.0] * 4, [1.0] * 4, [72, 67, 60, 48], 100, [40, 41, 42, 43]))
    row = [voices[y, 40].astype(int) for y in range(360) if np.ptp(voices[y, 40].astype(int)) > 60]
    assert len({tuple(colour // 8) for colour in row}) >= 4
    drums = picture(Notes([0.0, 0.5, 1.0], [0.1, 0.6, 1.1], [36, 38, 42], drum=True))
    places = [np.flatnonzero(np.ptp(drums[:, x : x + 4].astype(int), axis=-1).max(axis=1) > 60) for x in (16, 46, 76)]
    assert places[0].min() > places[1].max() > places[1].min() > places[2].max()


def test_pictures_of_little_and_much():
    assert picture(Notes([], [], [])).shape == (360, 80, 3)
    assert picture(Notes([0.0], [20000.0], [60], tempo=((0, 1e6),))).shape[1] <= MAX_WIDTH
    everything = Notes(np.zeros(128), np.ones(128), np.arange(128))
    assert picture(everything, height=32).dtype == np.uint8
    for wrong in ({"height": 10}, {"pixels_per_second": 0}):
        with pytest.raises(CodecError, match="picture"):
            picture(everything, **wrong)
