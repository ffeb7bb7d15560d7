"""A drawing that is begun, finished: by the model, and as those were that it learnt from and that began alike."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.lines import check_latents, encode, encoded, padded, read, sampler
from sample.options import Options
from sample.sequences import continued
from train.data.source import open_source
from zoo.codecs.strokes import END
from zoo.errors import UserError

WAYS = 4
SEARCHED = 2048  # drawings of the training data
AT_ONCE = 256


def finished(run: Any, options: Options) -> tuple[list[np.ndarray], int]:
    """Rows [T_i, 5] of --finish's drawing and ``-n`` (4) ways that the model goes on from it, and below, of that
    drawing and the ``-n`` of the training data whose beginnings have the nearest latents; and how many are in a row."""
    check_latents(run, "finish")
    begun, count = read(run, Path(options.finish or "").expanduser()), options.n or WAYS
    key, chances = jax.random.split(jax.random.key(options.seed))
    # Each way has a latent of its own: a draw from what the encoder makes of what is there.
    latents = encode(run.model, run.params, run.extra, jnp.asarray(padded(run, [begun] * count)), chances)
    ways = continued(
        run.model, run.params, run.extra, key, [begun[:-1]] * count, length=run.model.context, sampler=sampler(options),
        numbers=[*range(count)], cond=latents,
    )  # fmt: skip
    return [begun, *ways, begun, *nearest(run, begun, count)], count + 1


def nearest(run: Any, begun: np.ndarray, count: int) -> list[np.ndarray]:
    """The ``count`` drawings of the training data that, as far as ``begun`` [T, 5] goes, are the most like it."""
    source = open_source(run.data["spec"], "train", length=run.model.context + 1)
    if source.size < count:
        raise UserError(f"-n {count}: the training data has {source.size} drawings")
    wanted, found, apart = encoded(run, [begun])[0], [], []
    searched = min(source.size, SEARCHED)
    for first in range(0, searched, AT_ONCE):
        rows = np.asarray(source.read(np.arange(first, min(first + AT_ONCE, searched), dtype=np.int32))["strokes"])
        cut = np.where((np.arange(rows.shape[1]) < len(begun) - 1)[None, :, None], rows, END)
        latents = encoded(run, [*cut])
        found += [*rows]
        apart.append(np.asarray(jnp.sum(jnp.square(latents - wanted[None]), axis=1)))
    return [found[number] for number in np.argsort(np.concatenate(apart), kind="stable")[:count]]
