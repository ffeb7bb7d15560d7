"""Checkpoints: Orbax's asynchronous manager, and what it leaves out.

Orbax saves, in the background and atomically. But it restores a flipped byte without a word, and does not look further
when the newest checkpoint is broken. Here each leaf has a checksum that is computed on the device, and
`Checkpoints.restore` goes back to the newest checkpoint that verifies.
"""

import contextlib
import errno
import functools
import json
import logging
import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from train.processes import on_host
from zoo.errors import UserError

FORMAT = 1
LONG = 200  # letters that a cause may have


class Checkpoints:
    """The checkpoints of one run folder. Every process of a run calls the same methods.

    Nothing is written before the first `save`, so that others may read while a run goes on.
    """

    def __init__(self, folder: Path, *, keep: int = 3):
        self.folder, self.keep = folder.absolute(), keep
        self._last: int | None = None

    @functools.cached_property
    def _manager(self) -> Any:
        import orbax.checkpoint as ocp

        hush_orbax()
        options = ocp.CheckpointManagerOptions(
            preservation_policy=ocp.checkpoint_managers.LatestN(self.keep),
            cleanup_tmp_directories=True,
            lightweight_initialize=True,
        )
        # The layout that `read_leaves` reads, whatever Orbax's own choice may become.
        handlers = {
            "state": ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=False),
            "meta": ocp.JsonCheckpointHandler(),
        }
        return ocp.CheckpointManager(self.folder, options=options, item_handlers=handlers)

    def save(self, step: int, state: Any) -> None:
        """Starts to save; returns when the state may change again. Does nothing where ``step`` was saved last.

        Raises UserError where the disk refuses, also what an earlier save could not finish, and for a state that holds
        a NaN: that is never saved.
        """
        import orbax.checkpoint as ocp

        if step == self._last:
            return
        leaves = flatten(state)
        sums, finite = jax.device_get(jax.jit(summarize)(leaves))
        if not finite:
            raise UserError(
                f"the state of step {step} holds a NaN or Inf and was not saved; try a lower --optim.learning-rate"
            )
        described = {name: [list(leaf.shape), str(leaf.dtype), int(sums[name])] for name, leaf in leaves.items()}
        args = ocp.args.Composite(state=ocp.args.PyTreeSave(leaves), meta=ocp.args.JsonSave(sealed(described)))
        with told(f"cannot save in {self.folder}"):
            self._manager.save(step, args=args, force=True)
        self._last = step

    def check(self) -> None:
        """UserError where a save that was started has failed since."""
        if "_manager" in vars(self):
            with told(f"cannot save in {self.folder}"):
                self._manager.check_for_errors()

    def wait(self) -> None:
        """Until what was started is on the disk."""
        if "_manager" in vars(self):
            with told(f"cannot save in {self.folder}"):
                self._manager.wait_until_finished()
        self.check()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Finishes what was started; but where one of several processes has failed, the others cannot help to."""
        if "_manager" in vars(self) and (error is None or jax.process_count() == 1):
            with contextlib.suppress(Exception):
                self._manager.close()

    def steps(self) -> list[int]:
        """Steps that were saved, newest first."""
        if not self.folder.is_dir():
            return []
        return sorted((int(entry.name) for entry in self.folder.iterdir() if entry.name.isdecimal()), reverse=True)

    def restore(
        self, abstract: Any, *, only: int | None = None, report: Any = print, mend: bool = False
    ) -> tuple[int, Any] | None:
        """(step, state) of the newest checkpoint that verifies, or None where there is none.

        abstract: ShapeDtypeStructs with shardings. ``only``: the step that it must be. Damaged checkpoints are named to
        ``report``; ``mend`` puts them aside, so that their steps can be saved again. Raises UserError where all are
        damaged or another model's.
        """
        damaged = []
        for step in self.steps() if only is None else [only]:
            found = self._verified(step, abstract)
            if not isinstance(found, str):
                if mend and damaged:
                    self._put_aside(damaged)
                self._last = step
                return step, found
            if only is not None:
                raise UserError(f"checkpoint {step} of {self.folder.parent} is damaged ({found})")
            report(f"checkpoint {step} is damaged ({found}); trying an older one")
            damaged.append(step)
        if damaged:
            raise UserError(f"no checkpoint in {self.folder} is whole; start again in another folder with --out")
        return None

    def _verified(self, step: int, abstract: Any) -> Any:
        """The state of ``step``, or a string that says what is damaged."""
        folder, want = self.folder / str(step), flatten(abstract)
        try:
            leaves = unsealed(json.loads((folder / "meta" / "metadata").read_text()))
        except (OSError, ValueError, TypeError, KeyError):
            return "its list of contents cannot be read"
        difference = describe_difference(leaves, want)
        if difference:
            raise UserError(f"the checkpoints in {self.folder} are of another model: {difference}")
        try:
            found = read_leaves(folder / "state", want)
        except ValueError as error:
            return str(error)
        sums, finite = jax.device_get(jax.jit(summarize)(found))
        wrong = [name for name, (_, _, checksum) in leaves.items() if int(sums[name]) != checksum]
        if wrong or not finite:
            return f"{wrong[0] if wrong else 'a NaN'} does not verify"
        return unflatten(found, abstract)

    def _put_aside(self, damaged: list[int]) -> None:
        """Renames damaged checkpoints."""
        if jax.process_index() == 0:
            for step in damaged:
                aside = self.folder.parent / f"damaged-checkpoint-{step}"
                shutil.rmtree(aside, ignore_errors=True)
                with told(f"cannot put {self.folder / str(step)} aside"):
                    os.replace(self.folder / str(step), aside)
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("damaged checkpoints are aside")


def read_leaves(folder: Path, want: dict[str, Any]) -> dict[str, jax.Array]:
    """The arrays that Orbax wrote into ``folder``, each where its sharding in ``want`` has it.

    ValueError names one that cannot be read. Read here, and not by Orbax, because that prints thousands of lines when a
    file is broken.
    """
    import tensorstore

    files = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}}

    def read(name: str, leaf: Any) -> jax.Array:
        try:
            stored = tensorstore.open({"driver": "zarr", "kvstore": {**files, "path": f"{name}/"}}).result()
            return jax.make_array_from_callback(leaf.shape, leaf.sharding, lambda index: stored[index].read().result())
        except Exception as error:
            raise ValueError(f"{name} cannot be read") from error

    return {name: read(name, leaf) for name, leaf in want.items()}


def sealed(leaves: dict[str, list]) -> dict[str, Any]:
    """What a checkpoint says of itself: {name: [shape, dtype, checksum]}, with a checksum of that."""
    return {"format": FORMAT, "leaves": leaves, "checksum": zlib.crc32(json.dumps(leaves, sort_keys=True).encode())}


def unsealed(meta: dict[str, Any]) -> dict[str, list]:
    """The inverse of `sealed`. ValueError where it does not verify, UserError where another version wrote it."""
    if meta["checksum"] != zlib.crc32(json.dumps(meta["leaves"], sort_keys=True).encode()):
        raise ValueError("it does not verify")
    if meta["format"] != FORMAT:
        raise UserError(f"the checkpoints have format {meta['format']}, this version of artzoo reads {FORMAT}")
    return meta["leaves"]


@functools.cache
def hush_orbax() -> None:
    """Keeps libraries from printing what is raised as well: Orbax logs it, asyncio names each write that nobody waits
    for any more, and tensorstore calls back into an event loop that a failed save has closed, which Python reports."""
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    logging.getLogger("asyncio").addFilter(lambda record: "never retrieved" not in record.getMessage())
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = hook


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Turns a failure of the file system, which reaches us through several libraries, into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{what}: {first_line(error)}; make room or choose another --out, then go on with --resume"
        ) from error


def first_line(error: BaseException) -> str:
    """The cause that lies deepest, or what the system says of a disk anywhere on the way to it; in one short line."""
    chain = [error]
    while (error := error.__cause__ or error.__context__) is not None:  # type: ignore[assignment]
        chain.append(error)
    for reason in map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)):
        if any(reason in str(one) for one in chain):
            return reason
    deepest = chain[-1]
    if isinstance(deepest, OSError) and deepest.strerror:
        return deepest.strerror
    line = (str(deepest).strip().splitlines() or [type(deepest).__name__])[0]
    if "os_error_code" in line:  # tensorstore's; the cause stands last
        line = line.split(" [os_error_code")[0].rsplit(": ", 1)[-1]
    return line if len(line) <= LONG else f"{line[:LONG]} ..."


# -- trees as flat dicts -----------------------------------------------------------------------------------------------


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
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


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


def difference_of(there: Any, here: Any) -> str | None:
    """What first differs in names, shapes and dtypes between two trees of arrays."""
    named = {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in flatten(there).items()}
    return describe_difference(named, flatten(here))


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

    sha = hashlib.sha256()
    for name, leaf in sorted(flatten(on_host(params)).items()):
        array = np.asarray(leaf)
        sha.update(f"{name} {array.shape} {array.dtype}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
