"""ViT against its formulas; smoothed labels; pictures that it is sure of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from tiny import initialised, jitted, random_batch, random_like, tiny

from zoo.errors import UserError


@pytest.fixture(scope="module")
def net():
    model = tiny("vit")
    params = random_like(initialised(model)[0], scale=0.3)
    return model, params, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["vit"])


def written_out(tree, image):
    """An image [8, 8, 3] -> logits and features: equations 1 to 4."""
    dense = lambda layer, x: x @ layer["kernel"] + layer["bias"]
    gelu = lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def norm(layer, x):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * layer["scale"] + layer["bias"]

    patches = [image[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].ravel() for i in range(2) for j in range(2)]
    x = np.concatenate([tree["whole"][0], dense(tree["patches"], np.stack(patches))]) + tree["positions"][0]
    block = tree["blocks_0"]
    qkv = np.split(dense(block["qkv"], norm(block["norm_1"], x)), 3, axis=-1)
    mixed = [
        softmax(q @ k.T / np.sqrt(8), axis=-1) @ v
        for q, k, v in zip(*(np.split(part, 2, axis=-1) for part in qkv), strict=True)
    ]
    x = x + dense(block["project"], np.concatenate(mixed, axis=-1))
    x = x + dense(block["contract"], gelu(dense(block["expand"], norm(block["norm_2"], x))))
    features = norm(tree["norm"], x[0])
    return dense(tree["head"], features), features


def test_logits_features_and_loss_are_those_of_the_formulas(net):
    _, params, tree = net
    model = tiny("vit", dropout=0.0)
    batch = random_batch(model, 5)
    logits, features = map(
        np.stack, zip(*(written_out(tree, np.float64(image)) for image in batch["image"]), strict=True)
    )
    np.testing.assert_allclose(jitted(model, "logits")(params, batch["image"]), logits, atol=2e-3)
    np.testing.assert_allclose(jitted(model, "features")(params, batch["image"]), features, atol=2e-3)
    log_p = log_softmax(logits, axis=-1)
    target = 0.9 * np.eye(3)[batch["label"]] + 0.1 / 3
    loss, (_, metrics) = jitted(model, "loss")(params, {}, batch, jax.random.key(0), jnp.int32(0))
    assert float(loss) == pytest.approx(-(target * log_p).sum(-1).mean(), rel=1e-3)
    found = jitted(model, "evaluate")(params, {}, batch, jax.random.key(0))
    assert float(found["nll"][0]) == pytest.approx(-log_p[np.arange(5), batch["label"]].sum(), rel=1e-3)
    right = (logits.argmax(-1) == batch["label"]).sum()
    assert int(found["accuracy"][0]) == right and float(metrics["accuracy"]) == pytest.approx(right / 5)


def test_pictures_that_it_is_sure_of(net):
    model, params, _ = net
    images = np.asarray(jitted(model, "sample", "n")(params, {}, jax.random.key(0), n=6))
    assert images.shape == (6, 8, 8, 3) and np.abs(images).max() <= 1
    wanted = lambda images: np.asarray(jitted(model, "logits")(params, images))[np.arange(6), np.arange(6) % 3]
    assert np.all(wanted(images) > wanted(0.1 * jax.random.normal(jax.random.key(1), images.shape)))
    assert np.all(wanted(images) > wanted(np.roll(images, 1, axis=0)))  # another class's picture
    with pytest.raises(UserError, match="does not divide pictures of 8"):
        tiny("vit", patch=3)
