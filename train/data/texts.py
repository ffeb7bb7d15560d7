"""text: the user's own file; texts: a folder of them, of different kinds; docs: the manual inside CPython."""

import sysconfig
from pathlib import Path
from typing import Any

import numpy as np

from train.data.sequences import TRAIN_SHARE, sequence_source
from train.data.source import Source
from train.data.spec import Spec
from train.data.windows import Cut, narrow, window_table
from zoo.codecs.errors import CodecError
from zoo.codecs.text import ByteCodec, CharCodec
from zoo.errors import UserError

# Modules of the standard library whose source is about as long as the manual.
MODULES = (
    "argparse", "ast", "calendar", "configparser", "csv", "dataclasses", "difflib", "doctest", "fractions", "functools",
    "heapq", "inspect", "pathlib", "pprint", "random", "shlex", "statistics", "string", "textwrap", "typing",
)  # fmt: skip


def open_text(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """text:FILE?tokens=char|byte, or text:FILE?bpe=DIR. ``char``: the file is UTF-8, the alphabet that of the whole
    file, and line ends are newlines. ``byte`` takes any file as it is, and so does ``bpe``: GPT-2's byte pairs, whose
    vocab.json and merges.txt (or tokenizer.json) are in DIR. The last tenth is both "valid" and "test"."""
    spec.allow("tokens", "bpe")
    data = spec.file().read_bytes()
    if "bpe" in spec.options:
        pairs = _pairs(spec)
        tokens = pairs.encode(data.decode("utf-8", "surrogateescape"))
        return sequence_source(spec, pairs, {"train": [tokens]}, split=split, length=length)
    if spec.choice("tokens", ("char", "byte"), "char") == "byte":
        return sequence_source(
            spec, ByteCodec(), {"train": [np.frombuffer(data, np.uint8)]}, split=split, length=length
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{spec.text}: byte {error.object[error.start]:#04x} at {error.start} is no UTF-8; "
            "save the file as UTF-8 or add ?tokens=byte"
        ) from None
    return character_source(spec, {"train": [text.replace("\r\n", "\n").replace("\r", "\n")]}, split, length)


def _pairs(spec: Spec) -> Any:
    from zoo.codecs.bpe import BpeCodec

    if "tokens" in spec.options:
        raise UserError(f"{spec.text}: bpe says what the tokens are; leave tokens out")
    try:
        return BpeCodec.of(spec.options["bpe"])
    except CodecError as error:
        raise UserError(f"{spec.text}: {error}") from None


def open_docs(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """docs?codes=1: the reference topics behind Python's ``help()``, about 465,000 characters, one after the other.
    ``codes``: and as much source of the standard library, each text labelled "manual" or "python"."""
    spec.allow("codes")
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise UserError("docs: this Python came without its pydoc_data; use text:FILE") from None
    text = "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n"
    if spec.choice("codes", ("0", "1"), "0") == "1":
        return coded_source(spec, {"manual": text, "python": library(spec)}, split, length)
    return character_source(spec, {"train": [text]}, split, length)


def library(spec: Spec) -> str:
    """The source of ``MODULES``, one after the other."""
    files = [Path(sysconfig.get_path("stdlib")) / f"{name}.py" for name in MODULES]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    if not texts:
        raise UserError(f"{spec.text}: this Python came without its sources; use texts:DIR")
    return "\n\n".join(texts)


def open_texts(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """texts:DIR, a folder of UTF-8 .txt files, each a kind of text that is called as its file. The last tenth of each
    is both "valid" and "test"."""
    spec.allow()
    texts = {}
    for file in sorted(spec.folder().glob("*.txt")):
        try:
            texts[file.stem] = file.read_text(encoding="utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            raise UserError(f"{spec.text}: {file.name} is no UTF-8; save it as such") from None
    if len(texts) < 2:
        raise UserError(f"{spec.text}: {len(texts)} .txt files; kinds of text are told apart where there are two")
    return coded_source(spec, texts, split, length)


def coded_source(spec: Spec, texts: dict[str, str], split: str, length: int | None) -> Source:
    """Texts of several kinds as characters of one alphabet; each window has its kind as ``label``."""
    codec = CharCodec.of("".join(texts.values()))
    pieces = []
    for name, text in texts.items():
        tokens = narrow(codec.encode(text), codec.vocabulary)
        cut = int(TRAIN_SHARE * len(tokens))
        pieces.append(tokens[:cut] if split == "train" else tokens[cut:])
        if len(pieces[-1]) < (length or 1):
            raise UserError(
                f"{spec.text}: {name!r} has {len(pieces[-1]):,} characters in {split!r}, less than a window"
            )
    table = window_table(pieces, "tokens", cut=Cut(length=length), split=split, labelled=True)
    return Source(
        spec=spec.text,
        codec=codec,
        size=table.size,
        fields={"vocabulary": codec.vocabulary, "start": codec.start, "classes": len(texts)},
        arrays=table.arrays,
        example=table.example,
        labels=tuple(texts),
    )


def character_source(spec: Spec, own: dict[str, list[str]], split: str, length: int | None) -> Source:
    """Texts in each of the data's own splits as characters of the alphabet of them all."""
    everything = "".join(text for texts in own.values() for text in texts)
    if not everything:
        raise UserError(f"{spec.text}: the text is empty")
    codec = CharCodec.of(everything)
    pieces = {name: [codec.encode(text) for text in texts] for name, texts in own.items()}
    return sequence_source(spec, codec, pieces, split=split, length=length)
