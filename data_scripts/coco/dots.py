"""Dots of COCO annotations: keypoints, and the centres of named parts."""

import math

import numpy as np

from carmask.data.pairs import BadPair, Dots
from data_scripts.coco.annotation_file import number
from data_scripts.outlines import IN_THE_CORNER, Size, paint, polygon_corners

MOVED = "Annotations with keypoints up to a pixel outside the picture, moved to its edge"
CORNER = "Annotations with visible keypoints in the corner (0, 0); those that are missing need visibility 0"


def part_centres(parts: list[dict], size: Size, names: list[str]) -> Dots:
    """Returns the centre [x, y] of each named part, or None, as fractions of the size.

    A name that occurs once stands for the largest annotation of its category; one that repeats, such as wheel, for as
    many of the category's largest pieces, from left to right.
    """
    centres = {name: iter(_centres(parts, size, name, names.count(name))) for name in names}
    return [next(centres[name], None) for name in names]


def _centres(parts: list[dict], size: Size, name: str, count: int) -> list[list[float]]:
    found = [part for part in parts if part["category"] == name.casefold()]
    if count > 1:
        found = [piece for part in found for piece in pieces(part)]
    painted = sorted((paint(part, size) for part in found), key=np.sum, reverse=True)[:count]
    height, width = size
    centres = [np.argwhere(piece).mean(axis=0) + 0.5 for piece in painted if piece.any()]
    return sorted([round(float(x / width), 6), round(float(y / height), 6)] for y, x in centres)


def pieces(part: dict) -> list[dict]:
    """Takes an annotation apart: a polygon each; run lengths stay whole."""
    if isinstance(part.get("segmentation"), dict):
        return [part]
    return [{**part, "segmentation": [corners], "area": None} for corners in polygon_corners(part.get("segmentation"))]


def keypoints(parts: list[dict], size: Size, names: list[str]) -> tuple[Dots, list[str]]:
    """Reads the keypoints of the largest annotation that has any.

    COCO counts pixels, so that their centres lie half a pixel further on.

    Returns:
        Each as fractions of the size, None where visibility is 0; and what is to be said of them.

    Raises:
        BadPair: They are not as many as the names, or one lies further outside the picture.
    """
    if not parts:
        return [None] * len(names), []
    largest = max(filter(_has_keypoints, parts), key=_extent, default=max(parts, key=_extent))
    where = f"the keypoints of annotation {largest['id']}"
    try:
        points = np.asarray(largest.get("keypoints"), float).reshape(len(names), 3)
    except (ValueError, TypeError, OverflowError):
        raise BadPair(f"undecodable: {where} are not x, y and visibility of {len(names)} names") from None
    labelled = points[:, 2] > 0
    if not np.isfinite(points[:, 2]).all() or not np.isfinite(points[labelled]).all():
        raise BadPair(f"undecodable: {where} are not all numbers")
    if labelled.sum() > 1 and np.abs(points[labelled, :2]).max() <= IN_THE_CORNER:
        raise BadPair(f"fractions: {where} are all in one pixel; are they fractions of the picture?")
    height, width = size
    beyond = np.maximum(-points[labelled, :2], points[labelled, :2] - (width, height)).max(axis=1)
    if (beyond > 1).any():
        raise BadPair(f"outside: {where} do not all lie in the picture")
    fractions = np.clip((points[:, :2] + 0.5) / (width, height), 0, 1).round(6).tolist()
    dots = [point if seen else None for point, seen in zip(fractions, labelled, strict=True)]
    corner = (points[labelled, :2] <= 0).all(axis=1).any()
    return dots, [note for note, applies in ((MOVED, (beyond > 0).any()), (CORNER, corner)) if applies]


def _has_keypoints(part: dict) -> bool:
    """Whether an annotation says of any keypoint that it is there."""
    given = part.get("keypoints")
    return not isinstance(given, list) or any(number(seen) > 0 for seen in given[2::3])


def _extent(part: dict) -> float:
    """How large an annotation is by its own area, or else by its box."""
    box = part.get("bbox")
    sides = [number(side) for side in box[2:4]] if isinstance(box, list) else []
    found = [value for value in (number(part.get("area")), math.prod(sides)) if math.isfinite(value)]
    return found[0] if found else 0.0
