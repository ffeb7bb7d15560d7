"""tfds: prepared TensorFlow Datasets sets, read without TensorFlow."""

import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from train.data.pictures import disk_source, is_large, normalise, picture_source
from train.data.pixels import CHANNELS, fit
from train.data.progress import track
from train.data.sequences import KEYS, sequence_source
from train.data.source import Source
from train.data.spec import Spec
from train.data.splits import ALIASES, select
from train.data.texts import character_source
from zoo.errors import UserError

CODEC = "artzoo_codec"  # the key of our codec in the metadata of a set that ``prepare`` wrote


class Roles(NamedTuple):
    """Which features of a set are what. ``kind``: image, tokens, roll or text; ``key``: its name."""

    kind: str
    key: str
    label: str | None


@dataclass(frozen=True)
class Column(Sequence):
    """One feature of a split, read when it is asked for."""

    rows: Sequence[Mapping[str, Any]]
    key: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.rows[int(index)][self.key]


def open_tfds(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """tfds:NAME?data_dir=DIR&size=N&channels=1|3|4&from=memory|disk&transpose=N, or tfds:DIR, the folder of a set.

    Pictures, with labels; text; and the tokens and rolls that ``python -m train.data prepare`` wrote, with their
    codec. Splits train, valid(ation) and test are the set's own. Raises UserError, at once, where nothing is prepared.
    """
    spec.allow("data_dir", "size", "channels", "from", "transpose")
    with quiet():
        builder = open_builder(spec)
        roles = _roles(spec, builder.info.features)
        names = [str(name) for name in builder.info.splits]
        own = {ALIASES.get(name, name): builder.as_data_source(name) for name in names}
        if roles.kind == "image":
            return _pictures(spec, split, builder, roles, own, image_size)
        columns = {part: Column(rows, roles.key) for part, rows in own.items()}
        if roles.kind == "text":
            texts = {part: [text.decode() for text in column] for part, column in columns.items()}
            return character_source(spec, texts, split, length)
        transpose = spec.integer("transpose", 0, least=0) or 0
        codec = _codec(spec, builder, roles)
        return sequence_source(spec, codec, columns, split=split, length=length, transpose=transpose)


def open_builder(spec: Spec) -> Any:
    """The builder of a prepared set. Never downloads: tfds without a network tries for minutes."""
    import tensorflow_datasets as tfds

    path = Path(spec.path).expanduser()
    if path.is_dir() or spec.path.startswith((".", "/", "~")):
        return tfds.builder_from_directory(_prepared_folder(spec, spec.folder()))
    data_dir = spec.options.get("data_dir")
    data_dir = os.path.expanduser(data_dir) if data_dir else None
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # a banner that asks for TensorFlow
            builder = tfds.builder(spec.path, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        raise UserError(f"{spec.text}: tensorflow_datasets has no set of that name, and none is prepared") from None
    except ImportError:
        raise UserError(f"{spec.text}: not prepared, and its builder needs TensorFlow: {_advice(spec.path)}") from None
    except Exception as error:  # a wrong config or version: tfds raises half a dozen types
        why = str(error).splitlines()[0].rpartition('": ')[2]
        raise UserError(f"{spec.text}: {why}") from None
    if not (Path(builder.data_dir) / "dataset_info.json").is_file():
        raise UserError(f"{spec.text}: not prepared in {builder.data_dir}: {_advice(spec.path)}")
    return builder


@contextmanager
def quiet() -> Iterator[None]:
    """tfds says on stderr that OpenCV is missing, which would be faster; Pillow is what we want."""
    logger = logging.getLogger("absl")
    wanted = lambda record: "OpenCV" not in record.getMessage()
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


def _advice(name: str) -> str:
    return f"run once, with a network: pip install 'artzoo[prepare]' && python -m train.data prepare tfds:{name}"


def _prepared_folder(spec: Spec, path: Path) -> Path:
    """``path`` itself, or the only set below it (DIR/name/1.0.0, DIR/name/config/1.0.0)."""
    found = sorted(
        info.parent
        for level in range(4)
        for info in path.glob("*/" * level + "dataset_info.json")
        if "incomplete." not in str(info)
    )
    if not found:
        raise UserError(f"{spec.text}: no prepared set in that folder: python -m train.data prepare SPEC --out {path}")
    if len(found) > 1:
        names = ", ".join(str(folder.relative_to(path)) for folder in found)
        raise UserError(f"{spec.text}: several sets are in that folder, name one of {names}")
    return found[0]


def _roles(spec: Spec, features: Any) -> Roles:
    import tensorflow_datasets as tfds

    def first(kind: type, *names: str, test: Any = lambda feature: True) -> str | None:
        keys = [key for key, feature in features.items() if isinstance(feature, kind) and test(feature)]
        return next((name for name in names if name in keys), keys[0] if keys else None)

    label = first(tfds.features.ClassLabel, "label")
    if key := first(tfds.features.Image, "image"):
        return Roles("image", key, label)
    if key := first(tfds.features.Tensor, "roll", test=lambda f: f.shape == (None, KEYS)):
        return Roles("roll", key, None)
    if key := first(
        tfds.features.Tensor, "tokens", test=lambda f: f.shape == (None,) and np.dtype(f.np_dtype).kind in "iu"
    ):
        return Roles("tokens", key, None)
    if key := first(tfds.features.Text, "text"):
        return Roles("text", key, None)
    raise UserError(f"{spec.text}: none of its features is a picture, text, tokens or a roll: {', '.join(features)}")


def _codec(spec: Spec, builder: Any, roles: Roles) -> Any:
    from zoo.codecs import CodecError, from_config

    config = (builder.info.metadata or {}).get(CODEC)
    if config is None and roles.kind == "roll":
        config = {"codec": "roll"}
    if config is None:
        raise UserError(f"{spec.text}: holds tokens of a codec that its metadata do not tell ({CODEC})")
    try:
        return from_config(config)
    except CodecError as error:
        raise UserError(f"{spec.text}: {error}") from None


def _pictures(
    spec: Spec, split: str, builder: Any, roles: Roles, own: Mapping[str, Sequence], image_size: int | None
) -> Source:
    part, index = select({name: list(map(str, range(len(x)))) for name, x in own.items()}, split, spec=spec.text)
    rows = own[part]
    first = np.asarray(rows[0][roles.key])
    natural = first.shape[-1] if first.shape[-1] in CHANNELS else 3
    channels = int(spec.choice("channels", map(str, CHANNELS), str(natural)))
    size = image_size or spec.integer("size") or min(first.shape[:2])
    names = () if roles.label is None else tuple(builder.info.features[roles.label].names)

    def read(i: int) -> tuple[np.ndarray, int | None]:
        row = rows[int(index[i])]
        image = normalise(spec, np.asarray(row[roles.key])[None])
        return fit(image, size=size, channels=channels)[0], None if roles.label is None else int(row[roles.label])

    store = spec.choice("from", ("memory", "disk"), "disk" if is_large(len(index), size, channels) else "memory")
    if store == "disk":
        return disk_source(spec, read, len(index), names, size=size, channels=channels)
    images = np.zeros((len(index), size, size, channels), np.uint8)
    labels = np.zeros(len(index), np.int32)
    for i in track(range(len(index)), f"reading {spec.text}", len(index)):
        images[i], label = read(i)
        labels[i] = label or 0
    return picture_source(spec, images, labels if names else None, names)
