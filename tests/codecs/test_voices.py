"""Four-voice grids: cells, voices that survive a file, voices found in other music, transposition."""

import gzip
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, Notes, read_midi, write_midi
from zoo.codecs.voices import HOLD, PROGRAMS, RANGES, REST, START, STOP, VoiceGrid, assign, sustain

CODEC = VoiceGrid()

CELLS = st.one_of(st.just(REST), st.just(HOLD), st.just(HOLD), st.integers(57, 62))
GRIDS = st.lists(st.lists(CELLS, min_size=4, max_size=4), max_size=24).map(
    lambda rows: np.array(rows, int).reshape(-1, 4)
)


def canonical(grid: np.ndarray) -> np.ndarray:
    return CODEC.to_grid(CODEC.from_grid(grid))


def test_tokens_by_hand():
    """Soprano: a quarter; alto: two eighths of one pitch; tenor: rests, then comes in; bass: the tenor's pitch."""
    tempo = ((0.0, 60.0),)
    notes = Notes(
        [0, 0, 0.5, 0.5, 0], [1, 0.5, 1, 1, 1], [72, 65, 65, 60, 60], 90, PROGRAMS[[0, 1, 1, 2, 3]], tempo=tempo
    )
    tokens = VoiceGrid(steps_per_quarter=2).encode(notes)
    assert tokens.tolist() == [START, 72, 65, REST, 60, HOLD, 65, 60, HOLD, STOP] and tokens.dtype == np.int32
    assert (CODEC.vocabulary, CODEC.start, CODEC.stop) == (132, START, STOP)
    back = VoiceGrid(steps_per_quarter=2, tempo=60).decode(tokens)
    assert back == replace(notes, velocity=np.array(80)).sorted()


@given(GRIDS)
@settings(max_examples=150, deadline=None)
def test_encoding_inverts_decoding(grid):
    grid = canonical(grid)
    tokens = CODEC.from_grid(grid)
    notes = CODEC.decode(tokens)
    np.testing.assert_array_equal(CODEC.encode(notes), tokens)
    assert len(notes) == np.sum(grid < REST) and np.array_equal(CODEC.to_grid(tokens), grid)


@given(GRIDS.filter(lambda grid: np.any(grid < REST)), st.sampled_from([60.0, 84.0, 90.0, 97.3]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_voices_survive_a_file(tmp_path, grid, tempo):
    codec = VoiceGrid(tempo=tempo)
    tokens = codec.from_grid(canonical(grid))
    notes = codec.decode(tokens)
    write_midi(notes, tmp_path / "song.mid")
    again = read_midi(tmp_path / "song.mid")
    np.testing.assert_array_equal(codec.encode(again), tokens)
    assert again.tempo == ((0, tempo),)


def test_a_file_has_a_track_a_voice(tmp_path):
    import mido

    write_midi(CODEC.decode(CODEC.from_grid(np.array([[60, 60, 60, 60]]))), tmp_path / "song.mid")
    tracks = mido.MidiFile(tmp_path / "song.mid").tracks[1:]
    assert [[message.type for message in track if not message.is_meta] for track in tracks] == [
        ["program_change", "note_on", "note_off"]
    ] * 4
    assert [track[0].program for track in tracks] == PROGRAMS.tolist() and len(
        {track[0].channel for track in tracks}
    ) == 4


@given(st.lists(st.integers(-3, 140), max_size=50))
@settings(max_examples=150, deadline=None)
def test_any_tokens_decode(tokens):
    notes = CODEC.decode(np.array(tokens, np.int32))
    assert CODEC.decode(CODEC.encode(notes)) == notes and set(notes.program.tolist()) <= set(PROGRAMS.tolist())


def test_errors_of_a_model_are_mended():
    grid = lambda *tokens: CODEC.to_grid(np.array(tokens)).tolist()
    assert grid(START, 60, 61, 62, 63, STOP, 1, 2, 3, 4) == [[60, 61, 62, 63]]
    assert grid(60, 61) == [[60, 61, REST, REST]]  # no START, nothing to hold
    assert grid(60, 61, 62, 63, 70) == [[60, 61, 62, 63], [70, HOLD, HOLD, HOLD]]  # a step cut short
    assert grid(60, START, 999, -5, HOLD, 61, HOLD, 62) == [
        [60, REST, REST, REST],
        [HOLD, 61, REST, 62],
    ]  # in their columns
    assert grid(60, 61, 62, 63, *[REST] * 8) == [[60, 61, 62, 63]]  # silence at the end
    assert grid() == grid(START) == grid(HOLD, HOLD) == []
    with pytest.raises(CodecError, match="tokens: integers"):
        CODEC.decode(np.zeros((2, 2), int))
    for wrong in (np.zeros((3, 5), int), np.full((3, 4), STOP), np.full((3, 4), -1)):
        with pytest.raises(CodecError, match="grid: cells"):
            CODEC.from_grid(wrong)


def test_a_voice_sings_one_note_at_a_time():
    notes = Notes([0.0, 0.25], [1.0, 0.5], [72, 74], 80, PROGRAMS[[0, 0]])
    assert CODEC.to_grid(CODEC.encode(notes))[:, 0].tolist() == [72, HOLD, 74, HOLD]


def test_tempo_maps_are_followed():
    """The same beats at 60, then at 120: one grid."""
    notes = Notes([0, 1, 2, 2.5], [1, 2, 2.5, 3], [60, 62, 64, 65], tempo=((0, 60), (2, 120)))
    grid = VoiceGrid(steps_per_quarter=1).to_grid(VoiceGrid(steps_per_quarter=1).encode(notes))
    assert grid[grid < REST].tolist() == [60, 62, 64, 65] and len(grid) == 4


def test_sustain():
    pitches = np.array([[72, 65, -1, 48], [72, 67, -1, 48], [-1, 67, 60, 50]])
    assert sustain(pitches).tolist() == [[72, 65, REST, 48], [HOLD, 67, REST, HOLD], [REST, HOLD, 60, 50]]


def test_other_music_gets_voices():
    """A chord from high to low, a melody that stays in its voice, and a fifth note that is one too many."""
    chord = assign(np.array([48, 72, 60, 67]), np.zeros(4, int), np.ones(4, int))
    assert chord.tolist() == [3, 0, 2, 1]
    pitch, on = np.array([72, 67, 60, 48, 74, 76, 50]), np.array([0, 0, 0, 0, 1, 2, 2])
    off = np.array([1, 4, 4, 2, 2, 4, 4])
    assert assign(pitch, on, off).tolist() == [0, 1, 2, 3, 0, 0, 3]
    five = assign(np.array([48, 52, 55, 60, 64, 64]), np.zeros(6, int), np.ones(6, int))
    assert five.tolist().count(-1) == 2 and five[0] == 3 and 0 in five[4:] and len(set(five.tolist())) == 5


def test_a_quartets_chords_are_no_voices():
    """Two violins share program 40: by their programs one would be dropped."""
    notes = Notes([0.0] * 4, [1.0] * 4, [72, 67, 60, 48], 80, [40, 40, 41, 42])
    assert CODEC.to_grid(CODEC.encode(notes))[0].tolist() == [72, 67, 60, 48]


def test_report():
    start, pitch = [0.0, 0.01, 0.0, 0.0, 0.0, 0.0, 0.25], [72, 67, 60, 48, 52, 36, 74]
    notes = Notes(start, [1.0] * 7, pitch, [90] * 7, [5] * 7, [False] * 5 + [True, False])
    report = CODEC.report(notes)
    assert (report.notes, report.kept, report.dropped, report.merged, report.cut) == (7, 5, 2, 0, 1)
    assert report.time_error_ms == pytest.approx(10) and report.velocity_error == 10 and report.programs_dropped == 2
    assert report.size == 4 * 8 + 2


@given(GRIDS, st.integers(-40, 40))
@settings(max_examples=50, deadline=None)
def test_transposing_tokens_is_transposing_notes(grid, semitones):
    tokens = CODEC.from_grid(canonical(grid))
    moved = CODEC.transpose(tokens, semitones)
    assert CODEC.decode(moved) == CODEC.decode(tokens).transpose(semitones).sorted()


def test_transposing_on_the_device():
    tokens = np.array([[START, 60, HOLD, REST, 127, STOP, -1], [START, 0, HOLD, REST, 48, STOP, -1]], np.int32)
    moved = jax.jit(jax.vmap(CODEC.transpose))(jnp.asarray(tokens), jnp.array([2, -3]))
    assert moved.tolist() == [[START, 62, HOLD, REST, 127, STOP, -1], [START, 0, HOLD, REST, 45, STOP, -1]]
    assert moved.dtype == jnp.int32


def test_room():
    tokens = CODEC.from_grid(np.array([[72, 65, 60, 48], [HOLD, 67, REST, 50]]))
    down, up = CODEC.room(tokens)
    assert (down, up) == (-12, 9)  # soprano down to 60, alto up to 76, tenor up to 69
    for semitones, fits in ((down, True), (up, True), (down - 1, False), (up + 1, False)):
        grid = CODEC.to_grid(CODEC.transpose(tokens, semitones))
        inside = (grid >= RANGES[:, 0]) & (grid <= RANGES[:, 1])
        assert bool(np.all(inside | (grid >= REST))) == fits


def test_fields_are_checked():
    for wrong in ({"steps_per_quarter": 0}, {"tempo": 0}):
        with pytest.raises(CodecError, match="voices"):
            VoiceGrid(**wrong)
    with pytest.raises(CodecError, match="steps of the grid"):  # three hours at a million beats a minute
        CODEC.encode(Notes([0.0], [10000.0], [60], tempo=((0, 1e6),)))


@pytest.mark.data
def test_real_chorales(zoo_data):
    """Exact through tokens and notes; with the instruments taken away, most cells are found again."""
    pieces = json.loads(gzip.decompress((zoo_data / "jsb_chorales/Jsb16thSeparated.json.gz").read_bytes()))["valid"]
    right = []
    for piece in pieces[:20]:
        grid = sustain(np.array(piece))
        tokens = CODEC.from_grid(grid)
        notes = CODEC.decode(tokens)
        np.testing.assert_array_equal(CODEC.encode(notes), tokens)
        down, up = CODEC.room(tokens)
        assert -12 <= down <= 0 <= up <= 12
        found = CODEC.to_grid(CODEC.encode(replace(notes, program=np.array(0))))
        steps = min(len(found), len(grid))
        right.append(np.mean(found[:steps] == grid[:steps]))
    assert np.mean(right) > 0.97
