"""Films that move with music: how far along a closed walk a picture is at each frame, and what colour it has.

Between strokes the walk creeps, faster where it is loud; a stroke pushes it on, and the push fades. So what one sees
move is what one hears struck.
"""

from pathlib import Path

import numpy as np

from zoo.codecs.film import MAX_FRAMES
from zoo.codecs.listening import Heard, listen
from zoo.errors import UserError

REST, LOUD, STROKE = 0.04, 0.25, 2.0  # pictures of the walk a second, of full loudness and of a full stroke
FADES = 0.18  # seconds in which a push falls to 1/e
LINGERS = 0.5  # seconds that a harmony colours the picture
SHARPNESS = 3.0  # with which the strongest pitch classes stand out


def heard(path: str, *, fps: float, frames: int | None) -> Heard:
    """UserError where the music is longer than a film may be."""
    found = listen(Path(path).expanduser(), fps=fps, frames=frames)
    if len(found.strokes) > MAX_FRAMES:
        raise UserError(
            f"--music {path}: {len(found.strokes):,} frames, more than {MAX_FRAMES:,}: say how many, --frames"
        )
    return found


def places(music: Heard, fps: float) -> np.ndarray:
    """How far the walk has come at each frame, in pictures: [N], which grows."""
    push = np.array(faded(music.strokes, np.exp(-1 / (FADES * fps))))
    speed = REST + LOUD * music.loudness + STROKE * push
    return np.concatenate([[0.0], np.cumsum(speed[1:])]) / fps


def faded(strokes: np.ndarray, keeps: float) -> list[float]:
    """The strokes, each of which goes on in the frames behind it, a share ``keeps`` of it from one to the next."""
    going, found = 0.0, []
    for stroke in strokes.tolist():
        going = max(stroke, keeps * going)
        found.append(going)
    return found


def harmony(music: Heard, fps: float) -> np.ndarray:
    """Shares of the twelve pitch classes at each frame, in which the strongest stand out, and which change slowly:
    [N, 12]."""
    sharp = music.chroma**SHARPNESS
    sharp /= sharp.sum(axis=1, keepdims=True)
    keeps, now, found = np.exp(-1 / (LINGERS * fps)), sharp[0], []
    for new in sharp:
        now = keeps * now + (1 - keeps) * new
        found.append(now)
    return np.array(found)


def spread(shares: np.ndarray, count: int) -> np.ndarray:
    """Shares of the twelve pitch classes [N, 12] -> of ``count`` colours or kinds of things [N, count], along the
    circle of fifths, so that keys that are near have what is near."""
    found = np.zeros((len(shares), count), np.float32)
    for pitch in range(12):
        found[:, 7 * pitch % 12 * count // 12] += shares[:, pitch]
    return found
