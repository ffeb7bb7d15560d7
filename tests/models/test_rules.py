"""Penalties and constraints against distributions worked out by hand; grammars against the codecs they are of."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import initialised, random_like, tiny

from zoo.codecs.notes import Notes
from zoo.codecs.performance import Performance
from zoo.codecs.remi import BAR, DURATION, POSITION, TEMPO, VELOCITY, Remi
from zoo.codecs.rolls import PianoRoll
from zoo.codecs.text import ByteCodec, CharCodec
from zoo.codecs.voices import VoiceGrid
from zoo.decoding import Greedy, Sampling, generate
from zoo.errors import UserError
from zoo.grammar import grammar
from zoo.rules import Allow, CountPenalty, Fixed, NoRepeat, RepetitionPenalty, form, in_key, read_prompts, scale


class Constant:
    """A "model" that always gives the same logits."""

    capacity = None

    def __init__(self, logits):
        self.logits = tuple(np.asarray(logits, np.float64).tolist())

    def prefill(self, params, extra, prompt, lengths, *, capacity, cond=None):
        return lengths, jnp.tile(jnp.array(self.logits)[None], (prompt.shape[0], 1))

    def decode(self, params, extra, carry, token):
        return carry, jnp.tile(jnp.array(self.logits)[None], (token.shape[0], 1))

    def emit(self, params, output, key, sampler):
        return sampler.draw(output, key)

    def __hash__(self):
        return hash(self.logits)

    def __eq__(self, other):
        return self.logits == other.logits


def written(logits, prompts, length, *rules, sampler=Greedy(), **more):
    prompt = np.zeros((len(prompts), max(map(len, prompts))), np.int32)
    for row, tokens in enumerate(prompts):
        prompt[row, : len(tokens)] = tokens
    lengths = np.array(list(map(len, prompts)))
    return np.asarray(
        generate(
            Constant(logits), {}, {}, jax.random.key(0), prompt=prompt, lengths=lengths, length=length, rules=rules,
            sampler=sampler, **more,
        )
    )  # fmt: skip


def applied(rule, tokens, logits):
    """What a rule makes of logits after tokens."""
    state = read_prompts((rule,), jnp.array([tokens]), jnp.array([len(tokens)]), size=len(logits), room=3)[0]
    return np.asarray(rule.apply(jax.tree.map(lambda leaf: leaf[0], state), jnp.array(logits)))


LOGITS = [2.0, 1.0, -1.0, 0.0]  # their log-sum-exp is 2.4938...
LSE = np.log(np.sum(np.exp(LOGITS)))


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("paper", [1.0, 1.0, -0.5, 0.0]),  # what is improbable becomes less so
        ("hf", [1.0, 1.0, -2.0, 0.0]),
        ("logprob", [2 * (2 - LSE), 1 - LSE, 2 * (-1 - LSE), -LSE]),
    ],
)
def test_ctrl_s_penalty_in_its_three_forms(form, wanted):
    rule = RepetitionPenalty(theta=2.0, form=form)
    np.testing.assert_allclose(applied(rule, [0, 2, 2], LOGITS), wanted, rtol=1e-6)
    shifted = applied(rule, [0, 2], np.array(LOGITS) - 5)
    same = np.allclose(np.diff(shifted), np.diff(wanted), atol=1e-5)
    assert same == (form == "logprob")  # the others depend on a constant that means nothing
    spared = applied(RepetitionPenalty(theta=2.0, form="paper", exempt=(0,)), [0, 2], LOGITS)
    np.testing.assert_allclose(spared, [2.0, 1.0, -0.5, 0.0])


def test_penalties_of_counts():
    rule = CountPenalty(presence=0.5, frequency=0.25)
    np.testing.assert_allclose(applied(rule, [0, 2, 2, 2], LOGITS), [1.25, 1.0, -2.25, 0.0])


def test_no_three_tokens_twice():
    banned = lambda size, tokens: np.flatnonzero(np.isneginf(applied(NoRepeat(size=size), tokens, LOGITS))).tolist()
    assert banned(3, [0, 1, 2, 0, 1]) == [2]
    assert banned(3, [0, 1, 2, 0, 1, 3, 0, 1]) == [2, 3]
    assert banned(3, [0, 1]) == banned(3, [0]) == banned(3, [0, 1, 2]) == []
    assert banned(3, [1, 1, 1]) == [1]  # overlapping
    assert banned(2, [3, 1, 3]) == [1]
    assert banned(1, [3, 1, 3]) == [1, 3]
    # The pairs 00 01 10 02 20, and then every pair with a 0 in front is used up.
    assert written([3.0, 2.0, 1.0], [[0]], 7, NoRepeat(size=2))[0].tolist() == [0, 1, 0, 2, 0, 0, 0]
    with pytest.raises(UserError, match="at least 1"):
        NoRepeat(size=0)


def test_penalties_remember_prompt_and_draws_row_by_row():
    logits, rule = [3.0, 2.5, 2.0, 1.0], CountPenalty(frequency=1.0)
    together = written(logits, [[0], [1, 1, 1], [3, 0]], 4, rule)
    assert together[0].tolist() == [1, 0, 2, 1]  # by hand: 2 2.5 2 1; 2 1.5 2 1; 1 1.5 2 1; 1 1.5 1 1
    for row, prompt in enumerate([[0], [1, 1, 1], [3, 0]]):
        np.testing.assert_array_equal(written(logits, [prompt], 4, rule)[0], together[row])


def test_rules_remember_what_has_slid_out_of_the_window():
    model = tiny("gpt", context=8)
    params = random_like(initialised(model)[0])
    prompt, lengths = np.array([[1, 2]], np.int32), np.array([2])
    row = generate(
        model, params, {}, jax.random.key(1), prompt=prompt, lengths=lengths, length=9, rules=(NoRepeat(size=1),)
    )  # fmt: skip
    assert sorted([1, 2, *row[0].tolist()]) == list(range(11))  # each of eleven tokens once


def test_rules_change_without_compiling_again():
    from zoo.decoding import _decode

    written(LOGITS, [[0]], 5, RepetitionPenalty(theta=1.5), sampler=Sampling())
    before = _decode._cache_size() + read_prompts._cache_size()
    written(LOGITS, [[0]], 5, RepetitionPenalty(theta=1.7), sampler=Sampling())
    assert _decode._cache_size() + read_prompts._cache_size() == before


# ---- Keys -----------------------------------------------------------------------------------------------------------


def test_scales():
    assert np.flatnonzero(scale("C major"))[:8].tolist() == [0, 2, 4, 5, 7, 9, 11, 12]
    assert np.flatnonzero(scale("f# minor") & (np.arange(128) < 12)).tolist() == [1, 2, 4, 6, 8, 9, 11]
    assert np.array_equal(scale("Eb"), scale("D# major")) and np.array_equal(scale("A minor"), scale("C major"))
    for wrong in ("H major", "C dorian", ""):
        with pytest.raises(UserError, match="no key is called"):
            scale(wrong)


def test_music_stays_in_key():
    inside = scale("D minor")
    tokens = written(np.zeros(132), [[130]], 300, in_key(VoiceGrid(), "D minor"), sampler=Sampling())[0]
    assert inside[tokens[tokens < 128]].all() and (tokens < 128).sum() > 100 and (tokens >= 128).any()
    model = tiny("rnn-roll")
    params = random_like(initialised(model)[0], scale=1.0)
    roll = np.asarray(
        generate(
            model, params, {}, jax.random.key(1), prompt=model.start(2), lengths=jnp.ones(2), length=20,
            rules=(in_key(PianoRoll(), "D minor"),),
        )
    )  # fmt: skip
    assert roll.sum() > 20 and not roll[..., ~inside[21:109]].any()
    assert np.array_equal(grammar(Performance(), "D minor").playable, inside)
    with pytest.raises(UserError, match="no pitches"):
        in_key(ByteCodec(), "C major")


# ---- Grammars -------------------------------------------------------------------------------------------------------

CODECS = [Performance(), Performance(steps_per_second=7, velocities=100), Remi(), VoiceGrid()]


def followed(rule, tokens):
    """Which of the tokens the grammar allows where they stand, bool [T]."""

    def step(state, token):
        return rule.read(state, token), rule.allowed(state)[token]

    return np.asarray(jax.lax.scan(step, rule.begin(0, 0), jnp.asarray(tokens))[1])


def random_notes(seed, count=60):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 900, count) / rng.choice([3, 100])
    return Notes(
        start, start + rng.integers(1, 300, count) / 100, rng.integers(30, 40, count), rng.integers(1, 128, count)
    )


@pytest.mark.parametrize("codec", CODECS)
def test_a_grammar_allows_what_the_codec_writes(codec):
    assert followed(grammar(codec), codec.encode(random_notes(0, 0))).all()
    for seed in range(4):
        tokens = codec.encode(random_notes(seed))
        assert len(tokens) > 100 and followed(grammar(codec), tokens).all()


@pytest.mark.parametrize("codec", CODECS)
def test_what_a_grammar_allows_is_what_the_codec_would_write(codec):
    """Draws from all that is allowed: every stream that has ended comes back from its music, token for token."""
    voices = isinstance(codec, VoiceGrid)
    logits = np.zeros(codec.vocabulary)
    logits[codec.stop] = 1.0
    match codec:
        case Performance():
            logits[128:256] = 6.0  # ends, so that streams come to theirs
            logits[codec.stop] = np.log((codec.steps_per_second + codec.velocities) / 10)
        case Remi():
            logits[TEMPO:BAR] = -5.0  # or there would be little else
    playable = np.isin(np.arange(128), [60, 61, 64, 67])
    rule = dataclasses.replace(grammar(codec), playable=playable)
    rows = written(logits, [[codec.start]] * 24, 120, rule, sampler=Sampling(), stop=codec.stop)
    ended = [row[: np.argmax(row == codec.stop) + 1] for row in rows if codec.stop in row]
    assert len(ended) >= 6 and max(map(len, ended)) >= 20
    for row in ended:
        stream = np.concatenate([[codec.start], row])
        again = codec.from_grid(codec.to_grid(stream)) if voices else codec.encode(codec.decode(stream))
        np.testing.assert_array_equal(again, stream)
    for row in rows:
        assert followed(rule, np.concatenate([[codec.start], row])).all()
        assert playable[row[row < 128]].all()


def test_nothing_wrong_is_allowed():
    """Streams that the codec would write otherwise."""
    codec, on, off = Performance(), 60, 188
    shift, loud = lambda steps: 255 + steps, lambda bin: 356 + bin
    start, stop = codec.start, codec.stop
    fine = [start, loud(9), on, shift(100), shift(20), off, stop]
    assert followed(grammar(codec), fine).all() and np.array_equal(codec.encode(codec.decode(np.array(fine))), fine)
    wrong = {
        "no velocity": [start, on],
        "no start": [loud(9)],
        "velocity twice": [start, loud(9), loud(8)],
        "the same velocity": [start, loud(9), on, loud(9)],
        "velocity before nothing": [start, loud(9), shift(3)],
        "down already": [start, loud(9), on, shift(3), on],
        "up already": [start, loud(9), on, shift(3), off, off],
        "no length": [start, loud(9), on, off],
        "onsets downwards": [start, loud(9), on, on - 1],
        "shifts in the wrong order": [start, loud(9), on, shift(20), shift(100)],
        "two rests": [start, loud(9), on, shift(20), shift(20)],
        "stop with a key down": [start, loud(9), on, shift(9), stop],
        "silence at the end": [start, loud(9), on, shift(9), off, shift(9), stop],
        "start in the middle": [start, loud(9), start],
        "on after stop": [start, stop, on],
    }
    for name, stream in wrong.items():
        assert followed(grammar(codec), stream).tolist() == [True] * (len(stream) - 1) + [False], name
    codec, head = Remi(), [421, BAR, POSITION, TEMPO]
    note = lambda pitch, length: [VELOCITY, pitch, DURATION + length - 1]
    fine = [*head, *note(60, 4), *note(64, 1), POSITION + 2, *note(60, 9), BAR, BAR, POSITION, *note(60, 1), 422]
    assert followed(grammar(codec), fine).all() and np.array_equal(codec.encode(codec.decode(np.array(fine))), fine)
    wrong = {
        "no tempo": [421, BAR, POSITION, VELOCITY],
        "an empty bar before the tempo": [421, BAR, BAR],
        "late in the first bar": [421, BAR, POSITION + 1],
        "no note at the end": [*head, 422],
        "the same tempo": [*head, POSITION + 1, TEMPO],
        "the key is down": [*head, *note(60, 5), POSITION + 2, VELOCITY, 60],
        "downwards": [*head, *note(60, 1), VELOCITY, 59],
        "back": [*head, *note(60, 1), POSITION + 3, TEMPO + 1, POSITION + 3],
        "a pitch without a velocity": [*head, 60],
        "a pitch without a duration": [*head, VELOCITY, 60, POSITION + 2],
        "nothing at a place": [*head, POSITION + 1, POSITION + 2],
        "after stop": [421, 422, BAR],
    }
    for name, stream in wrong.items():
        assert followed(grammar(codec), stream).tolist() == [True] * (len(stream) - 1) + [False], name
    held = [130, 129], [130, 128, 129], [130, 60, 131], [130, 128, 128, 128, 128, 131], [130, 60, 130], [60]
    for stream in held:
        assert followed(grammar(VoiceGrid()), stream).tolist() == [True] * (len(stream) - 1) + [False], stream
    with pytest.raises(UserError, match="no grammar"):
        grammar(ByteCodec())


def test_a_mask_allows_what_it_says():
    assert set(written([0.0] * 4, [[0]], 40, Allow(np.array([False, True, False, True])), sampler=Sampling())[0]) == {
        1,
        3,
    }


def test_fixed_positions_are_kept_and_the_rest_goes_round_them():
    melody = np.array([0, 0, 2, 0, 3, 0])
    rule = Fixed(melody, np.array([False, False, True, False, True, False]))
    rows = written([1.0] * 4, [[1], [1, 0, 2]], 6, rule, sampler=Sampling())
    np.testing.assert_array_equal(rows[0, [1, 3]], [2, 3])  # positions 2 and 4 of a row whose prompt is one token
    assert rows[1, 1] == 3
    free = np.concatenate([rows[0, [0, 2, 4, 5]], rows[1, [0, 2, 3, 4, 5]]])
    assert len(set(free.tolist())) > 2


# ---- Poems ----------------------------------------------------------------------------------------------------------


def test_a_poem_keeps_its_form():
    codec = CharCodec.of("春花秋月何時了，往事知多少。\n")
    poem = form(codec, "5，2。/3", skip=1)
    rows = written(np.zeros(codec.vocabulary), [[codec.start]] * 20, 16, poem, sampler=Sampling())
    for row in rows:
        text = codec.decode(row)
        assert re.fullmatch(r"\w{5}，\w{2}。\n\w{3}", text[:13])
    assert len({tuple(row) for row in rows.tolist()}) == 20
    assert {"，", "。", "\n"} & set("".join(codec.decode(row[13:]) for row in rows))  # behind it, anything
    assert poem.fits(codec.encode("春花秋月何，")) and not poem.fits(codec.encode("春花，"))
    assert not poem.fits(codec.encode("春花秋月何，" * 3))
    for wrong, message in (("，", "how many letters"), ("5x5", "never read 'x'")):
        with pytest.raises(UserError, match=message):
            form(codec, wrong)
    with pytest.raises(UserError, match="no letters"):
        form(ByteCodec(), "5/5")
