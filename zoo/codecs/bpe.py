"""Text as GPT-2's byte pairs (Radford et al. 2019, section 2.2), from the user's files: nothing is downloaded."""

import heapq
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from zoo.codecs.errors import CodecError, Path, read_bytes
from zoo.codecs.text import NEWLINE, checked, to_bytes

END = "<|endoftext|>"
FORMS = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"), ("tokenizer.json",))
LIMIT = 2**24  # bytes of a file; GPT-2's have 1 MB
REMEMBERED = 2**17  # words

# White space as Unicode has it; Python's own ``isspace`` takes four control characters more.
_WHITE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))))
_SUFFIXES = frozenset("strevmld")  # letters of 's, 't, 're, 've, 'm, 'll, 'd
_WORDS = re.compile(r"'(?:[stmd]|re|ve|ll)| ?[Ldelmrstv]+| ?0+| ?['!]+|[ \n]+(?![^ \n])|[ \n]+")


class Table(NamedTuple):
    """What the files say."""

    texts: list[bytes]
    """The bytes of every token."""
    pairs: dict[tuple[int, int], tuple[int, int]]
    """Two tokens that are one: (how early, which)."""
    single: list[int]
    """The token of every byte."""
    special: dict[str, int]
    """Tokens that no bytes are merged to: the end of a text."""
    digest: str


@dataclass(frozen=True)
class BpeCodec:
    """Any text, and any bytes (``text.ByteCodec``): decode(encode(text)) == text.

    ``folder``: where vocab.json and merges.txt are, or encoder.json and vocab.bpe, or tokenizer.json.
    ``digest``: of the files that are meant, None for whatever is there; `of` fills it in, so that a run finds out when
    they have changed.

    <|endoftext|> written in a text is the token of that name, and begins a sample without a prompt; a codec without it
    begins with a newline.
    """

    folder: str
    digest: str | None = None

    media: ClassVar[Literal["text"]] = "text"
    stop: ClassVar[None] = None

    @classmethod
    def of(cls, folder: Path) -> "BpeCodec":
        """The codec of the files in ``folder``. CodecError where they are missing or make no sense."""
        path = os.path.abspath(os.path.expanduser(os.fspath(folder)))
        return cls(path, cls(path)._table.digest)

    @property
    def vocabulary(self) -> int:
        return len(self._table.texts)

    @property
    def start(self) -> int:
        return self._table.special.get(END, self._table.single[ord(NEWLINE)])

    def encode(self, text: str) -> np.ndarray:
        """str -> int32 [T]. CodecError on a lone surrogate that stands for no byte."""
        special, tokens = self._table.special, []
        for part in self._apart.split(text) if special else [text]:
            if part in special:
                tokens.append(special[part])
                continue
            for word in words(part):
                tokens += self._tokens(word)
        return np.array(tokens, np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """int [T] -> str. CodecError names a token that is not in the vocabulary."""
        texts = self._table.texts
        pieces = (texts[token] for token in checked(tokens, len(texts)).tolist())
        return b"".join(pieces).decode("utf-8", "surrogateescape")

    @cached_property
    def _table(self) -> Table:
        table = read_table(self.folder)
        if self.digest not in (None, table.digest):
            raise CodecError(self.folder, "its byte pairs are not those that this was made with")
        return table

    @cached_property
    def _apart(self) -> re.Pattern[str]:
        longest_first = sorted(self._table.special, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    @cached_property
    def _known(self) -> dict[str, list[int]]:
        return {}

    def _tokens(self, word: str) -> list[int]:
        if word not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[word] = merge([self._table.single[byte] for byte in to_bytes(word)], self._table.pairs)
        return self._known[word]


def words(text: str) -> Iterator[str]:
    r"""What merges stay within, one after the other, by GPT-2's pattern:
    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

    The standard library knows no \p, so that what is matched is a drawing of the text, in ASCII, letter for letter:
    L for a letter, 0 for a number, ! for what is neither nor white.
    """
    drawing = text.translate({ord(character): _drawn(character) for character in set(text)})
    return (text[match.start() : match.end()] for match in _WORDS.finditer(drawing))


def _drawn(character: str) -> str:
    if character in _WHITE:
        return " " if character == " " else NEWLINE
    if character in _SUFFIXES or character == "'":
        return character
    return {"L": "L", "N": "0"}.get(unicodedata.category(character)[0], "!")


def merge(tokens: list[int], pairs: dict[tuple[int, int], tuple[int, int]]) -> list[int]:
    """Neighbours become one, the earliest learnt pair first, from left to right, until none is left (Sennrich et al.
    2016, arXiv:1508.07909, algorithm 1). In n log n steps: a word may be a whole file."""
    parts, size = list(tokens), len(tokens)
    before, after = list(range(-1, size - 1)), list(range(1, size + 1))
    neighbours = enumerate(pairwise(parts))
    heap = [(pairs[pair][0], i, pair) for i, pair in neighbours if pair in pairs]
    heapq.heapify(heap)
    while heap:
        _, i, (left, right) = heapq.heappop(heap)
        j = after[i]
        if j >= size or parts[i] != left or parts[j] != right:
            continue  # one of the two has gone into another pair
        parts[i], parts[j], after[i] = pairs[left, right][1], -1, after[j]
        if after[i] < size:
            before[after[i]] = i
        for a in (before[i], i):
            if a >= 0 and after[a] < size and (pair := (parts[a], parts[after[a]])) in pairs:
                heapq.heappush(heap, (pairs[pair][0], a, pair))
    return [part for part in parts if part >= 0]


# Reading the files.


def read_table(folder: Path) -> Table:
    """The byte pairs in ``folder``. CodecError where files are missing, too large, or make no sense."""
    here = [form for form in FORMS if all(os.path.isfile(os.path.join(folder, name)) for name in form)]
    if not here:
        raise CodecError(folder, f"no byte pairs here: {', or '.join(' and '.join(form) for form in FORMS)}")
    paths = [os.path.join(folder, name) for name in here[0]]
    files = [read_bytes(path, limit=LIMIT) for path in paths]
    try:
        if len(files) == 2:
            vocabulary, added = json.loads(files[0]), {}
            lines = files[1].decode().replace("\r", "").split("\n")
            merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
        else:
            vocabulary, merges, added = _tokenizer(json.loads(files[0]))
        return _table(vocabulary, merges, added, blake2b(b"\0".join(files), digest_size=16).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else f"malformed ({type(error).__name__}: {error})"
        raise CodecError(paths[0], why) from None


def _tokenizer(data: dict[str, Any]) -> tuple[dict[str, int], list[tuple[str, ...]], dict[str, int]]:
    """(vocabulary, merges, added tokens) of Hugging Face's one file."""
    model, splitter = data["model"], data["pre_tokenizer"] or {}
    plain = splitter.get("type") == "ByteLevel" and not splitter.get("add_prefix_space", True)
    if model.get("type") != "BPE" or data.get("normalizer") or not plain or not splitter.get("use_regex", True):
        raise ValueError("not GPT-2's kind: byte pairs of the bytes as they are, split by its pattern")
    merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
    return model["vocab"], merges, {str(token["content"]): token["id"] for token in data.get("added_tokens", [])}


def _table(vocabulary: dict[str, int], merges: list[tuple], added: dict[str, int], digest: str) -> Table:
    ids = vocabulary | added
    if sorted(ids.values()) != list(range(len(ids))) or not all(type(token) is int for token in ids.values()):
        raise ValueError(f"the numbers of its {len(ids)} tokens are not 0..{len(ids) - 1}")
    written = {character: byte for byte, character in enumerate(byte_characters())}
    single = [vocabulary[character] for character in written]
    pairs: dict[tuple[int, int], tuple[int, int]] = {}
    for rank, pair in enumerate(merges):
        if len(pair) != 2:
            raise ValueError(f"merge {rank + 1} is not of two tokens: {' '.join(map(str, pair))}")
        left, right = pair
        pairs.setdefault((vocabulary[left], vocabulary[right]), (rank, vocabulary[left + right]))
    merged = {*single, *(one for _, one in pairs.values())}
    special = {name: token for name, token in ids.items() if name and (token not in merged or name in added)}
    texts = [b""] * len(ids)
    for name, token in ids.items():
        texts[token] = name.encode() if name in special else bytes(written[character] for character in name)
    return Table(texts, pairs, single, special, digest)


def byte_characters() -> list[str]:
    """How the files write each byte: the visible ones of Latin-1 as they are, the others from U+0100 on, in order."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in visible else chr(next(others)) for byte in range(256)]
