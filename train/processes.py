"""What the processes of one run must tell each other. A run of one process tells nobody and waits for nobody."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from zoo.errors import UserError


def largest(number: float) -> float:
    """The largest of all processes' numbers; waits for them."""
    if jax.process_count() == 1:
        return number
    from jax.experimental import multihost_utils

    return float(np.max(multihost_utils.process_allgather(np.float32(number))))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What not every process does, or not with the same success. Where one fails, the others end as well instead of
    waiting for it."""
    failure = None
    try:
        yield
    except UserError as error:
        failure = error
    if largest(float(failure is not None)) > 0:
        raise failure or UserError("another process of this run could not begin; what it printed says why")


@contextlib.contextmanager
def not_alone() -> Iterator[None]:
    """What a process meets when another one has died, in one line."""
    try:
        yield
    except UserError:
        raise
    except (RuntimeError, ValueError) as error:
        if jax.process_count() == 1:
            raise
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"another process of this run was lost; start all again with --resume ({why})") from error


class Vote:
    """Whether any process wants to stop. All must hear it at the same step; so the answer is that to the question
    before, which has arrived by now, and nobody waits for it."""

    def __init__(self, mesh: jax.sharding.Mesh):
        self._voices = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
        self._count = jax.jit(jax.numpy.any, out_shardings=NamedSharding(mesh, PartitionSpec()))
        self._before: Any = np.array(False)

    def __call__(self, flag: bool) -> bool:
        if jax.process_count() == 1:
            return flag
        mine = np.full(jax.local_device_count(), flag)
        before, self._before = self._before, self._count(jax.make_array_from_process_local_data(self._voices, mine))
        return bool(before)


def share(leaf: jax.Array, sharding: NamedSharding) -> jax.Array:
    """Process 0's leaf, an array of its own, as a global one on every process."""
    from jax.experimental import multihost_utils

    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(share(jax.random.key_data(leaf), sharding))
    value = np.asarray(multihost_utils.broadcast_one_to_all(leaf))
    return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])


def on_host(tree: Any) -> Any:
    """Global arrays as numpy arrays, whole on every process; all must call it."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        tree = multihost_utils.process_allgather(tree, tiled=True)
    return jax.device_get(tree)
