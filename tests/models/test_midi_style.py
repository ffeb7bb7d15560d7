"""midi-style: its losses against plain NumPy, what it writes freely, and pieces of any length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax
from tiny import initialised, jitted, random_batch, random_like, tiny

from zoo.decoding import Greedy, Sampling
from zoo.errors import UserError
from zoo.music.style import chroma, confusion, cosine, folded, struck
from zoo.music.textures import broken


@pytest.fixture(scope="module")
def net():
    model = tiny("midi-style")
    params, extra = initialised(model)
    return model, random_like(params, scale=0.3), extra


def test_the_critic_s_loss_is_the_cross_entropy_of_real_codes(net):
    model, params, extra = net
    batch, key = random_batch(model, 3), jax.random.key(0)
    batch["length"] = np.array([12, 6, 3], np.int32)
    loss, (_, metrics) = jitted(model, "critic_loss")(params, extra, batch, key, 0)
    codes, _ = jitted(model, "posterior")(params, batch["roll"], jax.random.fold_in(key, 1))
    logits = np.asarray(jitted(model, "judge")(params, codes), np.float64)
    real = np.arange(4)[None] < np.array([[4], [2], [1]])  # codes of three frames
    nats = -np.take_along_axis(log_softmax(logits, axis=-1), batch["label"][:, None, None], axis=-1)[..., 0]
    np.testing.assert_allclose(loss, nats[real].mean(), rtol=1e-5)
    right = logits.argmax(-1) == batch["label"][:, None]
    np.testing.assert_allclose(metrics["accuracy"], right[real].mean(), rtol=1e-6)


def test_nats_are_those_of_real_frames(net):
    model, params, _ = net
    batch = random_batch(model, 3)
    codes, kl = jitted(model, "posterior")(params, batch["roll"], jax.random.key(1))
    before = np.pad(batch["roll"], ((0, 0), (1, 0), (0, 0)))[:, :-1]
    logits = np.asarray(model.apply(params, codes, batch["label"], before, method="teach"), np.float64)
    nats = -np.log(np.where(batch["roll"] > 0, expit(logits), expit(-logits))).sum(-1)
    real = np.arange(12) < batch["length"][:, None]
    np.testing.assert_allclose(jitted(model, "nats")(params, codes, batch), nats[real].mean(), rtol=1e-4)
    mean, log_variance = (np.asarray(x, np.float64) for x in model.apply(params, batch["roll"], method="read"))
    want = (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(-1) / 2
    np.testing.assert_allclose(kl, want, rtol=1e-4)


def test_the_loss_is_the_sum_of_its_parts(net):
    model, params, extra = net
    weighed = tiny("midi-style", beta=0.3, invariant=0.7, again=0.4)
    loss, (after, told) = jitted(weighed, "loss")(params, extra, batch := random_batch(model), jax.random.key(2), 0)
    parts = told["nll"] + 0.4 * told["back"] + 0.3 * told["kl"] + 0.7 * told["confusion"]
    np.testing.assert_allclose(loss, parts, rtol=1e-5)
    assert abs(float(told["back"] - told["nll"])) > 1e-4  # codes of a translation are others
    np.testing.assert_array_equal(after["shown"][0], batch["roll"][0])
    np.testing.assert_array_equal(after["style"][:2], batch["label"][:2])


def test_confusion_is_least_where_the_critic_knows_nothing():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_allclose(confusion(jnp.asarray(logits)), -log_softmax(logits, axis=-1).mean(-1), rtol=1e-5)
    np.testing.assert_allclose(confusion(jnp.zeros((1, 4))), np.log(4), rtol=1e-6)


def test_pitch_classes():
    roll = np.zeros((1, 4, 88), np.float32)
    roll[0, 0, [3, 15, 27, 7]] = 1  # C1, C2, C3 and E1
    roll[0, 3, 0] = 1  # A0
    np.testing.assert_array_equal(folded(jnp.asarray(roll))[0, 0], [3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    found = np.asarray(chroma(jnp.asarray(roll), 2))
    assert found.shape == (1, 2, 12) and found[0, 1, 9] == 1 and found.sum() == 5
    other = np.roll(found, 1, axis=-1)
    want = (found[0, 0] @ other[0, 0]) / 10
    np.testing.assert_allclose(cosine(jnp.asarray(found), jnp.asarray(other)), [[want, 0]], atol=1e-6)
    np.testing.assert_array_equal(cosine(jnp.zeros((2, 12)), jnp.stack([jnp.zeros(12), jnp.ones(12)])), [1, 0])


def test_as_many_keys_sound_as_are_expected_to():
    chances = np.full(88, 1e-4)
    chances[[10, 20, 30, 40]] = 0.9, 0.45, 0.4, 0.2  # two in all, although one alone is above one half
    logits = jnp.asarray(np.log(chances / (1 - chances)), jnp.float32)
    np.testing.assert_array_equal(np.flatnonzero(struck(logits, jax.random.key(0), sampler=Greedy())), [10, 20])
    draws = jax.vmap(lambda key: struck(logits, key, sampler=Sampling()))(jax.random.split(jax.random.key(1), 2000))
    np.testing.assert_allclose(np.mean(draws, axis=0), chances, atol=0.05)


def test_what_is_written_freely_is_what_the_parallel_form_says(net):
    model, params, extra = net
    batch = random_batch(model, 3)
    made = jitted(model, "restyle")(params, extra, batch["roll"], batch["label"])
    assert set(np.unique(made)) == {0, 1}
    codes, _ = model.apply(params, batch["roll"], method="read")
    before = np.pad(made, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    logits = model.apply(params, codes, batch["label"], before, method="teach")
    np.testing.assert_array_equal(made, struck(logits, jax.random.key(0), sampler=Greedy()))


def test_another_label_is_another_piece_and_neighbours_change_nothing(net):
    model, params, extra = net
    roll = random_batch(model, 3)["roll"]
    restyle = lambda roll, *labels: np.asarray(jitted(model, "restyle")(params, extra, roll, np.array(labels)))
    first, second = restyle(roll, 0, 0, 0), restyle(roll, 1, 0, 1)
    assert np.any(first[0] != second[0]) and np.any(first[2] != second[2])
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(restyle(roll[::-1], 1, 0, 0)[::-1], restyle(roll, 0, 0, 1))


def test_a_long_piece_has_no_seams(net):
    """What is written of a piece's first frames does not depend on what comes long after; and it is written on behind
    a window's end as within it."""
    model, params, extra = net
    rng = np.random.default_rng(0)
    whole = rng.binomial(1, 0.1, (1, 48, 88)).astype(np.float32)  # four windows
    restyle = lambda roll: np.asarray(jitted(model, "restyle")(params, extra, roll, np.array([1])))
    made, reach = restyle(whole), 2 * model.cell  # a code hears two cells on either side
    assert made.shape == whole.shape and made[0, 36:].any()
    for end in (12, 36):
        np.testing.assert_array_equal(restyle(whole[:, :end])[:, : end - reach], made[:, : end - reach])
    codes, _ = model.apply(params, whole, method="read")
    parts = [model.apply(params, whole[:, max(at - reach, 0) : at + 12 + reach], method="read")[0] for at in (0, 12)]
    np.testing.assert_allclose(parts[0][:, :4], codes[:, :4], atol=1e-5)
    np.testing.assert_allclose(parts[1][:, 2:6], codes[:, 4:8], atol=1e-5)


def test_samples_are_the_newest_windows_in_another_style(net):
    model, params, extra = net
    batch = random_batch(model)
    shown = {"shown": jnp.asarray(batch["roll"]), "style": jnp.asarray(batch["label"])}
    made = model.sample(params, shown, jax.random.key(0), 3)
    want = jitted(model, "restyle")(params, extra, batch["roll"][:3], 1 - batch["label"][:3])
    np.testing.assert_array_equal(made, want)


def test_windows_hold_whole_cells():
    with pytest.raises(UserError, match="must be a multiple of"):
        tiny("midi-style", length=10)


def test_broken_chords():
    roll = np.zeros((6, 88), np.float32)
    roll[:3, [10, 14, 17]], roll[4:, [12, 40]] = 1, 1
    found = broken(roll)
    assert [np.flatnonzero(frame).tolist() for frame in found] == [[10], [14], [17], [], [12], [40]]
    assert np.all(found <= roll)
