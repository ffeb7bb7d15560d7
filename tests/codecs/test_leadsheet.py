"""Chords by name and by ear, lead sheets as tokens, and songs whose chords and beats lie beside them."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, Notes, from_config, harmony, read_midi, to_config, write_midi
from zoo.codecs.leadsheet import CHORD, CHORDS, HOLD, MELODY, REST, START, STOP, LeadSheet
from zoo.codecs.midi import read_tracks
from zoo.codecs.songs import arrange, on_beats, play, read_song

ALL = tuple(harmony.QUALITIES)
CODEC = LeadSheet()
CODECS = [CODEC, LeadSheet(3, 2, ALL, 77.0), LeadSheet(4, 1)]
C_MAJOR, A_MINOR, G_MAJOR = CHORD + 1, CHORD + 13 + 9, CHORD + 8


def heard(pitches, qualities=ALL) -> str:
    """The name of what sounds together."""
    pitches = np.array(pitches)
    weight, bass = harmony.sounding(pitches, np.zeros(len(pitches), int), np.ones(len(pitches), int), steps=1, each=1)
    return harmony.names(qualities)[harmony.recognise(weight, bass, qualities)[0]]


# Chords


def test_names_of_chords():
    assert (
        harmony.parse("N") is None and harmony.parse("C") == (0, "maj") and harmony.parse("Bb:min7/5") == (10, "min7")
    )
    assert harmony.parse("F##:sus4(b7)") == (7, "sus4(b7)") and harmony.parse("Cb:maj/b3") == (11, "maj")
    for wrong in ("", "H:maj", "C:huge", "c:maj", "C:maj:min", "C min"):
        with pytest.raises(CodecError, match="no chord"):
            harmony.parse(wrong)
    assert harmony.names(("maj", "min"))[:2] == ["N", "C:maj"] and len(harmony.names(ALL)) == 181


def test_a_chord_is_recognised_as_itself():
    for label in harmony.names(ALL)[1:]:
        assert heard(harmony.voice(*harmony.parse(label))) == label


@pytest.mark.parametrize(
    ("quality", "nearest"),
    [("7", "maj"), ("maj7", "maj"), ("maj6", "maj"), ("aug", "maj"), ("sus4", "maj"), ("sus2", "maj"), ("min7", "min"),
     ("dim", "min"), ("hdim7", "min"), ("minmaj7", "min"), ("min6", "min")],
)  # fmt: skip
def test_a_quality_that_is_not_told_apart_is_its_nearest(quality, nearest):
    for root in range(12):
        assert heard(harmony.voice(root, quality), ("maj", "min")) == f"{harmony.ROOTS[root]}:{nearest}"


def test_chords_by_ear():
    assert heard([48, 52, 55, 62], ("maj", "min")) == "C:maj"  # a ninth
    assert heard([45, 52, 57, 60], ("maj", "min")) == "A:min" and heard([43, 47, 50, 53]) == "G:7"
    assert heard([52, 55, 60]) == "C:maj"  # the third below
    weight, bass = harmony.sounding(
        np.array([60, 64, 67, 62]), np.array([0, 1, 2, 3]), np.array([9, 9, 9, 4]), steps=4, each=4
    )
    assert weight.tolist() == [[4, 0, 1, 0, 3, 0, 0, 2, 0, 0, 0, 0]] and bass.tolist() == [0]
    assert harmony.recognise(np.zeros((2, 12)), np.full(2, -1), ALL).tolist() == [0, 0]


# Lead sheets


def test_tokens_by_hand():
    """A quarter of melody, a rest, a note across the change of chords; an octave of drums is dropped."""
    melody = Notes([0.0, 0.75], [0.5, 1.25], [72, 76], 90, MELODY)
    chords = play([(0.0, 1.0, "C:maj"), (1.0, 1.5, "A:min7")])
    both = Notes(
        *(
            np.concatenate([getattr(a, name) for a in (melody, chords)])
            for name in ("start", "end", "pitch", "velocity", "program")
        )
    )
    grid = [(C_MAJOR, 72), *[(C_MAJOR, HOLD)] * 3, *[(C_MAJOR, REST)] * 2, (C_MAJOR, 76), (C_MAJOR, HOLD)]
    grid += [(A_MINOR, HOLD)] * 2 + [(A_MINOR, REST)] * 2
    expected = [START, *(token for row in grid for token in row), STOP]
    tokens = CODEC.encode(both)
    assert tokens.tolist() == expected and tokens.dtype == np.int32 and CODEC.vocabulary == 157
    played = LeadSheet(tempo=120).decode(tokens)
    sung = played.select(played.program == MELODY)
    assert sung.start.tolist() == [0, 0.75] and sung.end.tolist() == [0.5, 1.25] and sung.pitch.tolist() == [72, 76]
    under = played.select(played.program == CHORDS)
    assert under.pitch[under.start == 0].tolist() == harmony.voice(0, "maj")
    assert under.pitch[under.start == 1.0].tolist() == harmony.voice(9, "min") and len(under) == 8
    report = CODEC.report(both)
    assert (report.notes, report.kept, report.dropped, report.merged) == (11, 2, 1, 8)
    assert dict(report.causes) == {"not in their chord": 1}  # the seventh


def test_a_melody_among_other_notes_is_the_highest():
    """A held tune over a pulsing chord; a lower note does not end a higher one, a higher one does."""
    start = [0.0, 0.0, 0.5, 1.0, 1.0, 1.5]
    notes = Notes(start, [1.2, 0.4, 0.9, 1.4, 2.0, 2.0], [76, 48, 52, 55, 79, 43], 80)
    tokens = CODEC.encode(notes)
    melody = tokens[2:-1:2]
    assert melody[[0, 8]].tolist() == [76, 79] and np.all(np.delete(melody, [0, 8]) == HOLD)
    assert CODEC.report(notes).cut == 1 and CODEC.report(notes).kept == 2


@st.composite
def sheets(draw):
    """Token streams as the codec writes them, and the codec."""
    codec = draw(st.sampled_from(CODECS))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    windows = draw(st.integers(0, 12))
    chord = random.integers(0, len(codec.chords), windows).repeat(codec.steps_per_chord)
    melody = random.choice([60, 61, 72, REST, HOLD, HOLD, HOLD], len(chord))
    grid = np.stack([chord, melody], axis=1)
    return codec, codec.from_grid(codec.to_grid(codec.from_grid(grid)))


@given(sheets())
@settings(max_examples=150, deadline=None)
def test_encoding_inverts_decoding(sheet):
    codec, tokens = sheet
    np.testing.assert_array_equal(codec.encode(codec.decode(tokens)), tokens)


@given(st.integers(0, 2**32), st.sampled_from(CODECS))
@settings(max_examples=60, deadline=None)
def test_what_is_written_of_any_music_comes_back(seed, codec):
    random = np.random.default_rng(seed)
    size = int(random.integers(0, 40))
    start = random.integers(0, 100, size) / 10
    program = random.choice([[0, 5], [MELODY, CHORDS]][seed % 2], size)
    notes = Notes(
        start,
        start + random.integers(0, 30, size) / 10,
        random.integers(30, 90, size),
        80,
        program,
        random.random(size) < 0.1,
    )
    tokens, report = codec.encode(notes), codec.report(notes)
    np.testing.assert_array_equal(codec.encode(codec.decode(tokens)), tokens)
    assert report.notes == size == report.kept + report.dropped + report.merged and report.size == len(tokens)
    assert report.kept == np.sum(tokens[2:-1:2] < REST)


@given(st.lists(st.integers(-3, 170), max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_tokens_decode(tokens):
    notes = CODEC.decode(np.array(tokens, np.int32))
    assert CODEC.decode(CODEC.encode(notes)) == notes


def test_errors_of_a_model_are_mended():
    grid = lambda *tokens: CODEC.to_grid(np.array(tokens, int)).tolist()
    assert grid(START, C_MAJOR, 60) == [[1, 60], [1, HOLD], [1, HOLD], [1, HOLD]]  # the rest of the window goes on
    assert grid(60, C_MAJOR, STOP, 60) == []  # a pitch is no chord, a chord is no pitch
    assert grid(CHORD, HOLD, CHORD, 60)[:2] == [[0, REST], [0, 60]]  # nothing to hold
    assert grid(C_MAJOR, REST, A_MINOR, REST)[:2] == [[1, REST], [1, REST]]  # in the middle of a window
    assert CODEC.encode(Notes([], [], [])).tolist() == [START, STOP] and len(CODEC.decode(np.array([START, STOP]))) == 0
    for wrong in (np.zeros((2, 3), int), np.full((2, 2), 25), np.array([[0, 130]])):
        with pytest.raises(CodecError, match="grid"):
            CODEC.from_grid(wrong)


@pytest.mark.parametrize("semitones", [-7, 0, 5])
def test_transposing_tokens_is_transposing_notes(semitones):
    for seed in range(4):
        random = np.random.default_rng(seed)
        grid = np.stack([random.integers(0, 25, 16).repeat(4), random.choice([60, 72, REST, HOLD], 64)], axis=1)
        tokens = CODEC.from_grid(CODEC.to_grid(CODEC.from_grid(grid)))
        moved = CODEC.transpose(tokens, semitones)
        np.testing.assert_array_equal(moved, CODEC.encode(CODEC.decode(tokens).transpose(semitones)))
        assert moved.dtype == np.int32
    assert CODEC.transpose(np.array([START, CHORD, G_MAJOR, 60, REST, HOLD, STOP]), 5).tolist() == [
        START, CHORD, C_MAJOR, 65, REST, HOLD, STOP,
    ]  # fmt: skip


def test_config_through_json():
    for codec in CODECS:
        assert from_config(json.loads(json.dumps(to_config(codec)))) == codec and hash(codec)
    for wrong in ({"qualities": ()}, {"qualities": ("huge",)}, {"steps_per_chord": 0}, {"tempo": 1}):
        with pytest.raises(CodecError):
            LeadSheet(**wrong)


# Songs


def tracks_file(path, **tracks: Notes) -> None:
    """A MIDI file with named tracks."""
    import mido

    song = mido.MidiFile(ticks_per_beat=480)
    for channel, (name, notes) in enumerate(tracks.items()):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name, time=0)])
        events = [(on, 1, p, v) for on, p, v in zip(notes.start, notes.pitch, notes.velocity, strict=True)]
        events += [(off, 0, p, 0) for off, p in zip(notes.end, notes.pitch, strict=True)]
        now = 0
        for seconds, on, pitch, velocity in sorted(events):
            tick = round(float(seconds) * 960)
            kind = "note_on" if on else "note_off"
            track.append(mido.Message(kind, note=int(pitch), velocity=int(velocity), channel=channel, time=tick - now))
            now = tick
        song.tracks.append(track)
    song.save(path)


def test_tracks_by_name(tmp_path):
    """Of one program all, as POP909's: a name is all that tells them apart."""
    melody, piano = Notes([0.0, 1.0], [0.5, 2.0], [72, 74]), Notes([0.0], [2.0], [48])
    tracks_file(tmp_path / "a.mid", MELODY=melody, BRIDGE=Notes([], [], []), PIANO=piano)
    tracks = read_tracks(tmp_path / "a.mid")
    assert list(tracks) == ["MELODY", "PIANO"] and tracks["MELODY"] == melody and tracks["PIANO"] == piano
    together = read_midi(tmp_path / "a.mid")
    assert len(together) == 3 and together.pitch.tolist() == [48, 72, 74]
    write_midi(together, tmp_path / "b.mid")
    assert list(read_tracks(tmp_path / "b.mid")) == [""]


def test_a_song_with_its_chords_and_beats(tmp_path):
    """Beats half a sixteenth late and slower than the file's 120: the quarter notes are the beats all the same."""
    beat = 0.6 * np.arange(9) + 0.0625
    melody = Notes(beat[:4], beat[1:5], [72, 74, 76, 77])
    tracks_file(tmp_path / "a.mid", MELODY=melody, PIANO=Notes([0.0], [3.0], [49]))
    (tmp_path / "chord_midi.txt").write_text("0.0625\t1.2625\tC:maj\n1.2625\t2.4625\tA:min/b3\n\n2.4625 4.8625 N\n")
    (tmp_path / "beat_midi.txt").write_text("".join(f"{t}\t1.0\t{float(i % 4 == 1)}\n" for i, t in enumerate(beat)))
    tokens = CODEC.encode(read_song(tmp_path / "a.mid"))
    chord, cells = CODEC.to_grid(tokens).T
    sung = np.flatnonzero(cells < REST)
    assert cells[sung].tolist() == [72, 74, 76, 77] and (np.diff(sung) == 4).all() and sung[1] % 16 == 0
    first = sung[0]
    assert chord[first::4].tolist() == [1, 1, 22, 22] and not chord[:first].any()
    (tmp_path / "beat_midi.txt").unlink()
    (tmp_path / "chord_midi.txt").unlink()
    song = read_song(tmp_path / "a.mid")  # the piano accompanies
    assert song.pitch[song.program == CHORDS].tolist() == [49] and (song.program == MELODY).sum() == 4


def test_songs_that_are_none(tmp_path):
    piano = Notes([0.0], [3.0], [49])
    tracks_file(tmp_path / "a.mid", Melody=piano)
    (tmp_path / "chord_midi.txt").write_text("0 1 H:maj\n")
    for text, cause in (
        ("0 1 H:maj\n", "'H:maj' is no chord"),
        ("0 1\n", "begin, end and label"),
        ("x 1 N\n", "begin"),
    ):
        (tmp_path / "chord_midi.txt").write_text(text)
        with pytest.raises(CodecError, match=cause) as caught:
            read_song(tmp_path / "a.mid")
        assert caught.value.path == str(tmp_path / "a.mid")
    (tmp_path / "chord_midi.txt").write_bytes(b"\xff")
    with pytest.raises(CodecError, match="UTF-8"):
        read_song(tmp_path / "a.mid")
    (tmp_path / "chord_midi.txt").unlink()
    for text in ("1 0 0\n", "2 0 0\n1 0 0\n", "a b c\n", "1 0 0\n2\n", "nan 1 1\n2 1 1\n"):
        (tmp_path / "beat_midi.txt").write_text(text)
        with pytest.raises(CodecError, match="beats"):
            read_song(tmp_path / "a.mid")
    with pytest.raises(CodecError, match="none is called MELODY, only PIANO"):
        arrange({"PIANO": piano})
    with pytest.raises(CodecError, match="tempo"):
        on_beats(piano, np.array([0.0, 100.0]))


@pytest.mark.data
def test_pop_songs_with_their_chords(zoo_data):
    """Annotated chords come out as they are named, and the melody whole."""
    with gzip.open(zoo_data / "pop909" / "annotations.json.gz") as file:
        notes_on = json.load(file)
    codec = LeadSheet(qualities=ALL)
    for name in ("001", "002", "123", "456", "789"):
        rows = notes_on[name]
        chords = [(float(begin), float(end), label) for begin, end, label in rows["chord_midi"]]
        tracks = read_tracks(zoo_data / "pop909" / "midi" / f"{name}.mid")
        song = arrange(tracks, chords=chords, beats=rows["beat_midi"])
        tokens, report = codec.encode(song), codec.report(song)
        np.testing.assert_array_equal(codec.encode(codec.decode(tokens)), tokens)
        assert report.kept > 0.97 * len(tracks["MELODY"]) and report.dropped < 0.02 * report.notes
        late = song.start.min() - min(tracks["MELODY"].start.min(), *(c[0] for c in chords if c[2] != "N"))
        grid, right = codec.to_grid(tokens), []
        for begin, end, label in chords:
            step = song.quarters(np.array([begin, end]) + late) * 4
            middle = int(step.mean())
            known = harmony.parse(label)
            wanted = "N" if known is None else f"{harmony.ROOTS[known[0]]}:{known[1]}"
            if middle < len(grid) and step[1] - step[0] > 3:
                right.append(codec.chords[grid[middle, 0]] == wanted)
        assert np.mean(right) > 0.98, name
