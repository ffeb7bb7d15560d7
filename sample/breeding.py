"""Children of two pictures, and tables of pictures that share styles."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sample.genes import has_styles
from sample.latent import render_all, slerp
from train.flags import jit
from zoo.errors import UserError
from zoo.model import Array

MUTANTS = 0x6E4E  # folded into the key of the latents: mutations are drawn by themselves


def parents_of(text: str) -> tuple[int, int]:
    """ "3,7" -> the numbers of two samples."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise UserError(f"--breed {text}: write the numbers of two samples, such as 3,7; the first is 0")
    return int(parts[0]), int(parts[1])


def bred(
    run: Any, seed: int, parents: tuple[int, int], count: int, ratio: float, mutation: float, chosen: Any, shown: Any
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """(pictures [2 + count, ...], both parents first; each child's lineage).

    A child's latent lies ``ratio`` of the way from the first parent to the second, on their great circle, and
    ``mutation`` of the way from there to a draw of its own, which tells it from its siblings. ``chosen``, ``shown``:
    the model's own controls of ``latents`` and ``render``.
    """
    key = jax.random.key(seed)
    both = latents_of(run.model, key, parents, chosen)
    draws = run.model.latents(jax.random.fold_in(key, MUTANTS), count, **chosen)
    between = slerp(
        *(jnp.broadcast_to(both[side], (count, both.shape[1])) for side in range(2)), jnp.full(count, ratio)
    )
    children = slerp(between, draws, jnp.full(count, mutation))
    pictures = render_all(run.model, run.params, run.extra, jnp.concatenate([both, children]), **shown)
    lineage = {"parents": [*parents], "ratio": ratio, "mutation": mutation}
    return pictures, [{**lineage, "child": number} for number in range(count)]


def latents_of(model: Any, key: Array, numbers: tuple[int, ...], chosen: dict[str, Any]) -> Array:
    """The latents [n, Z] of samples with these numbers. Number i is the same however many are drawn where draws are
    keyed by the row; where not, so many are drawn that all exist."""
    whole = model.latents(key, max(numbers) + 1, **chosen)
    return whole[jnp.asarray(numbers)]


def table(run: Any, seed: int, count: int, cross: int | None, shown: dict[str, Any]) -> tuple[np.ndarray, int]:
    """(pictures of a table, their number in a row): on the left, below an empty corner, ``count`` pictures; above it as
    many others; and where they meet what has the left one's styles up to the layer ``cross`` (half of them) and from
    there on those of the upper one (Karras et al. 2019, arXiv:1812.04948, figure 3)."""
    model, params, extra = run.model, run.params, run.extra
    if not has_styles(model):
        raise UserError(f"--mix: {run.config.name} has no styles to mix; stylegan and stylegan2 have")
    styles = model.styles(params, extra, model.latents(jax.random.key(seed), 2 * count), **shown)  # [2 n, L, W]
    layers = styles.shape[1]
    place: int = layers // 2 if cross is None else cross
    if not 0 < place < layers:
        raise UserError(f"--cross {place}: it must be from 1 to {layers - 1}, a layer of {run.config.name}")
    left, above = styles[:count], styles[count:]
    coarse = jnp.arange(layers)[None, None, :, None] < place
    mixed = jnp.where(coarse, left[:, None], above[None])  # [n, n, L, W]
    paint = jit(lambda params, styles: model.paint(params, styles))
    first, *rows = (np.asarray(paint(params, some)) for some in (above, *mixed))
    side = np.asarray(paint(params, left))
    corner = np.ones_like(first[:1])
    whole = [corner, first, *(part for row, own in zip(rows, side, strict=True) for part in (own[None], row))]
    return np.concatenate(whole), count + 1
