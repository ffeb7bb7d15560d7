"""What music is like, in numbers: the measures of MusPy (Dong et al. 2020, arXiv:2008.01951), MuseGAN (Dong et al.
2018, arXiv:1709.06298, section 6.1), MusDr (Wu & Yang 2020, arXiv:2008.01307) and Yang & Lerch 2020 ("On the evaluation
of generative models in music").

By their papers' definitions. Where the published code computes something else, ours does not, and
tests/metrics/test_music.py has a piece for which they differ:

- pitch classes are pitches modulo 12 (MuseGAN's code adds up neighbours instead, 7 or 8 of them);
- an empty beat or bar is one in which nothing sounds, and there are as many as the piece has (MusPy's code counts one
  more, and the end of a note as sound; MuseGAN's third version gives the share of those that are not empty);
- ``least`` pitches at once are that many or more (MusPy's default of 2 asks for 3);
- a sequence of N chords has N - n + 1 n-grams (MusDr's code: N - n);
- both densities are compared on one grid that reaches beyond them (Yang & Lerch's code takes two, and cuts them off).

A *roll* is bool [T, 128], which pitches sound in each step; *onsets* bool [bars, steps], where something begins.
Measures of nothing (no note, a single bar) are NaN: no number would mean what it says.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from zoo.codecs.notes import Notes
from zoo.rules import SCALES as STEPS

Array = np.ndarray

SCALES = np.array(
    [[(pc - root) % 12 in STEPS[mode] for pc in range(12)] for mode in ("major", "minor") for root in range(12)]
)
"""bool [24, 12], which pitch classes are in each scale."""
_RADII, _TURNS = np.array([1, 1, 0.5]), np.array([7 / 6, 3 / 2, 2 / 3]) * np.pi
TONAL = np.concatenate([
    _RADII[:, None] * wave(_TURNS[:, None] * np.arange(12)) for wave in (np.sin, np.cos)
])  # fmt: skip
"""[6, 12]: pitch classes in the space of fifths, minor thirds and major thirds (Harte et al. 2006, equation 2)."""


# -- notes on a grid -------------------------------------------------------------------------------------------------


def roll_of(notes: Notes, *, per_quarter: int = 4) -> Array:
    """bool [T, 128] of what has a pitch, as long as the last note."""
    pitched = notes.select(~notes.drum)
    on, off = pitched.steps(per_quarter)
    roll = np.zeros((int(off.max(initial=0)), 128), bool)
    for first, beyond, pitch in zip(on, off, pitched.pitch, strict=True):
        roll[first:beyond, pitch] = True
    return roll


def onsets_of(notes: Notes, *, per_quarter: int = 4, quarters: int = 4) -> Array:
    """bool [bars, steps] of bars of so many ``quarters``, drums too."""
    on, _ = notes.steps(per_quarter)
    steps = per_quarter * quarters
    bars = int(on.max(initial=-1)) // steps + 1
    found = np.zeros(bars * steps, bool)
    found[on] = True
    return found.reshape(bars, steps)


def parts(roll: Array, steps: int) -> Array:
    """A roll [T, P] in pieces of ``steps``, [N, steps, P]; silence fills the last."""
    missing = -len(roll) % steps
    return np.pad(roll, ((0, missing), (0, 0))).reshape(-1, steps, roll.shape[1])


# -- pitch -----------------------------------------------------------------------------------------------------------


def entropy(counts: Array) -> float:
    """Bits of how ``counts`` are shared out."""
    total = counts.sum()
    if not total:
        return math.nan
    share = counts[counts > 0] / total
    return float(-(share * np.log2(share)).sum()) + 0.0


def pitch_entropy(pitch: Array) -> float:
    """Bits of the pitches [N]: 0 of one, 7 where all 128 come alike."""
    return entropy(np.bincount(pitch, minlength=128))


def pitch_class_entropy(pitch: Array) -> float:
    """Bits of the pitch classes: at most log2 12."""
    return entropy(np.bincount(pitch % 12, minlength=12))


def pitch_range(pitch: Array) -> float:
    """Semitones from the lowest to the highest."""
    return float(np.ptp(pitch)) if len(pitch) else math.nan


def scale_consistency(pitch: Array) -> float:
    """The largest share of notes that are in one scale, of the 24 major and natural minor ones (Mogren 2016)."""
    if not len(pitch):
        return math.nan
    return float((SCALES @ np.bincount(pitch % 12, minlength=12)).max() / len(pitch))


# -- rolls -----------------------------------------------------------------------------------------------------------


def polyphony(roll: Array) -> float:
    """Pitches at once, in the mean over steps with any."""
    count = roll.sum(axis=1)
    return float(count[count > 0].mean()) if count.any() else math.nan


def polyphony_rate(roll: Array, *, least: int = 2) -> float:
    """Share of all steps with at least so many pitches."""
    return float((roll.sum(axis=1) >= least).mean()) if len(roll) else math.nan


def empty_rate(roll: Array, *, steps: int) -> float:
    """Share of the beats or bars, of ``steps`` each, in which nothing sounds."""
    return float((~parts(roll, steps).any(axis=(1, 2))).mean()) if len(roll) else math.nan


def used_pitch_classes(roll: Array, *, steps: int) -> float:
    """Pitch classes of a bar, in the mean over bars with any."""
    classes = np.stack([roll[:, pc::12].any(axis=1) for pc in range(12)], axis=1)
    count = parts(classes, steps).any(axis=1).sum(axis=1)
    return float(count[count > 0].mean()) if count.any() else math.nan


def qualified_notes(lengths: Array, *, least: int = 3) -> float:
    """Share of notes that last ``least`` steps or more; of 24 steps a quarter, shorter ones are fragments."""
    return float((lengths >= least).mean()) if len(lengths) else math.nan


def chroma(roll: Array, *, steps: int) -> Array:
    """How long each pitch class sounds in each part of ``steps``: [N, 12], adding up to 1, or to 0 in silence."""
    longs = np.stack([roll[:, pc::12].sum(axis=1) for pc in range(12)], axis=1)
    sums = parts(longs, steps).sum(axis=1).astype(float)
    return sums / np.maximum(sums.sum(axis=1, keepdims=True), 1)


def tonal_distance(a: Array, b: Array) -> float:
    """Of two parts' ``chroma`` [N, 12], in the mean over beats: how far apart they are in harmony, from 0 on (Harte et
    al. 2006, equation 3)."""
    return float(np.linalg.norm((a - b) @ TONAL.T, axis=1).mean()) if len(a) else math.nan


# -- rhythm and form -------------------------------------------------------------------------------------------------


def groove_consistency(onsets: Array) -> float:
    """1 less the mean share of steps in which a bar differs from the one before (MusPy's reading)."""
    return float(1 - (onsets[1:] != onsets[:-1]).mean()) if len(onsets) > 1 else math.nan


def groove_similarity(onsets: Array) -> float:
    """The same over all pairs of bars (MusDr's reading of the same name)."""
    first, second = np.triu_indices(len(onsets), 1)
    return float(1 - (onsets[first] != onsets[second]).mean()) if len(first) else math.nan


def progression_irregularity(chords: Sequence[int], *, n: int = 3) -> float:
    """Different n-grams of a sequence of chords, as a share of all its n-grams: 1 where none comes again."""
    grams = [tuple(chords[at : at + n]) for at in range(len(chords) - n + 1)]
    return len(set(grams)) / len(grams) if grams else math.nan


# -- a piece, and sets of pieces -------------------------------------------------------------------------------------


def describe(notes: Notes, *, per_quarter: int = 4, quarters: int = 4) -> dict[str, float]:
    """Every measure of one piece, on a grid of ``per_quarter`` steps and bars of so many ``quarters``."""
    pitched = notes.select(~notes.drum)
    pitch, roll = pitched.pitch, roll_of(notes, per_quarter=per_quarter)
    onsets = onsets_of(notes, per_quarter=per_quarter, quarters=quarters)
    on, off = pitched.steps(per_quarter)
    starts, bar = np.unique(on), per_quarter * quarters
    line = pitch[np.lexsort((pitch, on))]
    return {
        "notes": float(len(notes)),
        "pitches": float(len(np.unique(pitch))),
        "pitch_classes": float(len(np.unique(pitch % 12))),
        "pitch_range": pitch_range(pitch),
        "pitch_entropy": pitch_entropy(pitch),
        "pitch_class_entropy": pitch_class_entropy(pitch),
        "scale_consistency": scale_consistency(pitch),
        "mean_interval": float(np.abs(np.diff(line)).mean()) if len(line) > 1 else math.nan,
        "mean_onset_gap": float(np.diff(starts).mean()) / per_quarter if len(starts) > 1 else math.nan,
        "mean_length": float((off - on).mean()) / per_quarter if len(on) else math.nan,
        "polyphony": polyphony(roll),
        "polyphony_rate": polyphony_rate(roll),
        "empty_beat_rate": empty_rate(roll, steps=per_quarter),
        "empty_bar_rate": empty_rate(roll, steps=bar),
        "used_pitch_classes": used_pitch_classes(roll, steps=bar),
        "groove_consistency": groove_consistency(onsets),
        "groove_similarity": groove_similarity(onsets),
    }


def alike(ours: Sequence[float], theirs: Sequence[float], *, points: int = 2_000) -> dict[str, float]:
    """Two sets of one measure [N] by Yang & Lerch 2020, section 4.2: {"overlap", "kl"} of two densities, that of the
    distances within ``theirs`` and that of the distances from ``ours`` to ``theirs``. Overlap is their common area, 1
    where the two are the same; kl is of the first from the second, in nats."""
    from scipy.stats import gaussian_kde

    a, b = (np.asarray([value for value in values if math.isfinite(value)], float) for values in (ours, theirs))
    if not len(a) or len(b) < 3:
        return {"overlap": math.nan, "kl": math.nan}
    first, second = np.triu_indices(len(b), 1)
    within, between = np.abs(b[first] - b[second]), np.abs(a[:, None] - b).ravel()
    if np.ptp(within) == 0 or np.ptp(between) == 0:  # no density: all distances are one
        same = float(np.ptp(np.concatenate([within, between])) == 0)
        return {"overlap": same, "kl": 0.0 if same else math.inf}
    densities = gaussian_kde(within), gaussian_kde(between)
    wide = 5 * max(float(one.covariance[0, 0]) ** 0.5 for one in densities)
    everything = np.concatenate([within, between])
    grid = np.linspace(everything.min() - wide, everything.max() + wide, points)
    p, q = (one(grid) for one in densities)
    step = grid[1] - grid[0]
    ratio = np.log(np.maximum(p, 1e-300) / np.maximum(q, 1e-300))
    return {"overlap": float(np.minimum(p, q).sum() * step), "kl": float((p * ratio).sum() * step)}


def compare(ours: Sequence[Notes], theirs: Sequence[Notes], **grid: int) -> Mapping[str, dict[str, float]]:
    """measure -> the means over both sets of pieces, and how `alike` they are."""
    sides = [[describe(notes, **grid) for notes in pieces] for pieces in (ours, theirs)]
    found = {}
    for name in sides[0][0]:
        a, b = ([one[name] for one in side] for side in sides)
        found[name] = {"ours": _mean(a), "theirs": _mean(b), **alike(a, b)}
    return found


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan
