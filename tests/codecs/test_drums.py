"""Grooves: nine classes on a grid with velocities and offsets, from synthetic ones and from drummers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, Notes, from_config, read_midi, to_config, write_midi
from zoo.codecs.drums import CLASSES, FINE, KIT, PITCHES, DrumGrid

CODEC = DrumGrid()
STEP = 0.125  # seconds of a sixteenth at 120


def drums(start, pitch, velocity=100, **more) -> Notes:
    return Notes(start, np.asarray(start, float) + 0.1, pitch, velocity, drum=np.array(True), **more)


@st.composite
def grooves(draw) -> np.ndarray:
    """Grids as the codec makes them, the last step struck."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = draw(st.integers(1, 40))
    hits = random.random((steps, CLASSES)) < draw(st.floats(0, 1))
    hits[-1, 4] = True
    velocities = random.integers(1, 128, hits.shape) / 127
    offsets = random.integers(-FINE // 2, FINE // 2, hits.shape) / FINE
    offsets[0] = np.abs(offsets[0]) % 0.5  # nothing is before the beginning
    return np.concatenate([hits, hits * velocities, hits * offsets], axis=1).astype(np.float32)


def test_a_groove_by_hand():
    """A kick on the beat, a late snare, an early hat; a note with a pitch, and a cowbell, are no drums of the nine."""
    start = [0.0, STEP * 4.25, STEP * 1.75, 0.0, 0.0]
    notes = Notes(start, np.add(start, 0.1), [35, 40, 22, 60, 56], [127, 64, 32, 90, 90], drum=[1, 1, 1, 0, 1])
    grid = CODEC.encode(notes)
    assert grid.shape == (5, 27) and grid.dtype == np.float32
    hits, velocities, offsets = np.split(grid, 3, axis=1)
    assert np.argwhere(hits).tolist() == [[0, 0], [2, 2], [4, 1]] and hits.sum() == 3
    assert velocities[hits > 0].tolist() == pytest.approx([1, 32 / 127, 64 / 127])
    assert offsets[hits > 0].tolist() == [0, -0.25, 0.25]
    played = CODEC.decode(grid)
    assert played.start.tolist() == [0, STEP * 1.75, STEP * 4.25] and played.pitch.tolist() == [36, 42, 38]
    assert played.velocity.tolist() == [127, 32, 64] and played.drum.all() and played == CODEC.quantise(notes)
    report = CODEC.report(notes)
    assert (report.notes, report.kept, report.dropped, report.merged) == (5, 3, 2, 0)
    assert dict(report.causes) == {"with a pitch": 1, "of no class": 1} and report.repitched == 3 and report.size == 5


def test_the_loudest_of_a_class_stays():
    notes = drums([0.0, 0.02, 0.03, 0.03], [38, 40, 37, 36], [50, 90, 90, 20])
    grid = CODEC.encode(notes)
    assert grid[0, CLASSES + 1] == np.float32(90 / 127) and grid[0, :CLASSES].tolist() == [1, 1] + [0] * 7
    assert grid[0, 2 * CLASSES + 1] == np.floor(0.02 / STEP * FINE + 0.5) / FINE  # the earlier of two that are as loud
    report = CODEC.report(notes)
    assert (report.kept, report.merged, report.dropped) == (2, 2, 0)


def test_offsets_go_to_the_nearer_step():
    """Half-way belongs to the step behind it, so that an offset never is one half."""
    grid = CODEC.encode(drums(np.array([0.5, 1.499, 2.5]) * STEP, 36))
    assert np.flatnonzero(grid[:, 0]).tolist() == [1, 3]
    assert grid[:, 18][[1, 3]].tolist() == [-0.5, -0.5]
    assert np.abs(CODEC.encode(drums(np.linspace(0, 9, 500), 36))[:, 18:]).max() <= 0.5


@given(grooves(), st.sampled_from([CODEC, DrumGrid(12, 83.0), DrumGrid(1)]))
@settings(max_examples=100, deadline=None)
def test_encoding_inverts_decoding(grid, codec):
    np.testing.assert_array_equal(codec.encode(codec.decode(grid)), grid)


def test_a_tempo_map_is_kept():
    tempo = ((0.0, 97.0), (3.3, 140.0), (9.1, 61.5))
    random = np.random.default_rng(0)
    notes = drums(random.uniform(0, 20, 300), random.choice(PITCHES, 300), random.integers(1, 128, 300), tempo=tempo)
    grid = CODEC.encode(notes)
    assert CODEC.decode(grid, tempo=notes.tempo) == CODEC.quantise(notes)
    np.testing.assert_array_equal(CODEC.encode(CODEC.quantise(notes)), grid)
    assert CODEC.report(notes).time_error_ms <= 1000 * 60 / 61.5 / 4 / FINE / 2 + 1e-6


@given(grooves())
@settings(max_examples=20, deadline=None)
def test_a_file_keeps_a_groove(tmp_path_factory, grid):
    path = tmp_path_factory.mktemp("groove") / "a.mid"
    write_midi(CODEC.decode(grid), path)
    np.testing.assert_array_equal(CODEC.encode(read_midi(path)), grid)


def test_any_numbers_decode():
    wild = np.full((3, 27), np.nan)
    assert len(CODEC.decode(wild)) == 0 and len(CODEC.decode(np.zeros((0, 27)))) == 0
    wild[:, :CLASSES], wild[1:, CLASSES:] = 1, [[np.inf] * 18, [-9.0] * 18]
    notes = CODEC.decode(wild)
    assert len(notes) == 27 and set(notes.velocity.tolist()) == {1, 127} and notes.start.min() >= 0
    again = CODEC.decode(CODEC.encode(notes))
    assert again == notes
    assert CODEC.encode(Notes([], [], [])).shape == (0, 27)
    for wrong in (np.zeros((4, 26)), np.zeros(27)):
        with pytest.raises(CodecError, match="drums: shape"):
            CODEC.decode(wrong)
    with pytest.raises(CodecError, match="drums: steps_per_quarter"):
        DrumGrid(steps_per_quarter=0)
    with pytest.raises(CodecError, match="steps of the grid"):
        CODEC.encode(drums([20000.0], 36, tempo=((0, 6e7),)))


def test_config_through_json():
    codec = DrumGrid(8, 90.5)
    assert from_config(json.loads(json.dumps(to_config(codec)))) == codec


@pytest.mark.data
def test_drummers_come_back(zoo_data, tmp_path):
    """Real grooves: every pitch of the kit has its class, and what the grid keeps comes back from a file."""
    files = sorted(zoo_data.glob("groove_midi/**/*.mid"))
    pitches, losses = set(), []
    for path in files[::60]:
        notes = read_midi(path)
        pitches |= set(notes.pitch[notes.drum].tolist())
        report = CODEC.report(notes)
        assert report.dropped == 0 and report.velocity_error == 0 and report.kept + report.merged == report.notes
        assert report.time_error_ms < 0.5
        losses.append(report.merged / report.notes)
        grid = CODEC.encode(notes)
        write_midi(CODEC.quantise(notes), tmp_path / "a.mid")
        again = read_midi(tmp_path / "a.mid")
        assert again.tempo == notes.tempo
        back = CODEC.encode(again)
        np.testing.assert_array_equal(back[:, : 2 * CLASSES], grid[:, : 2 * CLASSES])
        # a tempo's microseconds are whole numbers in a file, which moves the end of a long piece by a hair
        np.testing.assert_allclose(back[:, 2 * CLASSES :], grid[:, 2 * CLASSES :], atol=2 / FINE)
    assert pitches <= {pitch for pitches in KIT.values() for pitch in pitches} and len(pitches) > 15
    assert np.mean(losses) < 0.15
