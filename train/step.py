"""The one train step. Everything that learns in this zoo learns here.

Nothing below knows about devices, files or clocks: `train.placement` says where arrays live, `train.loop` what happens
around a run.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from zoo.model import Array, Batch, Extra, Loss, Metrics, Model, Params, Phase
from zoo.nn.platform import by_platform, platform

INIT = 0x1417  # folded into the run's key for the parameters, so that no step's key repeats it


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["step", "key", "params", "extra", "opt", "ema", "failed"],
    meta_fields=[],
)
@dataclass(frozen=True)
class State:
    """All that changes in a run: what a checkpoint holds."""

    step: Array
    """int32 [], updates done."""
    key: Array
    """The run's key; step ``s`` uses ``fold_in(key, s)``, so that nothing is threaded and a resumed run is the same
    run."""
    params: Params
    extra: Extra
    opt: dict[str, Any]
    """player -> optimizer state."""
    ema: Params
    """player -> moving average of its parameters, for the players that keep one."""
    failed: Array
    """int32 [], -1; or the index of the phase that met a NaN or Inf at ``step``: then nothing moves any more."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """How a model is trained."""

    model: Model
    optimizers: Mapping[str, optax.GradientTransformationExtraArgs]
    ema: Mapping[str, float] = field(default_factory=dict)
    """player -> decay of its average."""
    accumulate: int = 1
    """Micro-batches whose gradients make one update."""
    gather: Callable[[Any], Any] = lambda tree: tree
    """Of what a loss reads, parameters and ``extra``: the same values, where the loss wants them."""
    scatter: Callable[[Any], Any] = lambda tree: tree
    """Of a player's gradients: the same values, where its optimizer wants them."""
    around: Callable[[Loss], Loss] = lambda loss: loss
    """Of a loss: one that computes the same."""
    members: str | None = None
    """The axis of the ``vmap`` that this learner is one member of; None for a run of its own."""
    tame: frozenset[str] = frozenset()
    """Players whose optimizers make finite updates of finite gradients, so that updates need not be looked through."""


def init_state(learner: Learner, key: Array, batch: Batch | None = None) -> State:
    """A fresh run. ``batch``: only for models that start from data."""
    params, extra = learner.model.init(jax.random.fold_in(key, INIT), batch)
    trained = dict.fromkeys(phase.player for phase in learner.model.phases)
    return State(
        step=jnp.zeros((), jnp.int32),
        key=key,
        params=params,
        extra=extra,
        opt={player: learner.optimizers[player].init(params[player]) for player in trained},
        ema={player: params[player] for player in learner.ema},
        failed=jnp.full((), -1, jnp.int32),
    )


def train_step(learner: Learner, state: State, batch: Batch) -> tuple[State, Metrics]:
    """One step: each phase that is due updates its player, seeing what the phases before it did.

    batch: leaves [B, ...]. Metrics are scalars named ``PLAYER/...``, or by the phase's own name; those of a phase that
    was not due are NaN. A NaN or Inf in a loss, a gradient or an update leaves the whole state as it was, but for
    ``failed``.
    """
    key, new = jax.random.fold_in(state.key, state.step), state
    metrics: Metrics = {}
    for index, phase in enumerate(learner.model.phases):
        run = functools.partial(run_phase, learner, phase, index, batch, key)
        if phase.every == 1:
            new, measured = run(new)
        else:
            new, measured = when_due(state.step % phase.every == 0, run, new, learner.members)
        metrics |= measured
    *phases, last = learner.model.phases
    early = {phase.player for phase in phases} | {last.player} - learner.tame  # may have moved in a step that failed
    moves = lambda of: ({one: of.params[one] for one in early}, {one: of.opt[one] for one in early}, of.extra)
    (params, opt, extra), ema, step = either(
        new.failed < 0,
        lambda: (moves(new), follow(learner.ema, new), state.step + 1),
        (moves(state), state.ema, state.step),
    )
    params, opt = {**new.params, **params}, {**new.opt, **opt}
    return replace(new, params=params, opt=opt, extra=extra, ema=ema, step=step), metrics


def when_due(
    due: Array, run: Callable[[State], tuple[State, Metrics]], state: State, members: str | None
) -> tuple[State, Metrics]:
    """``run(state)`` where ``due``, else the state and metrics of NaN. ``run`` is traced once.

    A branch that asks each member of a ``vmap`` for itself becomes two results for every member at every step. So a
    population asks whether any member is due, which all are at once but those that have failed.
    """
    run = jax.jit(run, inline=True)
    nothing = jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), jax.eval_shape(run, state)[1])
    skip = lambda state: (state, nothing)
    if members is None:
        return jax.lax.cond(due, run, skip, state)
    due &= state.failed < 0
    mine = lambda state: jax.tree.map(functools.partial(jnp.where, due), run(state), skip(state))
    return jax.lax.cond(jax.lax.pmax(due.astype(jnp.int32), members) > 0, mine, skip, state)


def either(alive: Array, moved: Callable[[], Any], stayed: Any) -> Any:
    """``moved()`` where ``alive``, else ``stayed``, bit for bit.

    Accelerators fuse the choice into the loop that computes ``moved``. XLA:CPU gives each result a loop of its own, and
    then no optimizer updates in place (2 million numbers: Adam 1.2 ms, 4.5 with the choice): there it is a branch.
    """
    return by_platform(
        alive, stayed,
        cpu=lambda alive, stayed: jax.lax.cond(alive, moved, lambda: stayed),
        default=lambda alive, stayed: jax.tree.map(functools.partial(jnp.where, alive), moved(), stayed),
    )  # fmt: skip


def run_phase(
    learner: Learner, phase: Phase, index: int, batch: Batch, key: Array, state: State
) -> tuple[State, Metrics]:
    """One gradient step of one player."""
    player, name = phase.player, phase.name or phase.player
    mine, optimizer = state.params[player], learner.optimizers[player]
    params, extra = learner.gather((state.params, state.extra))
    loss = learner.around(phase.loss)

    def loss_of(mine: Any, extra: Extra, batch: Batch, key: Array):
        return loss({**params, player: mine}, extra, batch, key, state.step)

    value_fn = lambda mine: loss_of(learner.gather(mine), extra, batch, key)[0]
    gradient = accumulated(loss_of, learner.accumulate, learner.scatter)
    (value, (new_extra, aux)), grads = gradient(params[player], extra, batch, key)
    norm = optax.tree.norm(grads)
    fine = jnp.isfinite(value) & jnp.isfinite(norm)
    failed = jnp.where((state.failed < 0) & ~fine, index, state.failed)

    def moved():
        updates, opt = optimizer.update(grads, state.opt[player], mine, value=value, grad=grads, value_fn=value_fn)
        fine = player in learner.tame or jnp.isfinite(optax.tree.norm(updates))
        return optax.apply_updates(mine, updates), opt, new_extra, jnp.where(fine, failed, index)

    params, opt, extra, failed = either(failed < 0, moved, (mine, state.opt[player], state.extra, failed))
    metrics = {f"{name}/loss": value, f"{name}/grad_norm": norm}
    return replace(
        state,
        params={**state.params, player: params},
        extra=extra,
        opt={**state.opt, player: opt},
        failed=failed,
    ), metrics | {f"{name}/{what}": one for what, one in aux.items()}


def accumulated(loss_of: Callable, parts: int, scatter: Callable[[Any], Any]) -> Callable:
    """``value_and_grad(loss_of, has_aux=True)`` over ``parts`` micro-batches: means of losses, metrics and gradients,
    with ``extra`` passed from one to the next. The batch must divide by ``parts``; each part's gradients are
    scattered."""

    def gradient(*arguments: Any):
        value, grads = jax.value_and_grad(loss_of, has_aux=True)(*arguments)
        return value, scatter(grads)

    if parts == 1:
        return gradient

    def over_parts(mine: Any, extra: Extra, batch: Batch, key: Array):
        def body(extra, xs):
            part, piece = xs
            (loss, (extra, aux)), grads = gradient(mine, extra, piece, jax.random.fold_in(key, part))
            return extra, (loss, aux, grads)

        # Interleaved, not in blocks: on several devices every part then keeps an equal share of each device's rows.
        pieces = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 1, 0), batch)
        extra, measured = jax.lax.scan(body, extra, (jnp.arange(parts), pieces))
        loss, aux, grads = jax.tree.map(lambda x: x.mean(0), measured)
        return (loss, (extra, aux)), grads

    return over_parts


def follow(decays: Mapping[str, float], state: State) -> Params:
    """The moving averages, one step on. The decay warms up as (1 + t) / (10 + t), so that the start is soon
    forgotten."""
    warm = (1.0 + state.step) / (10.0 + state.step)
    return {
        player: optax.incremental_update(state.params[player], state.ema[player], 1 - jnp.minimum(decay, warm))
        for player, decay in decays.items()
    }


def dispatch(
    learner: Learner, make_batch: Callable[[Any, Any], Batch], state: State, tables: Any, inputs: Any
) -> tuple[State, tuple[Metrics, Array]]:
    """K steps in one dispatch. inputs: leaves [K, ...], one slice a step; ``make_batch(tables, slice)`` gives its
    batch.

    Returns the state, and each step's metrics and ``failed`` as leaves [K]. Whatever K is, the step is compiled as the
    body of a loop, so that runs cut into other dispatches agree bit for bit. Beside a GPU a single step stands alone:
    there the host would have to wait for the step before it knew that the loop has ended, and could not send the next
    one meanwhile. (Runs agree to rounding then; XLA chooses kernels by timing them, so that two compilations need not
    agree to more in any case.)
    """

    def body(state: State, one: Any):
        state, metrics = train_step(learner, state, make_batch(tables, one))
        return state, (metrics, state.failed)

    if jax.tree.leaves(inputs)[0].shape[0] > 1:
        return jax.lax.scan(body, state, inputs)
    if platform() == "gpu":
        state, report = body(state, jax.tree.map(lambda leaf: leaf[0], inputs))
        return state, jax.tree.map(lambda leaf: leaf[None], report)
    return first_of_two(body, state, inputs)


def first_of_two(body: Callable, state: State, inputs: Any) -> tuple[State, Any]:
    """``scan`` over a single input [1, ...]. A loop of one turn is unrolled by XLA, fused with what surrounds it, and
    rounds differently. So this is a loop over two inputs whose end XLA cannot see, and which comes after the first.
    ``body`` is traced once."""
    body = jax.jit(body, inline=True)
    two = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), inputs)
    one = jax.tree.map(lambda leaf: leaf[0], inputs)
    empty = jax.tree.map(lambda leaf: jnp.zeros((2, *leaf.shape), leaf.dtype), jax.eval_shape(body, state, one)[1])

    def turn(index: Array, carry: Any):
        state, reports = carry
        state, report = body(state, jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, 0, False), two))
        put = lambda leaf, value: jax.lax.dynamic_update_index_in_dim(leaf, value, index, 0)
        return state, jax.tree.map(put, reports, report)

    end = jax.lax.optimization_barrier(jnp.ones((), jnp.int32))
    state, reports = jax.lax.fori_loop(0, end, turn, (state, empty))
    return state, jax.tree.map(lambda leaf: leaf[:1], reports)
