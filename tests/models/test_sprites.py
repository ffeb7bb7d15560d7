"""Sprites of known factors."""

import jax
import numpy as np

from train.data.source import open_source
from zoo.algorithmic.sprites import COUNT, FACTORS, draw_sprite, factors_of

factors = jax.jit(jax.vmap(factors_of))
drawn = jax.jit(jax.vmap(lambda values: draw_sprite(values, 64)))


def test_every_combination_comes_once_and_soon_all_values_do():
    every = np.asarray(factors(np.arange(COUNT, dtype=np.int32)))
    assert (every.min(0) == 0).all() and (every.max(0) + 1 == list(FACTORS.values())).all()
    assert len(np.unique(np.ravel_multi_index(every.T, tuple(FACTORS.values())))) == COUNT == 737_280
    assert all(len(np.unique(values)) == count for values, count in zip(every[:720].T, FACTORS.values(), strict=True))


def test_each_factor_does_what_it_says():
    base = np.array([0, 3, 0, 16, 16])
    change = lambda axis, values: np.stack([np.where(np.arange(5) == axis, value, base) for value in values])
    area = lambda pictures: (np.asarray(pictures) > 0).sum((1, 2, 3))
    assert (np.diff(area(drawn(change(1, range(6))))) > 0).all()
    places = np.asarray(drawn(change(3, range(0, 32, 4))))[..., 0] > 0
    middles = [np.flatnonzero(place.any(0)).mean() for place in places]
    assert (np.diff(middles) > 1).all() and 0 < middles[0] < middles[-1] < 63
    heights = [np.flatnonzero((one[..., 0] > 0).any(1)).mean() for one in np.asarray(drawn(change(4, (0, 31))))]
    assert heights[0] > heights[1] + 10  # upwards
    shapes = np.asarray(drawn(change(0, range(3))))
    assert len({tuple(shape.ravel()) for shape in shapes}) == 3 and set(np.unique(shapes)) == {-1, 1}
    turned = np.asarray(drawn(change(2, (0, 5, 10))))  # an eighth, and a quarter, of which a square shows nothing
    assert (turned[0] != turned[1]).any() and (turned[0] != turned[2]).mean() < 0.01


def test_the_splits_share_no_sprite():
    train, test = open_source("sprites?size=16"), open_source("sprites?size=16", "test")
    assert train.size + test.size == COUNT
    batch = test.read(np.arange(4, dtype=np.int32))
    assert batch["image"].shape == (4, 16, 16, 1) and set(batch["label"]) <= {0, 1, 2}
    whole = open_source("sprites?size=16").read(np.arange(4, dtype=np.int32))
    assert not np.array_equal(whole["image"], batch["image"])
