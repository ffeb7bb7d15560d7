"""What the decode loop promises: rows that do not know of each other, windows that slide, samplers that cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, random_like, tiny

from zoo.decoding import Greedy, Sampling, generate, newest, stopped
from zoo.errors import UserError


class Counting:
    """A "model" whose next token says what it has read: 100 * how much is in its window + its first token."""

    capacity = 8

    def prefill(self, params, extra, prompt, lengths, *, capacity, cond=None):
        assert capacity <= self.capacity
        return (lengths, prompt[:, 0]), 100 * lengths + prompt[:, 0]

    def decode(self, params, extra, carry, token):
        count, first = carry
        return (count + 1, first), 100 * (count + 1) + first

    def emit(self, params, output, key, sampler):
        return output

    def __hash__(self):
        return 1

    def __eq__(self, other):
        return isinstance(other, Counting)


def counted(prompts, length, **more):
    prompt = np.zeros((len(prompts), max(map(len, prompts))), np.int32)
    for row, tokens in enumerate(prompts):
        prompt[row, : len(tokens)] = tokens
    lengths = np.array(list(map(len, prompts)))
    return np.asarray(
        generate(Counting(), {}, {}, jax.random.key(0), prompt=prompt, lengths=lengths, length=length, **more)
    ).tolist()


def test_a_full_window_goes_on_from_its_newest_half():
    made = counted([[7, 8, 9]], 9)[0]
    # Windows of 8: three tokens and four new ones; then the newest four of those seven, and four new ones; ...
    assert made[:4] == [307, 407, 507, 607]
    assert made[4:8] == [400 + 307, 500 + 307, 600 + 307, 700 + 307]
    assert made[8] == 400 + 707


def test_windows_begin_where_they_are_told_to():
    row = np.arange(11)
    assert newest(row, 6, 1).tolist() == [5, 6, 7, 8, 9, 10]
    assert newest(row, 6, 4).tolist() == [8, 9, 10]
    assert newest(row, 6, 5).tolist() == [5, 6, 7, 8, 9, 10]
    assert newest(row, 3, 4).tolist() == [8, 9, 10]  # no room for the alignment
    assert newest(row, 20, 4).tolist() == row.tolist()
    for size in range(1, 40):
        for align in range(1, 9):
            assert 1 <= len(newest(np.arange(size), 8, align)) <= 8


@pytest.mark.parametrize("align", [1, 3])
def test_a_row_is_what_it_is_alone_also_where_others_slide(align):
    prompts = [[5], [1, 2, 3, 4, 5, 6], [9, 8], list(range(12))]
    together = counted(prompts, 6, align=align)
    assert together == [counted([prompt], 6, align=align)[0] for prompt in prompts]
    assert together[0] == [105, 205, 305, 405, 505, 605]  # fits: one window


def test_a_real_model_slides_as_its_windows_say():
    model = tiny("gpt", context=8)
    params, extra = initialised(model)
    params, key = random_like(params, scale=0.5), jax.random.key(1)
    prompt = np.array([[1, 2, 3]], np.int32)
    lengths = np.array([3])
    made = np.asarray(generate(model, params, extra, key, prompt=prompt, lengths=lengths, length=14, sampler=Greedy()))
    row = [*prompt[0].tolist(), *made[0].tolist()]
    outputs = jax.jit(lambda params, window: model.outputs(params, extra, window[None])[0])
    for at in range(3, len(row)):
        start = 0 if at < 7 else at - 4 - (at - 7) % 4
        logits = np.asarray(outputs(params, np.array((row[start:at] + [0] * 8)[:8])))
        assert np.argmax(logits[at - start - 1]) == row[at], at


def test_a_window_that_holds_nothing_is_one_line():
    with pytest.raises(UserError, match="cannot slide"):
        generate(
            tiny("gpt", context=1), {}, {}, jax.random.key(0), prompt=np.zeros((1, 1), np.int32), lengths=np.array([1]),
            length=2,
        )  # fmt: skip


def test_after_stop_comes_nothing_else():
    assert stopped(np.array([[1, 2, 3, 2], [4, 4, 4, 4]]), 2).tolist() == [[1, 2, 2, 2], [4, 4, 4, 4]]
    assert counted([[7]], 6, stop=307) == [[107, 207, 307, 307, 307, 307]]
    assert counted([[7, 8, 9]], 9, stop=607) == [[307, 407, 507, 607, 607, 607, 607, 607, 607]]  # beyond its window


def test_several_continuations_are_those_of_the_prompt_written_several_times():
    model = tiny("gpt")
    params, extra = initialised(model)
    params, key = random_like(params), jax.random.key(4)
    prompt, lengths = np.array([[1, 2, 3], [4, 0, 0]], np.int32), np.array([3, 1])
    for length in (6, 20):  # within the context of 16, and beyond it
        draw = lambda prompt, lengths, length=length, **more: np.asarray(
            generate(model, params, extra, key, prompt=prompt, lengths=lengths, length=length, **more)
        )
        several = draw(prompt, lengths, num_return=3)
        again = draw(np.repeat(prompt, 3, axis=0), np.repeat(lengths, 3), rows=jnp.arange(6))
        np.testing.assert_array_equal(several, again)
        assert len({tuple(row) for row in several.tolist()}) == 6
        np.testing.assert_array_equal(draw(prompt[1:], lengths[1:], num_return=3, rows=jnp.array([1])), several[3:])


LOGITS = jnp.log(jnp.array([0.4, 0.3, 0.2, 0.1]))


@pytest.mark.parametrize(
    ("sampler", "kept"),
    [
        (Sampling(), [0, 1, 2, 3]),
        (Sampling(top_k=2), [0, 1]),
        (Sampling(top_k=9), [0, 1, 2, 3]),
        (Sampling(top_p=0.4), [0]),
        (Sampling(top_p=0.41), [0, 1]),
        (Sampling(top_p=1.0), [0, 1, 2, 3]),
        (Sampling(top_p=1e-6), [0]),
        (Sampling(top_k=3, top_p=0.75), [0, 1]),  # of what top-k leaves: 4/9, 3/9, 2/9
        (Sampling(min_p=0.5), [0, 1, 2]),  # 0.2 and more
        (Sampling(min_p=0.51), [0, 1]),
        (Sampling(min_p=0.51, temperature=2.0), [0, 1, 2]),  # 0.5 ** 0.5 of the best is more than half of it
        # The entropy is 1.280 nats; the surprises 0.916, 1.204, 1.609 and 2.303 are 0.364, 0.076, 0.329, 1.023 away.
        (Sampling(typical=1e-6), [1]),
        (Sampling(typical=0.45), [1, 2]),
        (Sampling(typical=0.55), [0, 1, 2]),
        (Sampling(typical=1.0), [0, 1, 2, 3]),
    ],
)
def test_what_a_sampler_keeps(sampler, kept):
    assert np.flatnonzero(np.isfinite(sampler.cut(LOGITS))).tolist() == kept


def test_what_was_cut_before_does_not_make_the_rest_less_typical():
    cut = jnp.where(jnp.arange(4) == 3, -jnp.inf, LOGITS)  # 4/9, 3/9, 2/9: entropy 1.061; 0.250, 0.038, 0.443 away
    assert np.flatnonzero(np.isfinite(Sampling(typical=0.3).cut(cut))).tolist() == [1]
    assert np.flatnonzero(np.isfinite(Sampling(typical=0.5).cut(cut))).tolist() == [0, 1]
    assert np.flatnonzero(np.isfinite(Sampling(typical=1.0).cut(cut))).tolist() == [0, 1, 2]


def test_draws_have_the_model_s_frequencies():
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = jax.jit(lambda t, keys: jax.vmap(lambda key: Sampling(temperature=t).draw(LOGITS, key))(keys))
    for temperature in (0.5, 1.0, 2.0):
        draws = drawn(temperature, keys)
        found = np.bincount(draws, minlength=4) / len(keys)
        np.testing.assert_allclose(found, jax.nn.softmax(LOGITS / temperature), atol=0.03)
    assert int(Greedy().draw(LOGITS, keys[0])) == 0
