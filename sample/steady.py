"""Films made steady: each frame is held to the one before it, carried along with what moves."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from train.flags import jit
from zoo.model import Array
from zoo.style.motion import alike, steadied, trusted, warped

Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two frames uint8 [H, W, 3] -> how far what is in the first has moved in the second, [H, W, 2]."""


def steady(
    sources: Iterable[np.ndarray], made: Iterable[np.ndarray], *, share: float, flow: Flow
) -> Iterator[np.ndarray]:
    """What was made of each frame of a film, [H, W, C] each, so that it flickers less: a ``share`` of each, from 0 to
    1, is what was shown before, wherever the ``flow`` of ``sources``, uint8 [H, W, 3], can be trusted."""
    shown, last = None, None
    for source, fresh in zip(sources, made, strict=True):
        if shown is None or last is None:
            shown = fresh
        else:
            back, forth = flow(source, last), flow(last, source)
            shown = _next(fresh, shown, source, last, back, forth, np.float32(share))
        last, shown = source, np.asarray(shown)
        yield shown


@jit
def _next(fresh: Array, shown: Array, source: Array, last: Array, back: Array, forth: Array, share: Array) -> Array:
    """Cubics, since a frame is what the one before was, again and again."""
    unit = lambda x: x[None].astype(np.float32) / 127.5 - 1
    where = trusted(back[None], forth[None]) * alike(unit(source), warped(unit(last), back[None]))
    return steadied(fresh[None], warped(shown[None], back[None], cubic=True), where, share)[0]
