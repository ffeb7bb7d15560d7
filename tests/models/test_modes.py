"""Mode coverage from known values, and the points that it is measured on."""

import jax
import numpy as np
import pytest

from train.data.loader import Loader
from train.data.points import grid_centres, ring_centres
from train.data.source import open_source
from train.metrics.modes import NONE, coverage, nearest_modes
from zoo.codecs import CodecError, from_config, to_config
from zoo.codecs.points import PointCodec
from zoo.errors import UserError


def test_three_deviations_are_the_border():
    centres = np.array([[0.0, 0.0], [10.0, 0.0]])
    points = np.array([[0.0, 5.9], [0.0, 6.1], [8.0, 1.0], [5.0, 0.0]])
    np.testing.assert_array_equal(nearest_modes(points, centres, 2.0), [0, NONE, 1, 0 if 5 / 2 < 3 else NONE])


def test_coverage_by_hand():
    """Six samples of four modes, 3 : 1 : 1, and one of none."""
    got = coverage(np.array([0, 0, 0, 2, 3, NONE]), 4)
    want = 0.6 * np.log(0.6 * 4) + 2 * 0.2 * np.log(0.2 * 4)
    assert got == {"modes": 3, "high_quality": pytest.approx(5 / 6), "reverse_kl": pytest.approx(want)}
    assert coverage(np.array([1] * 7), 8)["reverse_kl"] == pytest.approx(np.log(8))  # collapsed
    assert coverage(np.arange(8), 8)["reverse_kl"] == pytest.approx(0, abs=1e-12)  # even
    assert coverage(np.array([NONE]), 8)["reverse_kl"] == np.inf
    with pytest.raises(ValueError, match="mode 9"):
        coverage(np.array([9]), 8)


@pytest.mark.parametrize(("spec", "centres", "std"), [("ring", ring_centres(), 0.01), ("grid", grid_centres(), 0.05)])
def test_data_cover_their_modes(spec, centres, std):
    """A normal point of the plane lies within 3 deviations with probability 1 - exp(-9 / 2)."""
    source = open_source(spec, "test")
    batch = source.read(np.arange(source.size, dtype=np.int32))
    found = nearest_modes(batch["point"], centres, std)
    near = found != NONE
    np.testing.assert_array_equal(found[near], batch["label"][near])
    report = coverage(found, len(centres))
    assert report["modes"] == len(centres) and report["reverse_kl"] < 0.02
    assert report["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.006)
    assert np.abs(np.std(batch["point"] - centres[batch["label"]]) / std - 1) < 0.05


def test_the_published_mixtures():
    np.testing.assert_allclose(ring_centres()[:3], [[1, 0], [0.5**0.5, 0.5**0.5], [0, 1]], atol=1e-6)
    assert {tuple(row) for row in grid_centres().tolist()} == {(i, j) for i in range(-4, 5, 2) for j in range(-4, 5, 2)}


def test_points_never_repeat_and_splits_share_none():
    train, valid = (Loader(open_source("ring?modes=3", split), 64, seed=0) for split in ("train", "valid"))
    rows = np.concatenate([train.batch(0)["point"], train.batch(1)["point"], valid.batch(0)["point"]])
    assert len(np.unique(rows, axis=0)) == 3 * 64
    assert train.batch(0)["point"].dtype == np.float32 and train.source.batch_spec(5)["point"].shape == (5, 2)


@pytest.mark.parametrize("spec", ["ring?std=0", "grid?spacing=x", "ring?modes=0", "grid?radius=1", "ring:4"])
def test_bad_specs_are_errors_of_one_line(spec):
    with pytest.raises(UserError) as error:
        open_source(spec)
    assert "\n" not in str(error.value)


def test_points_become_one_picture():
    codec = PointCodec(extent=2.0)
    assert from_config(to_config(codec)) == codec
    picture = codec.decode(np.array([[1.0, 1.0], [np.inf, 0.0]]))
    assert picture.shape == (1, 384, 384, 3) and picture.dtype == np.uint8
    rows, columns = np.nonzero(picture[0, ..., 0] > 100)
    assert abs(rows.mean() - 384 / 4) < 2 and abs(columns.mean() - 384 * 3 / 4) < 2  # right and up
    for wrong in (np.zeros((3, 3)), np.full((1, 2), np.nan)):
        with pytest.raises(CodecError):
            codec.decode(wrong)
    assert jax.tree.leaves(codec.encode(np.zeros((2, 2))))[0].dtype == np.float32
