"""Standard MIDI files: the only door in and out.

The parser is our own, one pass over the bytes, because the libraries' lose music: mido forgets the time that passes
before a meta event it does not know and stops at a malformed key signature; pretty_midi on top of it closes all notes
of a key at once, reads tempo from the first track only and drops notes that are open at the end.
Source: Standard MIDI Files 1.0 (RP-001), MIDI Manufacturers Association.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from zoo.codecs.errors import META_KEY, CodecError, Path, read_bytes, write_bytes
from zoo.codecs.notes import MAX_SECONDS, Notes

MAX_BYTES = 4 * 2**20  # an opera takes 1 MB; this much is parsed in a few seconds
TICKS_PER_QUARTER = 2400  # 10 ms is a whole number of ticks at every tempo that is a multiple of 2.5 a minute
DRUM_CHANNEL = 9  # the tenth, counted from 0

_NOTE_OFF, _NOTE_ON, _CONTROL, _PROGRAM, _META = 0x80, 0x90, 0xB0, 0xC0, 0xFF
_TEXT, _NAME, _END, _TEMPO, _METRE = 0x01, 0x03, 0x2F, 0x51, 0x58
_SUSTAIN, _SOUND_OFF, _RESET, _NOTES_OFF = 64, 120, 121, 123


class _Malformed(Exception):
    """Reaches the user as a CodecError that names the file."""


def read_midi(path: Path) -> Notes:
    """The notes of a MIDI file of type 0 or 1, sorted, with the tempo and the metre of all tracks.

    A note-off closes the oldest open note of its key, track and channel (first in, first out). While the sustain pedal
    is down (controller 64 >= 64; drums have none) a released note sounds until the pedal goes up or the channel strikes
    its key again (Oore et al. 2018, section 3.1). What is open at the end, ends there: nothing is lost. Pedals are
    the channel's whatever the track; programs the track's where it names one, else the channel's.

    Raises CodecError, and nothing else, for a file that is missing, larger than ``MAX_BYTES``, not MIDI, truncated,
    malformed, of type 2, in SMPTE time, longer than ``notes.MAX_SECONDS`` or without a note.
    """
    return _open(path)[0]


def read_tracks(path: Path) -> dict[str, Notes]:
    """The notes of a MIDI file by the names of their tracks, in the tracks' order; "" where one has none, and tracks of
    one name together. All else is as `read_midi` has it, and so are the errors."""
    notes, track, names = _open(path)
    named = np.array([names[number] for number in track.tolist()], object)
    return {name: notes.select(named == name) for name in dict.fromkeys(names) if np.any(named == name)}


def _open(path: Path) -> tuple[Notes, np.ndarray, list[str]]:
    """The sorted notes of a file, the number of each one's track, and the tracks' names."""
    data = read_bytes(path, limit=MAX_BYTES)
    try:
        notes, track, names = _read(*_chunks(data))
    except IndexError:
        raise CodecError(path, "truncated: a track ends inside an event") from None
    except _Malformed as error:
        raise CodecError(path, error) from None
    except CodecError as error:  # of Notes, which does not know the file
        raise CodecError(path, error.cause) from None
    if not len(notes):
        raise CodecError(path, "holds no notes")
    return notes, track, names


def write_midi(notes: Notes, path: Path) -> None:
    """Writes a file of type 1: tempo, metre and meta in its first track, then a track for each program and drum kit.

    Read back it gives the same sorted notes, with times rounded to ticks of 1 / ``TICKS_PER_QUARTER`` of a quarter note
    (0.2 ms at 120 a minute; no error adds up), every note at least a tick long, and overlapping notes of one key and
    program paired first in, first out. Beyond 15 programs channels are shared: they read back apart and may sound
    alike. Raises CodecError only.
    """
    try:
        tracks = _written(notes)
    except (_Malformed, TypeError) as error:  # TypeError: json's, when meta is no text
        raise CodecError(path, error) from None
    header = b"".join(number.to_bytes(2, "big") for number in (1, len(tracks), TICKS_PER_QUARTER))
    write_bytes(path, _chunk(b"MThd", header) + b"".join(_chunk(b"MTrk", track) for track in tracks))


# Reading: bytes -> chunks -> events -> notes in ticks -> notes in seconds.


def _chunks(data: bytes) -> tuple[int, list[bytes]]:
    """Ticks a quarter note, and the body of each track. Chunks of unknown kinds are skipped, as the standard asks."""
    if data[:4] != b"MThd":
        raise _Malformed("not a MIDI file" if data else "an empty file")
    if len(data) < 14:
        raise _Malformed("truncated: the header is not all there")
    header, kind, count, division = (int.from_bytes(data[a:b], "big") for a, b in ((4, 8), (8, 10), (10, 12), (12, 14)))
    if kind > 1:
        raise _Malformed(f"type {kind}: only types 0 and 1 keep one time for all tracks")
    if division & 0x8000:
        raise _Malformed("SMPTE time: only ticks per quarter note can be read")
    if header < 6 or not division:
        raise _Malformed("malformed header")
    tracks, at = [], 8 + header
    while len(tracks) < count:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        at += 8 + size
        if at > len(data):
            raise _Malformed(f"truncated: track {len(tracks) + 1} of {count} is not all there")
        if name == b"MTrk":
            tracks.append(data[at - size : at])
    return division, tracks


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to four bytes, and the position behind it."""
    value = 0
    for position in range(at, at + 4):
        byte = data[position]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position + 1
    raise _Malformed(f"malformed number at byte {at} of a track")


def _events(data: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """(tick, status, a, b, text) of one track: channel messages with data bytes a and b, meta events of kind a.

    Running status outlives meta and system events: the standard ends it there, but many files rely on it.
    """
    at, tick, running = 0, 0, 0
    while at < len(data):
        delta, at = _number(data, at)
        tick += delta
        status = data[at]
        if status in (0xF0, 0xF7, _META):
            kind = data[at + 1] if status == _META else 0
            size, at = _number(data, at + (2 if status == _META else 1))
            at += size
            if at > len(data):
                raise IndexError
            if status == _META:
                yield tick, status, kind, 0, data[at - size : at]
            continue
        if status & 0x80:
            if status > 0xF0:
                raise _Malformed(f"status byte 0x{status:02X} does not belong in a file")
            running, at = status, at + 1
        if not running:
            raise _Malformed("a data byte where a status byte must stand")
        size = 1 if 0xC0 <= running < 0xE0 else 2
        a, b = data[at], data[at + size - 1]
        if (a | b) & 0x80:
            raise _Malformed(f"illegal data byte {max(a, b)}: the greatest is 127")
        at += size
        yield tick, running, a, b, b""


class _Player:
    """Plays channel messages in order of time and keeps each note as [start, end, pitch, velocity, program, drum,
    track]."""

    def __init__(self):
        self.notes: list[list[int]] = []
        self.down: defaultdict[int, dict] = defaultdict(dict)  # channel -> (track, pitch) -> notes whose key is down
        self.held: defaultdict[int, dict] = defaultdict(dict)  # channel -> pitch -> notes that only the pedal holds
        self.pedal: set[int] = set()
        self.programs: dict[tuple[int | None, int], int] = {}

    def play(self, tick: int, track: int, status: int, a: int, b: int) -> None:
        channel, kind = status & 0x0F, status & 0xF0
        if kind == _NOTE_ON and b:
            _end(self.held[channel].pop(a, ()), tick)
            program = self.programs.get((track, channel), self.programs.get((None, channel), 0))
            note = [tick, tick, a, b, program, channel == DRUM_CHANNEL, track]
            self.notes.append(note)
            self.down[channel].setdefault((track, a), deque()).append(note)
        elif kind in (_NOTE_ON, _NOTE_OFF):
            self.release(tick, channel, (track, a))
        elif kind == _PROGRAM:
            self.programs[track, channel] = self.programs[None, channel] = a
        elif kind == _CONTROL and a == _SUSTAIN and b >= 64 and channel != DRUM_CHANNEL:
            self.pedal.add(channel)
        elif kind == _CONTROL and a in (_SUSTAIN, _RESET):
            self.lift(tick, channel)
        elif kind == _CONTROL and a in (_SOUND_OFF, _NOTES_OFF):
            for key in list(self.down[channel]):
                while key in self.down[channel]:
                    self.release(tick, channel, key)

    def release(self, tick: int, channel: int, key: tuple[int, int]) -> None:
        notes = self.down[channel].get(key)
        if not notes:
            return  # a note-off without a note
        note = notes.popleft()
        note[1] = tick
        if not notes:
            del self.down[channel][key]
            if channel in self.pedal:  # had the key been struck again meanwhile, this note would be over
                self.held[channel].setdefault(key[1], []).append(note)

    def lift(self, tick: int, channel: int) -> None:
        self.pedal.discard(channel)
        for notes in self.held.pop(channel, {}).values():
            _end(notes, tick)

    def finish(self, tick: int, ends: list[int]) -> None:
        """Pedals go up with the last event of all, keys with the end of their track."""
        for channel in list(self.held):
            self.lift(tick, channel)
        for keys in self.down.values():
            for (track, _), notes in keys.items():
                _end(notes, ends[track])


def _end(notes: Iterable[list[int]], tick: int) -> None:
    for note in notes:
        note[1] = tick


def _read(division: int, tracks: list[bytes]) -> tuple[Notes, np.ndarray, list[str]]:
    messages, tempos, metres, meta, ends, names = [], [], [], {}, [], [""] * len(tracks)
    for track, data in enumerate(tracks):
        tick = 0
        for tick, status, a, b, text in _events(data):
            if status != _META:
                messages.append((tick, track, status, a, b))
            elif a == _END:
                break
            elif a == _TEMPO:
                tempos.append((tick, _microseconds(text)))
            elif a == _METRE and len(text) >= 2 and text[0] and text[1] <= 6:
                metres.append((tick, text[0], 2 ** text[1]))
            elif a == _TEXT:
                meta |= _remarks(text)
            elif a == _NAME and not names[track]:
                names[track] = text.decode("utf-8", "replace")
        ends.append(tick)
    messages.sort(key=_tick)  # stable: the order within a tick is the file's
    player = _Player()
    for message in messages:
        player.play(*message)
    player.finish(messages[-1][0] if messages else 0, ends)
    seconds = _clock(division, sorted(tempos, key=_tick))
    start, end, *rest, track = np.array(player.notes, np.float64).reshape(-1, 7).T
    tempo = tuple((time, _per_minute(length)) for time, length in _timed(tempos, seconds))
    metre = tuple((time, top, bottom) for time, top, bottom in _timed(metres, seconds))
    notes = Notes(seconds(start), seconds(end), *rest, tempo=tempo, metre=metre, meta=meta)
    order = notes.order()
    return notes.select(order), track[order].astype(np.int64), names


def _tick(event: tuple) -> int:
    return event[0]


def _timed(changes: list[tuple], seconds: Callable) -> Iterator[tuple]:
    """(seconds, ...) for each (tick, ...), without those that come later than any music may last."""
    times = seconds(np.array([_tick(change) for change in changes], np.float64)).tolist()
    return ((time, *change[1:]) for time, change in zip(times, changes, strict=True) if time <= MAX_SECONDS)


def _clock(division: int, tempos: list[tuple[int, int]]) -> Callable:
    """The function ticks -> seconds. Exact up to its one rounding: below 2**53 the sums are whole float64 numbers."""
    ticks, lengths = np.array([(0, 500_000), *tempos], np.float64).T
    passed = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * lengths[:-1])])

    def seconds(tick):
        part = np.searchsorted(ticks, tick, side="right") - 1
        return (passed[part] + (tick - ticks[part]) * lengths[part]) / (division * 1e6)

    return seconds


def _microseconds(text: bytes) -> int:
    if len(text) != 3 or not any(text):
        raise _Malformed("malformed tempo")
    return int.from_bytes(text, "big")


def _per_minute(microseconds: int) -> float:
    """The roundest tempo of this length, so that the 90 that was written as 666667 microseconds reads as 90 again."""
    for digits in range(4):
        tempo = round(6e7 / microseconds, digits)
        if tempo and round(6e7 / tempo) == microseconds:
            return tempo
    return 6e7 / microseconds


def _remarks(text: bytes) -> dict[str, str]:
    try:
        meta = json.loads(text).get(META_KEY, {})
        return {str(key): str(value) for key, value in meta.items()}
    except (ValueError, AttributeError, RecursionError):
        return {}  # somebody else's text


# Writing: notes in seconds -> notes in ticks -> events -> chunks.


def _written(notes: Notes) -> list[bytes]:
    changes, ticks = _ticks(notes)
    meta = [(0, 0, _meta(_TEXT, json.dumps({META_KEY: notes.meta}).encode()))] if notes.meta else []
    tempo = [
        (tick, 1, _meta(_TEMPO, _length(qpm).to_bytes(3, "big")))
        for tick, (_, qpm) in zip(changes, notes.tempo, strict=True)
    ]
    metre = [
        (int(ticks(time)), 1, _meta(_METRE, bytes([top, bottom.bit_length() - 1, 24, 8])))
        for time, top, bottom in notes.metre
    ]
    tracks = [_track(meta + tempo + metre)]
    parts = sorted(set(zip(notes.drum.tolist(), notes.program.tolist(), strict=True)))
    for number, (drum, program) in enumerate(parts):
        part = notes.select((notes.drum == drum) & (notes.program == program))
        channel = DRUM_CHANNEL if drum else (*range(DRUM_CHANNEL), *range(DRUM_CHANNEL + 1, 16))[number % 15]
        on = ticks(part.start)
        off = np.maximum(ticks(part.end), on + 1)
        strikes = zip(on.tolist(), off.tolist(), part.pitch.tolist(), part.velocity.tolist(), strict=True)
        events = [(0, 0, bytes([_PROGRAM | channel, program]))]
        for start, end, pitch, velocity in strikes:  # at one tick ends come first, so that a key can be struck again
            events.append((start, 2, bytes([_NOTE_ON | channel, pitch, velocity])))
            events.append((end, 1, bytes([_NOTE_OFF | channel, pitch, 0])))
        tracks.append(_track(events))
    return tracks


def _ticks(notes: Notes) -> tuple[list[int], Callable]:
    """The ticks of the changes of tempo, and the function seconds -> ticks, int64. Changes too fall on ticks, so their
    times in the file may differ: later ticks are counted from where they fell."""
    times, starts = [0.0], [0]
    lengths = [_length(qpm) / (TICKS_PER_QUARTER * 1e6) for _, qpm in notes.tempo]  # seconds a tick
    for (time, _), length in zip(notes.tempo[1:], lengths[:-1], strict=True):
        starts.append(starts[-1] + round((time - times[-1]) / length))
        times.append(times[-1] + (starts[-1] - starts[-2]) * length)
    moments, first, each = np.array(times), np.array(starts), np.array(lengths)

    def ticks(time):
        part = np.searchsorted(moments, time, side="right") - 1
        return first[part] + np.rint((time - moments[part]) / each[part]).astype(np.int64)

    return starts, ticks


def _length(quarters_per_minute: float) -> int:
    return round(6e7 / quarters_per_minute)  # microseconds a quarter note


def _track(events: list[tuple[int, int, bytes]]) -> bytes:
    """Events (tick, rank within a tick, bytes) in any order -> the body of a track."""
    body, now = bytearray(), 0
    for tick, _, event in sorted(events):
        body += _digits(tick - now) + event
        now = tick
    return bytes(body) + b"\0" + _meta(_END, b"")


def _meta(kind: int, text: bytes) -> bytes:
    return bytes([_META, kind]) + _digits(len(text)) + text


def _digits(number: int) -> bytes:
    if number >= 1 << 28:
        raise _Malformed("too many ticks between two events: the tempo is too fast for such a pause")
    groups = [number >> shift & 0x7F for shift in (21, 14, 7, 0) if number >> shift or not shift]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "big") + body
