"""GPT-2's byte pairs, with a small table made by hand: words, merges, exact inverses, and files that make no sense."""

import json
import random
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, from_config, to_config
from zoo.codecs.bpe import END, BpeCodec, byte_characters, merge, words

MERGES = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "Ã ©"]
HE, LL, HELL, HELLO, W, OR, WOR, E_ACUTE, STOP = range(256, 265)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bpe")
    names = [*byte_characters(), *(merge.replace(" ", "") for merge in MERGES), END]
    (folder / "vocab.json").write_text(json.dumps({name: token for token, name in enumerate(names)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]))
    return folder


@pytest.fixture(scope="module")
def codec(folder) -> BpeCodec:
    return BpeCodec.of(folder)


def altered(folder, tmp_path, **files):
    """A folder with other files: a string is a file's text, a function makes its JSON from vocab.json's."""
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (tmp_path / "merges.txt").write_text((folder / "merges.txt").read_text())
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    for name, content in files.items():
        path = tmp_path / {"vocab": "vocab.json", "merges": "merges.txt", "tokenizer": "tokenizer.json"}[name]
        path.write_text(content if isinstance(content, str) else json.dumps(content(vocabulary)))
    return tmp_path


def tokenizer(vocabulary, **changes):
    """The same table in Hugging Face's one file."""
    model = {"type": "BPE", "vocab": {k: v for k, v in vocabulary.items() if k != END}, "merges": MERGES}
    splitter = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    added = [{"id": STOP, "content": END, "special": True}]
    return {"model": model, "pre_tokenizer": splitter, "normalizer": None, "added_tokens": added} | changes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello world", ["Hello", " world"]),
        ("I'll  go, you've 1st", ["I", "'ll", " ", " go", ",", " you", "'ve", " 1", "st"]),
        ("a\n\n b", ["a", "\n\n", " b"]),
        ("a \n", ["a", " \n"]),
        ("x   ", ["x", "   "]),
        ("\t\ta", ["\t", "\t", "a"]),  # only a blank goes to the word behind it
        ("'tis 'LL 'sup", ["'t", "is", " '", "LL", " '", "sup"]),
        ("it's_a __x", ["it", "'s", "_", "a", " __", "x"]),
        ("3½ Ⅷ٣²", ["3½", " Ⅷ٣²"]),  # numbers of any kind
        ("中文 Ünïcödé", ["中文", " Ünïcödé"]),
        ("क्षि", ["क", "्", "ष", "ि"]),  # marks are no letters
        ("a\xa0b\u2003c\x1cd", ["a", "\xa0", "b", "\u2003", "c", "\x1c", "d"]),
        ("🎨!? \udc80", ["🎨!?", " \udc80"]),
        ("", []),
    ],
)
def test_words_by_hand(text, expected):
    """Worked out from GPT-2's pattern; a control character is no white space, whatever Python thinks of it."""
    assert list(words(text)) == expected


@given(st.text(alphabet=st.sampled_from("sterlmvd' \n\tA1é中\x1c\xa0!_"), max_size=40))
@settings(max_examples=200, deadline=None)
def test_words_are_the_text(text):
    assert "".join(words(text)) == text


def test_bytes_are_written_as_gpt_2_writes_them():
    characters = byte_characters()
    assert characters[ord("A")] == "A" and characters[ord(" ")] == "Ġ" and characters[ord("\n")] == "Ċ"
    assert characters[0xC3] + characters[0xA9] == "Ã©" and characters[0xAD] == "Ń" and len(set(characters)) == 256


def test_tokens_by_hand(codec):
    assert codec.encode("hello world").tolist() == [HELLO, WOR, ord("l"), ord("d")]
    assert codec.encode("hellhello lll").tolist() == [HELL, HELLO, ord(" "), LL, ord("l")]
    assert codec.encode("é worê").tolist() == [E_ACUTE, WOR, 0xC3, 0xAA]
    assert codec.encode(f"he{END}llo").tolist() == [HE, STOP, LL, ord("o")]
    assert codec.decode(np.array([HELLO, WOR, STOP, E_ACUTE, 0xC3])) == f"hello wor{END}é\udcc3"
    assert (codec.vocabulary, codec.start, codec.stop) == (265, STOP, None)
    assert codec.encode("").shape == (0,) and codec.encode("").dtype == np.int32 and codec.decode([]) == ""


@given(st.text(max_size=60), st.binary(max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_text_and_any_bytes_return(codec, text, data):
    for whole in (text, f"hello {text} world", data.decode("utf-8", "surrogateescape")):
        try:
            whole.encode()
        except UnicodeEncodeError:
            if whole is text or whole.startswith("hello"):
                continue  # a lone surrogate: no text
        assert codec.decode(codec.encode(whole)) == whole


@given(st.lists(st.integers(0, 264), max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_tokens_are_bytes(codec, tokens):
    again = codec.decode(codec.encode(codec.decode(np.array(tokens, int))))
    assert again == codec.decode(np.array(tokens, int))


def slow_merge(tokens, pairs):
    """Algorithm 1 as it is told: the best pair, everywhere, until there is none."""
    while found := [pair for pair in pairwise(tokens) if pair in pairs]:
        best, merged, at = min(found, key=lambda pair: pairs[pair]), [], 0
        while at < len(tokens):
            both = tuple(tokens[at : at + 2]) == best
            merged.append(pairs[best][1] if both else tokens[at])
            at += 2 if both else 1
        tokens = merged
    return tokens


@pytest.mark.parametrize("seed", range(20))
def test_merging_is_the_papers_algorithm(seed):
    """Tables as they are learnt: each merge of tokens that are there already."""
    draw = random.Random(seed)
    pairs = {}
    for rank in range(draw.randint(1, 30)):
        pairs.setdefault((draw.randrange(3 + rank), draw.randrange(3 + rank)), (rank, 3 + rank))
    for _ in range(20):
        tokens = [draw.randrange(3) for _ in range(draw.randint(0, 40))]
        assert merge(tokens, pairs) == slow_merge(tokens, pairs)


def test_a_word_may_be_a_whole_file(codec):
    start = time.process_time()
    assert len(codec.encode("l" * 300_001)) == 150_001
    assert time.process_time() - start < 8


def test_forms_of_the_files(folder, codec, tmp_path):
    text = f"hello world, l'été{END} of 1968\n\n"
    expected = codec.encode(text).tolist()
    (tmp_path / "openai").mkdir()
    for name, other in (("vocab.json", "encoder.json"), ("merges.txt", "vocab.bpe")):
        (tmp_path / "openai" / other).write_bytes((folder / name).read_bytes())
    assert BpeCodec.of(tmp_path / "openai").encode(text).tolist() == expected
    vocabulary = json.loads((folder / "vocab.json").read_text())
    pairs = [merge.split(" ") for merge in MERGES]
    for name, merges in (("old", MERGES), ("new", pairs)):
        (tmp_path / name).mkdir()
        data = tokenizer(vocabulary)
        data["model"]["merges"] = merges
        (tmp_path / name / "tokenizer.json").write_text(json.dumps(data))
        assert BpeCodec.of(tmp_path / name).encode(text).tolist() == expected


def test_config_knows_the_files(folder, codec, tmp_path):
    config = json.loads(json.dumps(to_config(codec)))
    assert from_config(config) == codec and hash(from_config(config)) == hash(codec)
    assert from_config(config).encode("hello").tolist() == [HELLO]
    other = altered(folder, tmp_path, merges="\n".join(["#version: 0.2", *MERGES[:-1], "Ã ª"]))
    with pytest.raises(CodecError, match="malformed"):
        BpeCodec.of(other)
    other = altered(folder, tmp_path, merges="\n".join(["#version: 0.2", *MERGES[:-1]]))
    with pytest.raises(CodecError, match="not those that this was made with"):
        from_config(config | {"folder": str(other)}).encode("hello")


BROKEN = {
    "no JSON": ({"vocab": "{"}, "Expecting"),
    "no object": ({"vocab": "[1, 2]"}, "malformed"),
    "deep": ({"vocab": "[" * 100_000}, "malformed"),
    "no numbers": ({"vocab": lambda v: v | {"a": "x"}}, "malformed"),
    "a number twice": ({"vocab": lambda v: v | {"a": 3}}, "numbers of its 265 tokens are not 0..264"),
    "a number missing": ({"vocab": lambda v: v | {"hello": 999}}, "numbers of its 265 tokens"),
    "a byte missing": ({"vocab": lambda v: {("ab" if k == "Ġ" else k): i for k, i in v.items()}}, "malformed"),
    "strange letters": ({"vocab": lambda v: {("he€" if k == "he" else k): i for k, i in v.items()}}, "malformed"),
    "half a merge": ({"merges": "#version: 0.2\nh e l\n"}, "merge 1 is not of two tokens: h e l"),
    "merges of others": ({"merges": "#version: 0.2\nq q\n"}, "malformed"),
}


@pytest.mark.parametrize("files, cause", BROKEN.values(), ids=BROKEN)
def test_broken_files_name_file_and_cause(folder, tmp_path, files, cause):
    with pytest.raises(CodecError, match=cause) as caught:
        BpeCodec.of(altered(folder, tmp_path, **files))
    assert caught.value.path == str(tmp_path / "vocab.json") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"type": "WordPiece", "vocab": {}, "merges": []}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        {"normalizer": {"type": "NFC"}},
        {"model": 3},
        {"added_tokens": [{"id": 700, "content": END}]},
    ],
)
def test_tokenizers_of_another_kind(folder, tmp_path, changes):
    data = tokenizer(json.loads((folder / "vocab.json").read_text()), **changes)
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(CodecError, match=r"GPT-2's kind|malformed|numbers"):
        BpeCodec.of(tmp_path)


def test_nothing_here(folder, codec, tmp_path):
    with pytest.raises(CodecError, match=r"no byte pairs here: vocab\.json and merges\.txt"):
        BpeCodec.of(tmp_path)
    with pytest.raises(CodecError, match=r"tokens: 265 is not in 0\.\.264"):
        codec.decode(np.array([265]))
    with pytest.raises(CodecError, match="U\\+D800"):
        codec.encode("a\ud800")


def test_a_text_file_is_read_as_byte_pairs(folder, tmp_path):
    """The spec of a user; as a whole, so that every byte comes back."""
    from train.data.source import open_source
    from zoo.errors import UserError

    text = "hello world\r\n" * 40 + "\udcff"
    (tmp_path / "a.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    spec = f"text:{tmp_path}/a.txt?bpe={folder}"
    sources = [open_source(spec, split) for split in ("train", "valid")]
    tokens = [row for source in sources for row in source.arrays["tokens"][: source.arrays["piece"][0, 1]]]
    assert sources[0].codec.decode(np.array(tokens)) == text
    assert sources[0].fields == {"vocabulary": 265, "start": STOP}
    for wrong in (f"text:{tmp_path}/a.txt?bpe={tmp_path}", f"{spec}&tokens=byte"):
        with pytest.raises(UserError, match=r"bpe|byte pairs"):
            open_source(wrong)
