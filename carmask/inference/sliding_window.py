"""Sliding-window inference: overlapping windows of the network's usual size, their maps blended into one."""

from collections.abc import Callable
from itertools import product

import numpy as np
from PIL import Image

from carmask.tasks.maps import resized

OVERLAP = 0.25  # the least share of a window that its neighbour sees as well
BATCH = 4  # windows that the network sees at a time


def cut(length: int, window: int) -> list[tuple[int, np.ndarray]]:
    """Cuts one side of a picture into overlapping windows, evenly spaced.

    Returns:
        Per window its first pixel, and the weight of each of its pixels, float32 (window,) in 0 to 1: it fades where
        a neighbour sees the same, so that the weights of all windows sum to 1 at each of the `length` pixels.
    """
    count = 1 + -(-(length - window) // max(1, int(window * (1 - OVERLAP))))
    starts = [round(start) for start in np.linspace(0, length - window, count)]
    fade = np.arange(1, window + 1).clip(max=max(1, int(window * OVERLAP))).astype(np.float32)
    weight = np.minimum(fade, fade[::-1])
    total = np.zeros(length, np.float32)
    for start in starts:
        total[start : start + window] += weight
    return [(start, weight / total[start : start + window]) for start in starts]


def number_of_windows(size: tuple[int, int], window: tuple[int, int]) -> int:
    """How many windows (height, width) the network sees of a picture that is enlarged to `size` (height, width)."""
    return len(cut(size[0], window[0])) * len(cut(size[1], window[1]))


def blended(
    grey: Image.Image, window: tuple[int, int], maps_of: Callable[[list[Image.Image]], np.ndarray]
) -> np.ndarray:
    """One map of a whole picture, float32 (height, width), from the maps of its windows.

    Args:
        grey: at least as large as a window.
        window: (height, width) of what the network sees at a time.
        maps_of: gives the maps (B, h, w) of B windows, at any stride; never gets more than `BATCH`.
    """
    total = np.zeros((grey.height, grey.width), np.float32)
    places = list(product(cut(grey.height, window[0]), cut(grey.width, window[1])))
    for first in range(0, len(places), BATCH):
        batch = places[first : first + BATCH]
        views = [grey.crop((x, y, x + window[1], y + window[0])) for (y, _), (x, _) in batch]
        maps = resized(maps_of(views), window)
        for ((y, down), (x, across)), one_map in zip(batch, maps, strict=True):
            total[y : y + window[0], x : x + window[1]] += one_map * down[:, None] * across
    return total
