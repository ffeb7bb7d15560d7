"""Measures of music against values worked out by hand; and the pieces for which published code says something else."""

import math

import numpy as np
import pytest

from train.metrics import music
from zoo.codecs import Notes

C_MAJOR = np.array([60, 62, 64, 65, 67, 69, 71, 72])


def notes(rows, **fields):
    """(onset, length, pitch) in quarters, at 60 a minute."""
    start, length, pitch = np.array(rows, float).reshape(-1, 3).T
    return Notes(start, start + length, pitch.astype(int), tempo=((0.0, 60.0),), **fields)


def test_pitches_by_hand():
    assert music.pitch_class_entropy(C_MAJOR) == pytest.approx(-(6 / 8 * np.log2(1 / 8) + 2 / 8 * np.log2(2 / 8)))
    assert music.pitch_entropy(C_MAJOR) == 3 and music.pitch_entropy(np.array([60, 60])) == 0
    assert music.pitch_range(C_MAJOR) == 12
    assert music.scale_consistency(C_MAJOR) == 1  # and so A minor
    assert music.scale_consistency(np.arange(60, 72)) == pytest.approx(7 / 12)
    assert music.scale_consistency(np.array([60, 61, 62])) == pytest.approx(2 / 3)


def test_rolls_by_hand():
    """Two bars of four beats, four steps each: a third on the first beat, a note on the third; then one note."""
    piece = notes([(0, 1, 60), (0, 1, 64), (2, 0.5, 67), (4, 4, 60)])
    roll = music.roll_of(piece)
    assert roll.shape == (32, 128)
    assert music.polyphony(roll) == pytest.approx((4 * 2 + 2 + 16) / (4 + 2 + 16))
    assert music.polyphony_rate(roll) == pytest.approx(4 / 32) and music.polyphony_rate(roll, least=3) == 0
    assert music.empty_rate(roll, steps=4) == pytest.approx(2 / 8) and music.empty_rate(roll, steps=16) == 0
    assert music.used_pitch_classes(roll, steps=16) == pytest.approx((3 + 1) / 2)
    assert music.qualified_notes(np.array([1, 2, 3, 9])) == 0.5


def test_where_published_code_differs():
    """See the docstring of the module."""
    # C in seven octaves is one pitch class; seven neighbours are seven.
    octaves, neighbours = (notes([(0, 1, pitch) for pitch in row]) for row in (range(24, 108, 12), range(60, 67)))
    assert music.used_pitch_classes(music.roll_of(octaves), steps=16) == 1
    assert music.used_pitch_classes(music.roll_of(neighbours), steps=16) == 7
    # Two silent beats of four.
    assert music.empty_rate(music.roll_of(notes([(0, 1, 60), (3, 1, 60)])), steps=4) == 0.5
    # Two pitches are at least two.
    assert music.polyphony_rate(music.roll_of(notes([(0, 1, 60), (0, 1, 64)]))) == 1
    # Four chords have two trigrams.
    assert music.progression_irregularity([0, 1, 2, 3]) == 1 and music.progression_irregularity([1, 1, 1, 1]) == 0.5


def test_grooves_by_hand():
    bars = np.array([[1, 0, 1, 0], [1, 0, 1, 1], [0, 0, 1, 0]], bool)
    assert music.groove_consistency(bars) == pytest.approx(1 - (1 + 2) / 8)
    assert music.groove_similarity(bars) == pytest.approx(1 - (1 + 2 + 1) / 12)
    onsets = music.onsets_of(notes([(0, 1, 60), (1.5, 1, 62), (4, 1, 60)]))
    assert onsets.shape == (2, 16) and list(np.argwhere(onsets)[:, 1]) == [0, 6, 0]


def test_tonal_distance_is_that_of_the_circle_of_fifths():
    one = lambda pitch: music.chroma(music.roll_of(notes([(0, 1, pitch)])), steps=4)
    # A fifth turns the three circles by 7 * 7/6, 7 * 3/2 and 7 * 2/3 pi.
    chord = lambda turns, radius: 2 * radius * abs(np.sin(turns * np.pi / 2))
    fifth = math.sqrt(chord(49 / 6, 1) ** 2 + chord(21 / 2, 1) ** 2 + chord(14 / 3, 0.5) ** 2)
    assert music.tonal_distance(one(60), one(67)) == pytest.approx(fifth)
    assert music.tonal_distance(one(60), one(72)) == pytest.approx(0)
    assert music.tonal_distance(one(60), one(67)) < music.tonal_distance(one(60), one(66))
    np.testing.assert_allclose(
        music.chroma(music.roll_of(notes([(0, 1, 60), (0, 0.5, 64)])), steps=4)[0, [0, 4]], [2 / 3, 1 / 3]
    )


def test_a_piece_and_drums():
    found = music.describe(notes([(0, 1, 60), (1, 1, 62), (3, 1, 67)]))
    assert (found["notes"], found["pitches"], found["mean_length"]) == (3, 3, 1)
    assert found["mean_interval"] == 3.5 and found["mean_onset_gap"] == 1.5 and found["empty_beat_rate"] == 0.25
    drums = music.describe(notes([(0, 1, 36), (2, 1, 38)], drum=np.array(True)))
    assert drums["notes"] == 2 and drums["pitches"] == 0 and math.isnan(drums["pitch_range"])
    assert math.isnan(drums["groove_consistency"])  # of a single bar
    nothing = music.describe(Notes([], [], []))
    assert nothing["notes"] == 0 and all(math.isnan(nothing[name]) for name in ("polyphony", "empty_bar_rate"))


def test_overlap_of_two_sets():
    rng = np.random.default_rng(0)
    real = rng.normal(size=200)
    same, far = music.alike(rng.normal(size=200), real), music.alike(rng.normal(size=200) + 6, real)
    assert same["overlap"] > 0.95 and same["kl"] < 0.02
    assert far["overlap"] < 0.1 and far["kl"] > 1
    # Of two normals the distances are half normals of deviation sqrt 2, whatever the number of points.
    again = music.alike(rng.normal(size=200), real, points=5_000)
    assert again["overlap"] > 0.95
    assert music.alike([1.0, 1.0], [1.0] * 4) == {"overlap": 1.0, "kl": 0.0}
    assert music.alike([2.0], [1.0] * 4) == {"overlap": 0.0, "kl": math.inf}
    assert math.isnan(music.alike([math.nan], [1.0] * 4)["overlap"])


def test_sets_of_pieces_are_compared_measure_by_measure():
    rng = np.random.default_rng(1)
    piece = lambda low: notes([(at, 1, low + rng.integers(0, 12)) for at in range(16)])
    found = music.compare([piece(60) for _ in range(6)], [piece(60) for _ in range(6)])
    assert found["pitches"]["ours"] == pytest.approx(found["pitches"]["theirs"], abs=3)
    assert 0 <= found["pitch_entropy"]["overlap"] <= 1 and set(found) == set(music.describe(piece(60)))
