"""Labels read off pictures, against the true ones."""

import numpy as np
import pytest

from train.metrics.segmentation import agreement, confusion


def test_counts_and_shares():
    true = np.array([[0, 0, 0, 0, 1, 1, 3, 3]])
    read = np.array([[0, 0, 0, 1, 1, 0, 2, 3]])
    counts = confusion(true, read, 4)
    np.testing.assert_array_equal(counts, [[3, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]])
    found = agreement(counts)  # label 2, which no pixel has, counts nowhere
    assert found["pixel"] == pytest.approx(5 / 8)
    assert found["class"] == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    assert found["iou"] == pytest.approx((3 / 5 + 1 / 3 + 1 / 2) / 3)


def test_all_right_is_one():
    labels = np.random.default_rng(0).integers(0, 5, (3, 7, 7))
    assert set(agreement(confusion(labels, labels, 5)).values()) == {1.0}
