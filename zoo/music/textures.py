"""Ways to play the same harmony, as pure functions of rolls."""

import numpy as np


def broken(roll: np.ndarray) -> np.ndarray:
    """A roll [T, 88] of chords as arpeggios: in each frame one of the keys that sound, from the lowest to the highest
    and from the lowest again; silence stays."""
    broken = np.zeros_like(roll)
    for t, frame in enumerate(roll):
        keys = np.flatnonzero(frame > 0.5)
        if len(keys):
            broken[t, keys[t % len(keys)]] = 1
    return broken
