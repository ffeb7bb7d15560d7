"""Optimizers: one plain description of what optax composes for a player."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import optax


@dataclass(frozen=True, kw_only=True)
class Optim:
    """An optimizer with its schedule. Floats may be tracers, so that a population can give each member its own."""

    rule: Literal["adam", "adamw", "sgd", "rmsprop", "lbfgs"] = "adamw"
    """The update rule; lbfgs searches along its line and ignores learning_rate and schedule."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    b1: float = 0.9
    """Decay of the first moment; momentum of sgd."""
    b2: float = 0.999
    """Decay of the second moment."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    weight_decay: float = 0.0
    """Decoupled weight decay, on matrices and kernels only; adamw."""
    clip: float | None = None
    """Largest global norm of a gradient; None is no clipping."""
    weight_bound: float | None = None
    """Every parameter is kept in [-bound, bound]: the clipping of Arjovsky et al. 2017 (arXiv:1701.07875)."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """How the learning rate falls after the warm-up."""
    warmup: int = 0
    """Steps over which the learning rate rises linearly from 0."""
    final: float = 0.1
    """Last learning rate as a fraction of the peak; cosine and linear."""
    hold: float = 0.0
    """Share of the steps after the warm-up that the peak is kept for, before it falls; cosine and linear."""
    decay_steps: int | None = None
    """Step at which the schedule ends; None is the run's last step."""


@dataclass(frozen=True, kw_only=True)
class PlayerOptim:
    """What one player's optimizer has otherwise than the others'; None is «the same»."""

    rule: Literal["adam", "adamw", "sgd", "rmsprop", "lbfgs"] | None = None
    learning_rate: float | None = None
    b1: float | None = None
    b2: float | None = None
    weight_decay: float | None = None
    clip: float | None = None
    weight_bound: float | None = None


def for_player(optim: Optim, change: PlayerOptim | None) -> Optim:
    """``optim`` with the fields that ``change`` names."""
    if change is None:
        return optim
    named = {f.name: getattr(change, f.name) for f in fields(change) if getattr(change, f.name) is not None}
    return replace(optim, **named)


TAME = frozenset({"adam", "adamw", "sgd", "rmsprop"})
"""Rules that move each parameter by itself: of finite gradients whose squares are finite they make finite updates."""


def learning_rate(optim: Optim, steps: int) -> "optax.Schedule":
    """step -> learning rate: warm-up, hold, then constant, cosine (Loshchilov & Hutter 2017, eq. 5) or linear."""
    import optax

    peak, end = optim.learning_rate, optim.decay_steps or steps
    held = round(optim.hold * max(end - optim.warmup, 0))
    falling = max(end - optim.warmup - held, 1)
    match optim.schedule:
        case "constant":
            body = optax.constant_schedule(peak)
        case "cosine":
            unit = optax.cosine_decay_schedule(1.0, falling, alpha=0.0)
            # Written around a unit schedule because optax checks its floats, and ours may be tracers.
            body = lambda step: peak * (optim.final + (1 - optim.final) * unit(step))
        case "linear":
            unit = optax.linear_schedule(1.0, 0.0, falling)
            body = lambda step: peak * (optim.final + (1 - optim.final) * unit(step))
    before, ends = [], []
    if optim.warmup:
        before.append(lambda step: peak * (step + 1) / optim.warmup)
        ends.append(optim.warmup)
    if held:
        before.append(optax.constant_schedule(peak))
        ends.append(optim.warmup + held)
    return optax.join_schedules([*before, body], ends) if ends else body


def build(optim: Optim, steps: int) -> "optax.GradientTransformationExtraArgs":
    """The optax transformation that ``optim`` describes, for a run of ``steps`` steps."""
    import optax

    rate = learning_rate(optim, steps)
    match optim.rule:
        case "adam":
            rule = optax.adam(rate, b1=optim.b1, b2=optim.b2, eps=optim.eps)
        case "adamw":
            decayed = lambda params: jax_tree_map(lambda leaf: leaf.ndim > 1, params)
            rule = optax.adamw(
                rate, b1=optim.b1, b2=optim.b2, eps=optim.eps, weight_decay=optim.weight_decay, mask=decayed
            )
        case "sgd":
            rule = optax.sgd(rate, momentum=optim.b1)
        case "rmsprop":
            rule = optax.rmsprop(rate, decay=optim.b2, eps=optim.eps)
        case "lbfgs":
            rule = optax.lbfgs()
    parts = [] if optim.clip is None else [optax.clip_by_global_norm(optim.clip)]
    parts += [rule] if optim.weight_bound is None else [rule, within(optim.weight_bound)]
    return optax.with_extra_args_support(optax.chain(*parts))


def within(bound: float) -> "optax.GradientTransformation":
    """Updates after which no parameter is larger than ``bound``; it comes last in a chain."""
    import jax.numpy as jnp
    import optax

    def kept(updates: Any, params: Any) -> Any:
        return jax_tree_map(lambda update, p: jnp.clip(p + update, -bound, bound) - p, updates, params)

    return optax.stateless(kept)


def lazily(optim: Optim, every: int) -> PlayerOptim:
    """Adam for a player that takes a step of its own for a regulariser on every ``every``-th step: rate and decays are
    those of every + 1 updates in the time of ``every`` (Karras et al. 2020, arXiv:1912.04958, appendix B)."""
    share = every / (every + 1)
    return PlayerOptim(learning_rate=optim.learning_rate * share, b1=optim.b1**share, b2=optim.b2**share)


def jax_tree_map(function: Any, *trees: Any) -> Any:
    """``jax.tree.map``, imported late: the command's ``--help`` reads this file's dataclasses without jax."""
    import jax

    return jax.tree.map(function, *trees)


def build_all(
    optim: Optim, changes: Mapping[str, PlayerOptim], *, players: tuple[str, ...], steps: int
) -> dict[str, "optax.GradientTransformationExtraArgs"]:
    """One optimizer a player."""
    return {player: build(for_player(optim, changes.get(player)), steps) for player in players}
