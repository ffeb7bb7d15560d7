"""Maps of regions and their pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from zoo.algorithmic.regions import draw_regions, labels_of


def test_regions_are_what_their_picture_shows():
    """All labels are used, regions are few, and each pixel's label can be read off its colour."""
    labels, pictures = jax.jit(jax.vmap(lambda key: draw_regions(key, 32)))(jax.random.split(jax.random.key(0), 8))
    assert pictures.shape == (8, 32, 32, 3) and float(jnp.abs(pictures).max()) <= 1
    assert np.unique(labels).tolist() == list(range(6))
    np.testing.assert_array_equal(jax.jit(labels_of)(pictures), labels)
    across = np.mean(np.asarray(labels)[:, :, 1:] != np.asarray(labels)[:, :, :-1])
    assert 0.02 < across < 0.2
    assert np.asarray(pictures)[np.asarray(labels) == 0].std(axis=0).min() > 0.02  # a pattern, not one colour
