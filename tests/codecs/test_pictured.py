"""Pictures as music: what lies where is heard when and how high."""

import numpy as np
import pytest

from zoo.codecs import CodecError, Notes
from zoo.codecs.images import write_png
from zoo.codecs.midi import write_midi
from zoo.codecs.pictured import LONGEST, LOWEST, PENTATONIC, ROWS, TEMPO, played, read_music

STEP = 15 / TEMPO


def with_marks(*marks, ground=200):
    """A picture of 20 rows and 64 columns: (row from below, first, beyond, brightness) each."""
    picture = np.full((ROWS, 64, 3), ground, np.uint8)
    for row, first, beyond, bright in marks:
        picture[ROWS - 1 - row, first:beyond] = bright
    return picture


def test_marks_are_notes():
    notes = played(with_marks((0, 0, 2, 0), (7, 4, 5, 100), (19, 60, 64, 0)))
    np.testing.assert_allclose(notes.start, [0, 4 * STEP, 60 * STEP])
    np.testing.assert_allclose(notes.end, [2 * STEP, 5 * STEP, 64 * STEP])
    assert notes.pitch.tolist() == [LOWEST, LOWEST + 12 + PENTATONIC[2], LOWEST + 36 + PENTATONIC[4]]
    assert notes.velocity.tolist() == [110, 75, 110] and notes.tempo == ((0.0, TEMPO),)


def test_no_more_than_four_sound_at_once_and_none_too_long():
    marks = [(row, 0, 20, 10 * row) for row in range(0, 20, 2)]
    notes = played(with_marks(*marks))
    for step in range(20):
        now = (notes.start <= (step + 0.5) * STEP) & (notes.end > (step + 0.5) * STEP)
        assert now.sum() == 4 and set(notes.pitch[now] - LOWEST) == {0, 4, 9, 14}
    assert np.ptp(notes.end - notes.start) <= LONGEST * STEP + 1e-9
    np.testing.assert_allclose((notes.end - notes.start).max(), LONGEST * STEP)


def test_any_size_and_files(tmp_path):
    small = with_marks((3, 8, 12, 0))
    write_png(small.repeat(11, axis=0).repeat(7, axis=1), tmp_path / "large.png")
    assert read_music(tmp_path / "large.png") == played(small)
    written = Notes(pitch=[60], start=[0.0], end=[1.0])
    write_midi(written, tmp_path / "a.mid")
    assert read_music(tmp_path / "a.mid").pitch.tolist() == [60]
    write_png(with_marks(ground=90), tmp_path / "flat.png")
    with pytest.raises(CodecError, match=r"flat\.png: nothing stands out"):
        read_music(tmp_path / "flat.png")
