"""Captions: what is said of a picture, as numbers of words."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zoo.codecs.errors import CodecError

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
LONGEST = 32  # words of a caption, where the data do not say


@dataclass(frozen=True)
class Captions:
    """Token t is ``words[t]``; token 0 is no word and stands behind a caption's last one.

    Words are runs of letters and digits of any script, in lower case; what is between them says nothing.
    """

    words: tuple[str, ...]
    longest: int = LONGEST
    """Words of a caption."""

    @classmethod
    def of(cls, captions: Iterable[str]) -> "Captions":
        """The codec of the words that ``captions`` use, as long as the longest of them (at most 32 words)."""
        split = [words_of(caption) for caption in captions]
        known = sorted({word for words in split for word in words})
        if not known:
            raise CodecError("captions", "hold no word")
        return cls(("", *known), min(max(map(len, split)), LONGEST))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, caption: str) -> np.ndarray:
        """str -> int32 [longest]. CodecError on a caption without a word, with one that is not known, or too long."""
        words = words_of(caption)
        if not words:
            raise CodecError("caption", f"{caption!r} holds no word")
        for word in words:
            if word not in self._numbers:
                raise CodecError("caption", f"{word!r} is no word of the training's captions{self._advice(word)}")
        if len(words) > self.longest:
            raise CodecError("caption", f"of {len(words)} words; the longest here has {self.longest}")
        return self.table([caption])[0]

    def table(self, captions: Iterable[str]) -> np.ndarray:
        """Captions of known words, cut where they are too long -> int32 [N, longest]."""
        split = [words_of(caption)[: self.longest] for caption in captions]
        table = np.zeros((len(split), self.longest), np.int32)
        for row, words in zip(table, split, strict=True):
            row[: len(words)] = [self._numbers[word] for word in words]
        return table

    def decode(self, tokens: np.ndarray) -> str:
        """int [T] -> its words, with spaces between them."""
        return " ".join(self.words[token] for token in np.asarray(tokens).tolist() if token)

    def _advice(self, word: str) -> str:
        close = difflib.get_close_matches(word, self.words[1:], n=3)
        if close:
            return f"; did you mean {' or '.join(close)}?"
        some = ", ".join(self.words[1:9])
        return f"; they are {some}{', ...' if len(self.words) > 9 else ''}"


def words_of(caption: str) -> list[str]:
    return WORD.findall(caption.lower())
