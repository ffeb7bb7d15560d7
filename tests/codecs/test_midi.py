"""MIDI files, from bytes built by hand: what is read, what is refused, what comes back after writing."""

import os
import random
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.codecs import CodecError, Notes, read_midi, write_midi
from zoo.codecs.midi import MAX_BYTES, TICKS_PER_QUARTER

TEMPO_500 = bytes.fromhex("00 ff 51 03 07 a1 20")  # 500,000 microseconds a quarter note: a tick of 1/480 is 1/960 s
ON, OFF = bytes.fromhex("90 3c 40"), bytes.fromhex("80 3c 00")  # middle C on channel 1
DOWN, UP = bytes.fromhex("b0 40 7f"), bytes.fromhex("b0 40 00")  # the sustain pedal


def number(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def events(*pairs: tuple[int, bytes]) -> bytes:
    """(ticks since the one before, event) ... -> the body of a track."""
    return b"".join(number(delta) + event for delta, event in pairs)


def chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "big") + body


def song(*tracks: bytes, kind: int = 1, division: int = 480) -> bytes:
    header = b"".join(value.to_bytes(2, "big") for value in (kind, len(tracks), division))
    return chunk(b"MThd", header) + b"".join(chunk(b"MTrk", track + b"\0\xff\x2f\0") for track in tracks)


@pytest.fixture
def read(tmp_path):
    def read(data: bytes) -> Notes:
        path = tmp_path / "song.mid"
        path.write_bytes(data)
        return read_midi(path)

    return read


def spans(notes: Notes) -> list[tuple[float, float]]:
    """Starts and ends in beats of 480 ticks at 120."""
    return [(start * 2, end * 2) for start, end in zip(notes.start.tolist(), notes.end.tolist(), strict=True)]


def test_reads_every_field(read):
    conductor = TEMPO_500 + bytes.fromhex("00 ff 58 04 03 03 24 08")
    melody = events((0, b"\xc2\x28"), (480, b"\x92\x3c\x50"), (240, b"\x82\x3c\x00"))
    drums = events((0, b"\xc9\x08"), (0, b"\x99\x24\x7f"), (10, b"\x99\x24\x00"))
    notes = read(song(conductor, melody, drums))
    assert notes.start.tolist() == [0, 0.5] and notes.end.tolist() == [10 / 960, 0.75]
    assert notes.pitch.tolist() == [36, 60] and notes.velocity.tolist() == [127, 80]
    assert notes.program.tolist() == [8, 40] and notes.drum.tolist() == [True, False]
    assert notes.tempo == ((0, 120),) and notes.metre == ((0, 3, 8),) and notes.meta == {}


def test_running_status_goes_on_after_meta_and_system_events(read):
    marker, sysex = bytes.fromhex("ff 06 01 41"), bytes.fromhex("f0 03 01 02 f7")
    notes = read(song(events((0, ON), (480, b"\x3c\0"), (0, marker), (0, b"\x3e\x40"), (0, sysex), (480, b"\x3e\0"))))
    assert spans(notes) == [(0, 1), (1, 2)] and notes.pitch.tolist() == [60, 62]


def test_time_before_unknown_events_passes(read):
    """mido drops the delta of a meta event it does not know; every later note would come early."""
    unknown, alien = bytes.fromhex("ff 60 02 01 02"), chunk(b"XFIH", b"anything at all")
    data = song(events((480, unknown), (480, ON), (480, OFF)))
    assert spans(read(data[:14] + alien + data[14:])) == [(2, 3)]


def test_malformed_signatures_do_not_kill_a_file(read):
    key, metre, short = (
        bytes.fromhex("ff 59 02 55 09"),
        bytes.fromhex("ff 58 04 02 21 18 08"),
        bytes.fromhex("ff 58 00"),
    )
    notes = read(song(events((0, key), (0, metre), (0, short), (0, ON), (480, OFF))))
    assert spans(notes) == [(0, 1)] and notes.metre == ((0, 4, 4),)


def test_overlaps_of_a_key_end_first_in_first_out(read):
    notes = read(song(events((0, ON), (480, ON), (480, OFF), (480, OFF))))
    assert spans(notes) == [(0, 2), (1, 3)]


def test_a_key_is_struck_again_at_the_tick_of_its_end(read):
    for order in ((OFF, ON), (ON, OFF)):
        assert spans(read(song(events((0, ON), (480, order[0]), (0, order[1]), (480, OFF))))) == [(0, 1), (1, 2)]


def test_a_stray_end_is_passed_over_and_an_open_note_ends_with_its_track(read):
    rest = events((960, bytes.fromhex("ff 06 01 41")))
    assert spans(read(song(events((0, OFF), (0, ON)) + rest))) == [(0, 2)]


PEDALS = {
    "holds until it goes up": (((0, DOWN), (0, ON), (480, OFF), (480, UP)), [(0, 2)]),
    "half-way counts as up": (((0, b"\xb0\x40\x3f"), (0, ON), (480, OFF), (480, UP)), [(0, 1)]),
    "goes down too late": (((0, ON), (480, OFF), (1, DOWN), (479, UP)), [(0, 1)]),
    "goes down while a key is down": (((0, ON), (240, DOWN), (240, OFF), (480, UP)), [(0, 2)]),
    "ends where its key is struck": (
        ((0, DOWN), (0, ON), (480, OFF), (480, ON), (480, OFF), (480, UP)),
        [(0, 2), (2, 4)],
    ),
    "does not revive what was struck over": (
        ((0, DOWN), (0, ON), (480, ON), (480, OFF), (480, OFF), (480, UP)),
        [(0, 2), (1, 4)],
    ),
    "loses nothing after its last release": (((0, DOWN), (480, UP), (480, ON), (480, OFF)), [(2, 3)]),
    "is down at the end": (
        ((0, DOWN), (0, ON), (480, OFF), (480, b"\x90\x3e\x40"), (480, b"\x80\x3e\0")),
        [(0, 3), (2, 3)],
    ),
    "goes up with a reset": (((0, DOWN), (0, ON), (480, OFF), (480, b"\xb0\x79\0"), (480, UP)), [(0, 2)]),
    "is another channel's": (((0, b"\xb1\x40\x7f"), (0, ON), (480, OFF), (480, b"\xb1\x40\0")), [(0, 1)]),
    "is not for drums": (
        ((0, b"\xb9\x40\x7f"), (0, b"\x99\x24\x40"), (480, b"\x89\x24\0"), (480, b"\xb9\x40\0")),
        [(0, 1)],
    ),
}


@pytest.mark.parametrize("track, expected", PEDALS.values(), ids=PEDALS)
def test_pedal(read, track, expected):
    assert spans(read(song(events(*track)))) == expected


def test_pedal_is_the_channels_and_keys_are_the_tracks(read):
    left = events((0, DOWN), (960, UP))
    right = events((0, ON), (480, OFF))
    assert spans(read(song(left, right))) == [(0, 2)]
    above = events((0, ON), (1440, OFF))
    assert spans(read(song(right, above))) == [(0, 1), (0, 3)]


def test_all_notes_off_ends_the_channel(read):
    for controller in (b"\x78", b"\x7b"):
        track = events((0, ON), (0, b"\x90\x40\x40"), (480, b"\xb0" + controller + b"\0"), (480, OFF))
        assert spans(read(song(track))) == [(0, 1), (0, 1)]


def test_a_tracks_program_goes_before_its_channels(read):
    notes = read(
        song(events((0, b"\xc0\x05")), events((0, ON), (480, OFF)), events((0, b"\xc0\x07"), (0, ON), (960, OFF)))
    )
    assert notes.program.tolist() == [5, 7] and notes.end.tolist() == [0.5, 1.0]


def test_tempo_of_all_tracks(read):
    slow = bytes.fromhex("ff 51 03 0f 42 40")  # 60 a minute from the third beat on, told by the second track
    notes = read(song(TEMPO_500, events((960, slow)), events((480, ON), (960, OFF))))
    assert notes.start.tolist() == [0.5] and notes.end.tolist() == [2.0]
    assert notes.tempo == ((0, 120), (1, 60))
    assert notes.quarters(np.array([0.5, 2.0])).tolist() == [1, 3] and notes.seconds(np.array([1, 3])).tolist() == [
        0.5,
        2,
    ]


NOTE = events((0, ON), (480, OFF))
GOOD = song(NOTE)
BROKEN = {
    "empty": (b"", "an empty file"),
    "not MIDI": (b"RIFF" + GOOD, "not a MIDI file"),
    "header cut": (GOOD[:9], "truncated: the header"),
    "header short": (chunk(b"MThd", b"\0\1\0\1") + bytes(8), "malformed header"),
    "track cut": (GOOD[:-3], "truncated: track 1 of 1"),
    "track missing": (song(NOTE, NOTE)[: len(GOOD)], "truncated: track 2 of 2"),
    "claims 100 MB": (GOOD[:18] + (100 * 2**20).to_bytes(4, "big") + GOOD[22:], "truncated: track 1 of 1"),
    "event cut": (GOOD[:14] + chunk(b"MTrk", NOTE[:-1]), "ends inside an event"),
    "meta event cut": (GOOD[:14] + chunk(b"MTrk", NOTE + b"\0\xff\x01\x7fabc"), "ends inside an event"),
    "illegal data byte": (song(events((0, b"\x90\x3c\x80"))), "illegal data byte 128"),
    "illegal status": (song(NOTE + b"\0\xf4"), "status byte 0xF4"),
    "no status": (song(b"\0\x3c\x40"), "where a status byte must stand"),
    "five-byte number": (song(b"\xff\xff\xff\xff\x7f" + ON), "malformed number"),
    "tempo of zero": (song(b"\0\xff\x51\3\0\0\0" + NOTE), "malformed tempo"),
    "type 2": (song(NOTE, kind=2), "type 2"),
    "SMPTE": (song(NOTE, division=0xE728), "SMPTE"),
    "no division": (song(NOTE, division=0), "malformed header"),
    "no notes": (song(events((0, b"\xc0\x05"))), "holds no notes"),
    "no tracks": (song(), "holds no notes"),
    "30 hours": (song(events((0, ON), (30 * 3600 * 960, OFF))), "30 hours long, of at most 6"),
    "ticks beyond 64 bits": (song(events(*[((1 << 28) - 1, OFF)] * 1000, (0, ON), (1, OFF)), division=1), "hours long"),
}


@pytest.mark.parametrize("data, cause", BROKEN.values(), ids=BROKEN)
def test_broken_files_name_file_and_cause(tmp_path, capfd, data, cause):
    path = tmp_path / "broken.mid"
    path.write_bytes(data)
    with pytest.raises(CodecError) as caught:
        read_midi(path)
    assert str(caught.value).startswith(f"{path}: ") and cause in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_unreadable_paths(tmp_path):
    os.mkfifo(tmp_path / "pipe.mid")  # opening it would wait for a writer for ever
    with open(tmp_path / "large.mid", "wb") as file:
        file.truncate(100 * 2**20)
    causes = {
        "missing.mid": "No such file",
        ".": "regular",
        "pipe.mid": "regular",
        "large.mid": f"{MAX_BYTES:,}",
        "\0": "null",
    }
    for name, cause in causes.items():
        with pytest.raises(CodecError, match=cause):
            read_midi(f"{tmp_path}/{name}")


@given(st.data())
@settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_raises_nothing_else(tmp_path, data):
    """Any bytes changed, cut out or put in: notes or CodecError, and soon."""
    pieces = [NOTE, TEMPO_500, events(*PEDALS["loses nothing after its last release"][0]), events((9, b"\xf0\x01\xf7"))]
    whole = bytearray(song(*data.draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=4))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole)))
        whole[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path = tmp_path / "damaged.mid"
    path.write_bytes(whole)
    try:
        assert len(read_midi(path)) > 0
    except CodecError as error:
        assert error.path == str(path)


def test_the_largest_file_is_read_in_bounded_time(tmp_path):
    body = b"\0\x90\x3c\0" + b"\1\x3c\x40\1\x3c\0" * (MAX_BYTES // 6 // 8)
    path = tmp_path / "dense.mid"
    path.write_bytes(song(body))
    start = time.process_time()
    assert len(read_midi(path)) == MAX_BYTES // 6 // 8
    assert time.process_time() - start < 8  # an eighth of the limit, on a slow machine


# Writing


@st.composite
def notes_on_a_grid(draw) -> Notes:
    """Times in whole 10 ms, no key twice: what a file at 120 keeps exactly."""
    keys = draw(st.lists(st.integers(0, 127), unique=True, max_size=20))
    some = lambda low, high: np.array(
        draw(st.lists(st.integers(low, high), min_size=len(keys), max_size=len(keys))), int
    )
    start = some(0, 2000)
    return Notes(
        start / 100, (start + some(1, 500)) / 100, np.array(keys, int), some(1, 127), some(0, 127), some(0, 1) == 1
    ).sorted()


@given(notes_on_a_grid().filter(len))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_is_read(tmp_path, notes):
    write_midi(notes, tmp_path / "song.mid")
    assert read_midi(tmp_path / "song.mid") == notes


@pytest.mark.parametrize("seed", range(5))
def test_times_stay_within_half_a_tick_through_changes_of_tempo(tmp_path, seed):
    random = np.random.default_rng(seed)
    start = np.sort(random.uniform(0, 600, 300))
    tempo = tuple(
        (float(time), float(qpm)) for time, qpm in zip([0, 50, 51.2345, 400], random.uniform(30, 300, 4), strict=True)
    )
    notes = Notes(start, start + random.uniform(0.01, 3, 300), np.arange(300) % 128, tempo=tempo)
    write_midi(notes, tmp_path / "song.mid")
    again = read_midi(tmp_path / "song.mid")
    half_a_tick = 0.5 * 60 / min(qpm for _, qpm in tempo) / TICKS_PER_QUARTER + 1e-9
    assert np.abs(again.start - notes.start).max() <= half_a_tick
    assert np.abs(np.sort(again.end) - np.sort(notes.end)).max() <= half_a_tick
    assert [qpm for _, qpm in again.tempo] == pytest.approx([qpm for _, qpm in tempo], rel=1e-5)


@pytest.mark.parametrize("qpm", [3.6, 60, 72.5, 90, 100, 133.3, 240])
def test_tempo_metre_and_meta_come_back(tmp_path, qpm):
    meta = {"model": "gpt", "run": 'läuft\n"so"', "seed": "7"}
    notes = Notes(
        [0.0, 8.0], [1.0, 9.0], [60, 62], tempo=((0, qpm), (4.0, 100)), metre=((0, 3, 4), (2.0, 7, 8)), meta=meta
    )
    write_midi(notes, tmp_path / "song.mid")
    again = read_midi(tmp_path / "song.mid")
    assert [qpm for _, qpm in again.tempo] == [qpm, 100] if qpm != 100 else again.tempo == ((0, 100),)
    assert [time for time, *_ in again.metre] == pytest.approx([0, 2.0], abs=0.01)
    assert [metre[1:] for metre in again.metre] == [(3, 4), (7, 8)] and again.meta == meta


def test_text_of_others_is_no_meta(read):
    texts = [b"hello", b"[1, 2]", b'{"zoo": 3}', b'{"zoo": {"a": 1}}', b"\xff\xfe", b"[" * 120]
    notes = read(song(events(*[(0, b"\xff\x01" + number(len(text)) + text) for text in texts], (0, ON), (480, OFF))))
    assert notes.meta == {"a": "1"}


def test_other_readers_agree(tmp_path):
    """mido and pretty_midi find the same notes, instruments and tempo in our files."""
    import mido
    import pretty_midi

    random = np.random.default_rng(0)
    start, pitch = np.arange(60) / 4, random.integers(30, 90, 60)
    program = random.choice([0, 40, 73], 60)
    notes = Notes(
        start, start + 0.2, pitch, random.integers(1, 128, 60), program, program == 73, ((0, 90), (7.5, 120))
    ).sorted()
    write_midi(notes, tmp_path / "song.mid")

    song = pretty_midi.PrettyMIDI(str(tmp_path / "song.mid"))
    theirs = sorted(
        (note.start, part.is_drum, part.program, note.pitch, note.end, note.velocity)
        for part in song.instruments
        for note in part.notes
    )
    columns = (notes.start, notes.drum, notes.program, notes.pitch, notes.end, notes.velocity)
    np.testing.assert_allclose(np.array(theirs, float), np.stack(columns, axis=1).astype(float), atol=2e-4)
    np.testing.assert_allclose(song.get_tempo_changes()[1], [90, 120], rtol=1e-5)
    assert [track[0].type for track in mido.MidiFile(tmp_path / "song.mid").tracks[1:]] == ["program_change"] * 3


def test_sixteen_programs_and_two_kits_read_back_apart(tmp_path):
    program = np.arange(18)
    notes = Notes(np.zeros(18), np.ones(18), np.full(18, 60), program=program, drum=program > 15).sorted()
    write_midi(notes, tmp_path / "song.mid")
    assert read_midi(tmp_path / "song.mid") == notes


def test_a_key_is_let_go_before_it_is_struck_again(tmp_path):
    """At one tick, for players who take events as they come."""
    import mido

    write_midi(Notes([0.0, 1.0], [1.0, 2.0], [60, 60]), tmp_path / "song.mid")
    track = mido.MidiFile(tmp_path / "song.mid").tracks[1]
    assert [message.type for message in track[1:-1]] == ["note_on", "note_off"] * 2


def test_an_empty_note_is_a_tick_long(tmp_path):
    write_midi(Notes([1.0], [1.0], [60]), tmp_path / "song.mid")
    assert read_midi(tmp_path / "song.mid").end.tolist() == [1.0 + 0.5 / TICKS_PER_QUARTER]


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "song.mid"
    write_midi(Notes([0.0], [1.0], [60]), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CodecError, match=r"song\.mid: No space left"):
        write_midi(Notes([0.0], [1.0], [61]), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["song.mid"]


def test_what_cannot_be_written(tmp_path):
    note = Notes([0.0], [1.0], [60])
    pause = Notes([0.0, 5000.0], [1.0, 5001.0], [60, 60], tempo=((0, 6e7),))
    for notes, path, cause in (
        (note, tmp_path / "no" / "song.mid", "No such file"),
        (note, tmp_path, "directory"),
        (pause, tmp_path / "song.mid", "too fast"),
        (replace(note, meta={"a": {1}}), tmp_path / "song.mid", "JSON"),
    ):
        with pytest.raises(CodecError, match=cause) as caught:
            write_midi(notes, path)
        assert caught.value.path == str(path)
    assert os.listdir(tmp_path) == []


# Notes


@pytest.mark.parametrize(
    "values, cause",
    [
        ({"start": [1.0], "end": [0.5]}, "0 <= start <= end"),
        ({"start": [float("nan")]}, "0 <= start <= end"),
        ({"start": [-0.1]}, "0 <= start <= end"),
        ({"pitch": [128]}, "pitch must lie in 0..127"),
        ({"velocity": [0]}, "velocity must lie in 1..127"),
        ({"pitch": [1, 2]}, "pitch: "),
        ({"end": [1e9]}, "hours long"),
        ({"start": 0.0, "end": 0.0, "pitch": 60}, "one dimension"),
        ({"tempo": ((0, 0),)}, "tempo"),
        ({"tempo": ((-1, 120),)}, "times from 0"),
        ({"metre": ((0, 4, 3),)}, "metre"),
    ],
)
def test_notes_refuse(values, cause):
    with pytest.raises(CodecError, match=cause):
        Notes(**({"start": [0.0], "end": [1.0], "pitch": [60]} | values))


def test_notes_helpers():
    notes = Notes([1.0, 0.0], [2.0, 3.5], [60, 36], drum=[False, True], tempo=((2.0, 60), (5.0, 60)))
    assert len(notes) == 2 and notes.duration == 3.5 and Notes([], [], []).duration == 0
    assert notes.sorted().pitch.tolist() == [36, 60] and notes.sorted() == notes.sorted().sorted() != notes
    assert notes.transpose(-12).pitch.tolist() == [48, 36]
    assert notes.velocity.tolist() == [80, 80] and notes.program.dtype == np.int32
    assert notes.tempo == ((0, 120), (2, 60))
    times = np.array([0.0, 1.9, 2.0, 3.5])
    np.testing.assert_allclose(notes.quarters(times), [0, 3.8, 4, 5.5])
    np.testing.assert_allclose(notes.seconds(notes.quarters(times)), times)
    with pytest.raises(CodecError, match="pitch"):
        notes.transpose(70)


def test_importing_codecs_imports_no_library():
    libraries = {"jax", "PIL", "av", "mido", "pretty_midi", "scipy"}
    code = f"import sys, zoo.codecs; zoo.codecs.read_midi; print(*{libraries} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


# Real files


def onsets(path) -> np.ndarray:
    """[N, 3] time, pitch and velocity of all onsets, by mido."""
    import mido

    now, found = 0.0, []
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "note_on" and message.velocity:
            found.append((now, message.note, message.velocity))
    return np.array(sorted(found))


@pytest.mark.data
@pytest.mark.parametrize("pattern", ["pop909/midi/*.mid", "groove_midi/**/*.mid"])
def test_real_files(zoo_data, tmp_path, pattern):
    files = sorted(zoo_data.glob(pattern))
    assert len(files) > 800
    for path in random.Random(0).sample(files, 8):
        notes = read_midi(path)
        mine = np.stack([notes.start, notes.pitch, notes.velocity], axis=1)
        np.testing.assert_allclose(mine[np.lexsort(mine.T[::-1])], onsets(path), atol=1e-6)
        write_midi(notes, tmp_path / "song.mid")
        again = read_midi(tmp_path / "song.mid")
        assert (again.tempo, again.metre, len(again)) == (notes.tempo, notes.metre, len(notes))
        np.testing.assert_allclose(np.sort(again.end), np.sort(notes.end), atol=1e-3)
