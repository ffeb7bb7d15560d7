"""text: the user's own file; docs: the manual that ships inside CPython."""

import numpy as np

from train.data.sequences import sequence_source
from train.data.source import Source
from train.data.spec import Spec
from zoo.codecs.text import ByteCodec, CharCodec
from zoo.errors import UserError


def open_text(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """text:FILE?tokens=char|byte. ``char``: the file is UTF-8, the alphabet that of the whole file, and line ends are
    newlines. ``byte`` takes any file as it is. The last tenth is both "valid" and "test"."""
    spec.allow("tokens")
    data = spec.file().read_bytes()
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


def open_docs(spec: Spec, split: str, *, image_size: int | None, length: int | None) -> Source:
    """docs: the reference topics behind Python's ``help()``, about 465,000 characters, one after the other."""
    spec.allow()
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise UserError("docs: this Python came without its pydoc_data; use text:FILE") from None
    text = "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n"
    return character_source(spec, {"train": [text]}, split, length)


def character_source(spec: Spec, own: dict[str, list[str]], split: str, length: int | None) -> Source:
    """Texts in each of the data's own splits as characters of the alphabet of them all."""
    everything = "".join(text for texts in own.values() for text in texts)
    if not everything:
        raise UserError(f"{spec.text}: the text is empty")
    codec = CharCodec.of(everything)
    pieces = {name: [codec.encode(text) for text in texts] for name, texts in own.items()}
    return sequence_source(spec, codec, pieces, split=split, length=length)
