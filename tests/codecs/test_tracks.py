"""Several instruments as tensors: which track plays what, exact inverses, and the report."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, Notes, from_config, read_midi, to_config, write_midi
from zoo.codecs.tracks import PROGRAMS, MultiTrack

CODEC = MultiTrack()
CODECS = [CODEC, MultiTrack(24, 36, 72, ("bass", "drums"), restrike=True), MultiTrack(96, 0, 128, tempo=61.5)]


@st.composite
def ensembles(draw) -> Notes:
    """Few keys and programs of all families, some of no family; notes that meet, overlap and coincide."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(0, 40))
    start = random.integers(0, 400, size) / 48
    program = random.choice([0, 5, 24, 33, 48, 60, 100, 120], size)
    pitch = random.choice([10, 40, 41, 60, 110], size)
    return Notes(start, start + random.integers(0, 100, size) / 48, pitch, 90, program, random.random(size) < 0.2)


def test_every_program_has_its_track():
    """As the Lakh Pianoroll Dataset merges them: pianos, guitars, basses, the rest to the strings, no noises."""
    program = np.arange(128)
    notes = Notes(np.zeros(128), np.ones(128), 60, 80, program)
    track = [None if at < 0 else CODEC.tracks[at] for at in CODEC._track(notes)]
    assert track[:8] == ["piano"] * 8 and track[24:32] == ["guitar"] * 8 and track[32:40] == ["bass"] * 8
    assert set(track[8:24] + track[40:96] + track[104:112]) == {"strings"}
    assert set(track[96:104] + track[112:]) == {None}
    assert set(CODEC._track(Notes(np.zeros(2), np.ones(2), 36, program=np.array([0, 99]), drum=True))) == {0}


def test_a_bar_by_hand():
    """A bass note across the bar line, a drum, a piano chord; at 120 a quarter note is half a second, 12 steps."""
    notes = Notes(
        [1.5, 0.0, 0.5, 0.5], [2.5, 0.01, 1.0, 1.0], [36, 42, 60, 64], 100, [33, 0, 0, 0], [0, 1, 0, 0]
    )  # fmt: skip
    roll = CODEC.encode(notes)
    assert roll.shape == (2, 48, 84, 5) and roll.dtype == np.float32
    drums, piano, _, bass, _ = (roll[..., track].reshape(96, 84) for track in range(5))
    assert np.argwhere(bass).tolist() == [[step, 12] for step in range(36, 60)]
    assert np.argwhere(drums).tolist() == [[0, 18]]
    assert np.argwhere(piano).tolist() == [[step, row] for step in range(12, 24) for row in (36, 40)]
    played = MultiTrack(tempo=120).decode(roll)
    assert played.start.tolist() == [0, 0.5, 0.5, 1.5] and played.end.tolist() == pytest.approx([0.5 / 12, 1, 1, 2.5])
    assert played.program.tolist() == [0, 0, 0, 32] and played.drum.tolist() == [True, False, False, False]
    assert MultiTrack(tempo=120).decode(roll > 0) == played


@given(ensembles(), st.sampled_from(CODECS))
@settings(max_examples=80, deadline=None)
def test_decoding_inverts_encoding(notes, codec):
    roll, kept, report = codec.encode(notes), codec.quantise(notes), codec.report(notes)
    np.testing.assert_array_equal(codec.encode(kept), roll)
    assert codec.quantise(kept) == kept and report.kept == len(kept)
    assert report.notes == len(notes) == report.kept + report.dropped + report.merged
    assert report.dropped == sum(dict(report.causes).values()) and report.size == roll.shape[0] * codec.steps_per_bar
    assert report.time_error_ms <= 1000 * 3 / codec.steps_per_bar + 1e-6  # half a step; one more without length


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: str(codec.steps_per_bar))
def test_encoding_inverts_decoding(codec, tmp_path):
    """And a MIDI file holds all of it."""
    random = np.random.default_rng(1)
    roll = (random.random((3, codec.steps_per_bar, codec.pitches, len(codec.tracks))) < 0.05).astype(np.float32)
    roll[-1, -1, 3, 0] = 1
    np.testing.assert_array_equal(codec.encode(codec.decode(roll)), roll)
    write_midi(codec.decode(roll), tmp_path / "a.mid")
    np.testing.assert_array_equal(codec.encode(read_midi(tmp_path / "a.mid")), roll)


def test_a_report_says_why():
    notes = Notes([0, 0, 0, 0.5, 0], [0.5, 1, 1, 1, 1], [60, 10, 60, 60, 60], 80, [0, 0, 99, 4, 0], [0, 0, 0, 0, 1])
    report = MultiTrack(tracks=("piano",)).report(notes)
    assert (report.kept, report.dropped, report.merged, report.cut) == (1, 3, 1, 1)
    assert dict(report.causes) == {"of no track": 2, "outside the 84 pitches": 1}
    assert report.programs_dropped == 3 and "2 of no track" in str(report)


@pytest.mark.parametrize(
    "fields",
    [
        {"steps_per_bar": 50}, {"steps_per_bar": 0}, {"lowest": 60}, {"pitches": 0}, {"tracks": ()},
        {"tracks": ("piano", "piano")}, {"tracks": ("kazoo",)}, {"tempo": 2},
    ],
)  # fmt: skip
def test_fields_that_mean_nothing(fields):
    with pytest.raises(CodecError, match="tracks: "):
        MultiTrack(**fields)


def test_shapes_that_do_not_fit():
    assert CODEC.encode(Notes([], [], [])).shape == (0, 48, 84, 5) and len(CODEC.decode(np.zeros((0, 48, 84, 5)))) == 0
    assert len(CODEC.decode(np.full((1, 48, 84, 5), np.nan))) == 0
    for wrong in (np.zeros((48, 84, 5)), np.zeros((1, 48, 84, 4)), np.zeros((1, 96, 84, 5))):
        with pytest.raises(CodecError, match="tracks: shape"):
            CODEC.decode(wrong)
    long = Notes([0.0], [2000.0], [60], tempo=((0, 600.0),))
    with pytest.raises(CodecError, match="cells"):
        CODEC.encode(long)


def test_config_through_json():
    for codec in CODECS:
        assert from_config(json.loads(json.dumps(to_config(codec)))) == codec and hash(codec)
    assert PROGRAMS["strings"][0] == 48 and sum(map(len, PROGRAMS.values())) == 1 + 128 - 24
