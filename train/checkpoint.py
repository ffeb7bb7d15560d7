"""Checkpoints: Orbax's asynchronous manager, and what it leaves out.

Orbax restores a flipped byte without a word and does not look further when the newest checkpoint is broken. Here each
leaf has a checksum that is computed on the device, and `restore` goes back to the newest checkpoint that verifies.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.errors import UserError

FORMAT = 1


class Checkpoints:
    """The checkpoints of one run folder. Every process of a run opens it and calls the same methods."""

    def __init__(self, folder: Path, *, keep: int = 3):
        import orbax.checkpoint as ocp

        logging.getLogger("absl").setLevel(logging.ERROR)
        self.folder, self._ocp = folder.absolute(), ocp
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, create=True, cleanup_tmp_directories=True, enable_async_checkpointing=True
        )
        with told(f"cannot open {folder}"):
            self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, step: int, state: Any) -> None:
        """Starts to save; returns when the state may change again. A state that holds a NaN is refused."""
        leaves = flatten(state)
        sums, finite = jax.device_get(jax.jit(summarize)(leaves))
        if not finite:
            raise UserError(f"the state of step {step} holds a NaN or Inf and was not saved; lower --optim.learning-rate")
        described = {name: [list(leaf.shape), str(leaf.dtype), int(sums[name])] for name, leaf in leaves.items()}
        args = self._ocp.args
        with told(f"cannot save step {step} in {self.folder}"):
            self._manager.save(
                step,
                args=args.Composite(
                    state=args.StandardSave(leaves), meta=args.JsonSave({"format": FORMAT, "leaves": described})
                ),
                force=True,
            )

    def wait(self) -> None:
        """Until what was started is on the disk."""
        with told(f"cannot save in {self.folder}"):
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._manager.close()

    def steps(self) -> list[int]:
        """Steps that were saved, newest first."""
        return sorted(self._manager.all_steps(read=True), reverse=True)

    def restore(self, abstract: Any, *, report: Any = print) -> tuple[int, Any] | None:
        """(step, state) of the newest checkpoint that verifies, or None where there is none.

        abstract: ShapeDtypeStructs with shardings. Damaged checkpoints are named to ``report`` and put aside.
        """
        damaged = []
        for step in self.steps():
            found = self._verified(step, abstract)
            if not isinstance(found, str):
                self._put_aside(damaged)
                return step, found
            report(f"checkpoint {step} is damaged ({found}); trying an older one")
            damaged.append(step)
        if damaged:
            raise UserError(f"no checkpoint in {self.folder} is whole; start again in another folder with --out")
        return None

    def _verified(self, step: int, abstract: Any) -> Any:
        """The state of ``step``, or a string that says what is damaged."""
        args, want = self._ocp.args, flatten(abstract)
        try:
            meta = self._manager.restore(step, args=args.Composite(meta=args.JsonRestore()))["meta"]
            leaves = meta["leaves"]
        except Exception as error:
            return f"meta: {first_line(error)}"
        difference = describe_difference(leaves, want)
        if difference:
            raise UserError(f"the checkpoints in {self.folder} are of another model: {difference}")
        try:
            found = self._manager.restore(step, args=args.Composite(state=args.StandardRestore(want)))["state"]
            sums, finite = jax.device_get(jax.jit(summarize)(found))
        except Exception as error:
            return first_line(error)
        wrong = [name for name, (_, _, checksum) in leaves.items() if int(sums[name]) != checksum]
        if wrong or not finite:
            return f"{wrong[0] if wrong else 'a NaN'} does not verify"
        return unflatten(found, abstract)

    def _put_aside(self, damaged: list[int]) -> None:
        """Renames damaged checkpoints, so that their steps can be saved again."""
        if not damaged:
            return
        if jax.process_index() == 0:
            for step in damaged:
                aside = self.folder.parent / f"damaged-checkpoint-{step}"
                shutil.rmtree(aside, ignore_errors=True)
                with contextlib.suppress(OSError):
                    os.replace(self.folder / str(step), aside)
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("damaged checkpoints are aside")
        self._manager.reload()


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Turns a failure of the file system, which reaches us through several libraries, into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{what}: {first_line(error)}; make room or choose another --out, then go on with --resume") from error


def first_line(error: BaseException) -> str:
    """The cause that lies deepest, in one short line."""
    while (error.__cause__ or error.__context__) is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


# -- trees as flat dicts ------------------------------------------------------------------------------------------------


def flatten(tree: Any) -> dict[str, Any]:
    """{"params.gpt.norm.scale": leaf}; keys as their data. Works on arrays and on ShapeDtypeStructs."""
    named = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): key_bits(leaf) for path, leaf in named}


def unflatten(leaves: dict[str, Any], like: Any) -> Any:
    """The inverse of `flatten`, in the form of ``like``."""
    paths, form = jax.tree_util.tree_flatten_with_path(like)
    values = []
    for path, leaf in paths:
        value = leaves[jax.tree_util.keystr(path, simple=True, separator=".")]
        values.append(jax.random.wrap_key_data(value) if is_key(leaf) else value)
    return jax.tree_util.tree_unflatten(form, values)


def is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def key_bits(leaf: Any) -> Any:
    """A key's data; any other leaf as it is."""
    if not is_key(leaf):
        return leaf
    if isinstance(leaf, jax.ShapeDtypeStruct):
        bits = jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))
        return jax.ShapeDtypeStruct(bits.shape, bits.dtype, sharding=leaf.sharding)
    return jax.random.key_data(leaf)


def describe_difference(saved: dict[str, list], want: dict[str, Any]) -> str | None:
    """What first differs between a checkpoint's leaves and those the model has, for people."""
    for name, leaf in want.items():
        if name not in saved:
            return f"{name} is not in them"
        shape, dtype = tuple(saved[name][0]), saved[name][1]
        if shape != tuple(leaf.shape) or dtype != str(leaf.dtype):
            return f"{name} is {dtype}{list(shape)} there and {leaf.dtype}{list(leaf.shape)} here"
    more = [name for name in saved if name not in want]
    return f"they also hold {more[0]}" if more else None


def summarize(leaves: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """({name: checksum}, whether all floats are finite), computed where the leaves live."""
    floats = [leaf for leaf in leaves.values() if jnp.issubdtype(leaf.dtype, jnp.floating)]
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in floats]).all() if floats else jnp.array(True)
    return {name: checksum(leaf) for name, leaf in leaves.items()}, finite


def checksum(leaf: Any) -> Any:
    """uint32 []: the leaf's words, each times an odd number that its position gives, summed modulo 2**32.

    Integer sums do not depend on their order, hence not on the sharding. An odd factor is invertible, so that a change
    of any one word always shows.
    """
    if leaf.dtype == jnp.bool_:
        leaf = leaf.astype(jnp.uint8)
    bits = jax.lax.bitcast_convert_type(leaf, jnp.dtype(f"uint{8 * min(leaf.dtype.itemsize, 4)}")).astype(jnp.uint32)
    position, stride = jnp.zeros(bits.shape, jnp.uint32), 1
    for dim in reversed(range(bits.ndim)):
        position += jax.lax.broadcasted_iota(jnp.uint32, bits.shape, dim) * np.uint32(stride % 2**32)
        stride *= bits.shape[dim]
    # Knuth's multiplicative hash keeps neighbours' factors apart; the last bit makes them odd.
    return jnp.sum((bits + jnp.uint32(1)) * ((position * np.uint32(2654435761)) | np.uint32(1)), dtype=jnp.uint32)


def digest(params: Any) -> str:
    """sha256 over the names, shapes, dtypes and bytes of all parameters: two runs compared by eye."""
    import hashlib

    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        params = multihost_utils.process_allgather(params, tiled=True)
    sha = hashlib.sha256()
    for name, leaf in sorted(flatten(params).items()):
        array = np.ascontiguousarray(np.asarray(leaf))
        sha.update(f"{name} {array.shape} {array.dtype}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
