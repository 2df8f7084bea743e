"""Arithmetic on maps in numpy: bilinear resizing, as torch does it without antialiasing, and the sigmoid."""

import numpy as np


def neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Between which cells of a side of `old` cells those of a side of `new` cells lie.

    Returns:
        Per new cell the cell before it, the cell after it, and the share of the latter, float32 in 0 to 1.
    """
    centres = np.arange(new, dtype=np.float32) + np.float32(0.5)
    places = np.maximum(centres * np.float32(old / new) - np.float32(0.5), 0)
    before = np.minimum(places.astype(np.intp), old - 1)
    return before, np.minimum(before + 1, old - 1), places - before.astype(np.float32)


def resized(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes `maps`, float32 (..., h, w), bilinearly to `size` (height, width)."""
    for axis, length in zip((-2, -1), size, strict=True):
        if maps.shape[axis] != length:
            before, after, share = neighbours(maps.shape[axis], length)
            share = share[:, None] if axis == -2 else share
            maps = np.take(maps, before, axis) * (1 - share) + np.take(maps, after, axis) * share
    return maps


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The probability of log-odds, in 0 to 1."""
    return np.exp(-np.logaddexp(0, -logits))
