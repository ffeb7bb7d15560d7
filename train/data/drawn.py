"""art, sprites: pictures that pure functions draw on the device. Nothing is stored, nothing is downloaded."""

from typing import Any

import numpy as np

from train.data.source import ENDLESS, Source
from train.data.spec import Spec
from train.data.splits import SPLITS
from zoo.codecs.images import ImageCodec
from zoo.errors import UserError

SIZE = 32
SPRITE = 64  # pixels a side
HELD_OUT = 1024


def open_art(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """art?size=N&count=N&family=NAME,NAME. "train" never repeats a picture, or has ``count`` of them; "valid" and
    "test" have 1024 each, or a tenth of ``count``. The splits share no picture. ``family``: any of the formulas that
    ``zoo-draw`` knows, of which some take long, or "all" of seven quick ones (``zoo.algorithmic.art``). A picture's
    label is its family."""
    spec.allow("size", "count", "family")
    families = chosen(spec)
    size = image_size or spec.integer("size", SIZE) or SIZE
    count = spec.integer("count", least=10)
    if split == "train":
        examples = count or ENDLESS
    else:
        examples = count // 10 if count else HELD_OUT

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        import jax

        from zoo.algorithmic.art import draw_labelled

        key = jax.random.fold_in(jax.random.key(SPLITS.index(split)), index)
        image, label = draw_labelled(key, size, families)
        return {"image": image.astype(np.float32), "label": label}

    return Source(
        spec=spec.text,
        codec=ImageCodec(channels=3),
        size=examples,
        fields={"image_size": size, "channels": 3, "classes": len(families)},
        example=example,
        labels=families,
    )


def open_sprites(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """sprites?size=N: a shape of three in 6 sizes and 40 turns at 32 x 32 places, white on black: like dSprites. Nine
    tenths are "train"; a picture's label is its shape."""
    from zoo.algorithmic.sprites import COUNT, SHAPES

    spec.allow("size")
    size = image_size or spec.integer("size", SPRITE) or SPRITE
    trained = COUNT * 9 // 10

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        from zoo.algorithmic.sprites import draw_sprite, factors_of

        factors = factors_of(index if split == "train" else trained + index)
        return {"image": draw_sprite(factors, size).astype(np.float32), "label": factors[0]}

    return Source(
        spec=spec.text,
        codec=ImageCodec(channels=1),
        size=trained if split == "train" else COUNT - trained,
        fields={"image_size": size, "channels": 1, "classes": len(SHAPES)},
        example=example,
        labels=SHAPES,
    )


def chosen(spec: Spec) -> tuple[str, ...]:
    """The families of formulas that pictures are drawn of: two that a small model learns in minutes, unless said."""
    from zoo.algorithmic.art import FAMILIES, TRAINING
    from zoo.algorithmic.formulas import FORMULAS

    named = spec.options.get("family", ",".join(TRAINING))
    names = FAMILIES if named == "all" else tuple(named.split(","))
    for name in names:
        if name not in FORMULAS:
            raise UserError(f"{spec.text}: no family {name!r}; there are {', '.join(FORMULAS)}, and all")
    return names
