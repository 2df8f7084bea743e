"""Compares outlines with the boxes that COCO files give beside them."""

import numpy as np

from carmask.data.pairs import BadPair
from data_scripts.coco.annotation_file import number

ROUNDED = 2  # pixels by which boxes may differ whatever their size
FRACTIONS = 1.5  # a box whose sides end here is one of fractions
FAR_OFF, FITS = 0.7, 0.9  # intersection over union of boxes that are exchanged or not


def box_of(mask: np.ndarray) -> np.ndarray:
    """The box ((left, top), (right, bottom)) around a mask, bool (height, width), that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]])


def told_boxes(annotation: dict) -> list[np.ndarray]:
    """What a file's bbox may mean, boxes ((left, top), (right, bottom)): its third and fourth number are sides or not.

    None where it has no area, or seems to be fractions of the picture.
    """
    told = annotation.get("bbox")
    numbers = np.array([number(one) for one in told] if isinstance(told, list) and len(told) == 4 else [np.nan] * 4)
    if not np.isfinite(numbers).all() or numbers.max() <= FRACTIONS:
        return []
    corner, last = numbers.reshape(2, 2)
    return [np.array([corner, end]) for end in (corner + last, last) if (end > corner).all()]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes; 1 if they differ by few pixels."""
    if np.abs(one - other).max() <= ROUNDED:
        return 1.0
    shared = np.prod(np.clip(np.minimum(one[1], other[1]) - np.maximum(one[0], other[0]), 0, None))
    return float(shared / max(np.prod(np.ptp(one, axis=0)) + np.prod(np.ptp(other, axis=0)) - shared, 1))


def check_box(annotation: dict, box: np.ndarray) -> None:
    """Raises BadPair if the `box` of an outline is the one in the file but for x and y, which are exchanged."""
    told = told_boxes(annotation)
    fits, exchanged = (max((overlap(one, own) for one in told), default=1) for own in (box, box[:, ::-1]))
    if fits < FAR_OFF and exchanged > FITS:
        raise BadPair(
            f"x and y exchanged: the outline of annotation {annotation.get('id')} fits its bbox only with y before x; "
            "if the outline is right, take the bbox out of the file"
        )


def lies_elsewhere(annotation: dict, painted: np.ndarray) -> bool:
    """Whether a painted outline, bool (height, width), lies mostly elsewhere than the box that the file gives it."""
    told = told_boxes(annotation) if painted.any() else []
    inside = [np.clip(one, 0, painted.shape[::-1]) for one in told]
    return bool(told) and max(overlap(one, box_of(painted)) for one in inside) < 0.5


def is_rectangle(polygons: list[np.ndarray]) -> bool:
    """Whether polygons, each (n, 2), are all upright rectangles."""
    return all(len(one) in (4, 5) and all(len(np.unique(side)) == 2 for side in one.T) for one in polygons)
