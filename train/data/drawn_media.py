"""solids, bounce, plucks, beats, chimes: objects of voxels, films, sounds, drumming and pairs of a sound and a picture
that pure functions make on the device. Nothing is downloaded."""

from collections.abc import Callable
from typing import Any

import numpy as np

from train.data.drawn import HELD_OUT
from train.data.source import ENDLESS, Source
from train.data.spec import Spec
from train.data.splits import SPLITS
from zoo.codecs.clips import ClipCodec
from zoo.codecs.drums import DrumGrid
from zoo.codecs.images import ImageCodec
from zoo.codecs.voxels import CHANNELS, VoxelCodec
from zoo.codecs.waves import RATES, WaveCodec
from zoo.errors import UserError

SIZE = 32  # voxels a side, pixels a side
FRAMES, FPS = 16, 12.0
LENGTH, RATE = 16384, 16000  # samples, and samples a second
STEPS = 32  # sixteenths: two bars
CHIME_SIZE, CHIME_FRAMES, CHIME_RATE = 28, 64, 8000  # a second, as spoken digits have


def open_solids(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """solids?size=N&channels=1|4&count=N&family=NAME,NAME: chairs, towers and creatures, in art's splits; see
    ``zoo.algorithmic.solids``. An object's label is its family. ``channels``: 1 is without colours."""
    from zoo.algorithmic.solids import FAMILIES

    spec.allow("size", "channels", "count", "family")
    channels = int(spec.choice("channels", map(str, CHANNELS), "4"))
    families = _chosen(spec, tuple(FAMILIES))
    size = image_size or spec.integer("size", SIZE) or SIZE

    def example(key: Any) -> dict[str, Any]:
        from zoo.algorithmic.solids import draw

        voxel, label = draw(key, size, families)
        return {"voxel": voxel[..., 4 - channels :], "label": label}

    fields = {"image_size": size, "channels": channels, "classes": len(families)}
    return _drawn(spec, split, example, VoxelCodec(channels=channels), fields, labels=families)


def open_bounce(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """bounce?size=N&length=N&count=N: films of a shape that bounces, circles or spins, in art's splits; see
    ``zoo.algorithmic.bounce``. ``length``: frames, unless the model says."""
    spec.allow("size", "length", "count")
    size = image_size or spec.integer("size", SIZE) or SIZE
    length = length or spec.integer("length", FRAMES, least=2) or FRAMES

    def example(key: Any) -> dict[str, Any]:
        from zoo.algorithmic.bounce import draw

        return {"video": draw(key, size, length)}

    fields = {"image_size": size, "channels": 3, "length": length}
    return _drawn(spec, split, example, ClipCodec(channels=3, fps=FPS), fields)


def open_plucks(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """plucks?rate=N&length=N&count=N: notes of plucked strings, ``rate`` samples a second (16000), in art's splits; see
    ``zoo.algorithmic.plucks``. ``length``: samples, unless the model says."""
    spec.allow("rate", "length", "count")
    rate = spec.integer("rate", RATE, least=RATES[0]) or RATE
    length = length or spec.integer("length", LENGTH, least=2) or LENGTH

    def example(key: Any) -> dict[str, Any]:
        from zoo.algorithmic.plucks import draw

        return {"wave": draw(key, length, rate)}

    return _drawn(spec, split, example, WaveCodec(rate=rate), {"length": length})


def open_beats(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """beats?length=N&count=N: grooves of drummers in six styles, in art's splits; see ``zoo.algorithmic.beats``.
    ``length``: sixteenths, unless the model says. A groove's label is its style."""
    from zoo.algorithmic.beats import STYLES

    spec.allow("length", "count")
    length = length or spec.integer("length", STEPS) or STEPS

    def example(key: Any) -> dict[str, Any]:
        import jax.numpy as jnp

        from zoo.algorithmic.beats import draw

        groove, style = draw(key, length)
        return {"groove": groove, "length": jnp.asarray(length, jnp.int32), "label": style}

    return _drawn(spec, split, example, DrumGrid(), {"length": length}, labels=tuple(STYLES))


def open_chimes(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """chimes?size=N&frames=N&bands=N&count=N: flowers and sounds with as many strokes as petals, in art's splits; see
    ``zoo.algorithmic.chimes``. An example is the log-mel ``spectrum`` [frames, bands] of the sound, `zoo.features.mel`,
    and the ``image``; their label says how many petals."""
    from zoo.algorithmic.chimes import NUMBERS
    from zoo.features.mel import BANDS, samples_of

    spec.allow("size", "frames", "bands", "count")
    size = image_size or spec.integer("size", CHIME_SIZE) or CHIME_SIZE
    frames, bands = (spec.integer(name, n) or n for name, n in (("frames", CHIME_FRAMES), ("bands", BANDS)))

    def example(key: Any) -> dict[str, Any]:
        from zoo.algorithmic.chimes import draw
        from zoo.features.mel import log_mel

        wave, image, label = draw(key, size=size, length=samples_of(frames), rate=CHIME_RATE)
        return {"spectrum": log_mel(wave, rate=CHIME_RATE, bands=bands), "image": image, "label": label}

    fields = {"image_size": size, "channels": 1, "classes": len(NUMBERS), "frames": frames, "bands": bands}
    return _drawn(spec, split, example, ImageCodec(channels=1), fields, labels=tuple(map(str, NUMBERS)))


def _chosen(spec: Spec, known: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds that ``family`` names, all of them unless said."""
    names = tuple(spec.options["family"].split(",")) if "family" in spec.options else known
    for name in names:
        if name not in known:
            raise UserError(f"{spec.text}: no family {name!r}; there are {', '.join(known)}")
    return names


def _drawn(
    spec: Spec,
    split: str,
    draw: Callable[[Any], dict[str, Any]],
    codec: Any,
    fields: dict[str, int],
    *,
    labels: tuple[str, ...] = (),
) -> Source:
    """Examples of ``draw(key)``, in splits of art's sizes."""
    count = spec.integer("count", least=10)
    held_out = count // 10 if count else HELD_OUT

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        import jax

        batch = draw(jax.random.fold_in(jax.random.key(SPLITS.index(split)), index))
        whole = ("label", "length")
        return {name: value if name in whole else value.astype(np.float32) for name, value in batch.items()}

    return Source(
        spec=spec.text,
        codec=codec,
        size=(count or ENDLESS) if split == "train" else held_out,
        fields=fields,
        example=example,
        labels=labels,
    )
