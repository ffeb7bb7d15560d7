"""What the row of styles measures, and what it says of its means."""

import numpy as np
import pytest

from benchmarks.rows.midi_style import ARMS, alike, strokes, verdict


def test_alike_is_a_correlation():
    a, b = np.random.default_rng(0).normal(size=(2, 4, 12))
    assert alike(a, a) == pytest.approx(1) and alike(a, -a) == pytest.approx(-1)
    assert alike(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert alike(a, np.ones_like(a)) == 0


def test_strokes_are_counted_where_keys_begin():
    roll = np.zeros((4, 88))
    roll[1:3, 5], roll[2:, 7] = 1, 1
    np.testing.assert_array_equal(strokes(roll), [1, 1, 0])


def test_verdict():
    means = {arm: {"style": 0.1, "harmony": 0.9, "rhythm": 0.8, "kept": 1.0} for arm in ARMS}
    means["transfer"] |= {"style": 0.9, "harmony": 0.7, "rhythm": 0.5, "kept": 0.3}
    means["another piece"] |= {"style": 0.95, "harmony": 0.4, "rhythm": 0.2, "kept": 0.1}
    said = verdict(means)
    assert said.startswith("taken for the other style more often than before, 90% against 10% (real pieces of it: 95%)")
    assert "and nearer to its source" in said and said.endswith("30% of the cells stay")
    means["transfer"] |= {"style": 0.1, "rhythm": 0.1}
    assert "no more often" in verdict(means) and "not in all nearer" in verdict(means)
