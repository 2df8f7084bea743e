"""COCO's outlines as masks: polygons and run lengths."""

from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from carmask.data.pairs import BadPair
from data_scripts.coco.annotation_file import number
from data_scripts.coco.boxes import box_of, check_box

Size = tuple[int, int]
FURTHEST = 1e6  # pixels from the corner of the picture that a corner of an outline may lie
FEW_PIXELS = 50  # so far may the painted pixels be from what the file says, whatever their share
IN_THE_CORNER = 1.5  # fractions of the picture, taken for pixels, lie no further than this from its corner


def paint(annotation: dict, size: Size) -> np.ndarray:
    """Paints the segmentation of an annotation, polygons or run lengths, as a bool mask (height, width).

    Raises:
        BadPair: The segmentation is empty, broken or of another size, or does not paint what the file says.
    """
    where, segmentation = f"annotation {annotation.get('id')}", annotation.get("segmentation")
    if isinstance(segmentation, dict):
        mask = paint_runs(segmentation, size, where)
        if not mask.any():
            raise BadPair(f"no outline: the run lengths of {where} are empty")
        box = box_of(mask)
    else:
        try:
            mask = paint_polygons(segmentation, size)
        except BadPair as error:
            raise BadPair(f"{error} ({where})") from None
        corners = np.concatenate(polygon_corners(segmentation))
        box = np.array([corners.min(axis=0), corners.max(axis=0)])
        if np.abs(box).max() <= IN_THE_CORNER:
            raise BadPair(f"fractions: the outline of {where} is all in one pixel; is it fractions of the picture?")
    _check_painted(int(mask.sum()), number(annotation.get("area")), box, size, where)
    check_box(annotation, box)
    return mask


def _check_painted(painted: int, told: float, box: np.ndarray, size: Size, where: str) -> None:
    """Raises BadPair if an outline paints much less than its `box` ((left, top), (right, bottom)) or area say."""
    sides = np.ptp(box, axis=0)
    inside = np.prod(np.clip(box[1], 0, size[::-1]) - np.clip(box[0], 0, size[::-1]))
    if inside * 2 < np.prod(sides) and np.prod(sides) - inside > FEW_PIXELS:
        raise BadPair(f"outside: the outline of {where} lies mostly outside the picture")
    if not painted and min(sides) >= 2:
        raise BadPair(f"no outline: {where} paints not one pixel")
    is_box = 0.8 * np.prod(sides) <= told <= 1.1 * np.prod(sides + 1)  # many tools take the box for the area
    if told - painted > FEW_PIXELS and painted < (told / 100 if is_box else told / 2):
        raise BadPair(
            f"area: {where} paints {painted} pixels, but its area is {told:.6g}; if the outline is right, "
            "take the area out of the file"
        )


def paints_too_much(annotation: dict, painted: int) -> bool:
    """Whether an annotation paints far more pixels than its area says; areas of up to 1 are none."""
    told = number(annotation.get("area"))
    return told > 1 and painted > 2 * told and painted - told > FEW_PIXELS


def polygon_corners(polygons: object) -> list[np.ndarray]:
    """Reads polygons, a list of [x, y, x, y, ...] or [[x, y], ...] or one such alone, in pixels.

    Returns:
        The corners (n, 2) of each that has three or more.

    Raises:
        BadPair: There is none, or they are not made of numbers, or far from any picture.
    """
    if polygons is None or (isinstance(polygons, list) and not polygons):
        raise BadPair("no outline: the segmentation is empty")
    if not isinstance(polygons, list):
        raise BadPair("undecodable: broken segmentation, not a list of polygons")
    alone = not isinstance(polygons[0], list | np.ndarray) or all(
        isinstance(one, list) and len(one) == 2 and not isinstance(one[0], list) for one in polygons
    )
    try:
        found = [np.asarray(polygon, float).reshape(-1, 2) for polygon in ([polygons] if alone else polygons)]
    except (TypeError, ValueError, OverflowError):
        raise BadPair("undecodable: broken segmentation, not x and y of each corner") from None
    found = [corners for corners in found if len(corners) >= 3]
    if not found:
        raise BadPair("no outline: no polygon has three corners")
    if not all((np.abs(corners) <= FURTHEST).all() for corners in found):
        raise BadPair("undecodable: broken segmentation, a corner is infinite or far away")
    return found


def has_outline(annotation: dict) -> bool:
    """Whether an annotation has run lengths, or a polygon of three corners or more."""
    segmentation = annotation.get("segmentation")
    with suppress(BadPair):
        return isinstance(segmentation, dict) or bool(polygon_corners(segmentation))
    return False


def are_fractions(parts: Iterable[dict], with_keypoints: bool) -> bool | None:
    """Whether all polygons and keypoints are fractions of the picture; None where there are none."""
    answer = None
    for part in parts:
        points = []
        with suppress(BadPair):
            points += polygon_corners(part.get("segmentation"))
        with suppress(TypeError, ValueError, OverflowError):
            triples = np.asarray(part.get("keypoints") if with_keypoints else [], float).reshape(-1, 3)
            points.append(triples[triples[:, 2] > 0, :2])
        found = [one for one in points if one.size]
        if any(np.abs(one).max() > IN_THE_CORNER for one in found):
            return False
        answer = True if found else answer
    return answer


def in_pixels(annotation: dict, size: Size) -> dict:
    """An annotation whose polygons and keypoints are fractions of the (height, width) as one of pixels."""
    scale = np.array(size[::-1])
    annotation = dict(annotation)
    with suppress(BadPair):
        annotation["segmentation"] = [corners * scale for corners in polygon_corners(annotation.get("segmentation"))]
    with suppress(TypeError, ValueError, OverflowError):
        points = np.asarray(annotation.get("keypoints"), float).reshape(-1, 3)
        points[:, :2] = points[:, :2] * scale - 0.5
        annotation["keypoints"] = points
    return annotation


def paint_polygons(polygons: list, size: Size) -> np.ndarray:
    """Paints polygons, each [x, y, x, y, ...] or [[x, y], ...] in pixels, as one bool mask (height, width).

    What lies outside the picture is cut off, and polygons of one or two corners are left aside.

    Raises:
        BadPair: None has three corners, or they are no numbers, or far from any picture.
    """
    mask = np.zeros(size, bool)
    for corners in polygon_corners(polygons):
        mask |= paint_polygon(corners, size)
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


def paint_runs(segmentation: dict, size: Size, where: str) -> np.ndarray:
    """Paints COCO run lengths, column by column, compressed or not, as a bool mask (height, width).

    Raises:
        BadPair: They are not those of a picture of this size.
    """
    height, width = size
    told = segmentation.get("size")
    told = [number(side) for side in told] if isinstance(told, list) else []
    if len(told) == 2 and np.isfinite(told).all() and told != [height, width]:
        raise BadPair(f"size mismatch: picture {width}×{height}, run lengths of {where} {told[1]:g}×{told[0]:g}")
    counts = segmentation.get("counts")
    try:
        runs = np.asarray(unpack_counts(counts) if isinstance(counts, str) else counts, float)
    except (TypeError, ValueError, OverflowError):
        raise BadPair(f"undecodable: {where} has a broken segmentation") from None
    bounded = told == [height, width] and runs.ndim == 1 and ((runs >= 0) & (runs <= height * width)).all()
    if not bounded or (runs % 1).any() or runs.sum() != height * width:
        raise BadPair(f"undecodable: {where} has a broken segmentation, its run lengths do not fill the picture")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs.astype(int)).reshape(width, height).T


def unpack_counts(text: str) -> list[int]:
    """Reads COCO's compressed run lengths: 5 bits a character, low bits first, from the third on as differences.

    Source: cocodataset/cocoapi, rleFrString in common/maskApi.c.

    Raises:
        ValueError: The text is none of these.
    """
    counts, value, shift = [], 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"{character} is no part of run lengths.")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    return counts
