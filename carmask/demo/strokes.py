"""Brush strokes on a mask: validated, then painted at the picture's full size."""

import math
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

MAX_POINTS = 20_000
MAX_WORK = 2_000_000_000  # pixels that all strokes may paint together: about two seconds


class StrokeError(ValueError):
    """Strokes that are refused; the message is one sentence for the visitor."""


class Stroke(NamedTuple):
    """One stroke of a round brush.

    `points` (x, y) and `radius` are in pixels of the picture, whose upper left corner is (0, 0).
    """

    is_object: bool
    radius: float
    points: list[tuple[float, float]]


def read_strokes(painted: Any, size: tuple[int, int]) -> list[Stroke]:  # noqa: ANN401 - it comes from the network
    """Validates the strokes that a page sends for a picture of `size` (height, width).

    Args:
        painted: list of {"add": bool, "radius": number, "points": [x, y, x, y, ...]}.
        size: of the picture.

    Raises:
        StrokeError: They are malformed, or more than one visitor may paint.
    """
    if not isinstance(painted, list):
        raise StrokeError("These strokes cannot be read; reload the page and paint again.")
    try:
        strokes = [read_stroke(stroke, max(size)) for stroke in painted]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise StrokeError("These strokes cannot be read; reload the page and paint again.") from None
    if sum(len(stroke.points) for stroke in strokes) > MAX_POINTS or sum(map(painted_pixels, strokes)) > MAX_WORK:
        raise StrokeError("These are more strokes than can be painted; undo some, or use a smaller brush.")
    return strokes


def read_stroke(stroke: dict[str, Any], longest: int) -> Stroke:
    """Reads one stroke on a picture whose long side is `longest`.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: It is malformed.
    """
    radius, *numbers = (float(number) for number in (stroke["radius"], *stroke["points"]))
    within = all(math.isfinite(number) and abs(number) <= 2 * longest for number in numbers)
    if not (0 < radius <= longest and within and numbers and len(numbers) % 2 == 0):
        raise ValueError(stroke)
    return Stroke(bool(stroke["add"]), max(radius, 0.5), list(zip(numbers[::2], numbers[1::2], strict=True)))


def painted_pixels(stroke: Stroke) -> float:
    """Estimates how many pixels a stroke paints, overlaps counted twice."""
    ends = zip(stroke.points, stroke.points[1:], strict=False)
    return sum(4 * stroke.radius**2 for _ in stroke.points) + sum(2 * stroke.radius * math.dist(*end) for end in ends)


def paint_strokes(mask: np.ndarray, strokes: list[Stroke]) -> np.ndarray:
    """Paints strokes on a mask in order.

    Args:
        mask: uint8 (height, width) of 0 and 255; left untouched.
        strokes: on the picture of that mask.

    Returns:
        A mask of the same shape: 255 under a stroke that adds, 0 under one that removes, accurate to two pixels, and
        unchanged elsewhere.
    """
    painted = Image.fromarray(mask)
    draw = ImageDraw.Draw(painted)
    for is_object, radius, points in strokes:
        value, width = 255 if is_object else 0, round(2 * radius)
        corners = [(round(x - width / 2), round(y - width / 2)) for x, y in points]
        for left, top in corners:
            draw.ellipse((left, top, left + width - 1, top + width - 1), fill=value)
        middles = [(left + (width - 1) // 2, top + (width - 1) // 2) for left, top in corners]
        for ends in zip(middles, middles[1:], strict=False):
            draw.line(ends, fill=value, width=width)
    return np.array(painted)
