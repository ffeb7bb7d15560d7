"""spoken: recordings of digits, each with pictures of the same digit."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from train.data.audio import recordings
from train.data.npz import read_npz
from train.data.pictures import picture_source
from train.data.pixels import to_unit
from train.data.source import Source, open_spec
from train.data.spec import Spec
from train.data.splits import select
from zoo.codecs.waves import resampled
from zoo.errors import UserError
from zoo.features.mel import BANDS, HOP, log_mel, samples_of

RATE, FRAMES = 8000, 64  # samples a second; frames of 16 ms, one second in all
PAIRS = {"train": 64, "valid": 4, "test": 4}  # pictures that a recording is seen with
TESTED = 5  # of each speaker and digit, the first recordings: the free spoken digits' own test set
LABELS = ("digit", "digits", "label", "labels", "y")
NAMED = re.compile(r"(\d)_\w+?_(\d+)\.wave?", re.IGNORECASE)


def open_spoken(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """spoken:DIR|FILE?pictures=DIR&frames=N&bands=N&pairs=N&size=N, spoken digits with MNIST's.

    DIR holds WAV files named DIGIT_SPEAKER_NUMBER.wav, as the Free Spoken Digit Dataset has them, or an .npz as
    ``audio:`` reads it with ``digit`` [N], and with ``index`` [N] where numbers below 5 are the test set, as theirs
    are. ``pictures``: a folder of idx files, see ``idx:``.

    An example is the log-mel ``spectrum`` float32 [frames, bands] of a recording (`zoo.features.mel`), which begins
    anywhere in it, and an ``image`` of the same digit. Both draws are made by the example's number: in training a
    recording comes with ``pairs`` pictures (64) before one comes again. Neither recordings nor pictures of one split
    are in another.
    """
    spec.allow("pictures", "frames", "bands", "pairs", "size")
    frames, bands = (spec.integer(name, n) or n for name, n in (("frames", FRAMES), ("bands", BANDS)))
    if "pictures" not in spec.options:
        raise UserError(f"{spec.text}: which pictures? add ?pictures=DIR, a folder with MNIST's files")
    sounds, digits, skipped = _spoken(spec, split)
    pictures = _pictures(spec, split, image_size)
    images, order = pictures.arrays["image"], np.argsort(pictures.arrays["label"], kind="stable")
    count = np.bincount(pictures.arrays["label"], minlength=10)
    if lacking := sorted({int(digit) for digit in digits if not count[digit]}):
        raise UserError(f"{spec.text}: no pictures of {', '.join(map(str, lacking))}")
    spectra, room = spectra_of(sounds, frames, bands)
    fresh = spec.integer("pairs", PAIRS[split]) or 1

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        import jax
        import jax.numpy as jnp

        sound = index % len(arrays["spectrum"])
        which, where = jax.random.split(jax.random.fold_in(jax.random.key(0), index))
        digit = arrays["digit"][sound]
        picture = arrays["first"][digit] + jax.random.randint(which, (), 0, arrays["count"][digit])
        begins = jax.random.randint(where, (), 0, arrays["room"][sound] + 1)
        return {
            "spectrum": jnp.roll(arrays["spectrum"][sound], begins, axis=0),  # behind a recording all is silence
            "image": to_unit(arrays["image"][picture]),
            "label": digit,
        }

    table = {"spectrum": spectra, "room": room, "digit": digits, "first": np.cumsum(count) - count, "count": count}
    return replace(
        picture_source(spec, images[order], None, [str(digit) for digit in range(10)], skipped=skipped),
        size=fresh * len(spectra),
        fields=pictures.fields | {"classes": 10, "frames": frames, "bands": bands},
        arrays={"image": images[order]}
        | {name: x if name == "spectrum" else x.astype(np.int32) for name, x in table.items()},
        example=example,
    )


def spectra_of(sounds: Sequence[np.ndarray], frames: int, bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Recordings float32 [n] of RATE samples a second -> spectra float32 [N, frames, bands], of longer ones the
    beginning, and how many frames of silence are behind each, [N]."""
    import jax

    length = samples_of(frames)
    padded = np.stack([np.pad(sound[:length], (0, max(length - len(sound), 0))) for sound in sounds])
    heard = np.array([-(-min(len(sound), length) // HOP) for sound in sounds])
    spectra = jax.jit(log_mel, static_argnames=("rate", "bands"))(padded, rate=RATE, bands=bands)
    return np.asarray(spectra), np.maximum(frames - heard, 0)


def _spoken(spec: Spec, split: str) -> tuple[list[np.ndarray], np.ndarray, Sequence[str]]:
    """(recordings, what digit each is [N], what could not be read) of a split."""
    path = Path(spec.path).expanduser()
    tables = sorted(path.glob("*.npz")) if path.is_dir() and not any(path.rglob("*.wav")) else []
    at = replace(spec, path=str(tables[0])) if tables else spec
    names, found, skipped = recordings(at)
    if not names:
        raise UserError(f"{spec.text}: no sound that can be read" + (f"; first: {skipped[0]}" if skipped else ""))
    if at.path.endswith(".npz"):
        digits, number = _told(at, len(names))
    else:
        digits, number = _named(spec, names)
    own = {"train": np.flatnonzero(number >= TESTED), "test": np.flatnonzero(number < TESTED)}
    if not all(len(rows) for rows in own.values()):
        own = {"train": np.arange(len(names))}
    part, index = select({name: [names[i] for i in rows] for name, rows in own.items()}, split, spec=spec.text)
    chosen = own[part][index]
    return [resampled(sound, rate, RATE) for sound, rate in (found[i] for i in chosen)], digits[chosen], skipped


def _named(spec: Spec, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(digits, numbers) by the names of files."""
    parts = [NAMED.fullmatch(PurePath(name).name) for name in names]
    if wrong := [name for name, part in zip(names, parts, strict=True) if part is None]:
        raise UserError(f"{spec.text}: {wrong[0]} does not tell its digit: name it DIGIT_SPEAKER_NUMBER.wav")
    digits, numbers = np.array([[int(part[1]), int(part[2])] for part in parts if part], np.int32).T
    return digits, numbers


def _told(spec: Spec, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(digits, numbers) by the arrays of an .npz."""
    arrays = read_npz(spec, Path(spec.path).expanduser())
    key = next((name for name in LABELS if name in arrays), None)
    if key is None or arrays[key].shape != (count,) or not np.isin(arrays[key], np.arange(10)).all():
        raise UserError(f"{spec.text}: {count} digits from 0 to 9 are wanted, as the array 'digit'")
    number = arrays.get("index", np.full(count, TESTED))
    if number.shape != (count,):
        raise UserError(f"{spec.text}: index should have {count} numbers, not the shape {number.shape}")
    return arrays[key].astype(np.int32), number.astype(np.int32)


def _pictures(spec: Spec, split: str, image_size: int | None) -> Source:
    """The pictures of a split with their labels."""
    size = {"size": spec.options["size"]} if "size" in spec.options else {}
    path = spec.options["pictures"]
    found = open_spec(Spec(f"idx:{path}", "idx", path, size), split, image_size=image_size)
    if "label" not in found.arrays or found.arrays["label"].max(initial=0) > 9:
        raise UserError(f"{spec.text}: the pictures have no labels from 0 to 9: train-labels-idx1-ubyte is wanted")
    return found
