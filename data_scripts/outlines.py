"""COCO's outlines as masks: polygons, run lengths, and the hull around several of them."""

import numpy as np

from carmask.data.pairs import BadPair

Size = tuple[int, int]


def paint(annotation: dict, size: Size) -> np.ndarray:
    """Paints the segmentation of an annotation, polygons or run lengths, as a bool mask (height, width).

    Raises:
        BadPair: The segmentation is broken, or of another size.
    """
    try:
        segmentation = annotation["segmentation"]
        if not segmentation:
            raise BadPair(f"no outline: annotation {annotation.get('id')} has an empty segmentation")
        if isinstance(segmentation, dict):
            return paint_runs(segmentation["counts"], tuple(segmentation["size"]), size)
        return paint_polygons(segmentation, size)
    except (KeyError, IndexError, TypeError, ValueError):
        raise BadPair(f"undecodable: annotation {annotation.get('id')} has a broken segmentation") from None


def paint_polygons(polygons: list, size: Size) -> np.ndarray:
    """Paints polygons, each [x, y, x, y, ...] or [[x, y], ...] in pixels, as one bool mask (height, width)."""
    mask = np.zeros(size, bool)
    for polygon in polygons:
        mask |= paint_polygon(np.asarray(polygon, float).reshape(-1, 2), size)
    return mask


def paint_polygon(corners: np.ndarray, size: Size) -> np.ndarray:
    """Paints the pixels whose centres lie in a polygon (even-odd rule).

    Args:
        corners: (n, 2) points (x, y) in pixels.
        size: (height, width).

    Returns:
        bool (height, width).
    """
    height, width = size
    toggles = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        top, bottom = np.clip(np.ceil(np.sort([y0, y1]) - 0.5), 0, height).astype(int)
        if top < bottom:
            rows = np.arange(top, bottom)
            crossings = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)
            toggles[rows, columns] += 1
    return np.cumsum(toggles, axis=1)[:, :width] % 2 == 1


def paint_runs(counts: list[int] | str, counted_size: Size, size: Size) -> np.ndarray:
    """Paints COCO run lengths, column by column, compressed or not, as a bool mask (height, width).

    Raises:
        ValueError: They are not those of a picture of this size.
    """
    if isinstance(counts, str):
        counts = unpack_counts(counts)
    if counted_size != size or sum(counts) != size[0] * size[1]:
        raise ValueError("The run lengths do not fill the picture.")
    height, width = size
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def unpack_counts(text: str) -> list[int]:
    """Reads COCO's compressed run lengths: 5 bits a character, low bits first, from the third on as differences.

    Source: cocodataset/cocoapi, rleFrString in common/maskApi.c.
    """
    counts, value, shift = [], 0, 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    return counts


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
