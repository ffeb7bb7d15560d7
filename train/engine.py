"""A config, a source and a placement put together: how a run begins, and what one dispatch of it is."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from train.checkpoint import difference_of
from train.config import Config, with_member
from train.optim import TAME, build_all, for_player
from train.placement import (
    Placement,
    averaging,
    batch_of,
    compile_dispatch,
    compile_init,
    each_device,
    first_replica,
    given,
    place,
    put_global,
    replicas,
    split_batch,
    spread,
)
from train.processes import share
from train.step import Learner, State, dispatch, init_state
from zoo.errors import UserError

LARGE = 100_000  # numbers of a member


def learner_of(config: Config) -> Learner:
    """The learner that a config describes. Cheap: under ``vmap`` each member of a population makes its own."""
    players = tuple(dict.fromkeys(phase.player for phase in config.model.phases))
    steps = config.options.steps or 1
    rules = {player: for_player(config.optim, config.players.get(player)).rule for player in players}
    return Learner(
        model=config.model,
        optimizers=build_all(config.optim, config.players, players=players, steps=steps),
        ema=config.ema,
        accumulate=config.options.accumulate,
        tame=frozenset(player for player, rule in rules.items() if rule in TAME),
    )


@dataclass(frozen=True)
class Engine:
    """How a run begins and moves on; holds no state of it."""

    config: Config
    placement: Placement
    example: Callable[[Any, Any], Any] | None
    """A source's ``example`` where batches are made on the device; None where the host feeds them."""

    def __post_init__(self):
        options = self.config.options
        self.placement.check_batch(options.batch_size or 1, options.accumulate)
        if self.placement.mode == "pmap" and self.config.members:
            raise UserError("--parallel pmap trains one run; use --parallel jit for a population")
        if self.placement.mode == "pmap" and getattr(self.config.model, "shared_extra", False):
            raise UserError(f"{self.config.name} keeps one extra for all devices; use --parallel jit, not pmap")

    @property
    def members(self) -> int | None:
        return self.config.members

    def make_state(self, seeds: jax.Array) -> State:
        """seeds int32 [] or [N] -> a fresh state, with a leading axis N for a population."""
        if self.members is None:
            return init_state(learner_of(self.config), jax.random.key(seeds))
        make = lambda seed, values: init_state(learner_of(with_member(self.config, values)), jax.random.key(seed))
        return jax.vmap(make)(seeds, self.varied)

    @property
    def varied(self) -> dict[str, jax.Array]:
        return {name: jnp.array(values, jnp.float32) for name, values in self.config.varied().items()}

    @property
    def seeds(self) -> Any:
        seeds = np.array(self.config.seeds, np.int32)
        return seeds if self.members is not None else seeds[0]

    def init(self) -> State:
        return compile_init(self.placement, self.make_state, self.seeds)

    def abstract(self) -> State:
        """What a checkpoint is restored into: shapes, with the sharding that each leaf will have."""
        shapes = jax.eval_shape(self.make_state, self.seeds)
        attach = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
        return jax.tree.map(attach, shapes, self.placement.state_shardings(shapes))

    @functools.cached_property
    def compiled(self) -> Callable[..., Any]:
        """(state, tables, inputs) -> (state, report); compiles once for each number of steps."""
        make_batch = given if self.example is None else batch_of(self.example)
        if self.placement.mode == "pmap":
            learner = averaging(learner_of(self.config))
            return compile_dispatch(self.placement, functools.partial(dispatch, learner, make_batch))
        apart = self.placement.apart
        alone = apart or self.placement.devices == 1  # with nothing to say of where an array is
        make_batch = make_batch if alone else split_batch(self.placement, make_batch)

        def one(values: dict[str, jax.Array], state: State, tables: Any, inputs: Any) -> Any:
            learner = learner_of(with_member(self.config, values))
            learner = learner if alone else spread(learner, self.placement, self.members)
            return dispatch(replace(learner, members=axis), make_batch, state, tables, inputs)

        def in_turn(values: dict[str, jax.Array], state: State, tables: Any, inputs: Any) -> Any:
            return jax.lax.map(lambda mine: one(mine[0], mine[1], tables, mine[2]), (values, state, inputs))

        side_by_side = self.members is not None and not self.one_by_one
        axis = "members" if side_by_side else None
        many = one if self.members is None else in_turn
        many = jax.vmap(one, (0, 0, None, 0), axis_name=axis) if side_by_side else many
        many = each_device(self.placement, many) if apart else many
        return compile_dispatch(self.placement, functools.partial(many, self.varied))

    @property
    def one_by_one(self) -> bool:
        """Whether a device has its members' dispatches one after the other: on a CPU, whose caches hold one large
        member and not all of them. (Sixteen of ``vae``, 50 steps a dispatch: 3.4 ms a member and step, side by side
        4.4.)"""
        shapes = jax.eval_shape(self.make_state, self.seeds)
        numbers = sum(leaf.size for leaf in jax.tree.leaves(shapes.params)) // (self.members or 1)
        return self.placement.platform == "cpu" and numbers > LARGE

    def inputs(self, loaders: list[Any], step: int, count: int) -> Any:
        """Indices (or batches) of ``count`` steps from ``step`` on, placed: [K, B, ...], populations [N, K, B, ...]."""
        rows = [self.rows(loader, np.arange(step, step + count)) for loader in loaders]
        if self.members is None:
            return self.placement.put_inputs(rows[0], axis=1)
        return self.placement.put_inputs(stack_trees(rows), axis=2)

    def rows(self, loader: Any, steps: np.ndarray) -> Any:
        """What one loader has for ``steps`` [K]: leaves [K, B, ...] on the host."""
        if self.example is not None:
            return loader.indices(steps)
        return stack_trees([loader.batch(int(step)) for step in steps])

    # -- what is saved, and what it becomes again ----------------------------------------------------------------------

    def to_saved(self, state: State) -> State:
        """A state as checkpoints hold it: independent of the placement."""
        if self.placement.mode != "pmap":
            return state
        first = first_replica(state, jax.random.key(self.config.options.seed))
        if jax.process_count() == 1:
            return first
        return jax.tree.map(lambda leaf: share(leaf, self.placement.replicated()), first)

    def from_saved(self, state: State) -> State:
        return replicas(state) if self.placement.mode == "pmap" else state


def engine_for(config: Config, source: Any) -> Engine:
    """An engine on all devices; on the first where the data are one example, which nothing can be divided into."""
    alone = source.size == 1 and config.options.parallel != "pmap" and jax.process_count() == 1
    devices = jax.devices()[:1] if alone else None
    return Engine(config, place(config.options.parallel, devices, members=config.members), source.example)


def stack_trees(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def adopt(state: State, params: dict[str, Any], extra: Any, *, origin: Path) -> State:
    """A fresh state that starts from another run's parameters and ``extra``; its averages start from the parameters."""
    wrong = difference_of({"params": params, "extra": extra}, {"params": state.params, "extra": state.extra})
    if wrong:
        raise UserError(f"--init-from {origin}: another shape of model: {wrong}")
    put = lambda new, old: put_global(np.array(new), old.sharding)  # a copy: the state is donated
    ema = {player: jax.tree.map(put, params[player], tree) for player, tree in state.ema.items()}
    return replace(
        state,
        params=jax.tree.map(put, params, state.params),
        extra=jax.tree.map(put, extra, state.extra),
        ema=ema,
    )
