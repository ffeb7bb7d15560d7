"""sketch, seasons, looks, regions: pictures to be made of others, drawn on the device. Nothing is stored, nothing is
downloaded."""

from collections.abc import Callable
from typing import Any

import numpy as np

from train.data.drawn import HELD_OUT, SIZE, chosen
from train.data.source import ENDLESS, Source
from train.data.spec import Spec
from train.data.splits import SPLITS
from zoo.codecs.images import ImageCodec

PALETTE = "sunset"  # a sketch's
WARM = ("gold leaf", "sunset", "terracotta", "colour field")
COLD = ("great wave", "starry night", "water lilies", "aurora")


def open_sketch(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """sketch?size=N&count=N&family=NAME,NAME&palette=NAME: as art, and of each picture its outlines, in black on white,
    as ``input``. A picture's label is its family. Outlines do not tell colours: pictures are of one palette, or, with
    palette=all, of any. See ``zoo.algorithmic.colour`` for their names."""
    from zoo.algorithmic.colour import PALETTES

    spec.allow("size", "count", "family", "palette")
    families, palette = chosen(spec), spec.choice("palette", (*PALETTES, "all"), PALETTE)
    palettes = tuple(PALETTES) if palette == "all" else (palette,)

    def example(key: Any, size: int) -> dict[str, Any]:
        from zoo.algorithmic.art import draw_labelled
        from zoo.algorithmic.outline import outline

        image, label = draw_labelled(key, size, families, palettes)
        return {"input": outline(image), "image": image, "label": label}

    return _drawn(spec, split, example, image_size, input_channels=1, labels=families)


def open_seasons(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """seasons?size=N&count=N: landscapes in warm colours (``input``) and, of other places, in cold ones (``image``)."""
    spec.allow("size", "count")

    def example(key: Any, size: int) -> dict[str, Any]:
        import jax

        from zoo.algorithmic.art import draw_labelled

        keys = zip(("input", "image"), jax.random.split(key), (WARM, COLD), strict=True)
        return {name: draw_labelled(own, size, ("ridges",), palettes)[0] for name, own, palettes in keys}

    return _drawn(spec, split, example, image_size, input_channels=3)


def open_looks(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """looks?size=N&count=N: pictures of every family and palette (``input``) and others (``image``), which have nothing
    to do with them but that their look is to be had."""
    spec.allow("size", "count")

    def example(key: Any, size: int) -> dict[str, Any]:
        import jax

        from zoo.algorithmic.art import EVERY, FAMILIES, draw_labelled

        pairs = zip(("input", "image"), jax.random.split(key), strict=True)
        return {name: draw_labelled(own, size, FAMILIES, EVERY)[0] for name, own in pairs}

    return _drawn(spec, split, example, image_size, input_channels=3)


def open_regions(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """regions?size=N&count=N&alike=0|1: maps of six kinds of land as ``input``, a plane a kind, and pictures of them.
    ``alike``: two kinds each have the same colours, and differ by pattern only."""
    from zoo.algorithmic.regions import NAMES
    from zoo.codecs.maps import LabelMap

    spec.allow("size", "count", "alike")
    alike = spec.choice("alike", ("0", "1"), "0") == "1"
    planes = LabelMap(len(NAMES))

    def example(key: Any, size: int) -> dict[str, Any]:
        from zoo.algorithmic.regions import draw_regions

        labels, image = draw_regions(key, size, alike=alike)
        return {"input": planes.encode(labels[..., None]), "image": image}

    return _drawn(spec, split, example, image_size, input_channels=len(NAMES), maps=True)


def _drawn(
    spec: Spec,
    split: str,
    draw: Callable[[Any, int], dict[str, Any]],
    image_size: int | None,
    *,
    input_channels: int,
    maps: bool = False,
    labels: tuple[str, ...] = (),
) -> Source:
    """Examples of ``draw(key, size)``, in splits of art's sizes."""
    size = image_size or spec.integer("size", SIZE) or SIZE
    count = spec.integer("count", least=10)
    held_out = count // 10 if count else HELD_OUT

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        import jax

        batch = draw(jax.random.fold_in(jax.random.key(SPLITS.index(split)), index), size)
        return {name: value if name == "label" else value.astype(np.float32) for name, value in batch.items()}

    fields = {"image_size": size, "channels": 3, "input_channels": input_channels} | ({"maps": True} if maps else {})
    return Source(
        spec=spec.text,
        codec=ImageCodec(channels=3),
        size=(count or ENDLESS) if split == "train" else held_out,
        fields=fields | ({"classes": len(labels)} if labels else {}),
        example=example,
        labels=labels,
    )
