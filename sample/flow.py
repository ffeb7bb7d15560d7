"""Optical flow of films, by a library: dense inverse search (Kroeger et al. 2016, arXiv:1603.03590), OpenCV's."""

import numpy as np

from zoo.errors import UserError

LEAST = 32  # pixels a side: smaller frames are enlarged for it


def flow(frame: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where in ``other`` what is seen in ``frame`` lies, both uint8 [H, W, 3]: float32 [H, W, 2], how far to the right
    and how far down, in pixels. UserError where the library is missing."""
    try:
        import cv2
    except ImportError:
        raise UserError(
            "--steady follows what moves with OpenCV, which is not installed: pip install opencv-python-headless"
        ) from None
    height, width = frame.shape[:2]
    times = -(-LEAST // min(height, width))
    grey = lambda x: cv2.resize(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), (times * width, times * height))
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = search.calc(grey(np.ascontiguousarray(frame)), grey(np.ascontiguousarray(other)), None)
    if times > 1:
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA) / times
    return np.asarray(found, np.float32)
