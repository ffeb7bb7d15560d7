"""Disentanglement from known values."""

import numpy as np
import pytest

from train.metrics.factors import (
    accuracy,
    entropy,
    factor_score,
    mutual_information,
    mutual_information_gap,
    separated_attributes,
)

RNG = np.random.default_rng(0)
FACTORS = np.stack([RNG.integers(0, 4, 4000), RNG.integers(0, 3, 4000)], axis=1)


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order():
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def test_information_by_hand():
    assert entropy(np.array([0, 0, 1, 1])) == pytest.approx(np.log(2))
    assert mutual_information(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2])) == pytest.approx(np.log(2))
    assert mutual_information(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == pytest.approx(0)


def test_one_latent_a_factor_is_a_gap_of_one_and_a_rotation_of_none():
    noise = 0.01 * RNG.normal(size=(4000, 3))
    apart = np.concatenate([FACTORS, np.zeros((4000, 1))], axis=1) + noise
    twice = FACTORS[:, [0, 0, 1, 1]] + 0.01 * RNG.normal(size=(4000, 4))
    nothing = RNG.normal(size=(4000, 3))
    assert mutual_information_gap(apart, FACTORS) > 0.98
    assert mutual_information_gap(twice, FACTORS) < 0.01
    assert mutual_information_gap(nothing, FACTORS) < 0.02
    half = slice(0, 2000), slice(2000, None)
    sap = lambda z: separated_attributes(z[half[0]], FACTORS[half[0]], z[half[1]], FACTORS[half[1]])
    # The best latent is always right, the others are as often as chance is.
    assert sap(apart) == pytest.approx(1 - (1 / 4 + 1 / 3) / 2, abs=0.05)
    assert sap(twice) < 0.01 and sap(nothing) < 0.03


def test_thresholds_between_medians():
    z, value = np.array([0.0, 1, 10, 11]), np.array([0, 0, 1, 1])
    assert accuracy(z, value, np.array([5.4, 5.6, -3, 90]), np.array([0, 1, 0, 0])) == 3 / 4


def draw(factor, n, rng):
    found = rng.normal(size=(n, 3))
    if factor >= 0:
        found[:, factor] = rng.normal()
    return found


def test_the_votes_of_latents_that_stand_for_factors():
    size = {"votes": 400, "checks": 400}
    assert factor_score(lambda x: 3 * x[:, [2, 0, 1]], draw, 3, **size) == 1
    assert factor_score(lambda x: x[:, [2, 0, 1]] * [1, 1, 0.1], draw, 3, **size) < 0.9  # one varies too little
    assert factor_score(lambda x: 0 * x, draw, 3, **size) == 0
    # Sum and difference of two factors vary alike, whichever is held: half of those votes are lost.
    mixed = np.array([[1, 1, 0], [1, -1, 0], [0, 0, 1]]) / np.sqrt([2, 2, 1])
    assert factor_score(lambda x: x @ mixed, draw, 3, **size) == pytest.approx(2 / 3, abs=0.08)
