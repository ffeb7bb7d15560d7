"""Words of notes and chords: what they keep, exactly, and what stands for a chord that has none."""

from dataclasses import replace

import numpy as np
import pytest

from zoo.codecs import CodecError, Notes, from_config, to_config
from zoo.codecs.chords import FIRST_CHORD, HOLD, REST, START, STOP, ChordWords
from zoo.rules import in_key

WORDS = ChordWords(chords=("60.64.67", "48.60"))


def notes(*rows: tuple[float, float, int], tempo: float = 120.0) -> Notes:
    """(onset, end, pitch), in quarter notes at ``tempo``."""
    on, off, pitch = np.array(rows, float).T
    return Notes(on * 60 / tempo, off * 60 / tempo, pitch, tempo=((0.0, tempo),))


def piece(seed: int, count: int = 60) -> Notes:
    """Notes and chords at odd times, some over others, some struck twice."""
    rng = np.random.default_rng(seed)
    on = rng.integers(0, 80, count) / 4 + rng.uniform(-0.04, 0.04, count).clip(0)
    return notes(*zip(on, on + rng.uniform(0.1, 3, count), rng.integers(50, 62, count), strict=True))


def test_words_by_hand():
    music = notes((0.5, 2, 60), (0.5, 2, 64), (0.5, 1.5, 67), (2, 2.5, 72), (3, 4, 72))
    assert WORDS.encode(music).tolist() == [START, REST, FIRST_CHORD, HOLD, HOLD, 72, REST, 72, HOLD, STOP]
    again = WORDS.decode(WORDS.encode(music))
    assert again == notes((0.5, 2, 60), (0.5, 2, 64), (0.5, 2, 67), (2, 2.5, 72), (3, 4, 72)).sorted()
    plain = replace(WORDS, rhythm=False)
    assert plain.encode(music).tolist() == [START, FIRST_CHORD, 72, 72, STOP]
    assert plain.decode(plain.encode(music)).end.tolist() == [0.25, 0.25, 0.25, 0.5, 0.75]
    # The grid is one of quarter notes, whatever the tempo.
    np.testing.assert_array_equal(
        WORDS.encode(notes((0, 1, 60), (1, 2, 72), tempo=71)), [START, 60, HOLD, 72, HOLD, STOP]
    )


@pytest.mark.parametrize("rhythm", [True, False])
def test_what_is_kept_is_kept_exactly(rhythm):
    codec = ChordWords(steps_per_quarter=4, rhythm=rhythm, tempo=93.0)
    codec = codec.of([codec.struck(piece(seed)) for seed in range(4)], 100)
    for seed in range(8):  # half of them with chords that have no token
        tokens = codec.encode(piece(seed))
        np.testing.assert_array_equal(codec.encode(codec.decode(tokens)), tokens)
        assert codec.decode(tokens) == codec.quantise(piece(seed))


def test_a_chord_without_a_token_is_the_largest_of_its_words():
    word = lambda *pitches: int(WORDS.encode(notes(*((0, 1, pitch) for pitch in pitches)))[1])
    assert word(60, 64, 67) == FIRST_CHORD and word(48, 60) == FIRST_CHORD + 1
    assert word(55, 60, 64, 67) == FIRST_CHORD and word(36, 48, 60) == FIRST_CHORD + 1
    assert word(60, 64, 67, 72) == 72  # a chord without the highest note would be another melody
    assert word(60, 65, 67) == 67  # nothing is struck that was not
    report = WORDS.report(notes((0, 1, 55), (0, 1, 60), (0, 1, 64), (0, 1, 67), (0, 2, 67)))
    assert (report.kept, report.dropped, report.merged, report.cut) == (3, 1, 1, 2)


def test_the_vocabulary_is_that_of_the_data():
    music = [
        notes((0, 1, 60), (0, 1, 64), (1, 2, 60), (1, 2, 64), (2, 3, 50), (2, 3, 59), (3, 4, 70)),
        notes((0, 1, 55)),
    ]
    struck = [WORDS.struck(one) for one in music]
    assert WORDS.of(struck, 9).chords == ("60.64", "50.59") and WORDS.of(struck, 1).chords == ("60.64",)
    assert WORDS.of(struck, 0).vocabulary == FIRST_CHORD


def test_a_report_counts_every_note():
    music = piece(3)
    codec = WORDS.of([WORDS.struck(music)], 20)
    report, kept = codec.report(music), codec.quantise(music)
    assert report.notes == len(music) == report.kept + report.dropped + report.merged
    assert 0 < report.kept <= len(kept) and report.size == len(codec.encode(music))
    with_drums = replace(music, drum=np.arange(len(music)) % 2 == 0)
    assert codec.report(with_drums).dropped >= len(music) // 2


def test_nonsense_is_passed_over_and_a_key_is_kept():
    assert len(WORDS.decode(np.array([START, HOLD, 999, -4, REST, 60, START, HOLD, STOP, 61]))) == 1
    assert len(WORDS.decode(np.array([], np.int64))) == 0
    mask = np.asarray(in_key(WORDS, "C major").mask)
    assert mask[[60, 62, REST, HOLD, STOP, FIRST_CHORD]].all() and not mask[61]
    assert not in_key(WORDS, "F major").mask[[59, 66]].any() and not in_key(WORDS, "D major").mask[FIRST_CHORD]


def test_it_goes_through_json_and_refuses_what_is_no_chord():
    import json

    assert from_config(json.loads(json.dumps(to_config(WORDS)))) == WORDS
    for chords in (("60",), ("64.60",), ("60.200",), ("60.x",), ("60.64", "60.64")):
        with pytest.raises(CodecError):
            ChordWords(chords=chords)
