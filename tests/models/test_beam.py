"""Beam search against all continuations that there are."""

import itertools

import jax
import numpy as np
import pytest
from scipy.special import log_softmax
from tiny import initialised, jitted, random_like, tiny

from zoo.beam import beam_search
from zoo.decoding import Greedy, generate
from zoo.errors import UserError
from zoo.rules import Allow

VOCABULARY, LENGTH = 3, 4


@pytest.fixture(scope="module")
def model():
    model = tiny("gpt", vocabulary=VOCABULARY)
    return model, random_like(initialised(model)[0], scale=0.25)


def every(model, params, prompt, *, stop, penalty):
    """[(score, tokens)] of all continuations, the best first: what has ended is filled up with ``stop``."""
    whole = np.array(list(itertools.product(range(VOCABULARY), repeat=LENGTH)))
    rows = np.concatenate([np.tile(prompt, (len(whole), 1)), whole], axis=1)
    nats = log_softmax(np.asarray(jitted(model, "outputs")(params, {}, rows), np.float64), axis=-1)
    found = {}
    for row, tokens in zip(nats, whole.tolist(), strict=True):
        if stop in tokens:
            tokens = tokens[: tokens.index(stop) + 1]
        log_p = sum(row[len(prompt) - 1 + at, token] for at, token in enumerate(tokens))
        found[tuple(tokens)] = log_p / ((5 + len(tokens)) / 6) ** penalty
    return sorted(((score, tokens) for tokens, score in found.items()), reverse=True)


@pytest.mark.parametrize(("stop", "penalty"), [(None, 0.0), (2, 0.0), (2, 2.0), (0, 0.6)])
def test_with_beams_enough_the_search_is_exact(model, stop, penalty):
    model, params = model
    prompts = [[1, 0, 2], [2]]
    prompt, lengths = np.array([[1, 0, 2], [2, 0, 0]], np.int32), np.array([3, 1])
    tokens, scores = beam_search(
        model, params, {}, prompt=prompt, lengths=lengths, length=LENGTH, beams=30, length_penalty=penalty, stop=stop
    )
    for row, own in enumerate(prompts):
        want = every(model, params, own, stop=stop, penalty=penalty)[:30]
        np.testing.assert_allclose(scores[row, : len(want)], [score for score, _ in want], atol=2e-5)
        filled = [[*best, *[stop] * (LENGTH - len(best))] for _, best in want]
        assert np.mean(np.all(np.asarray(tokens[row, : len(want)]) == filled, axis=-1)) > 0.9  # ties may be swapped
        assert tokens[row, 0].tolist() == filled[0]


def test_one_beam_is_greedy_and_more_are_no_worse(model):
    model, params = model
    prompt, lengths = np.array([[1, 0], [2, 0], [0, 1], [2, 2], [1, 1]], np.int32), np.array([2, 1, 2, 2, 2])
    params = random_like(params, seed=1, scale=0.5)
    search = lambda beams, **more: beam_search(
        model, params, {}, prompt=prompt, lengths=lengths, length=10, beams=beams, length_penalty=0.0, **more
    )
    one, score = search(1)
    greedy = generate(model, params, {}, jax.random.key(0), prompt=prompt, lengths=lengths, length=10, sampler=Greedy())
    np.testing.assert_array_equal(one[:, 0], greedy)
    wider = search(6)[1]
    assert np.all(wider[:, 0] >= score[:, 0] - 1e-5) and np.any(wider[:, 0] > score[:, 0] + 1e-3)
    assert np.all(np.diff(wider, axis=1) <= 0)
    masked, _ = search(2, rules=(Allow(np.array([True, False, True])),))
    assert set(np.unique(masked)) == {0, 2}


def test_beams_do_not_slide(model):
    model, params = model
    with pytest.raises(UserError, match="beams do not slide: 17 tokens in a context of 16"):
        beam_search(model, params, {}, prompt=np.zeros((1, 2), np.int32), lengths=np.array([2]), length=15)
