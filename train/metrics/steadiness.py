"""How steady a film is: what changes from frame to frame beyond what moves."""

import functools
from typing import Any

import jax
import numpy as np

from zoo.style.motion import trusted, warped


def warping_error(frames: np.ndarray, back: np.ndarray, where: np.ndarray) -> float:
    """The warping error of a film [T, H, W, C] in [0, 1] (Lai et al. 2018, "Learning Blind Video Temporal Consistency",
    arXiv:1808.00449; as their program has it the mean over channels too): the mean squared difference of a
    frame and the one before carried along, over the places that ``where`` [T - 1, H, W] counts; the mean over frames.

    ``back``: [T - 1, H, W, 2], the flow from each frame but the first to the one before. It is that of what was filmed,
    not of what was made of it. A frame of which no place counts does not count either; ValueError where none does.
    """
    if not len(frames) - 1 == len(back) == len(where) > 0:
        raise ValueError(f"{len(frames)} frames have {len(frames) - 1} flows and places, not {len(back)}, {len(where)}")
    errors = []
    for before, frame, flow, mask in zip(frames[:-1], frames[1:], back, where, strict=True):
        if (count := float(mask.sum())) > 0:
            apart = np.square(frame.astype(np.float64) - carried(before, flow)).mean(axis=-1)
            errors.append(float((mask * apart).sum()) / count)
    if not errors:
        raise ValueError("no place counts")
    return float(np.mean(errors))


def carried(frame: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A frame [H, W, C], carried along a flow [H, W, 2]."""
    return np.asarray(_jitted(warped)(frame[None].astype(np.float32), flow[None].astype(np.float32)))[0]


def trusted_places(back: np.ndarray, forth: np.ndarray) -> np.ndarray:
    """`zoo.style.motion.trusted` of flows [T, H, W, 2] -> [T, H, W]."""
    return np.asarray(_jitted(trusted)(back.astype(np.float32), forth.astype(np.float32)))


@functools.cache
def _jitted(function: Any) -> Any:
    return jax.jit(function)
