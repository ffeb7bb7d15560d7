"""Losses against values worked out by hand, finite differences and PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo import losses
from zoo.losses import ADVERSARIAL
from zoo.nn.conv import conv2d

REAL, FAKE = np.float32([1.5, -0.3, 0.0]), np.float32([-2.0, 0.7, 3.0])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


BY_HAND = {
    "minimax": (
        -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
        np.log(1 - sigmoid(FAKE)).mean(),
    ),
    "nonsaturating": (
        -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
        -np.log(sigmoid(FAKE)).mean(),
    ),
    "least-squares": (((REAL - 1) ** 2).mean() / 2 + (FAKE**2).mean() / 2, ((FAKE - 1) ** 2).mean() / 2),
    "wasserstein": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
    "hinge": (np.maximum(0, 1 - REAL).mean() + np.maximum(0, 1 + FAKE).mean(), -FAKE.mean()),
    "relativistic": (-np.log(sigmoid(REAL - FAKE)).mean(), -np.log(sigmoid(FAKE - REAL)).mean()),
}


def test_every_pair_is_worked_out():
    assert set(BY_HAND) == set(ADVERSARIAL)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_pairs(name):
    pair, (critic, generator) = ADVERSARIAL[name], BY_HAND[name]
    assert float(pair.critic(REAL, FAKE)) == pytest.approx(critic, rel=1e-5)
    assert float(pair.generator(REAL, FAKE)) == pytest.approx(generator, rel=1e-5)
    # The players pull the samples' logits in opposite directions, the critic the data's upwards.
    critic_pull = jax.grad(pair.critic, 1)(REAL, FAKE).sum()
    assert critic_pull * jax.grad(pair.generator, 1)(REAL, FAKE).sum() < 0
    assert jax.grad(pair.critic)(REAL, FAKE).sum() < 0


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_pairs_are_stable_and_wide(name):
    far = jnp.full(3, 1e4, jnp.float32)
    for loss in ADVERSARIAL[name]:
        value, grads = jax.value_and_grad(loss, (0, 1))(far, -far)
        assert np.isfinite(value) and all(np.isfinite(g).all() for g in grads)
        assert loss(REAL.astype(jnp.bfloat16), FAKE.astype(jnp.bfloat16)).dtype == jnp.float32


def small_critic(kernel):
    """One strided convolution, so that the penalties go through ``conv2d``'s fast form."""
    return lambda x: jnp.sum(jnp.tanh(conv2d(x, kernel, stride=2)), axis=(1, 2, 3))


def images(seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(3, 6, 6, 2)), jnp.float32)


KERNEL = jnp.asarray(np.random.default_rng(5).normal(size=(4, 4, 2, 3)) / 6, jnp.float32)


def gradient_norm(kernel, x):
    """|grad_x D|^2 the plain way: reverse over reverse."""
    return jnp.sum(jnp.square(jax.grad(lambda x: jnp.sum(small_critic(kernel)(x)))(x)), axis=(1, 2, 3))


def slopes(*penalties):
    """Each one's value and gradient in the kernel."""
    return jax.jit(lambda k: [jax.value_and_grad(penalty)(k) for penalty in penalties])(KERNEL)


@pytest.mark.parametrize("form", [losses.squared_gradient_norm, losses.twice_reverse, losses.forward_over_reverse])
def test_every_form_of_the_squared_norm_is_reverse_over_reverse(form):
    weight = jnp.float32([0.5, -1.0, 2.0])  # of the examples: the first gradient is theirs one by one
    ours, plain = slopes(
        lambda k: jnp.sum(weight * jnp.sqrt(form(small_critic(k), images(0)))),
        lambda k: jnp.sum(weight * jnp.sqrt(gradient_norm(k, images(0)))),
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), ours, plain)


def test_nothing_flows_into_the_points_of_a_penalty():
    at = jax.grad(lambda x: jnp.sum(losses.squared_gradient_norm(small_critic(KERNEL), x)))(images(0))
    assert not np.any(at)


def test_zero_centred_penalty_is_half_the_squared_norm():
    ours, plain = slopes(
        lambda k: losses.zero_centred_penalty(small_critic(k), images(0)),
        lambda k: jnp.mean(gradient_norm(k, images(0))) / 2,
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), ours, plain)


def test_gradient_penalty_is_reverse_over_reverse():
    key = jax.random.key(3)

    def plain(kernel):
        share = jax.random.uniform(key, (3, 1, 1, 1))
        norm = jnp.sqrt(gradient_norm(kernel, share * images(0) + (1 - share) * images(1)))
        return jnp.mean((norm - 1) ** 2)

    ours = lambda k: losses.gradient_penalty(small_critic(k), images(0), images(1), key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *slopes(ours, plain))


def test_gradient_penalty_of_a_constant_critic():
    ((value, grad),) = slopes(
        lambda k: losses.gradient_penalty(lambda x: small_critic(k)(x) * 0, images(0), images(1), jax.random.key(0))
    )
    assert float(value) == pytest.approx(1, abs=1e-4) and np.isfinite(grad).all()


def test_gaussian_kl_is_the_integral():
    mean, variance = 0.7, 0.3
    z = np.linspace(-12, 12, 200_001)
    density = np.exp(-((z - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    log_ratio = -((z - mean) ** 2) / (2 * variance) - np.log(variance) / 2 + z**2 / 2
    want = np.sum(density * log_ratio) * (z[1] - z[0])
    got = losses.gaussian_kl(jnp.array([mean, 0.0]), jnp.log(jnp.array([variance, 1.0])))
    assert float(got) == pytest.approx(want, rel=1e-5)


def test_maximum_mean_discrepancy():
    """Pair by pair; of one distribution about nothing, of two that differ clearly more."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)) + 1
    kernel = lambda a, b: sum(4 * s * s / (4 * s * s + np.sum((a - b) ** 2)) for s in losses.MMD_SCALES)
    want = sum(kernel(a[i], a[j]) for a in (x, y) for i in range(5) for j in range(5) if i != j) / 20
    want -= 2 * np.mean([kernel(a, b) for a in x for b in y])
    got = losses.maximum_mean_discrepancy(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    assert float(got) == pytest.approx(want, rel=1e-4)
    draw = lambda shift, key: jax.random.normal(key, (64, 4)) + shift
    pairs = [jax.random.split(jax.random.key(n)) for n in range(40)]
    mmd = jax.jit(lambda a, b, shift: losses.maximum_mean_discrepancy(draw(0, a), draw(shift, b)))
    same, other = (np.array([mmd(a, b, shift) for a, b in pairs]) for shift in (0.0, 0.5))
    assert abs(same.mean()) < 4 * same.std() / 40**0.5 + 0.02 and other.mean() > 5 * same.std()


def test_likelihoods_are_the_densities():
    x, mean, sigma = 0.4, -0.2, 0.3
    density = np.exp(-((x - mean) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    assert float(losses.gaussian_nll(jnp.float32(mean), jnp.float32(x), np.log(sigma))) == pytest.approx(
        -np.log(density), rel=1e-5
    )
    for x in (0.0, 1.0, 0.3):
        want = -(x * np.log(sigmoid(0.8)) + (1 - x) * np.log(1 - sigmoid(0.8)))
        assert float(losses.bernoulli_nll(jnp.float32(0.8), jnp.float32(x))) == pytest.approx(want, rel=1e-5)
    assert float(losses.bernoulli_nll(jnp.float32(-1e4), jnp.float32(1))) == pytest.approx(1e4)


def token_inputs():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(2, 5, 7)) * 3, jnp.float32), jnp.asarray(rng.integers(0, 7, (2, 5)), jnp.int32)


def plain_token_nll(logits, tokens):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[..., None], -1)[..., 0]


def test_token_nll_is_log_softmax():
    """Value, gradient, forward mode, and the gradient of a gradient, which the written-out derivative must allow."""
    logits, tokens = token_inputs()

    def answers(nll, logits):
        loss = lambda logits: jnp.sum(jnp.square(nll(logits, tokens)))
        grad = jax.grad(loss)
        second = jax.grad(lambda logits: jnp.sum(jnp.sin(grad(logits))))
        return nll(logits, tokens), grad(logits), second(logits), jax.jvp(loss, (logits,), (jnp.cos(logits),))[1]

    ours, plain = (jax.jit(functools.partial(answers, nll))(logits) for nll in (losses.token_nll, plain_token_nll))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, plain)


def test_token_nll_of_half_precision_logits_is_wide():
    logits, tokens = token_inputs()
    half = logits.astype(jnp.bfloat16)
    nll, grad = losses.token_nll(half, tokens), jax.grad(lambda x: jnp.sum(losses.token_nll(x, tokens)))(half)
    assert nll.dtype == jnp.float32 and grad.dtype == jnp.bfloat16
    np.testing.assert_allclose(nll, plain_token_nll(half.astype(jnp.float32), tokens), rtol=1e-5)


def test_next_token_nll_counts_only_real_tokens():
    logits, _ = token_inputs()
    tokens = jnp.asarray([[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]], jnp.int32)
    length = jnp.asarray([6, 3], jnp.int32)
    total, count = losses.next_token_nll(logits, {"tokens": tokens, "length": length})
    nll = plain_token_nll(logits, tokens[:, 1:])
    assert float(count) == 5 + 2
    assert float(total) == pytest.approx(float(nll[0].sum() + nll[1, :2].sum()), rel=1e-5)


@pytest.mark.reference
def test_against_pytorch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    as_torch = lambda x: torch.from_numpy(np.array(x))
    logits, tokens = token_inputs()
    want = F.cross_entropy(as_torch(logits).reshape(-1, 7), as_torch(tokens).long().reshape(-1), reduction="none")
    np.testing.assert_allclose(losses.token_nll(logits, tokens).reshape(-1), want.numpy(), rtol=1e-5)
    x = jax.nn.sigmoid(logits)
    want = F.binary_cross_entropy_with_logits(as_torch(logits), as_torch(x), reduction="none")
    np.testing.assert_allclose(losses.bernoulli_nll(logits, x), want.numpy(), rtol=1e-4, atol=1e-6)
    want = F.gaussian_nll_loss(as_torch(logits), as_torch(x), torch.full((2, 5, 7), 0.25), full=True, reduction="none")
    np.testing.assert_allclose(losses.gaussian_nll(logits, x, np.log(0.5)), want.numpy(), rtol=1e-4)
    bce = F.binary_cross_entropy_with_logits(as_torch(REAL), torch.ones(3)) + F.binary_cross_entropy_with_logits(
        as_torch(FAKE), torch.zeros(3)
    )
    assert float(losses.logistic_critic(REAL, FAKE)) == pytest.approx(float(bce), rel=1e-5)
