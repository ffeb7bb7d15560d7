"""Losses as pure functions, orthogonal to architectures: adversarial pairs, penalties, divergences, likelihoods.

Whatever the compute dtype, a loss is formed in float32 or wider. ``real`` and ``fake`` are a critic's logits [B] on
data and on samples; adversarial losses and penalties are means over the batch.
"""

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import relu, softplus

from zoo.nn.platform import by_platform

Array = jax.Array


def wide(x: Array) -> Array:
    """x in float32 at least: reductions lose too much in half precision."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


# ---- Adversarial pairs ----------------------------------------------------------------------------------------------


def logistic_critic(real: Array, fake: Array) -> Array:
    """-log D(x) - log(1 - D(G(z))) with D = sigmoid(logit). Goodfellow et al. 2014, equation 1."""
    return jnp.mean(softplus(-wide(real))) + jnp.mean(softplus(wide(fake)))


def minimax_generator(real: Array, fake: Array) -> Array:
    """log(1 - D(G(z))): the value that the critic maximises. Goodfellow et al. 2014, equation 1."""
    del real
    return -jnp.mean(softplus(wide(fake)))


def nonsaturating_generator(real: Array, fake: Array) -> Array:
    """-log D(G(z)): the same fixed point, and a gradient where the critic wins. Goodfellow et al. 2014, section 3."""
    del real
    return jnp.mean(softplus(-wide(fake)))


def least_squares_critic(real: Array, fake: Array) -> Array:
    """(D(x) - 1)^2 / 2 + D(G(z))^2 / 2. Mao et al. 2017 (arXiv:1611.04076), equation 9: the 0-1 coding."""
    return (jnp.mean(jnp.square(wide(real) - 1)) + jnp.mean(jnp.square(wide(fake)))) / 2


def least_squares_generator(real: Array, fake: Array) -> Array:
    """(D(G(z)) - 1)^2 / 2. Mao et al. 2017 (arXiv:1611.04076), equation 9."""
    del real
    return jnp.mean(jnp.square(wide(fake) - 1)) / 2


def wasserstein_critic(real: Array, fake: Array) -> Array:
    """D(G(z)) - D(x), for a critic kept Lipschitz by clipping or a penalty. Arjovsky et al. 2017 (arXiv:1701.07875),
    equation 2."""
    return jnp.mean(wide(fake)) - jnp.mean(wide(real))


def wasserstein_generator(real: Array, fake: Array) -> Array:
    """-D(G(z)). Arjovsky et al. 2017 (arXiv:1701.07875), equation 2."""
    del real
    return -jnp.mean(wide(fake))


def hinge_critic(real: Array, fake: Array) -> Array:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))). Lim & Ye 2017 (arXiv:1705.02894); Miyato et al. 2018 (arXiv:1802.05957),
    equation 16. The generator's loss is Wasserstein's."""
    return jnp.mean(relu(1 - wide(real))) + jnp.mean(relu(1 + wide(fake)))


def relativistic_critic(real: Array, fake: Array) -> Array:
    """-log sigmoid(D(x) - D(G(z))) over pairs. Jolicoeur-Martineau 2018 (arXiv:1807.00734), section 4 (RSGAN); with R1
    and R2, the loss of R3GAN (Huang et al. 2024, arXiv:2501.05441)."""
    return jnp.mean(softplus(wide(fake) - wide(real)))


def relativistic_generator(real: Array, fake: Array) -> Array:
    """-log sigmoid(D(G(z)) - D(x)) over pairs. Jolicoeur-Martineau 2018 (arXiv:1807.00734), section 4."""
    return jnp.mean(softplus(wide(real) - wide(fake)))


class AdversarialLoss(NamedTuple):
    """What the two players minimise: (real [B], fake [B]) -> []. Only relativistic generators look at ``real``."""

    critic: Callable[[Array, Array], Array]
    generator: Callable[[Array, Array], Array]


ADVERSARIAL = MappingProxyType(
    {
        "minimax": AdversarialLoss(logistic_critic, minimax_generator),
        "nonsaturating": AdversarialLoss(logistic_critic, nonsaturating_generator),
        "least-squares": AdversarialLoss(least_squares_critic, least_squares_generator),
        "wasserstein": AdversarialLoss(wasserstein_critic, wasserstein_generator),
        "hinge": AdversarialLoss(hinge_critic, wasserstein_generator),
        "relativistic": AdversarialLoss(relativistic_critic, relativistic_generator),
    }
)


# ---- Gradient penalties ---------------------------------------------------------------------------------------------


def squared_gradient_norm(critic: Callable[[Array], Array], x: Array) -> Array:
    """|grad_x D(x)|^2 of each example, [B]; ``critic`` maps x [B, ...] to logits [B] and keeps the examples apart.
    Its gradient in the critic's parameters is exact; nothing flows into x.

    On CPUs by reverse mode over reverse mode: 6 times the work of D against 8, and the packed convolutions go through
    it well. Elsewhere by forward over reverse, which asks for no gradient of a gradient of a convolution, and keeps
    less in memory; whoever wants derivatives of a higher order needs the other.
    """
    x = lax.stop_gradient(x)
    return by_platform(x, cpu=partial(twice_reverse, critic), default=partial(forward_over_reverse, critic))


def twice_reverse(critic: Callable[[Array], Array], x: Array) -> Array:
    """`squared_gradient_norm` as it is written."""
    v = wide(jax.grad(lambda x: jnp.sum(critic(x)))(x))
    return jnp.sum(jnp.square(v), axis=tuple(range(1, v.ndim)))


def forward_over_reverse(critic: Callable[[Array], Array], x: Array) -> Array:
    """The same: with v = grad_x D(x) held fixed, D's derivative along v is |v|^2, and its gradient in the critic's
    parameters is half that of the norm. So they are reached through a pass of forward mode, and no gradient but the
    first is right."""
    v = lax.stop_gradient(jax.grad(lambda x: jnp.sum(critic(x)))(x))
    along = wide(jax.jvp(critic, (x,), (v,))[1])
    return 2 * along - lax.stop_gradient(along)


def zero_centred_penalty(critic: Callable[[Array], Array], x: Array) -> Array:
    """|grad_x D(x)|^2 / 2: R1 on data, R2 on samples. Mescheder et al. 2018 (arXiv:1801.04406), equations 9 and 10,
    without their gamma."""
    return jnp.mean(squared_gradient_norm(critic, x)) / 2


def gradient_penalty(critic: Callable[[Array], Array], real: Array, fake: Array, key: Array) -> Array:
    """(|grad_x D(x)| - 1)^2 at random points between data and samples, both [B, ...]. Gulrajani et al. 2017
    (arXiv:1704.00028), equation 3, without its lambda of 10. The critic may not normalise over the batch."""
    share = jax.random.uniform(key, (real.shape[0],) + (1,) * (real.ndim - 1), real.dtype)
    squared = squared_gradient_norm(critic, share * real + (1 - share) * fake)
    return jnp.mean(jnp.square(jnp.sqrt(jnp.maximum(squared, 1e-12)) - 1))  # a root has no gradient at 0


# ---- Divergences and likelihoods, in nats ---------------------------------------------------------------------------


def gaussian_kl(mean: Array, log_variance: Array) -> Array:
    """KL(N(mean, variance) || N(0, I)) over the last axis: [..., Z] -> [...]. Kingma & Welling 2014, equation 10."""
    mean, log_variance = wide(mean), wide(log_variance)
    return jnp.sum(jnp.square(mean) + jnp.expm1(log_variance) - log_variance, axis=-1) / 2


MMD_SCALES = 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0


def maximum_mean_discrepancy(x: Array, y: Array) -> Array:
    """The squared discrepancy of two sets of draws, both [N, Z], from about 0, where their distributions are the same,
    upwards. Gretton et al. 2012, "A kernel two-sample test", equation 3; the kernel is the sum over s in MMD_SCALES of
    C / (C + |x - y|^2) with C = 2 Z s^2, by Tolstikhin et al. 2018 (arXiv:1711.01558), section 4 and appendix.

    Within each set draws are not compared with themselves, so that these two terms are unbiased; nothing is weighed by
    a matrix product, for which half precision would be too little.
    """
    x, y = wide(x), wide(y)

    def kernel(a: Array, b: Array) -> Array:
        squared = jnp.sum(jnp.square(a[:, None] - b[None]), axis=-1)
        constants = [2 * a.shape[-1] * scale**2 for scale in MMD_SCALES]
        return sum((c / (c + squared) for c in constants), jnp.zeros_like(squared))

    def within(a: Array) -> Array:
        others = 1 - jnp.eye(len(a), dtype=a.dtype)
        return jnp.sum(kernel(a, a) * others) / max(len(a) * (len(a) - 1), 1)

    return within(x) + within(y) - 2 * jnp.mean(kernel(x, y))


def gaussian_nll(mean: Array, x: Array, log_sigma: Array | float = 0.0) -> Array:
    """-log N(x; mean, sigma^2) of each element. Kingma & Welling 2014, appendix C.2."""
    return jnp.square((wide(x) - wide(mean)) * jnp.exp(-log_sigma)) / 2 + log_sigma + np.log(2 * np.pi) / 2


def bernoulli_nll(logits: Array, x: Array) -> Array:
    """-log Bernoulli(x; sigmoid(logits)) of each element; x in [0, 1]. Kingma & Welling 2014, appendix C.1."""
    logits = wide(logits)
    return softplus(logits) - wide(x) * logits


@jax.custom_jvp
def token_nll(logits: Array, tokens: Array) -> Array:
    """-log softmax(logits)[token]: [..., V], int [...] -> [...], in float32 or wider whatever the logits are.

    The derivative is written out, so that it costs one pass over the logits and no scatter.
    """
    logits = wide(logits)
    picked = jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - picked


@token_nll.defjvp
def _token_nll_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Array, Array]:
    logits, tokens = primals
    nll = token_nll(logits, tokens)
    picked = jnp.take_along_axis(wide(logits), tokens[..., None], axis=-1)
    chosen = jnp.arange(logits.shape[-1]).reshape((1,) * tokens.ndim + (-1,)) == tokens[..., None]
    excess = jnp.exp(wide(logits) - picked - nll[..., None]) - chosen  # softmax(logits) - onehot(token)
    return nll, jnp.sum(excess * tangents[0], axis=-1)


def next_token_nll(logits: Array, batch: Any) -> tuple[Array, Array]:
    """(nats of all predicted tokens, how many): logits [B, T, V] at tokens[:, :-1] predict tokens[:, 1:], as far as the
    row's ``length`` goes. Their quotient is the mean over real tokens; sums over batches add up."""
    tokens = batch["tokens"][:, 1:]
    real = jnp.arange(1, tokens.shape[1] + 1)[None, :] < batch["length"][:, None]
    nll = jnp.where(real, token_nll(logits, tokens), 0)
    return jnp.sum(nll), jnp.sum(real, dtype=nll.dtype)
