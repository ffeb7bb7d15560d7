"""figures: pictures with what they show in words, drawn on the device. Nothing is stored, nothing is downloaded."""

from typing import Any

import numpy as np

from train.data.drawn import HELD_OUT, SIZE
from train.data.source import ENDLESS, Source
from train.data.spec import Spec
from train.data.splits import SPLITS
from zoo.codecs.captions import Captions
from zoo.codecs.images import ImageCodec


def open_figures(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """figures?size=N&count=N&pairs=seen|new|all: a figure of a kind, a colour and a size on a ground, with a caption;
    see ``zoo.algorithmic.figures``. ``pairs``: of kinds and colours one in seven is left out ("seen"), so that what a
    model makes of words that it has never met together can be looked at; "new" has these alone. A picture's label is
    its kind. The splits are art's."""
    from zoo.algorithmic.figures import KINDS, LONGEST, WORDS

    spec.allow("size", "count", "pairs")
    pairs = spec.choice("pairs", ("seen", "new", "all"), "seen")
    size = image_size or spec.integer("size", SIZE) or SIZE
    count = spec.integer("count", least=10)
    held_out = count // 10 if count else HELD_OUT

    def example(arrays: dict[str, Any], index: Any) -> dict[str, Any]:
        import jax

        from zoo.algorithmic.figures import caption, choose, draw

        key = jax.random.fold_in(jax.random.key(SPLITS.index(split)), index)
        factors = choose(key, pairs=pairs)
        image = draw(key, factors, size).astype(np.float32)
        return {"image": image, "caption": caption(key, factors), "label": factors[0]}

    return Source(
        spec=spec.text,
        codec=ImageCodec(channels=3),
        size=(count or ENDLESS) if split == "train" else held_out,
        fields={"image_size": size, "channels": 3, "classes": len(KINDS), "words": len(WORDS), "caption": LONGEST},
        example=example,
        labels=KINDS,
        captions=Captions(WORDS, LONGEST),
    )
