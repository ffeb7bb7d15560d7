"""Text as tokens: characters of an alphabet, or UTF-8 bytes."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from zoo.codecs.errors import CodecError

NEWLINE = "\n"


@dataclass(frozen=True)
class CharCodec:
    """Token t is the t-th character of ``alphabet``: any script, one token a Unicode code point.

    A sample without a prompt starts after a newline where the alphabet has one, else after its first character; there
    is no stop token. ``encode`` and ``decode`` are exact inverses of one another.
    """

    alphabet: str

    media: ClassVar[Literal["text"]] = "text"
    stop: ClassVar[None] = None

    def __post_init__(self) -> None:
        if not self.alphabet:
            raise CodecError("alphabet", "is empty")
        if len(set(self.alphabet)) != len(self.alphabet):
            twice = next(c for i, c in enumerate(self.alphabet) if c in self.alphabet[:i])
            raise CodecError("alphabet", f"holds {_named(twice)} twice")

    @classmethod
    def of(cls, text: str) -> "CharCodec":
        """The codec of the characters that ``text`` uses, in the order of their code points."""
        return cls("".join(map(chr, np.unique(_points(text)))))

    @property
    def vocabulary(self) -> int:
        return len(self.alphabet)

    @property
    def start(self) -> int:
        return max(self.alphabet.find(NEWLINE), 0)

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """Code points in rising order, and the token of each."""
        points = _points(self.alphabet)
        order = np.argsort(points, kind="stable")
        return points[order], order.astype(np.int32)

    def encode(self, text: str) -> np.ndarray:
        """str -> int32 [T]. CodecError names a character that is not in the alphabet."""
        known, tokens = self._sorted
        points = _points(text)
        at = np.minimum(np.searchsorted(known, points), len(known) - 1)
        strange = known[at] != points
        if strange.any():
            place = int(np.argmax(strange))
            raise CodecError("text", f"character {_named(text[place])} at {place} is not in the alphabet")
        return tokens[at]

    def decode(self, tokens: np.ndarray) -> str:
        """int [T] -> str. CodecError names a token that is not in the vocabulary."""
        return _text(_points(self.alphabet)[checked(tokens, self.vocabulary)])


@dataclass(frozen=True)
class ByteCodec:
    """UTF-8 bytes, 256 tokens: every text, and every sequence of tokens.

    Bytes that are no UTF-8 become the surrogates of PEP 383, so that ``encode(decode(tokens))`` is ``tokens`` whatever
    the bytes; write such text with ``errors="surrogateescape"``.
    """

    media: ClassVar[Literal["text"]] = "text"
    vocabulary: ClassVar[int] = 256
    start: ClassVar[int] = ord(NEWLINE)
    stop: ClassVar[None] = None

    def encode(self, text: str) -> np.ndarray:
        """str -> int32 [T]. CodecError on a lone surrogate that stands for no byte."""
        return np.frombuffer(to_bytes(text), np.uint8).astype(np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """int [T] -> str. CodecError names a token that is no byte."""
        return checked(tokens, 256).astype(np.uint8).tobytes().decode("utf-8", "surrogateescape")


def _points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _text(points: np.ndarray) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def to_bytes(text: str) -> bytes:
    """UTF-8, with the bytes that PEP 383's surrogates stand for. CodecError on a surrogate that stands for none."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise CodecError("text", f"{_named(text[error.start])} at {error.start} has no bytes") from None


def checked(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """The tokens as an array. CodecError names one that is not in the vocabulary."""
    tokens = np.asarray(tokens)
    if tokens.size == 0:
        return tokens.astype(np.int64)
    if tokens.dtype.kind not in "iu":
        raise CodecError("tokens", f"are {tokens.dtype}, not integers")
    wrong = (tokens < 0) | (tokens >= vocabulary)
    if wrong.any():
        raise CodecError("tokens", f"{int(tokens[wrong][0])} is not in 0..{vocabulary - 1}")
    return tokens


def _named(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"
