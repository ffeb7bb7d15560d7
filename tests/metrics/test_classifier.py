"""The classifier that distances and modes are measured with."""

import jax
import jax.numpy as jnp
import numpy as np

from train.metrics.classifier import train_classifier


def test_it_learns_and_its_features_tell_classes_apart():
    """Bright quarters: which one is the class."""

    def examples(index):
        key = jax.random.fold_in(jax.random.key(0), index[0])
        label = index % 4
        place = jnp.stack([label // 2, label % 2], axis=-1)
        rows, columns = (jnp.repeat(jnp.arange(2), 4)[None, :] == place[:, axis, None] for axis in range(2))
        bright = (rows[:, :, None] & columns[:, None, :])[..., None]
        noise = jax.random.uniform(key, (len(index), 8, 8, 1), minval=-1, maxval=1)
        return {"image": jnp.clip(0.8 * noise + bright, -1, 1), "label": label}

    found = train_classifier(examples, 1000, classes=4, steps=100)
    batch = jax.device_get(jax.jit(examples)(jnp.arange(2000, 2600)))
    assert (found.predict(batch["image"]) == batch["label"]).mean() > 0.95
    features = found.features(batch["image"])
    assert features.shape == (600, 128)
    centres = np.stack([features[batch["label"] == label].mean(0) for label in range(4)])
    within = np.mean([features[batch["label"] == label].std(0).mean() for label in range(4)])
    assert np.abs(centres[:, None] - centres[None]).mean() > within
    again = train_classifier(examples, 1000, classes=4, steps=100)
    np.testing.assert_array_equal(again.features(batch["image"][:8]), found.features(batch["image"][:8]))
