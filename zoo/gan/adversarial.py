"""What all GANs of the zoo share: who minimises what, and when.

A model says how it draws (``imagine``) and how it judges (``judge``); any pair of losses and any penalty of
`zoo.losses` is then a field of it, orthogonal to its networks.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.errors import UserError
from zoo.losses import ADVERSARIAL, gradient_penalty, zero_centred_penalty
from zoo.model import Array, Batch, Extra, Metrics, Params, Phase
from zoo.nn.spectral import spectral_normalise, start_vectors

CRITIC_LATENTS, GENERATOR_LATENTS, EVALUATION_LATENTS, PENALTY = range(4)  # what the step's key is folded with
REAL, FAKE, GENERATOR_REAL, GENERATOR_FAKE, PENALTY_VIEW, SPECTRAL = range(4, 10)

Answer = tuple[Array, tuple[Extra, Metrics]]


class Rules(Protocol):
    """Who minimises what, and when: fields of a GAN."""

    @property
    def loss(self) -> str:
        """A key of ``zoo.losses.ADVERSARIAL``."""
        ...

    @property
    def r1(self) -> float | None:
        """Weight gamma of gamma |grad D(x)|^2 / 2 on data. None is no such penalty, here and below."""
        ...

    @property
    def r2(self) -> float | None:
        """Weight of the same on samples."""
        ...

    @property
    def gradient_penalty(self) -> float | None:
        """Weight lambda of lambda (|grad D| - 1)^2 between data and samples."""
        ...

    @property
    def penalty_every(self) -> int:
        """1: penalties are a part of the critic's loss. k: on every k-th step they are a step of their own, k times as
        heavy (Karras et al. 2020, arXiv:1912.04958, section 3.1)."""
        ...

    @property
    def critic_steps(self) -> int:
        """Steps of the critic to one of the generator."""
        ...


class Game(Rules, Protocol):
    """A GAN, as the functions below see it."""

    def observe(self, batch: Batch) -> Array:
        """The data as the critic sees them."""
        ...

    def imagine(self, params: Params, extra: Extra, batch: Batch, key: Array, *, train: bool) -> tuple[Array, Extra]:
        """As many samples as the critic sees of the data, and ``extra`` after it."""
        ...

    def judge(
        self, params: Params, extra: Extra, x: Array, batch: Batch, key: Array, *, train: bool
    ) -> tuple[Any, Extra]:
        """A logit for each example of x, [B], or for each of its patches, [B, P], or a list of what several critics
        say; and ``extra`` after it. ``batch`` is where labels are looked up, ``key`` what augmentations are drawn
        from."""
        ...


def check(name: str, game: Rules) -> None:
    """UserError where a field means nothing."""
    if game.loss not in ADVERSARIAL:
        raise UserError(f"no adversarial loss is called {game.loss!r}; there are {', '.join(ADVERSARIAL)}")
    for field in ("penalty_every", "critic_steps"):
        if getattr(game, field) < 1:
            raise UserError(f"{field} is {getattr(game, field)}; {name} counts steps from 1")


def penalised(game: Rules) -> bool:
    """Whether any penalty is asked for."""
    return any(weight is not None for weight in (game.r1, game.r2, game.gradient_penalty))


def phases(game: Game) -> tuple[Phase, ...]:
    """The critic, its penalties where they are lazy, and the generator on the steps that are its own."""
    critic = Phase("critic", partial(critic_loss, game))
    generator = Phase("generator", partial(generator_loss, game), every=game.critic_steps)
    if not penalised(game) or game.penalty_every == 1:
        return critic, generator
    lazy = Phase("critic", partial(penalty_loss, game), every=game.penalty_every, name="penalty")
    return critic, lazy, generator


def critic_loss(game: Game, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
    """The critic's loss; metrics: its mean outputs on data and on samples, each a batch of its own to the norms, and
    the mean sign of those on data (1: it knows them all, perhaps by heart; Karras et al. 2020, arXiv:2006.06676,
    equation 1)."""
    del step
    real = game.observe(batch)
    fake, _ = game.imagine(params, extra, batch, jax.random.fold_in(key, CRITIC_LATENTS), train=True)
    on_real, after = game.judge(params, extra, real, batch, jax.random.fold_in(key, REAL), train=True)
    on_fake, after = game.judge(params, after, fake, batch, jax.random.fold_in(key, FAKE), train=True)
    loss = over_critics(ADVERSARIAL[game.loss].critic, on_real, on_fake)
    metrics = {
        "real": over_critics(jnp.mean, on_real),
        "fake": over_critics(jnp.mean, on_fake),
        "signs": over_critics(lambda logits: jnp.mean(jnp.sign(logits)), on_real),
    }
    if penalised(game) and game.penalty_every == 1:
        penalty, measured = penalties(game, params, extra, real, fake, batch, key)
        loss, metrics = loss + penalty, metrics | measured
    return loss, (after, metrics)


def over_critics(measure: Callable[..., Array], *logits: Any) -> Array:
    """What is measured of each critic's logits, their mean."""
    found = [measure(*each) for each in zip(*map(jax.tree.leaves, logits), strict=True)]
    return sum(found[1:], found[0]) / len(found)


def penalty_loss(game: Game, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
    """Lazy penalties: as heavy as the steps between them."""
    del step
    fake, _ = game.imagine(params, extra, batch, jax.random.fold_in(key, CRITIC_LATENTS), train=True)
    penalty, metrics = penalties(game, params, extra, game.observe(batch), fake, batch, key)
    return game.penalty_every * penalty, (extra, metrics)


def penalties(
    game: Game, params: Params, extra: Extra, real: Array, fake: Array, batch: Batch, key: Array
) -> tuple[Array, Metrics]:
    """The weighted sum of those that are asked for, and each without its weight; of patches, for their mean logit."""

    def critic(x: Array) -> Array:
        logits, _ = game.judge(params, extra, x, batch, jax.random.fold_in(key, PENALTY_VIEW), train=True)
        return over_critics(lambda each: jnp.mean(each.reshape(len(each), -1), axis=1), logits)

    found = {}
    if game.r1 is not None:
        found["r1"] = game.r1, zero_centred_penalty(critic, real)
    if game.r2 is not None:
        found["r2"] = game.r2, zero_centred_penalty(critic, fake)
    if game.gradient_penalty is not None:
        between = gradient_penalty(critic, real, fake, jax.random.fold_in(key, PENALTY))
        found["gradient_penalty"] = game.gradient_penalty, between
    total = sum((weight * value for weight, value in found.values()), jnp.zeros(()))
    return total, {name: value for name, (_, value) in found.items()}


def generator_loss(game: Game, params: Params, extra: Extra, batch: Batch, key: Array, step: Array) -> Answer:
    """The generator's loss, on other samples than the critic has just been trained with."""
    del step
    fake, after = game.imagine(params, extra, batch, jax.random.fold_in(key, GENERATOR_LATENTS), train=True)
    return deceit(game, params, extra, fake, batch, key), (after, {})


def deceit(game: Game, params: Params, extra: Extra, fake: Array, batch: Batch, key: Array) -> Array:
    """What the generator minimises of samples that it has drawn."""
    # Only relativistic losses look at the data; for the others the compiler drops this pass.
    view = jax.random.fold_in(key, GENERATOR_REAL), jax.random.fold_in(key, GENERATOR_FAKE)
    on_real, _ = game.judge(params, extra, game.observe(batch), batch, view[0], train=True)
    on_fake, _ = game.judge(params, extra, fake, batch, view[1], train=True)
    return over_critics(ADVERSARIAL[game.loss].generator, on_real, on_fake)


def evaluate(game: Game, params: Params, extra: Extra, batch: Batch, key: Array) -> dict[str, tuple[Array, Array]]:
    """Both losses and the critic's mean outputs, on data and on as many samples, by running statistics."""
    fake, _ = game.imagine(params, extra, batch, jax.random.fold_in(key, EVALUATION_LATENTS), train=False)
    on_real, _ = game.judge(params, extra, game.observe(batch), batch, key, train=False)
    on_fake, _ = game.judge(params, extra, fake, batch, key, train=False)
    pair = ADVERSARIAL[game.loss]
    means = {
        "critic_loss": over_critics(pair.critic, on_real, on_fake),
        "generator_loss": over_critics(pair.generator, on_real, on_fake),
        "real": over_critics(jnp.mean, on_real),
        "fake": over_critics(jnp.mean, on_fake),
    }
    count = len(jax.tree.leaves(on_real)[0])
    return {name: (mean * count, jnp.asarray(count, mean.dtype)) for name, mean in means.items()}


# ---- Players --------------------------------------------------------------------------------------------------------


def start(
    key: Array, *, generator: tuple[Any, ...], critic: tuple[Any, ...], spectral: bool = False
) -> tuple[Params, Extra]:
    """Parameters and state of both players, each given as (network, its inputs ...). A state is batch statistics, or,
    of a critic with ``spectral``, the vectors of its normalisation."""
    params, extra = {}, {}
    players = {"generator": generator, "critic": critic}
    for own, (player, (network, *inputs)) in zip(jax.random.split(key), players.items(), strict=True):
        variables = network.init(own, *inputs, train=False)
        params[player], extra[player] = variables["params"], variables.get("batch_stats", {})
    if spectral:
        extra["critic"] = start_vectors(params["critic"], jax.random.fold_in(key, SPECTRAL))
    return params, extra


def play(
    network: nn.Module,
    player: str,
    params: Params,
    extra: Extra,
    *inputs: Array,
    train: bool,
    spectral: bool = False,
    method: str | None = None,
) -> tuple[Any, Extra]:
    """A player's output, by the batch's own statistics or (``train`` false) by running ones; and ``extra`` after it,
    in the dtypes it came in. ``method``: of the network, if not what it does as a rule."""
    weights, state = params[player], extra[player]
    if spectral:
        weights, after = spectral_normalise(weights, state, train=train)
        return network.apply({"params": weights}, *inputs, train=train, method=method), {**extra, player: after}
    if not train or not state:
        return network.apply({"params": weights, "batch_stats": state}, *inputs, train=train, method=method), extra
    y, after = network.apply(
        {"params": weights, "batch_stats": state}, *inputs, train=True, mutable="batch_stats", method=method
    )
    kept = jax.tree.map(lambda new, old: new.astype(old.dtype), after["batch_stats"], state)
    return y, {**extra, player: kept}


def packed(x: Array, pack: int) -> Array:
    """[B, ..., C] -> [ceil(B / pack), ..., pack * C]: consecutive examples side by side, to be judged together (Lin et
    al. 2018, arXiv:1712.04086, section 2). Where they do not divide, the first ones fill the last pack."""
    if pack == 1:
        return x
    packs = -(-len(x) // pack)
    if packs * pack != len(x):
        x = x[jnp.arange(packs * pack) % len(x)]
    x = x.reshape(packs, pack, *x.shape[1:])
    return jnp.moveaxis(x, 1, -2).reshape(packs, *x.shape[2:-1], pack * x.shape[-1])
