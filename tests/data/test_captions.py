"""Captions: as numbers of words, from files of users and drawn with their figures."""

import jax
import numpy as np
import pytest
from PIL import Image

from train.data.source import open_source
from zoo.algorithmic.figures import COLOURS, FACTORS, KINDS, WORDS, choose, draw, held_out, words
from zoo.codecs import CodecError
from zoo.codecs.captions import Captions
from zoo.errors import UserError


def read(spec: str, split: str = "train"):
    source = open_source(spec, split)
    return source, source.read(np.arange(min(source.size, 64), dtype=np.int32))


def said(source, batch) -> list[str]:
    return [source.captions.decode(row) for row in batch["caption"]]


def test_words_are_numbers_and_back():
    codec = Captions.of(["A blue spiral, on a dark ground!", "Été l'orc-warrior"])
    assert codec.words == ("", "a", "blue", "dark", "ground", "l'orc", "on", "spiral", "warrior", "été")
    assert codec.longest == 7
    row = codec.encode("a SPIRAL on blue ground")
    assert row.tolist() == [1, 7, 6, 2, 4, 0, 0] and row.dtype == np.int32
    assert codec.decode(row) == "a spiral on blue ground"
    assert codec.table(["a a a a a a a a a"]).tolist() == [[1] * 7]
    for text, why in (
        ("", "holds no word"),
        ("?!", "holds no word"),
        ("a bleu spiral", "'bleu' is no word of the training's captions; did you mean blue"),
        ("xyzzy", "they are a, blue, dark, ground, l'orc, on, spiral, warrior, ..."),
        ("a a a a a a a a", "of 8 words; the longest here has 7"),
    ):
        with pytest.raises(CodecError) as error:
            codec.encode(text)
        assert why in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(CodecError, match="hold no word"):
        Captions.of(["", "..."])


def test_figures_are_what_their_captions_say():
    """Of every combination: its colour is nearest to the one that is named, its ground is dark or light, and a large
    one covers more."""
    from zoo.algorithmic.colour import to_oklab
    from zoo.algorithmic.figures import TONES

    factors = np.stack([axis.ravel() for axis in np.indices([len(values) for values in FACTORS.values()])], axis=1)
    keys = jax.random.split(jax.random.key(3), len(factors))
    images = np.asarray(jax.jit(jax.vmap(lambda key, row: draw(key, row, 32)))(keys, factors))
    assert images.shape == (196, 32, 32, 3) and np.abs(images).max() <= 1
    light, chroma, hue = TONES.T
    named = np.stack([light, chroma * np.cos(np.deg2rad(hue)), chroma * np.sin(np.deg2rad(hue))], axis=1)
    lab = to_oklab((images.reshape(len(images), -1, 3) + 1) / 2)
    covered = np.hypot(lab[..., 1], lab[..., 2]) > 0.1
    assert covered.any(axis=1).all()
    tone = np.stack([np.median(pixels[mask], axis=0) for pixels, mask in zip(lab, covered, strict=True)])
    assert (np.square(tone[:, None] - named).sum(-1).argmin(1) == factors[:, 1]).mean() > 0.97
    ground = np.array([np.median(pixels[~mask, 0]) for pixels, mask in zip(lab, covered, strict=True)])
    assert ((ground > 0.6) == factors[:, 3]).all()
    small, large = (covered[factors[:, 2] == size].mean() for size in (0, 1))
    assert large > 1.8 * small
    sentence = lambda row, **told: " ".join(WORDS[word] for word in np.asarray(words(row, **told)) if word)
    assert sentence(np.array([5, 4, 0, 0])) == "a small blue spiral on a dark ground"
    assert sentence(np.array([3, 1, 1, 1]), size=False, ground=False) == "an orange star"
    assert sentence(np.array([3, 1, 1, 1]), size=False, colour=False, ground=False) == "a star"


def test_some_pairs_are_kept_from_training():
    new = {(kind, colour) for kind in range(len(KINDS)) for colour in range(len(COLOURS)) if held_out(kind, colour)}
    assert len(new) == 7 and {kind for kind, _ in new} == {colour for _, colour in new} == set(range(7))
    keys = jax.random.split(jax.random.key(0), 2000)
    draws = lambda pairs: np.asarray(jax.vmap(lambda key: choose(key, pairs=pairs))(keys))
    pairs = lambda rows: {(int(kind), int(colour)) for kind, colour, *_ in rows}
    assert pairs(draws("new")) == new
    assert pairs(draws("seen")) == {(kind, colour) for kind in range(7) for colour in range(7)} - new
    assert len(pairs(draws("all"))) == 49
    source, batch = read("figures?size=16")
    assert source.fields == {"image_size": 16, "channels": 3, "classes": 7, "words": len(WORDS), "caption": 8}
    assert batch["image"].shape == (64, 16, 16, 3) and batch["caption"].dtype == np.int32
    kinds = [next(word for word in text.split() if word in KINDS) for text in said(source, batch)]
    assert kinds == [source.labels[label] for label in batch["label"]]
    untold = {name: sum(not set(text.split()) & set(FACTORS[name]) for text in said(source, batch)) for name in FACTORS}
    assert untold["kind"] == 0 and all(0 < untold[name] < 32 for name in ("colour", "size", "ground"))


def test_captions_of_arrays(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    texts = np.array([f"a {colour} thing" for colour in ("red", "blue", "green", "grey")] * 10)
    np.savez(tmp_path / "a.npz", image=images, caption=texts)
    for split in ("train", "test"):
        source, batch = read(f"npz:{tmp_path}/a.npz", split)
        assert source.captions.words == ("", "a", "blue", "green", "grey", "red", "thing")
        assert source.fields["words"] == 7 and source.fields["caption"] == 3
        whole = (source.codec.decode(batch["image"])[:, None] == images[None]).all(axis=(2, 3, 4)).argmax(axis=1)
        assert said(source, batch) == texts[whole].tolist()
    np.savez(tmp_path / "b.npz", image=images, names=np.array([f"mon/ice_orc{i}_2.png" for i in range(40)]))
    source, batch = read(f"npz:{tmp_path}/b.npz?caption=names")
    assert all(
        text.startswith("mon ice orc") and "png" not in text and " 2" not in text for text in said(source, batch)
    )
    assert "caption" not in read(f"npz:{tmp_path}/b.npz")[1]
    np.savez(tmp_path / "c.npz", image=images, caption=np.arange(40))
    np.savez(tmp_path / "d.npz", image=images, caption=np.full(40, "."))
    for spec, why in (
        ("b.npz?caption=words", "no array 'words'; it holds image, names"),
        ("c.npz", "as many captions as strings, not an array of int64 [40]"),
        ("d.npz", "hold no word"),
    ):
        with pytest.raises(UserError) as error:
            open_source(f"npz:{tmp_path}/{spec}")
        assert why in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("store", ["memory", "disk"])
def test_captions_of_folders(tmp_path, store):
    for number in range(30):
        kind = ("cats", "dogs")[number % 2]
        (tmp_path / kind).mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / kind / f"old_{number:02d}.png")
        (tmp_path / kind / f"old_{number:02d}.txt").write_text(f"number {'abc'[number % 3]}\n", encoding="utf-8")
    source, batch = read(f"images:{tmp_path}?from={store}&captions=names")
    numbers = source.codec.decode(batch["image"])[:, 0, 0, 0]
    assert said(source, batch) == [f"{('cats', 'dogs')[number % 2]} old" for number in numbers]
    source, batch = read(f"images:{tmp_path}?from={store}&captions=files")
    numbers = source.codec.decode(batch["image"])[:, 0, 0, 0]
    assert said(source, batch) == [f"number {'abc'[number % 3]}" for number in numbers]
    (tmp_path / "cats" / "old_00.txt").unlink()
    with pytest.raises(UserError, match=r"old_00.txt: No such file .*; each picture wants its caption there"):
        open_source(f"images:{tmp_path}?captions=files")
