"""REMI: the vocabulary, exact inverses, what a model may get wrong, and the report."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, Notes, from_config, read_midi, to_config
from zoo.codecs.remi import BAR, CHORD, DURATION, POSITION, START, STOP, TEMPO, VELOCITY, Remi

CODEC = Remi()
CODECS = [CODEC, Remi(7, chords=True)]
TOLD = TEMPO - 30  # + quarter notes a minute


@st.composite
def any_notes(draw) -> Notes:
    """Few keys, short times, changes of tempo, long pauses; drums among them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(0, 25))
    start = random.integers(0, 4000, size) / 300 + 9 * (random.random(size) < 0.2)
    tempo = tuple((float(time), float(random.uniform(20, 230))) for time in [0, *random.uniform(0, 14, 3)])
    return Notes(
        start, start + random.integers(0, 4000, size) / 500, 60 + random.integers(0, 4, size),
        random.integers(1, 128, size), random.integers(0, 2, size), random.random(size) < 0.1, tempo,
    )  # fmt: skip


def test_tokens_by_hand():
    """Two bars with an empty one between, a chord of notes from low to high, a tempo that changes in the last."""
    notes = Notes(
        [0.0, 0.0, 0.5, 4.0, 4.625], [0.5, 0.25, 0.5625, 4.5, 5.0], [64, 60, 67, 60, 60], [80, 1, 127, 80, 80],
        tempo=((0.0, 120.0), (4.5, 60.2)),
    )  # fmt: skip
    loud = VELOCITY + 19
    expected = [
        *(START, BAR, POSITION, TOLD + 120, VELOCITY, 60, DURATION + 3, loud, 64, DURATION + 7),
        *(POSITION + 4, VELOCITY + 31, 67, DURATION, BAR, BAR, POSITION, loud, 60, DURATION + 7),
        *(POSITION + 4, TOLD + 60, POSITION + 5, loud, 60, DURATION + 1, STOP),
    ]
    tokens = CODEC.encode(notes)
    assert tokens.tolist() == expected and tokens.dtype == np.int32
    played = CODEC.decode(tokens)
    assert played.start.tolist() == [0, 0, 0.5, 4, 4.75] and played.velocity.tolist() == [2, 78, 126, 78, 78]
    assert played.end.tolist() == [0.25, 0.5, 0.5625, 4.5, 5.0] and played.tempo == ((0, 120), (4.5, 60))
    assert (CODEC.vocabulary, Remi(chords=True).vocabulary) == (423, 483)


def test_nothing_is_two_specials():
    nothing, drums = Notes([], [], []), Notes([0.0], [1.0], [40], drum=True)
    assert CODEC.encode(nothing).tolist() == CODEC.encode(drums).tolist() == [START, STOP]
    assert len(CODEC.decode(np.array([START, STOP]))) == 0 and CODEC.report(drums).causes == (("drums", 1),)


@given(any_notes(), st.sampled_from(CODECS))
@settings(max_examples=150, deadline=None)
def test_decoding_inverts_encoding(notes, codec):
    tokens, report = codec.encode(notes), codec.report(notes)
    np.testing.assert_array_equal(codec.encode(codec.decode(tokens)), tokens)
    assert tokens.min() >= 0 and tokens.max() < codec.vocabulary
    assert report.notes == len(notes) == report.kept + report.dropped + report.merged
    assert report.kept == np.sum(tokens < VELOCITY) and report.velocity_error <= 2 and report.size == len(tokens)


@given(st.lists(st.integers(-3, 490), max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_tokens_decode(tokens):
    notes = CODEC.decode(np.array(tokens, np.int32))
    assert CODEC.decode(CODEC.encode(notes)) == notes
    assert len(notes) <= sum(0 <= token < VELOCITY for token in tokens)


def test_errors_of_a_model_are_mended():
    def decode(*tokens):
        notes = CODEC.decode(np.array(tokens))
        return list(zip(notes.pitch.tolist(), (2 * notes.start).tolist(), (2 * notes.end).tolist(), strict=True))

    quarter = DURATION + 7
    assert decode(60, quarter) == [(60, 0, 1)]  # no bar, no position
    assert decode(BAR, 60, POSITION + 4, quarter, quarter) == []  # a pitch and its duration come together
    assert decode(BAR, 60, 62, quarter) == [(62, 0, 1)]
    assert decode(BAR, BAR, 60, quarter, POSITION + 4, 60, quarter) == [(60, 4, 5), (60, 5, 6)]
    assert decode(60, DURATION + 15, POSITION + 4, 60, quarter) == [(60, 0, 1), (60, 1, 2)]  # struck again
    assert decode(60, quarter, STOP, 61, quarter) == [(60, 0, 1)]
    assert decode(START, -5, 999, CHORD, 60, START, quarter) == [(60, 0, 1)]
    with pytest.raises(CodecError, match="tokens: integers in one dimension"):
        CODEC.decode(np.zeros((2, 2), int))
    with pytest.raises(CodecError, match="remi: program"):
        Remi(program=128)


def test_time_drifts_with_a_tempo_that_is_rounded_and_with_nothing_else():
    """The report says both: a third of a second in two minutes at 90.25, and half a sixteenth at 90."""
    start = 0.1033 * np.arange(1200)
    notes = Notes(start, start + 0.4, np.arange(1200) % 88 + 21, tempo=((0, 90.0),))
    half = 1000 * 60 / 90 / 4 / 2 + 1e-6
    assert CODEC.report(notes).time_error_ms <= half and np.ptp(CODEC.quantise(notes).start - start) < 2 * half / 1000
    slow = CODEC.report(replace(notes, tempo=((0, 90.25),)))
    assert 300 < slow.time_error_ms < 450 and 140 < slow.mean_error_ms < 220


def test_a_long_note_is_cut_and_a_program_is_not_told():
    notes = Notes([0.0, 0.0, 1.0], [9.0, 1.0, 2.0], [60, 64, 64], 80, [0, 5, 5])
    report = CODEC.report(notes)
    assert (report.kept, report.cut, report.programs_dropped) == (3, 1, 1) and report.time_error_ms == 0
    assert CODEC.quantise(notes).end.max() == 4.0  # two bars


def test_chords_are_told_where_they_change():
    c, g = [60, 64, 67], [55, 59, 62, 65]
    start = [0.0] * 3 + [2.0] * 3 + [3.0] * 4
    notes = Notes(start, np.add(start, 0.9), [*c, *c, *g])
    tokens = Remi(chords=True).encode(notes)
    told = tokens[tokens >= CHORD] - CHORD
    assert told.tolist() == [0, 4 * 12 + 7]  # C:maj, G:7
    assert tokens[np.flatnonzero(tokens >= CHORD) - 1].tolist() == [POSITION, POSITION + 8]
    np.testing.assert_array_equal(tokens[tokens < CHORD], CODEC.encode(notes))
    assert Remi(chords=True).decode(tokens) == CODEC.decode(tokens)


@pytest.mark.parametrize("codec", CODECS, ids=["plain", "chords"])
@pytest.mark.parametrize("semitones", [-7, 5])
def test_transposing_tokens_is_transposing_notes(codec, semitones):
    random = np.random.default_rng(0)
    start = np.arange(60) // 3 / 2
    notes = Notes(start, start + 0.5, random.integers(30, 90, 60)).sorted()
    moved = codec.transpose(codec.encode(notes), semitones)
    pitches = moved[moved < VELOCITY]
    np.testing.assert_array_equal(pitches, codec.encode(notes.transpose(semitones))[moved < VELOCITY])
    assert moved.dtype == np.int32
    fixed = np.array([START, BAR, POSITION, TEMPO, VELOCITY, DURATION, STOP, -1])
    assert codec.transpose(fixed, semitones).tolist() == fixed.tolist()
    assert codec.transpose(np.array([CHORD + 11, CHORD + 12]), 1).tolist() == [CHORD, CHORD + 13]


def test_config_through_json():
    for codec in CODECS:
        assert from_config(json.loads(json.dumps(to_config(codec)))) == codec and hash(codec)


@pytest.mark.data
def test_real_songs(zoo_data):
    for path in sorted(zoo_data.glob("pop909/midi/*.mid"))[::200]:
        notes = read_midi(path)
        tokens, report = CODEC.encode(notes), CODEC.report(notes)
        np.testing.assert_array_equal(CODEC.encode(CODEC.decode(tokens)), tokens)
        assert report.dropped == 0 and 3 < report.size / report.kept < 4.5 and report.merged < 0.08 * report.notes
