"""The row of pictures from words: what is asked for, what counts as right, and that it runs from end to end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.rows import words
from zoo.algorithmic.figures import COLOURS, KINDS, draw, held_out


@pytest.fixture(autouse=True)
def anew():
    """What the row keeps between arms is not kept between tests."""
    kept = words.trained, words.reader, words.reading, words.fresh, words.redrawn
    for function in kept:
        function.cache_clear()
    yield
    for function in kept:
        function.cache_clear()


class Told:
    """A judge that reads the label from the picture's first pixel."""

    def predict(self, images):
        return np.round(images[:, 0, 0, 0] * 1000).astype(int)


def marked(asked):
    pictures = np.zeros((len(asked), 32, 32, 3), np.float32)
    pictures[:, 0, 0, 0] = np.ravel_multi_index(tuple(asked.T), words.COUNTS) / 1000
    return pictures


def test_every_caption_is_asked_for():
    asked, new = words.captions()
    assert len(asked) == 168 + 4 * 28 and new.sum() == 4 * 28
    assert len(np.unique(asked, axis=0)) == len(KINDS) * len(COLOURS) * 2 * 2
    assert all(held_out(kind, colour) == fresh for (kind, colour, *_), fresh in zip(asked, new, strict=True))


def test_right_is_what_was_asked_for(monkeypatch):
    """Everything is right of pictures that are; of those whose colour is another, the colour is not, and not all."""
    shift = np.zeros(4, int)
    monkeypatch.setattr(words, "trained", lambda seed, budget: (None, None, None))
    monkeypatch.setattr(words, "reader", Told)
    monkeypatch.setattr(words, "reading", lambda: 0.9)
    monkeypatch.setattr(words, "redrawn", lambda seed, budget: 0.8)
    monkeypatch.setattr(
        words, "pictures_of", lambda model, params, extra, key, asked, **how: marked((asked + shift) % words.COUNTS)
    )
    (found,) = words.runs(None, [0], "cpu", "guided")
    wanted = dict.fromkeys(words.METRICS, 1.0) | {"read": 0.9, "redrawn": 0.8}
    assert found == wanted
    shift[1] = 1
    (found,) = words.runs(None, [0], "cpu", "guided")
    assert found == wanted | {"colour": 0.0, "all": 0.0, "new": 0.0}


def test_the_judge_learns_from_worn_drawings():
    index = jnp.int32(5)
    clean, worn = words.example(index), words.worn(index)
    assert int(clean["label"]) == int(worn["label"])
    change = float(jnp.abs(clean["image"] - worn["image"]).mean())
    assert 0 < change < 0.2 and float(jnp.abs(worn["image"]).max()) <= 1
    factors = jnp.asarray(np.unravel_index(int(clean["label"]), words.COUNTS))
    key = jax.random.fold_in(jax.random.key(7), index)
    np.testing.assert_array_equal(clean["image"], draw(key, factors, words.SIZE))


def test_it_runs(monkeypatch):
    monkeypatch.setattr(words, "STEPS", {"cpu": 2})
    monkeypatch.setattr(words, "BATCH", {"cpu": 2})
    monkeypatch.setattr(words, "READING", 2)
    monkeypatch.setattr(words, "JUDGED", 100)
    small = {"width": 8, "heads": 2, "layers": 1, "codes": 8, "levels": 3, "picture_width": 8, "residual_width": 4}
    monkeypatch.setattr(words, "SMALL", small)
    (found,) = words.runs(None, [3], "cpu", "guided")
    assert set(found) == set(words.METRICS) and all(0 <= share <= 1 for share in found.values())
    (same,) = words.runs(None, [3], "cpu", "guided")
    assert same == found
