"""What a sample knows by heart."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from train.metrics.memory import Memory, grams

SMALL = st.lists(st.integers(0, 3), max_size=24).map(np.array)


def test_by_hand():
    pieces = [np.array([1, 2, 3, 4, 5]), np.array([7, 7, 1, 2])]
    sample = np.array([9, 2, 3, 4, 9, 7, 1, 2, 3])
    memory = Memory(pieces)
    assert memory.longest(sample) == 3  # 2 3 4, and 7 1 2; not 7 1 2 3, which goes from one piece to another
    np.testing.assert_array_equal(memory.known(sample, 2), [0, 1, 1, 0, 0, 1, 1, 1])
    assert memory.remembered(sample, sizes=(2, 16)) == {"longest": 3.0, "share_2": 5 / 8}
    assert memory.longest(np.array([], int)) == 0 and Memory([]).longest(sample) == 0


@settings(max_examples=200, deadline=None)
@given(SMALL, st.lists(SMALL, max_size=4), st.integers(1, 9))
def test_as_a_search_finds_it(sample, pieces, size):
    stretches = lambda row, n: {tuple(row[at : at + n].tolist()) for at in range(len(row) - n + 1)}
    theirs = lambda n: set().union(*(stretches(piece, n) for piece in pieces)) if pieces else set()
    mine = [tuple(sample[at : at + size].tolist()) in theirs(size) for at in range(len(sample) - size + 1)]
    np.testing.assert_array_equal(Memory(pieces).known(sample, size), mine)
    assert Memory(pieces).longest(sample) == max((n for n in range(25) if stretches(sample, n) & theirs(n)), default=0)


def test_numbers_are_those_of_the_stretch_and_of_its_order():
    tokens = np.random.default_rng(0).integers(0, 300, 5_000)
    for size in (1, 2, 3, 7, 64):
        found = grams(tokens, size)
        assert len(found) == len(tokens) - size + 1
        np.testing.assert_array_equal(found[11 : 11 + 20], grams(tokens[11 : 11 + 20 + size - 1], size))
    assert grams(np.array([1, 2]), 2) != grams(np.array([2, 1]), 2)
    assert len(np.unique(grams(tokens, 4))) > 4_900
