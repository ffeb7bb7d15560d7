"""Where arrays live: one rule for each way to place a run on its devices.

``jit`` replicates the state and splits the batch; ``fsdp`` also splits the state; both compile the same global-view
step, so that what is computed does not depend on the devices. ``pmap`` makes replicas, each with its own key and
``extra``, whose gradients are averaged. A population whose members divide among the devices lives there whole members
at a time under ``jit``, and the devices have nothing to tell each other.
"""

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend import core
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from train.flags import compiler_options
from train.step import Learner, State
from zoo.errors import UserError
from zoo.model import Loss
from zoo.nn.platform import traced_for

AXIS = "data"
Mode = Literal["jit", "fsdp", "pmap"]
SMALLEST_SPLIT = 4096  # elements; splitting a smaller leaf costs more in messages than it saves in memory


@dataclass(frozen=True)
class Placement:
    """A mesh of all devices of all processes, and a rule."""

    mode: Mode
    mesh: Mesh
    apart: bool = False
    """Whether every device has members of a population of its own."""

    @property
    def devices(self) -> int:
        return self.mesh.size

    @property
    def platform(self) -> str:
        return self.mesh.devices.flat[0].platform

    def check_batch(self, batch_size: int, accumulate: int = 1) -> None:
        """The batch is split over the devices, and what each device has over the micro-batches."""
        split = 1 if self.apart else self.devices
        parts = split * accumulate
        if batch_size % parts:
            per = f"{split} devices" + (f" x {accumulate} micro-batches" if accumulate > 1 else "")
            near = max(parts, round(batch_size / parts) * parts)
            raise UserError(f"--batch-size {batch_size} does not divide by {per}; {near} would")

    def state_shardings(self, abstract: Any) -> Any:
        """A sharding for each leaf of a state (or of any tree): replicated, split by the fsdp rule, or by members."""
        return jax.tree.map(lambda leaf: NamedSharding(self.mesh, self.spec(leaf.shape)), abstract)

    def spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        if self.apart:
            return PartitionSpec(AXIS)
        return fsdp_spec(shape, self.devices) if self.mode == "fsdp" else PartitionSpec()

    def replicated(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec())

    def batch_sharding(self, *, axis: int) -> NamedSharding:
        """Split on ``axis``, the batch's."""
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))

    def put_tables(self, tables: Any) -> Any:
        """The resident data set, whole on every device; for ``pmap`` with a leading axis of this process's devices."""
        if self.mode == "pmap":
            return jax.tree.map(lambda leaf: on_each(leaf, jax.local_devices()), tables)
        return jax.tree.map(lambda leaf: put_global(leaf, self.replicated()), tables)

    def put_inputs(self, inputs: Any, *, axis: int) -> Any:
        """This process's slice of the inputs of K steps, as global arrays split on ``axis``, the batch's, or by
        members."""
        if self.mode == "pmap":
            local = jax.local_device_count()
            share = lambda x: np.stack(np.split(np.asarray(x), local, axis=axis))
            return jax.tree.map(share, inputs)
        split = self.batch_sharding(axis=0 if self.apart else axis)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(split, np.asarray(x)), inputs)


def place(mode: Mode, devices: list[Any] | None = None, *, members: int | None = None) -> Placement:
    """All devices (or those given) in one axis; ``members``: of a population, for which they are. The axis is Auto:
    with explicit axes (make_mesh's default) flax's layers do not trace."""
    devices = jax.devices() if devices is None else devices
    mesh = jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
    divides = members is not None and len(devices) > 1 and members % len(devices) == 0
    return Placement(mode, mesh, apart=divides and mode == "jit" and jax.process_count() == 1)


def each_device(placement: Placement, step: Callable[..., Any]) -> Callable[..., Any]:
    """``step(values, state, tables, inputs)`` of all members, of which every device does its own."""
    mine, whole = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(step, mesh=placement.mesh, in_specs=(mine, mine, whole, mine), out_specs=mine, check_vma=False)


def fsdp_spec(shape: tuple[int, ...], parts: int) -> PartitionSpec:
    """Splits the largest dimension that divides by ``parts``; small leaves and leaves that do not divide stay whole."""
    fitting = [(size, dim) for dim, size in enumerate(shape) if size % parts == 0]
    if int(np.prod(shape)) < SMALLEST_SPLIT or not fitting:
        return PartitionSpec()
    _, dim = max(fitting, key=lambda pair: pair[0])
    return PartitionSpec(*[None] * dim, AXIS)


def put_global(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """A host array that every process holds whole, as one global array."""
    leaf = np.asarray(leaf)
    return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])


# -- the three ways to compile -----------------------------------------------------------------------------------------


def compile_init(placement: Placement, make: Callable[..., State], *arguments: Any) -> State:
    """``make(*arguments)`` with every leaf made where it will live: none is ever held in the wrong place."""
    once = compiler_options(placement.platform, once=True)
    if placement.mode == "pmap":
        return replicas(jax.jit(make, compiler_options=once)(*arguments))
    shardings = placement.state_shardings(jax.eval_shape(make, *arguments))
    return jax.jit(make, out_shardings=shardings, compiler_options=once)(*arguments)


def compile_dispatch(placement: Placement, step: Callable[..., Any]) -> Callable[..., Any]:
    """``step(state, tables, inputs) -> (state, report)`` compiled for the placement, with the state donated.

    With ``pmap`` every replica reports the means of all replicas' metrics, and a failure of any one.
    """
    if placement.mode == "pmap":

        def replica(state: State, tables: Any, inputs: Any):
            with traced_for(placement.platform), uncollected():
                state, (metrics, failed) = step(state, tables, inputs)
            return state, (jax.lax.pmean(metrics, AXIS), jax.lax.pmax(failed, AXIS))

        return jax.pmap(replica, axis_name=AXIS, donate_argnums=0)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=compiler_options(placement.platform))
    def compiled(state: State, tables: Any, inputs: Any):
        with traced_for(placement.platform), uncollected():
            state, report = step(state, tables, inputs)
        state = jax.lax.with_sharding_constraint(state, placement.state_shardings(state))
        return state, jax.lax.with_sharding_constraint(report, placement.replicated())

    return compiled


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's garbage collector, which would look again and again through what a trace makes and keeps: a
    fifth of the time that StyleGAN2's takes."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def spread(learner: Learner, placement: Placement, members: int | None = None) -> Learner:
    """The learner for ``jit`` and ``fsdp``: a loss reads whole parameters and splits nothing but the batch; gradients
    are summed to where the state holds their parameters.

    Left to itself XLA would let activations follow the parameters' split, and move those instead. Every leaf is
    gathered on its own, so that XLA may place it beside its use. ``members``: inside the ``vmap`` of a population.
    """
    of_all = () if members is None else (members,)  # the rule is for a population's leaves; a member lacks their axis

    def split(leaf: Any) -> Any:
        spec = PartitionSpec(*placement.spec((*of_all, *leaf.shape))[len(of_all) :])
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(placement.mesh, spec))

    whole = lambda tree: jax.lax.with_sharding_constraint(tree, placement.replicated())
    around = functools.partial(with_split_work, split=placement.batch_sharding(axis=0))
    return replace(learner, gather=whole, scatter=functools.partial(jax.tree.map, split), around=around)


def with_split_work(loss: Loss, split: NamedSharding) -> Loss:
    """``loss``, but what it computes for every example of the batch is computed where the example is.

    A batch brings its split along. Noise has none, so that XLA might have every device compute all that depends on
    noise alone, as all of a generator's work does: what is drawn for every example, or for one in k, is drawn where the
    example is. And behind a product with parameters that the state holds in parts XLA might split the channels instead,
    and send the examples: what products give is held where the examples are. This changes where numbers are and not
    what they are.
    """

    def placed(*arguments: Any) -> Any:
        rows = jax.tree.leaves(arguments[2])[0].shape[0]
        program, result = jax.make_jaxpr(loss, return_shape=True)(*arguments)
        leaves = core.jaxpr_as_fun(split_program(program, rows, split))(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(result), leaves)

    return placed


# What multiplies, by itself or inside of a rule or a branch.
PRODUCTS = frozenset(
    {"conv_general_dilated", "correlate", "taps", "dot_general", "custom_jvp_call", "custom_vjp_call", "cond"}
)


def split_program(program: core.ClosedJaxpr, rows: int, split: NamedSharding) -> core.ClosedJaxpr:
    """A traced program that draws ``rows`` rows of random numbers split, and parts of so many rows that still divide by
    the devices, and holds products of ``rows`` rows split, wherever not in a loop."""
    drawn = lambda shape: bool(shape) and rows % shape[0] == 0 and shape[0] % split.mesh.size == 0
    made = lambda shape: len(shape) > 1 and shape[0] == rows
    equations = []
    for equation in program.jaxpr.eqns:
        name = equation.primitive.name
        if name in ("jit", "pjit"):
            inner = split_program(equation.params["jaxpr"], rows, split)
            equation = equation.replace(params={**equation.params, "jaxpr": inner})
        elif name == "cond":
            branches = tuple(split_program(branch, rows, split) for branch in equation.params["branches"])
            equation = equation.replace(params={**equation.params, "branches": branches})
        wanted = drawn if name == "random_bits" else made if name in PRODUCTS else None
        equations += [equation] if wanted is None else constrained(equation, wanted, split)
    return program.replace(jaxpr=program.jaxpr.replace(eqns=equations))


def constrained(equation: Any, wanted: Callable[[tuple[int, ...]], bool], split: NamedSharding) -> list[Any]:
    """An equation, and behind it one for each result whose shape is ``wanted``, which splits it."""
    outvars, behind = [], []
    for out in equation.outvars:
        shape = getattr(out.aval, "shape", ())
        if not wanted(shape) or not jnp.issubdtype(out.aval.dtype, jnp.number):
            outvars.append(out)
            continue
        traced = jax.make_jaxpr(lambda x: jax.lax.with_sharding_constraint(x, split))(out.aval).jaxpr  # of one equation
        outvars += traced.invars
        behind.append(traced.eqns[0].replace(outvars=[out]))
    return [equation.replace(outvars=outvars), *behind]


def averaging(learner: Learner) -> Learner:
    """The learner for ``pmap``: every optimizer sees the means over the replicas; its state is what it was without."""
    return replace(learner, optimizers={name: averaged(rule) for name, rule in learner.optimizers.items()})


def averaged(optimizer: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """``optimizer``, given the means of all that it is given."""
    mean = functools.partial(jax.lax.pmean, axis_name=AXIS)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        value_fn = extra["value_fn"]
        means = {"value": mean(extra["value"]), "grad": mean(extra["grad"])}
        return optimizer.update(mean(updates), state, params, value_fn=lambda params: mean(value_fn(params)), **means)

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def replicas(state: State) -> State:
    """One state a device of this process: the same but for the key, which each replica folds its own number into."""
    devices = jax.local_devices()
    first = jax.process_index() * len(devices)
    mine = jax.tree.map(lambda leaf: leaf.addressable_data(0), state)
    keys = jax.vmap(lambda number: jax.random.fold_in(mine.key, number))(first + jnp.arange(len(devices)))
    stacked = jax.tree.map(lambda leaf: on_each(leaf, devices), replace(mine, key=None))
    return replace(stacked, key=jax.device_put(keys, replica_sharding(devices)))


def on_each(leaf: Any, devices: list[Any]) -> jax.Array:
    """[...] -> [devices, ...], a copy on each, and never more than one on any."""
    copies = [jax.device_put(leaf, device)[None] for device in devices]
    return jax.make_array_from_single_device_arrays((len(devices), *leaf.shape), replica_sharding(devices), copies)


def replica_sharding(devices: list[Any]) -> NamedSharding:
    return NamedSharding(Mesh(np.array(devices), (AXIS,)), PartitionSpec(AXIS))


def first_replica(state: State, key: jax.Array) -> State:
    """What ``pmap`` saves: the first replica's state with the run's own key."""
    take = lambda leaf: leaf.addressable_data(0)[0]
    return replace(jax.tree.map(take, replace(state, key=None)), key=key)


def read_report(placement: Placement, report: Any) -> Any:
    """Metrics and ``failed`` of K steps as host arrays [K] (populations [N, K])."""
    if placement.mode == "pmap":
        report = jax.tree.map(lambda leaf: leaf.addressable_data(0)[0], report)
    return jax.device_get(report)


def split_batch(placement: Placement, make_batch: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``make_batch`` whose batches are split on their first axis, whatever its tables are."""
    split = placement.batch_sharding(axis=0)
    return lambda tables, one: jax.lax.with_sharding_constraint(make_batch(tables, one), split)


def batch_of(example: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """(tables, indices [B]) -> batch, drawn or gathered on the device from a source's ``example``."""
    return lambda tables, indices: jax.vmap(example, (None, 0))(tables, indices)


def given(tables: Any, batch: Any) -> Any:
    """The ``make_batch`` of data that the host feeds: the slice is the batch."""
    del tables
    return batch
