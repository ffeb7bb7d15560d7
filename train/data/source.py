"""A source: examples by index, behind one small protocol, and the one door to all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from train.data.spec import Spec, parse
from train.data.splits import SPLITS
from zoo.codecs.captions import Captions
from zoo.errors import UserError

if TYPE_CHECKING:
    import jax

ENDLESS = 2**31 - 1
RESIDENT_BYTES = 2 * 2**30

OPENERS = {
    "art": "train.data.drawn",
    "sprites": "train.data.drawn",
    "sketch": "train.data.drawn_pairs",
    "seasons": "train.data.drawn_pairs",
    "looks": "train.data.drawn_pairs",
    "regions": "train.data.drawn_pairs",
    "solids": "train.data.drawn_media",
    "plucks": "train.data.drawn_media",
    "beats": "train.data.drawn_media",
    "bounce": "train.data.drawn_media",
    "chimes": "train.data.drawn_media",
    "figures": "train.data.figures",
    "ring": "train.data.points",
    "grid": "train.data.points",
    "bach": "train.data.bach",
    "docs": "train.data.texts",
    "images": "train.data.images",
    "picture": "train.data.pair",
    "pair": "train.data.pair",
    "pairs": "train.data.pairs",
    "idx": "train.data.idx",
    "npz": "train.data.npz",
    "midi": "train.data.music",
    "rolls": "train.data.music",
    "styles": "train.data.styles",
    "text": "train.data.texts",
    "texts": "train.data.texts",
    "strokes": "train.data.strokes",
    "doodles": "train.data.strokes",
    "voxels": "train.data.voxels",
    "audio": "train.data.audio",
    "spoken": "train.data.spoken",
    "video": "train.data.video",
    "tfds": "train.data.tfds_set",
}


@dataclass(frozen=True, eq=False)
class Source:
    """Examples by index. One of ``example`` and ``fetch`` is given.

    ``size``: examples in an epoch; ``ENDLESS`` where every index draws another one. ``fields``: what a model's open
    fields are filled from (image_size, channels, input_channels, classes; dimensions; vocabulary, start, stop; keys).
    ``arrays``: tables that stay on the device. ``example``: pure JAX, (arrays, index int32 []) -> ONE example.
    ``fetch``: host, indices [B] -> batch, for sets that are read from disk. ``skipped``: "FILE: why" of all that could
    not be read. ``labels``: names of the classes. ``captions``: how their words are numbered.
    """

    spec: str
    codec: Any
    size: int
    fields: dict[str, int]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    example: "Callable[[dict[str, jax.Array], jax.Array], dict[str, jax.Array]] | None" = None
    fetch: Callable[[np.ndarray], dict[str, np.ndarray]] | None = None
    skipped: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    captions: Captions | None = None

    def batch_spec(self, batch_size: int) -> "dict[str, jax.ShapeDtypeStruct]":
        """Shapes and dtypes of a batch, to be held against a model's own ``batch_spec``."""
        import jax

        if self.example is not None:
            one = jax.eval_shape(self.example, self.arrays, jax.ShapeDtypeStruct((), np.int32))
        else:
            one = {key: value[0] for key, value in self.read(np.zeros(1, np.int32)).items()}
        return {key: jax.ShapeDtypeStruct((batch_size, *x.shape), x.dtype) for key, x in one.items()}

    @cached_property
    def read(self) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        """Indices int32 [B] -> batch of host arrays, wherever the examples come from."""
        if self.example is None:
            assert self.fetch is not None
            return self.fetch
        import jax

        gather = jax.jit(jax.vmap(self.example, in_axes=(None, 0)))
        arrays = jax.device_put(self.arrays)
        return lambda indices: {key: np.asarray(value) for key, value in gather(arrays, indices).items()}


def open_source(spec: str, split: str = "train", *, image_size: int | None = None, length: int | None = None) -> Source:
    """Opens what a user wrote after ``--data``.

    ``image_size``: pixels a side that the model wants (None: the source's own). ``length``: tokens or frames a window
    (a model with context T asks for T + 1; None: whole pieces). Where the data has no splits of its own, a tenth of it,
    chosen by hash of the examples' names, is held out and is both "valid" and "test"; where it has one of the two, that
    one is both. In "train" windows start everywhere they may; in "valid" and "test" they follow one another and the
    last is shorter, so that every position counts once.

    Raises UserError: an unknown spec or option, missing or unreadable data, an empty result.
    """
    if split not in SPLITS:
        raise UserError(f"no split {split!r}: it is one of {', '.join(SPLITS)}")
    if image_size is not None and image_size < 1:
        raise UserError(f"image size {image_size} should be at least 1")
    if length is not None and length < 2:
        raise UserError(f"windows of {length} leave nothing to predict: use at least 2")
    return open_spec(parse(spec), split, image_size=image_size, length=length)


def open_spec(spec: Spec, split: str, *, image_size: int | None = None, length: int | None = None) -> Source:
    """The same of a spec that is parsed already."""
    opener = getattr(import_module(OPENERS[spec.kind]), f"open_{spec.kind}")
    return opener(spec, split, image_size=image_size, length=length)
