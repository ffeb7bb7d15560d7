"""Clips: arrays and frames, side by side and as strips."""

import numpy as np
import pytest

from zoo.codecs import CodecError, from_config, to_config
from zoo.codecs.clips import ClipCodec, side_by_side, strips


def test_encode_and_decode_are_inverse():
    codec = ClipCodec(channels=3, fps=12.5)
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 6, 3), np.uint8)
    array = codec.encode(frames)
    assert array.dtype == np.float32 and np.abs(array).max() <= 1
    np.testing.assert_array_equal(codec.decode(array), frames)
    assert from_config(to_config(codec)) == codec and codec.media == "video"
    for wrong in (lambda: ClipCodec(channels=4, fps=12), lambda: ClipCodec(channels=1, fps=0)):
        with pytest.raises(CodecError):
            wrong()


def test_side_by_side_and_in_strips():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 6, 3), np.uint8)
    film, sheet = side_by_side(frames), strips(frames)
    assert film.shape == (3, 5 + 4, 2 * (6 + 2) + 2, 3) and sheet.shape == (2 * (5 + 2) + 2, 3 * (6 + 2) + 2, 3)
    for row in range(2):
        for time in range(3):
            shown = film[time][2:7, 2 + 8 * row : 8 + 8 * row]
            np.testing.assert_array_equal(shown, frames[row, time])
            np.testing.assert_array_equal(sheet[2 + 7 * row : 7 + 7 * row, 2 + 8 * time : 8 + 8 * time], shown)
    np.testing.assert_array_equal(side_by_side(frames[:1]), frames[0])
