"""How well labels that were read off pictures are the true ones, pixel by pixel (Long, Shelhamer & Darrell 2015,
arXiv:1411.4038, section 5)."""

import numpy as np


def confusion(true: np.ndarray, read: np.ndarray, labels: int) -> np.ndarray:
    """Labels int [...] twice -> int64 [labels, labels]: pixels of each true label (row) by the label that was read."""
    pairs = np.asarray(true, np.int64).ravel() * labels + np.asarray(read, np.int64).ravel()
    return np.bincount(pairs, minlength=labels**2).reshape(labels, labels)


def agreement(counts: np.ndarray) -> dict[str, float]:
    """Of a confusion matrix ``pixel``, the share of pixels that are right; ``class``, the mean share of a label's; and
    ``iou``, the mean of a label's intersection over union. Labels that no pixel has do not count."""
    counts = np.asarray(counts, np.float64)
    right, true, read = np.diag(counts), counts.sum(1), counts.sum(0)
    there = true > 0
    share, union = right[there] / true[there], (true + read - right)[there]
    return {
        "pixel": float(right.sum() / counts.sum()),
        "class": float(share.mean()),
        "iou": float((right[there] / union).mean()),
    }
