"""Characters and bytes as tokens: exact inverses, and errors that name the culprit."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, from_config, to_config
from zoo.codecs.text import ByteCodec, CharCodec

SCRIPTS = "Two households,\nboth alike — 床前明月光 Ünïcödé 🎨 עברית\tक्षि"


@given(st.text(min_size=1))
@settings(max_examples=60, deadline=None)
def test_characters_return(text: str) -> None:
    codec = CharCodec.of(text)
    tokens = codec.encode(text)
    assert tokens.dtype == np.int32 and tokens.shape == (len(text),)
    assert sorted(set(tokens.tolist())) == list(range(codec.vocabulary))
    assert codec.decode(tokens) == text


@given(st.text(), st.lists(st.integers(0, 255)))
@settings(max_examples=60, deadline=None)
def test_bytes_return(text: str, values: list[int]) -> None:
    codec = ByteCodec()
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        encoded = None  # a lone surrogate: no text
    if encoded is not None:
        assert codec.encode(text).tolist() == list(encoded)
        assert codec.decode(codec.encode(text)) == text
    assert codec.encode(codec.decode(np.array(values, np.int32))).tolist() == values


def test_alphabet_in_any_order() -> None:
    codec = CharCodec("zyx\nab")
    assert codec.encode("abz\n").tolist() == [4, 5, 0, 3]
    assert codec.decode(np.array([4, 5, 0, 3])) == "abz\n"
    assert codec.start == 3 and CharCodec("xyz").start == 0


def test_scripts_beyond_ascii() -> None:
    codec = CharCodec.of(SCRIPTS)
    assert codec.alphabet == "".join(sorted(set(SCRIPTS)))
    assert codec.decode(codec.encode(SCRIPTS)) == SCRIPTS
    assert from_config(json.loads(json.dumps(to_config(codec)))) == codec


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: CharCodec("abc").encode("ab🎨"), ["'🎨'", "U+1F3A8", "at 2"]),
        (lambda: CharCodec("abc").encode("é"), ["'é'", "U+00E9"]),
        (lambda: CharCodec("abc").decode(np.array([0, 3])), ["3", "0..2"]),
        (lambda: CharCodec("abc").decode(np.array([-1])), ["-1"]),
        (lambda: CharCodec("abc").decode(np.array([0.5])), ["float64"]),
        (lambda: CharCodec("aba"), ["'a'", "twice"]),
        (lambda: CharCodec(""), ["empty"]),
        (lambda: ByteCodec().decode(np.array([256])), ["256"]),
        (lambda: ByteCodec().encode("a\ud800"), ["U+D800"]),
    ],
)
def test_what_cannot_be_is_named(act, words: list[str]) -> None:
    with pytest.raises(CodecError) as caught:
        act()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_nothing_is_text_too() -> None:
    for codec in (CharCodec("ab"), ByteCodec()):
        assert codec.encode("").shape == (0,) and codec.decode(np.zeros(0, np.int32)) == ""
