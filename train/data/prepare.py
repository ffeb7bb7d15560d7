"""Writes a source as a TensorFlow Datasets set, without TensorFlow; `tfds:DIR` and plain tfds read it."""

import contextlib
import importlib.util
import io
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from train.data.loader import sweep
from train.data.pixels import encode_png
from train.data.progress import track
from train.data.source import ENDLESS, Source, open_spec
from train.data.spec import Spec, parse
from train.data.tfds_set import CODEC, quiet
from zoo.errors import UserError

RELEASE = "1.0.0"
BATCH = 32  # examples that are read at once
CHUNK = 2**16  # tokens of a text in one record
UNPREPARED = {
    "input": "pairs of pictures",
    "spectrum": "sounds with pictures",
    "caption": "pictures with words",
    "voxel": "voxels",
    "wave": "sounds",
    "video": "films",
}

Features = dict[str, Any]


def prepare(spec: str, out: Path, *, name: str | None = None) -> tuple[Path, bool]:
    """Writes every split of ``spec`` as the set ``name`` under ``out``.

    Pictures become PNG, 8 bits a channel; tokens and rolls are whole pieces, as they are before any transposition; the
    codec is in the set's metadata. Returns the set's folder, out/name/1.0.0, which appears when it is complete, and
    whether it was written: a set of the same spec, codec and sizes is left as it is. Raises UserError.
    """
    parsed = parse(spec)
    if parsed.kind == "tfds" and not Path(parsed.path).expanduser().is_dir():
        return _catalogue(parsed, out), True
    name = name or _name(parsed)
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise UserError(f"{name!r} is no name for a set: small letters, digits and _, a letter first")
    sources = _sources(parsed)
    folder = out.expanduser() / name / RELEASE
    metadata = _metadata(spec, sources)
    if folder.exists():
        if _stored(folder) == metadata:
            return folder, False
        raise UserError(f"{folder} holds something else: use another --name or --out, or take it away")
    try:
        _write(name, out.expanduser(), sources, metadata)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror or error}") from None
    return folder, True


def _sources(spec: Spec) -> dict[str, Source]:
    """The source of each split. Where one held-out set is both "valid" and "test", it is written as "test"."""
    options = {key: value for key, value in spec.options.items() if key != "transpose"}
    whole = replace(spec, options=options | ({"transpose": "0"} if spec.kind == "bach" else {}))
    sources = {"train": open_spec(whole, "train")}
    if sources["train"].size == ENDLESS:
        raise UserError(f"{spec.text} is endless: say how many pictures to write, art?count=1000")
    with contextlib.suppress(UserError):  # too few to hold any out
        valid, test = open_spec(whole, "valid"), open_spec(whole, "test")
        sources |= {"test": test} if _same(valid, test) else {"valid": valid, "test": test}
    return sources


def _same(a: Source, b: Source) -> bool:
    """Whether two splits are one, by their beginnings."""
    first, second = (next(sweep(source, _batch(source))) for source in (a, b))
    return a.size == b.size and all(np.array_equal(first[key], second[key]) for key in first)


def _metadata(spec: str, sources: Mapping[str, Source]) -> dict[str, Any]:
    from zoo.codecs import to_config

    sizes = {split: source.size for split, source in sources.items()}
    return {CODEC: to_config(sources["train"].codec), "artzoo_spec": spec, "artzoo_sizes": sizes}


def _stored(folder: Path) -> Any:
    try:
        return json.loads((folder / "metadata.json").read_text()) if (folder / "dataset_info.json").is_file() else None
    except (OSError, ValueError):
        return None


def _write(name: str, out: Path, sources: Mapping[str, Source], metadata: dict[str, Any]) -> None:
    import tensorflow_datasets as tfds

    kind, features = _features(sources["train"])

    class Set(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(RELEASE)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                description=f"{metadata['artzoo_spec']}, written by artzoo.",
                features=tfds.features.FeaturesDict(features),
                metadata=tfds.core.MetadataDict(metadata),
                disable_shuffling=True,  # keeps the order of the source; and tfds sorts large sets with TensorFlow
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in sources}

        def _generate_examples(self, split):
            yield from enumerate(track(_records(sources[split], kind), f"writing {split}", sources[split].size))

    Set.name = name
    with tempfile.TemporaryDirectory() as downloads, quiet(), contextlib.redirect_stdout(io.StringIO()):
        tfds.disable_progress_bar()  # tfds speaks of downloads; ``track`` shows how far it has come
        try:
            Set(data_dir=str(out), file_format="array_record").download_and_prepare(download_dir=downloads)
        finally:
            tfds.enable_progress_bar()


def _features(source: Source) -> tuple[str, Features]:
    """(image, tokens or roll; tfds features)."""
    import tensorflow_datasets as tfds

    spec = source.batch_spec(1)
    if strange := spec.keys() & UNPREPARED.keys():
        what = UNPREPARED[strange.pop()]
        raise UserError(f"{source.spec}: {what} are read from their folders; there is no set to prepare")
    if "image" in spec:
        features: Features = {"image": tfds.features.Image(shape=spec["image"].shape[1:], encoding_format="png")}
        labels = {"label": tfds.features.ClassLabel(names=list(source.labels))} if "label" in spec else {}
        return "image", features | labels
    if "roll" in spec:
        return "roll", {"roll": tfds.features.Tensor(shape=(None, spec["roll"].shape[-1]), dtype=np.uint8)}
    return "tokens", {"tokens": tfds.features.Tensor(shape=(None,), dtype=np.int32)}


def _records(source: Source, kind: str) -> Iterator[dict[str, Any]]:
    if kind == "image":
        for batch in sweep(source, _batch(source)):
            for i, image in enumerate(source.codec.decode(batch["image"])):
                yield {"image": encode_png(image)} | ({"label": int(batch["label"][i])} if "label" in batch else {})
        return
    for batch in sweep(source, _batch(source)):
        for row, length in zip(batch[kind], batch["length"], strict=True):
            piece = row[:length].astype(np.uint8 if kind == "roll" else np.int32)
            step = CHUNK if source.codec.media == "text" else len(piece)  # a text is joined again when it is read
            yield from ({kind: piece[at : at + step]} for at in range(0, len(piece), step))


def _batch(source: Source) -> int:
    return 1 if source.codec.media == "text" else BATCH


def _catalogue(spec: Spec, out: Path) -> Path:
    """A set of tfds' own catalogue: needs TensorFlow, and a network."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(f"{spec.text}: tfds prepares its own sets with TensorFlow: pip install 'artzoo[prepare]'")
    import tensorflow_datasets as tfds

    builder = tfds.builder(spec.path, data_dir=str(out.expanduser()), file_format="array_record")
    builder.download_and_prepare()
    return Path(builder.data_dir)


def _name(spec: Spec) -> str:
    words = re.sub("[^a-z0-9]+", "_", Path(spec.path).stem.lower() if spec.path else spec.kind).strip("_")
    return words if re.match("[a-z]", words) else f"{spec.kind}_{words}".strip("_")
