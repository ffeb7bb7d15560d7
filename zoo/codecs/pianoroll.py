"""Notes -> a picture of them: time to the right, pitch upwards, a colour a voice or drum, velocity as brightness."""

from collections.abc import Iterator

import numpy as np

from zoo.codecs.errors import CodecError
from zoo.codecs.notes import Notes

MAX_WIDTH = 16_384  # pixels; of longer music a second gets fewer

_COLOURS = np.array(  # of voices from high to low, told apart by colour-blind eyes too (after Okabe and Ito 2008)
    [[255, 176, 59], [86, 180, 233], [20, 200, 150], [232, 112, 172], [240, 228, 90], [130, 140, 255], [245, 105, 65]],
    np.float32,
)
_GROUND, _WHITE_LANE, _BLACK_LANE = np.array([[14, 15, 20], [27, 29, 37], [21, 22, 29]], np.float32)
_OCTAVE, _BEAT, _BAR = 16, 10, 34  # how much lighter the lines are than what they cross
_KEYBOARD, _GAP = 12, 4  # pixels: keys at the left edge, ground around everything
_BLACK_KEYS = (1, 3, 6, 8, 10)
_LEAST_LANES = 25  # two octaves: fewer would make planks of notes
_LEAST_SPACE = 6  # pixels between lines


def picture(notes: Notes, *, height: int = 360, pixels_per_second: float = 60.0) -> np.ndarray:
    """uint8 [height, W, 3]: the notes over bar lines, beats and octaves, a keyboard at the left, drums in lanes below.

    The lowest and highest lanes are two semitones beyond the notes. CodecError where nothing could be seen.
    """
    if height < 32 or not 1 <= pixels_per_second <= 10_000:
        raise CodecError("picture", "height must be at least 32, pixels_per_second in 1..10000")
    scale = min(pixels_per_second, (MAX_WIDTH - 100) / max(notes.duration, 1.0))
    left, width = _GAP + _KEYBOARD, int(np.ceil(max(notes.duration, 1.0) * scale))
    lanes = _lanes(notes)
    edges = np.rint(np.linspace(height - _GAP, _GAP, len(lanes) + 1)).astype(int)  # from the bottom up
    rows = {lane: slice(top, bottom) for lane, bottom, top in zip(lanes, edges[:-1], edges[1:], strict=True)}

    canvas = np.empty((height, left + width + _GAP, 3), np.float32)
    canvas[:] = _GROUND
    for lane, row in rows.items():
        _draw_lane(canvas[row, _GAP : left + width], *lane)
    for column, light in _lines(notes, scale):
        canvas[_GAP : height - _GAP, left + min(column, width - 1)] += light
    parts = np.unique(notes.program[~notes.drum]).tolist()
    columns = np.rint(np.stack([notes.start, notes.end]) * scale).astype(int) + left
    values = (notes.drum, notes.pitch, notes.program, notes.velocity, *columns)
    for drum, pitch, program, velocity, first, beyond in np.stack(values, axis=1)[np.argsort(notes.start)].tolist():
        colour = _COLOURS[(lanes.index((True, pitch)) if drum else parts.index(program)) % len(_COLOURS)]
        beyond = min(first + 5, left + width) if drum else max(beyond - 1, first + 1)
        light = min(1.0, 0.4 + 0.6 * velocity / 110)
        _draw_note(canvas[rows[bool(drum), pitch], first:beyond], light * colour)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _lanes(notes: Notes) -> list[tuple[bool, int]]:
    """(drum, key) from the bottom up: the drums in use, then all pitches from two below the notes to two above."""
    drums = [(True, key) for key in np.unique(notes.pitch[notes.drum]).tolist()]
    pitches = notes.pitch[~notes.drum] if len(notes) else np.array([60])
    if not len(pitches):
        return drums
    low, high = int(pitches.min()) - 2, int(pitches.max()) + 2
    low = max(0, min(low, (low + high + 1 - _LEAST_LANES) // 2))
    high = min(127, max(high, low + _LEAST_LANES - 1))
    return drums + [(False, key) for key in range(low, high + 1)]


def _draw_lane(lane: np.ndarray, drum: bool, key: int) -> None:
    black = not drum and key % 12 in _BLACK_KEYS
    lane[:] = _BLACK_LANE if black else _WHITE_LANE
    if not drum:
        lane[:, : _KEYBOARD - 1] = 44 if black else 178
        if key % 12 in (0, 5):  # below C and F white keys touch
            lane[-1:, : _KEYBOARD - 1] = 90
    if drum or key % 12 == 0:
        lane[-1:, _KEYBOARD:] += _OCTAVE


def _draw_note(note: np.ndarray, colour: np.ndarray) -> None:
    """Fills a note's rectangle [h, w, 3] in place: brighter where it is struck, with room to the next lane."""
    if len(note) > 3:
        note = note[1:]
    note[:] = 0.1 * note + 0.9 * colour
    note[:, :2] += 0.45 * (255 - note[:, :2])
    if len(note) > 4:
        note[:1] += 0.2 * (255 - note[:1])


def _lines(notes: Notes, scale: float) -> Iterator[tuple[int, float]]:
    """(pixels from the first moment, light) of beats and bars, left out where they would stand too close."""
    last = float(notes.quarters(np.array(max(notes.duration, 1.0))))
    begins = [float(notes.quarters(np.array(time))) for time, _, _ in notes.metre]
    for begin, end, (_, top, bottom) in zip(begins, [*begins[1:], last], notes.metre, strict=True):
        for quarters, light in ((4 / bottom, _BEAT), (4 * top / bottom, _BAR)):
            seconds = notes.seconds(np.array([begin, end]))
            if end > begin and (seconds[1] - seconds[0]) * scale * quarters / (end - begin) >= _LEAST_SPACE:
                for place in notes.seconds(np.arange(begin, min(end, last), quarters)):
                    yield round(float(place) * scale), light
