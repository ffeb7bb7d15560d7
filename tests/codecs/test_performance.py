"""Performance events: the vocabulary, exact inverses, what a model may get wrong, and the report."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, Notes, from_config, read_midi, to_config
from zoo.codecs.notes import together
from zoo.codecs.performance import Performance
from zoo.codecs.rolls import PianoRoll
from zoo.codecs.voices import VoiceGrid

CODEC = Performance()
ON, OFF, WAIT, LOUD, START, STOP = 0, 128, 255, 356, 388, 389  # WAIT + n: n steps


@st.composite
def any_notes(draw) -> Notes:
    """Few keys and short times, so that notes overlap, meet and coincide; drums and programs among them."""
    size = draw(st.integers(0, 25))
    numbers = lambda low, high: np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size)), int)
    start = numbers(0, 4000) / 1000
    pitch, drum = 60 + numbers(0, 3), numbers(0, 4) == 0
    return Notes(start, start + numbers(0, 1500) / 1000, pitch, numbers(1, 127), numbers(0, 1), drum)


def test_vocabulary():
    assert (CODEC.vocabulary, CODEC.start, CODEC.stop) == (390, START, STOP)
    oore = Performance(steps_per_second=125)  # 8 ms, 413 events
    assert (oore.vocabulary, oore.start) == (415, 413)


def test_tokens_by_hand():
    """Ends before onsets, a velocity only when it changes, shifts of at most a second."""
    notes = Notes([0.0, 0.5, 0.5, 3.0], [0.5, 1.0, 1.0, 3.01], [60, 64, 60, 72], [80, 80, 100, 80])
    expected = [
        *(START, LOUD + 19, ON + 60, WAIT + 50, OFF + 60, LOUD + 24, ON + 60, LOUD + 19, ON + 64, WAIT + 50),
        *(OFF + 60, OFF + 64, WAIT + 100, WAIT + 100, ON + 72, WAIT + 1, OFF + 72, STOP),
    ]
    tokens = CODEC.encode(notes)
    assert tokens.tolist() == expected and tokens.dtype == np.int32
    assert CODEC.decode(tokens).velocity.tolist() == [78, 98, 78, 78]


def test_nothing_is_two_specials():
    assert CODEC.encode(Notes([], [], [])).tolist() == [START, STOP] and len(CODEC.decode(np.array([START, STOP]))) == 0


@given(any_notes(), st.sampled_from([CODEC, Performance(125, 20, program=7), Performance(drums=True)]))
@settings(max_examples=200, deadline=None)
def test_decoding_inverts_encoding(notes, codec):
    tokens = codec.encode(notes)
    assert codec.decode(tokens) == codec.quantise(notes) == codec.quantise(codec.quantise(notes))
    assert np.array_equal(codec.encode(codec.decode(tokens)), tokens)
    assert tokens.min() >= 0 and tokens.max() < codec.vocabulary


@given(any_notes())
@settings(max_examples=100, deadline=None)
def test_onsets_and_sounding_steps_stay(notes):
    """Against a drawing of both: every onset, and every step in which a key sounds, for notes of at least a step."""
    notes = notes.select(~notes.drum & (notes.end - notes.start >= 0.02))

    def drawn(notes: Notes) -> np.ndarray:
        keys, struck = np.zeros((600, 128), int), np.zeros((600, 128), int)
        for start, end, pitch in zip(notes.start, notes.end, notes.pitch, strict=True):
            first = int(np.floor(100 * start + 0.5))
            keys[first : int(np.floor(100 * end + 0.5)), pitch] = 1
            struck[first, pitch] = 1
        return np.stack([keys, struck])

    np.testing.assert_array_equal(drawn(CODEC.quantise(notes)), drawn(notes))


@given(st.lists(st.integers(-3, 400), max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_tokens_decode(tokens):
    notes = CODEC.decode(np.array(tokens, np.int32))
    assert CODEC.decode(CODEC.encode(notes)) == notes
    assert len(notes) <= sum(0 <= token < 128 for token in tokens)


def test_errors_of_a_model_are_mended():
    def decode(*tokens):
        notes = CODEC.decode(np.array(tokens))
        return list(zip(notes.pitch.tolist(), notes.start.tolist(), notes.end.tolist(), strict=True))

    assert decode(OFF + 60, ON + 60, WAIT + 10, OFF + 60, OFF + 60) == [(60, 0.0, 0.1)]  # an end of nothing
    assert decode(ON + 60, WAIT + 10) == [(60, 0.0, 0.1)]  # no end
    assert decode(ON + 60, WAIT + 10, ON + 60, WAIT + 10, OFF + 60) == [(60, 0.0, 0.1), (60, 0.1, 0.2)]  # struck again
    assert decode(ON + 60, OFF + 60) == [(60, 0.0, 0.01)]  # no duration
    assert decode(ON + 60, WAIT + 10, STOP, ON + 61, WAIT + 10) == [(60, 0.0, 0.1)]  # after the end
    assert decode(START, ON + 60, START, 999, -1, WAIT + 10) == [(60, 0.0, 0.1)]  # out of place, unknown


@pytest.mark.parametrize("tokens", [np.zeros((2, 3), int), np.zeros(3), np.array(["a"])])
def test_what_is_no_tokens(tokens):
    with pytest.raises(CodecError, match="tokens: integers in one dimension"):
        CODEC.decode(tokens)


def test_time_does_not_drift():
    """Two thousand notes a third of a step off the grid: rounding differences would lose seconds."""
    start = 0.1033 * np.arange(2000)
    notes = CODEC.decode(CODEC.encode(Notes(start, start + 0.05, np.arange(2000) % 88 + 21)))
    assert np.abs(notes.start - start).max() <= 0.005 + 1e-9


def test_report():
    start = np.array([0.0, 0.001, 0.004, 1.0, 1.5, 2.0])
    notes = Notes(
        start, [0.5, 0.5, 0.25, 2.0, 1.6, 2.5], [60, 60, 62, 64, 64, 36], [80] * 6, [0, 5, 0, 0, 0, 0], [0] * 5 + [1]
    )
    report = CODEC.report(notes)
    assert (report.notes, report.kept, report.dropped, report.merged, report.cut) == (6, 4, 1, 1, 2)
    assert report.time_error_ms == pytest.approx(4) and report.velocity_error == 2 and report.programs_dropped == 2
    assert report.size == len(CODEC.encode(notes)) and "4 of 6 notes (1 dropped, 1 merged, 2 cut)" in str(report)
    # the key that two programs hold is one note, and the long one that is struck again hands over to the new one
    assert CODEC.quantise(notes).end.tolist() == [0.5, 0.25, 1.5, 2.0]


@given(any_notes(), st.integers(-50, 50))
@settings(max_examples=50, deadline=None)
def test_transposing_tokens_is_transposing_notes(notes, semitones):
    expected = CODEC.encode(notes.transpose(semitones))
    np.testing.assert_array_equal(CODEC.transpose(CODEC.encode(notes), semitones), expected)


def test_transposing_on_the_device():
    tokens = np.array([[START, ON + 60, WAIT + 3, OFF + 60, LOUD + 5, ON + 127, STOP, -1]], np.int32)
    moved = jax.jit(CODEC.transpose)(jnp.asarray(tokens), jnp.int32(3))
    assert (
        moved.tolist() == [[START, ON + 63, WAIT + 3, OFF + 63, LOUD + 5, ON + 127, STOP, -1]]
        and moved.dtype == jnp.int32
    )
    assert Performance(drums=True).transpose(tokens, 3).tolist() == tokens.tolist()


@pytest.mark.parametrize(
    "codec",
    [Performance(125, 16, 3, True), VoiceGrid(2, 70.5), PianoRoll(3, True, 90.0, 19)],
    ids=lambda codec: codec.media,
)
def test_config_through_json(codec):
    config = json.loads(json.dumps(to_config(codec)))
    assert from_config(config) == codec and hash(from_config(config)) == hash(codec)


def test_config_errors():
    for config, cause in (
        ({"codec": "midi"}, "unknown name 'midi'"),
        ({}, "unknown name None"),
        ({"codec": "voices", "steps": 4}, "voices: unknown fields steps; it has steps_per_quarter, tempo"),
        ({"codec": "performance", "velocities": 0}, "velocities"),
    ):
        with pytest.raises(CodecError, match=cause):
            from_config(config)
    with pytest.raises(CodecError, match="not a codec"):
        to_config(replace)


@pytest.mark.data
def test_real_piano(zoo_data):
    """What a song costs and loses, and that nothing is lost after the last pedal."""
    for path in sorted(zoo_data.glob("pop909/midi/*.mid"))[:4]:
        notes = read_midi(path)
        report = CODEC.report(notes)
        assert report.kept + report.merged == report.notes and report.merged < 0.05 * report.notes
        assert 3 < report.size / report.kept < 4.2 and report.velocity_error <= 2
        assert np.abs(CODEC.quantise(notes).start[-1] - notes.start[-1]) <= 0.005 + 1e-9
    drums = read_midi(next(iter(sorted(zoo_data.glob("groove_midi/**/*.mid")))))
    assert Performance(drums=True).report(drums).dropped == 0 and CODEC.report(drums).dropped == len(drums)


def test_reports_add_up():
    piece = Notes([0.0, 0.004, 1.0], [0.5, 0.5, 2.0], [60, 62, 36], [80] * 3, drum=[0, 0, 1])
    one, other = CODEC.report(piece), PianoRoll().report(Notes([0.06], [1.0], [20]))
    both = together([one, one, other])
    assert (both.notes, both.kept, both.dropped, both.size) == (7, 4, 3, 2 * one.size)
    assert dict(both.causes) == {"drums": 2, "outside the 88 keys": 1}
    assert both.time_error_ms == one.time_error_ms == pytest.approx(4) and both.mean_error_ms == pytest.approx(1)
    assert together([]).notes == 0 and "0 of 0 notes" in str(together([]))
