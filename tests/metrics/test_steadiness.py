"""How steady films are."""

import numpy as np
import pytest

from train.metrics.steadiness import carried, trusted_places, warping_error


def test_a_film_that_only_moves_has_no_error():
    rng = np.random.default_rng(0)
    whole = rng.uniform(size=(12, 30, 3)).astype(np.float32)
    frames = np.stack([whole[:, 2 * t : 2 * t + 20] for t in range(5)])
    back = np.broadcast_to(np.array([2, 0], np.float32), (4, 12, 20, 2))  # the frame before has it to the right
    where = trusted_places(back, -back)
    assert where[:, :, :18].all() and not where[:, :, 18:].any()
    assert warping_error(frames, back, where) == pytest.approx(0, abs=1e-12)
    assert warping_error(frames, 0 * back, np.ones_like(where)) > 0.05
    np.testing.assert_array_equal(carried(frames[0], back[0])[:, :18], frames[1][:, :18])


def test_a_known_error():
    """Equations 9 and 10 of Lai et al. 2018: noise of variance v on each frame makes 2 v of a film that stands still;
    and places that do not count do not."""
    rng = np.random.default_rng(1)
    frames = 0.5 + 0.1 * rng.normal(size=(6, 64, 64, 3))
    back, where = np.zeros((5, 64, 64, 2), np.float32), np.ones((5, 64, 64))
    assert warping_error(frames, back, where) == pytest.approx(0.02, rel=0.01)
    where[:, :32] = 0
    frames[:, :32] += np.arange(6)[:, None, None, None]
    assert warping_error(frames, back, where) == pytest.approx(0.02, rel=0.02)
    steps = np.zeros((3, 4, 4, 1)) + np.array([0, 0.1, 0.4]).reshape(3, 1, 1, 1)
    none = np.zeros((2, 4, 4, 2), np.float32)
    assert warping_error(steps, none, np.ones((2, 4, 4))) == pytest.approx((0.01 + 0.09) / 2)


def test_frames_without_a_place_do_not_count():
    frames, back, where = np.arange(3.0).reshape(3, 1, 1, 1) ** 2, np.zeros((2, 1, 1, 2)), np.ones((2, 1, 1))
    where[1] = 0
    assert warping_error(frames, back, where) == 1
    with pytest.raises(ValueError, match="no place counts"):
        warping_error(frames, back, 0 * where)
    with pytest.raises(ValueError, match="3 frames have 2 flows"):
        warping_error(frames, back[:1], where)
