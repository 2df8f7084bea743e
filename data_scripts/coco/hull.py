"""The hull around parts that do not cover their object."""

import numpy as np

from data_scripts.outlines import paint_polygon


def wide_hull(mask: np.ndarray, margin: float) -> np.ndarray:
    """Fills the convex hull around a mask, widened on all sides.

    Args:
        mask: bool (height, width), not empty.
        margin: share of the mask's longer side.

    Returns:
        bool (height, width).
    """
    rows = np.flatnonzero(mask.any(axis=1))
    left = mask[rows].argmax(axis=1)
    right = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    points = np.concatenate([np.stack([x, y], axis=1) for x in (left, right) for y in (rows, rows + 1)])
    radius = margin * max(np.ptp(points, axis=0))
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners = convex_hull(points)
    return paint_polygon(convex_hull((corners[:, None] + circle).reshape(-1, 2)), mask.shape)


def convex_hull(points: np.ndarray) -> np.ndarray:
    """Returns the corners (m, 2) of the convex hull of points (n, 2) in order (monotone chain)."""

    def chain(ordered: list) -> list:
        corners = []
        for x, y in ordered:
            while len(corners) > 1:
                (x0, y0), (x1, y1) = corners[-2:]
                if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                    break
                corners.pop()
            corners.append((x, y))
        return corners[:-1]

    ordered = np.unique(points, axis=0).tolist()
    return np.array(chain(ordered) + chain(ordered[::-1])).reshape(-1, 2)
