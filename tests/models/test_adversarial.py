"""What GANs share: phases, penalties, packing, spectral normalisation; and the optimizer's side of it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import initialised

from train.optim import Optim, build, lazily
from train.step import Learner, init_state, train_step
from zoo.errors import UserError
from zoo.gan.adversarial import packed
from zoo.gan.dcgan import DCGAN
from zoo.losses import ADVERSARIAL, gradient_penalty, zero_centred_penalty
from zoo.nn.spectral import spectral_normalise, start_vectors

KEY, STEP = jax.random.key(0), jnp.int32(0)
PLAYERS = "critic", "generator"


def tiny(**fields):
    return DCGAN(**{"image_size": 16, "channels": 2, "latent_size": 5, "width": 3, "critic_norm": "none"} | fields)


def started(model, size=4):
    params, extra = initialised(model)
    shape = model.batch_spec(size)["image"].shape
    return params, extra, {"image": jnp.asarray(np.random.default_rng(1).uniform(-1, 1, shape), jnp.float32)}


def test_a_plain_game_has_two_phases():
    assert [(p.player, p.every, p.name) for p in tiny(critic_steps=5).phases] == [
        ("critic", 1, None),
        ("generator", 5, None),
    ]
    assert len(tiny(r1=1.0).phases) == len(tiny(penalty_every=4).phases) == 2  # nothing that could be lazy


@pytest.mark.parametrize("norm", ["layer", "spectral"])
def test_penalties_are_part_of_the_loss_or_a_step_of_their_own(norm):
    """By hand, from the parts; lazily they weigh as much as the steps between them."""
    weights = {"r1": 0.5, "r2": 2.0, "gradient_penalty": 10.0}
    now, later = tiny(critic_norm=norm, **weights), tiny(critic_norm=norm, penalty_every=4, **weights)
    params, extra, batch = started(now)

    @jax.jit
    def by_hand(params):
        critic = lambda x: now.judge(params, extra, x, batch, KEY, train=True)[0]
        fake, _ = now.imagine(params, extra, batch, jax.random.fold_in(KEY, 0), train=True)
        return {
            "r1": zero_centred_penalty(critic, batch["image"]),
            "r2": zero_centred_penalty(critic, fake),
            "gradient_penalty": gradient_penalty(critic, batch["image"], fake, jax.random.fold_in(KEY, 3)),
        }

    values = by_hand(params)
    total = sum(weights[name] * value for name, value in values.items())
    loss, (_, metrics) = jax.jit(now.phases[0].loss)(params, extra, batch, KEY, STEP)
    plain, _ = jax.jit(later.phases[0].loss)(params, extra, batch, KEY, STEP)
    assert float(loss - plain) == pytest.approx(float(total), rel=1e-4)
    lazy = later.phases[1]
    assert (lazy.player, lazy.every, lazy.name) == ("critic", 4, "penalty")
    value, (after, measured) = jax.jit(lazy.loss)(params, extra, batch, KEY, STEP)
    assert float(value) == pytest.approx(4 * float(total), rel=1e-4)
    for name, want in values.items():
        np.testing.assert_allclose([metrics[name], measured[name]], want, rtol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, after, extra)


def test_a_lazy_step_is_reported_under_its_own_name():
    """And only on the steps that are due; the critic's loss is there on all."""
    learner = Learner(model=tiny(r1=1.0, penalty_every=2), optimizers=dict.fromkeys(PLAYERS, build(Optim(), 2)))
    state = jax.jit(lambda: init_state(learner, KEY))()
    step = jax.jit(functools.partial(train_step, learner))
    batch = started(learner.model)[2]
    seen = []
    for _ in range(3):
        state, metrics = step(state, batch)
        assert np.isfinite(metrics["critic/loss"]) and np.isfinite(metrics["generator/loss"])
        seen.append([bool(np.isfinite(metrics[name])) for name in ("penalty/loss", "penalty/r1", "penalty/grad_norm")])
    assert seen == [[True] * 3, [False] * 3, [True] * 3]


@pytest.mark.parametrize("loss", ADVERSARIAL)
def test_any_loss_goes_with_any_penalty(loss):
    model = tiny(loss=loss, r1=1.0, r2=1.0, gradient_penalty=1.0, critic_norm="spectral", pack=2)
    params, extra, batch = started(model)
    for phase in model.phases:
        shape = jax.eval_shape(phase.loss, params, extra, batch, KEY, STEP)[0].shape
        assert shape == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"critic_norm": "batch", "r1": 1.0}, "one picture at a time"),
        ({"critic_norm": "instance"}, "instance"),
        ({"penalty_every": 0}, "penalty_every"),
        ({"critic_steps": 0}, "critic_steps"),
    ],
)
def test_bad_fields_are_errors_of_one_line(fields, said):
    with pytest.raises(UserError, match=said):
        tiny(**fields)


def test_packs_are_neighbours_side_by_side():
    x = jnp.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(packed(x, 2)[0], jnp.concatenate([x[0], x[1]], -1))
    points = jnp.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(packed(points, 2), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]])
    assert packed(points, 1) is points


def test_a_packed_critic_judges_packs():
    model = tiny(pack=2)
    params, extra, batch = started(model)
    judge = lambda *tree: model.judge(*tree, model.observe(batch), batch, KEY, train=True)[0]
    assert jax.eval_shape(judge, params, extra).shape == (2,)
    draw = lambda *tree: model.imagine(*tree, batch, KEY, train=False)[0]
    assert jax.eval_shape(draw, params, extra).shape == (2, 16, 16, 4)


def test_spectral_normalisation_divides_by_the_largest_singular_value():
    rng = np.random.default_rng(0)
    kernel, bias = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in [(3, 3, 4, 6), (6,)])
    params = {"Conv_0": {"kernel": kernel, "bias": bias}}
    vectors, turn = start_vectors(params, KEY), jax.jit(functools.partial(spectral_normalise, train=True))
    for _ in range(200):
        normal, vectors = turn(params, vectors)
    largest = np.linalg.svd(np.reshape(kernel, (-1, 6)), compute_uv=False)[0]
    np.testing.assert_allclose(normal["Conv_0"]["kernel"], kernel / largest, rtol=1e-4)
    np.testing.assert_array_equal(normal["Conv_0"]["bias"], bias)
    kept = spectral_normalise(params, start_vectors(params, KEY), train=False)[1]
    jax.tree.map(np.testing.assert_array_equal, kept, start_vectors(params, KEY))


def test_spectral_gradient_is_that_of_the_quotient():
    """Miyato et al. 2018, equation 12: what is left after the part along the first singular pair."""
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    vectors, turn = start_vectors({"w": kernel}, KEY), jax.jit(functools.partial(spectral_normalise, train=True))
    for _ in range(200):
        _, vectors = turn({"w": kernel}, vectors)
    pull = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)), jnp.float32)
    ours = lambda w: jnp.sum(pull * spectral_normalise({"w": w}, vectors, train=False)[0]["w"])
    quotient = lambda w: jnp.sum(pull * w / jnp.linalg.norm(w, 2))
    got, want = jax.jit(lambda w: (jax.grad(ours)(w), jax.grad(quotient)(w)))(kernel)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_a_weight_bound_clips_parameters():
    optimizer = build(Optim(rule="sgd", learning_rate=1.0, b1=0.0, weight_bound=0.5), 10)
    params = {"a": jnp.array([0.4, -0.3]), "b": jnp.array([0.0])}
    grads = {"a": jnp.array([-1.0, 0.1]), "b": jnp.array([3.0])}
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    moved: Any = optax.apply_updates(params, updates)
    np.testing.assert_allclose(moved["a"], [0.5, -0.4], rtol=1e-6)
    np.testing.assert_allclose(moved["b"], [-0.5], rtol=1e-6)


def test_lazy_regularization_rescales_adam():
    """StyleGAN2's numbers: 0.002 and decays 0 and 0.99, regularised on every 16th step."""
    change = lazily(Optim(rule="adam", learning_rate=0.002, b1=0.0, b2=0.99), 16)
    assert change.learning_rate == pytest.approx(0.002 * 16 / 17)
    assert change.b1 == 0 and change.b2 == pytest.approx(0.99 ** (16 / 17))
