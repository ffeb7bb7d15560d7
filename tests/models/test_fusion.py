"""Fusion's seven ways and the towers: their formulas, what a missing medium may change, and what retrieval counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from tiny import BATCH, compiled_step, fresh_state, initialised, jitted, random_batch, random_like, tiny

from zoo.errors import UserError
from zoo.multimodal.joining import JOININGS, attended, low_rank
from zoo.multimodal.media import mean_of, sound_patches
from zoo.multimodal.tower import START, at_most, confusion, contrastive, retrieved, temperature, unit
from zoo.transformer.vit import picture_patches

EACH = pytest.mark.parametrize("fusion", JOININGS)
BOTH, SOUND, PICTURE = (True, True), (True, False), (False, True)


def of(fusion, **fields):
    """(model, shaken parameters, a batch)."""
    model = tiny("fusion", fusion=fusion, **fields)
    return model, random_like(initialised(model)[0], scale=0.3), random_batch(model)


def asked(model, params, batch, there, **changed):
    """Logits with only the media that are ``there``, of a batch with other arrays in it."""
    batch = {**batch, **changed}
    present = np.broadcast_to(np.array(there), (len(batch["label"]), 2))
    return np.asarray(jitted(model, "logits")(params, batch["spectrum"], batch["image"], present))


@EACH
def test_a_missing_medium_cannot_change_the_answer(fusion):
    model, params, batch = of(fusion)
    other = random_batch(model, seed=1)
    both, sound, picture = (asked(model, params, batch, there) for there in (BOTH, SOUND, PICTURE))
    assert both.shape == (BATCH, 3)
    np.testing.assert_array_equal(asked(model, params, batch, SOUND, image=1e3 * other["image"]), sound)
    np.testing.assert_array_equal(asked(model, params, batch, PICTURE, spectrum=1e3 * other["spectrum"]), picture)
    # What is there counts, and so does whether it is.
    for changed in ({"image": other["image"]}, {"spectrum": other["spectrum"]}):
        assert np.abs(asked(model, params, batch, BOTH, **changed) - both).max() > 1e-3
    assert min(np.abs(both - sound).max(), np.abs(both - picture).max(), np.abs(sound - picture).max()) > 1e-3
    # Rows do not mix: some with both and some with one give what each gives by itself.
    there = np.array([BOTH, SOUND, PICTURE, BOTH, SOUND, PICTURE, BOTH, BOTH])
    mixed = np.asarray(jitted(model, "logits")(params, batch["spectrum"], batch["image"], there))
    wanted = [{BOTH: both, SOUND: sound, PICTURE: picture}[tuple(map(bool, row))][i] for i, row in enumerate(there)]
    np.testing.assert_allclose(mixed, wanted, atol=1e-5)


@EACH
def test_a_gradient_reaches_every_leaf(fusion):
    model, params, batch = of(fusion, drop_sound=0.4, drop_picture=0.4)
    loss = lambda params: model.loss(params, {}, batch, jax.random.key(2), jnp.int32(0))[0]
    for path, leaf in jax.tree_util.tree_flatten_with_path(jax.jit(jax.grad(loss))(params))[0]:
        assert np.abs(leaf).max() > 0, jax.tree_util.keystr(path)


def test_which_media_training_leaves():
    left = np.asarray(tiny("fusion", drop_sound=0.2, drop_picture=0.3).present(jax.random.key(0), 20_000))
    np.testing.assert_allclose(left.mean(axis=0), [0.8, 0.7], atol=0.015)
    assert left.any(axis=1).all()
    alone = tiny("fusion", drop_sound=1.0, drop_picture=0.0).present(jax.random.key(0), 100)
    np.testing.assert_array_equal(alone, [PICTURE] * 100)
    never = tiny("fusion", drop_sound=0.0, drop_picture=0.0).present(jax.random.key(0), 100)
    assert np.asarray(never).all()


def test_evaluation_counts_what_each_medium_says():
    model, params, batch = of("late", noise=2.0)
    judged = lambda model: jitted(model, "evaluate")(params, {}, batch, jax.random.key(0))
    found = {name: float(x) / float(n) for name, (x, n) in judged(model).items()}
    right = lambda logits: np.mean(logits.argmax(-1) == batch["label"])
    for name, there in (("accuracy", BOTH), ("sound_only", SOUND), ("picture_only", PICTURE)):
        assert found[name] == pytest.approx(right(asked(model, params, batch, there)))
    nll = -log_softmax(asked(model, params, batch, BOTH), axis=-1)[np.arange(BATCH), batch["label"]]
    assert found["nll"] == pytest.approx(nll.mean(), rel=1e-4)
    assert found.keys() == {"accuracy", "nll", "sound_only", "picture_only", "noisy_sound", "noisy_picture"}
    quiet = judged(tiny("fusion", fusion="late", noise=0.0))
    assert float(quiet["noisy_sound"][0]) == float(quiet["noisy_picture"][0]) == float(quiet["accuracy"][0])
    # A medium that training never shows is not read.
    deaf = judged(tiny("fusion", fusion="late", drop_sound=1.0, drop_picture=0.0))
    assert float(deaf["accuracy"][0]) == float(deaf["noisy_sound"][0]) == BATCH * found["picture_only"]


def test_late_is_the_mean_of_two_answers():
    model, params, batch = of("late")
    both, *each = (asked(model, params, batch, there) for there in (BOTH, SOUND, PICTURE))
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-5)


def test_low_rank_fusion_is_the_tensor_s_product():
    """Any tensor has factors of full rank, by the singular values of each of its slices."""
    rng = np.random.default_rng(0)
    x, y, tensor = rng.normal(size=(5, 3)), rng.normal(size=(5, 4)), rng.normal(size=(4, 5, 6))
    u, s, v = np.linalg.svd(np.moveaxis(tensor, 2, 0), full_matrices=False)
    factors = np.moveaxis(u * s[:, None], 0, 2).transpose(1, 0, 2), np.moveaxis(v, 0, 2)
    ones = np.ones((5, 1))
    want = np.einsum("bi,bj,ije->be", np.hstack([x, ones]), np.hstack([y, ones]), tensor)
    single = lambda *arrays: [jnp.asarray(array, jnp.float32) for array in arrays]
    np.testing.assert_allclose(low_rank(single(x, y), single(*factors)), want, atol=1e-4)
    # Without the second, what is left is the first and a constant: the tensor's last row.
    want = np.hstack([x, ones]) @ tensor[:, -1]
    np.testing.assert_allclose(low_rank(single(x, 0 * y), single(*factors)), want, atol=1e-4)


def test_attention_weighs_what_is_there():
    rng = np.random.default_rng(0)
    features, scores = rng.normal(size=(3, 2, 4)).astype(np.float32), rng.normal(size=(3, 2)).astype(np.float32)
    mixture, weights = attended(features, scores, jnp.array([BOTH, SOUND, PICTURE]))
    np.testing.assert_allclose(weights[0], softmax(scores[0]), atol=1e-6)
    np.testing.assert_array_equal(weights[1:], [[1, 0], [0, 1]])
    np.testing.assert_allclose(mixture[0], softmax(scores[0]) @ features[0], atol=1e-6)
    np.testing.assert_array_equal(mixture[1:], [features[1, 0], features[2, 1]])


def test_patches_and_means():
    spectrum = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    np.testing.assert_array_equal(sound_patches(spectrum, 2)[0], [np.arange(12), np.arange(12, 24)])
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(picture_patches(image, 2)[0, 1], [2, 3, 6, 7])
    one, other = np.full((3, 2), 1.0, np.float32), np.full((3, 2), np.nan, np.float32)
    mean = mean_of([one, np.where(np.arange(3)[:, None] == 0, 5, other)], jnp.array([BOTH, SOUND, (False, False)]))
    np.testing.assert_array_equal(mean, [[3, 3], [1, 1], [0, 0]])


@pytest.mark.parametrize("name", ["fusion", "tower"])
def test_patches_must_tile(name):
    for fields, words in (({"patch": 3}, "--model.patch 3"), ({"stride": 3}, "--model.stride 3"), ({"heads": 3}, "3")):
        with pytest.raises(UserError, match=words):
            tiny(name, **fields)
    with pytest.raises(UserError, match="it is one of early, middle, late"):
        tiny("fusion", fusion="sideways")


@pytest.mark.parametrize("name", ["fusion", "tower"])
def test_pictures_that_it_seeks(name):
    """They score higher than where they began."""
    model = tiny(name)
    params = random_like(fresh_state(name).params, scale=0.3)
    draw = jax.jit(lambda key: model.sample(params, {}, key, 6))
    images = draw(jax.random.key(0))
    assert images.shape == (6, 8, 8, 1) and np.abs(images).max() <= 1 and images.std() > 0.1
    if name == "fusion":
        batch = {"label": np.arange(6) % 3, "spectrum": np.zeros((6, 8, 4), np.float32), "image": images}
        sought = lambda images: softmax(asked(model, params, batch, PICTURE, image=images), -1)[
            np.arange(6), batch["label"]
        ]
        assert sought(np.asarray(images)).mean() > sought(np.zeros_like(images)).mean() + 0.1


# ---- Towers ----------------------------------------------------------------------------------------------------------


def test_the_contrastive_loss_is_figure_3():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 4))
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    logits = x @ y.T * 7
    want = -(np.trace(log_softmax(logits, axis=1)) + np.trace(log_softmax(logits, axis=0))) / 12
    got = contrastive(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), jnp.float32(7))
    assert float(got) == pytest.approx(want, rel=1e-4)
    params, batch = fresh_state("tower").params, random_batch(tiny("tower"))
    sounds, pictures = tiny("tower", dropout=0.0).embed(params, batch["spectrum"], batch["image"])
    np.testing.assert_allclose(np.linalg.norm(sounds, axis=1), 1, atol=1e-5)
    loss = tiny("tower", dropout=0.0).loss(params, {}, batch, jax.random.key(0), jnp.int32(0))[0]
    assert float(loss) == pytest.approx(float(contrastive(sounds, pictures, jnp.float32(1 / 0.07))), rel=1e-4)


def test_the_temperature_is_kept_from_growing():
    assert float(temperature(jnp.float32(START))) == pytest.approx(1 / 0.07, rel=1e-5)
    assert float(temperature(jnp.float32(9))) == pytest.approx(100, rel=1e-5)
    up, down = (jax.grad(lambda x, sign=sign: sign * at_most(2.0, x)) for sign in (-1, 1))  # what a descent does
    for x, want in ((1.0, (-1, 1)), (2.5, (0, 1))):
        assert (float(up(x)), float(down(x))) == want
    assert float(jax.value_and_grad(lambda x: at_most(2.0, x))(2.5)[0]) == 2  # as a loss sees it


def test_identical_towers_find_everything():
    rng = np.random.default_rng(0)
    x, label = unit(jnp.asarray(rng.normal(size=(40, 8)), jnp.float32)), jnp.arange(40) % 7
    assert float(retrieved(x, x, label)) == 1
    # What is nearest to number i is number i + 1: of another class but where the label is the same.
    assert float(retrieved(x, jnp.roll(x, 1, axis=0), label)) == 0
    assert float(retrieved(x, jnp.roll(x, 7, axis=0), label)) == pytest.approx(33 / 40)


def test_what_towers_are_judged_by():
    model, batch = tiny("tower-invariant"), random_batch(tiny("tower-invariant"))
    params = random_like(fresh_state("tower-invariant").params, scale=0.3)
    judged = jitted(model, "evaluate")(params, {}, batch, jax.random.key(0))
    found = {name: float(x) / float(n) for name, (x, n) in judged.items()}
    sounds, pictures = (np.asarray(x) for x in jitted(model, "embed")(params, *_media(batch)))
    nearest = (sounds @ pictures.T).argmax(axis=1), (pictures @ sounds.T).argmax(axis=1)
    for name, at in zip(("picture_found", "sound_found"), nearest, strict=True):
        assert found[name] == pytest.approx(np.mean(batch["label"][at] == batch["label"]))
    assert found["gap"] == pytest.approx(np.linalg.norm(sounds.mean(0) - pictures.mean(0)), rel=1e-4)
    right = (np.asarray(model.judge(params, sounds)) > 0).sum() + (np.asarray(model.judge(params, pictures)) < 0).sum()
    assert found["told_apart"] == pytest.approx(right / 16)


def test_confusion_is_least_where_nothing_is_told_apart():
    even, certain = jnp.zeros(4), jnp.array([3.0, -3.0, 5.0, -1.0])
    assert float(confusion(even, even)) == pytest.approx(np.log(2))
    p = 1 / (1 + np.exp(-np.asarray(certain)))
    assert float(confusion(certain)) == pytest.approx(-(np.log(p) / 2 + np.log(1 - p) / 2).mean(), rel=1e-5)


def test_each_player_s_phase_moves_it_against_the_other():
    """After many steps of the towers alone against a fixed critic, it can tell less."""
    state, batch = fresh_state("tower-invariant"), random_batch(tiny("tower-invariant"))
    model = tiny("tower-invariant", invariant=30.0, dropout=0.0)
    grad = jax.jit(jax.grad(lambda mine, phase: model.phases[phase].loss({**params, **mine}, {}, batch, KEY, STEP)[0]),
                   static_argnums=1)  # fmt: skip
    params = random_like(state.params, scale=0.3)
    doubt = lambda params: float(confusion(*(model.judge(params, x) for x in model.embed(params, *_media(batch)))))
    before = doubt(params)
    assert set(compiled_step("tower-invariant")(state, batch)[1]) >= {"critic/accuracy", "towers/confusion"}
    for _ in range(20):
        slope = grad({"towers": params["towers"]}, 1)
        params = params | {"towers": jax.tree.map(lambda p, g: p - 0.003 * g, params["towers"], slope["towers"])}
    assert doubt(params) < before - 0.01


KEY, STEP = jax.random.key(0), jnp.int32(0)


def _media(batch):
    return batch["spectrum"], batch["image"]
