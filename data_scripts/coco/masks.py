"""Paints what COCO files list of a picture, and reads its dots."""

import argparse
import sys
from pathlib import Path

import numpy as np

from carmask.data.layout import NOT_JUDGED, OBJECT
from carmask.data.pairs import BadPair, Dots, stored_form
from carmask.files.pictures import SIDEWAYS
from data_scripts.coco.annotation_file import Listed, label, number
from data_scripts.coco.boxes import is_rectangle, lies_elsewhere
from data_scripts.coco.dots import keypoints, part_centres
from data_scripts.coco.hull import wide_hull
from data_scripts.outlines import Size, in_pixels, paint, paints_too_much, polygon_corners

Notes = dict[str, list[str]]  # what is said aloud at the end, and the annotations that it is said of
MORE_THAN_AREA = "Annotations that paint more than twice the area that the file gives them"
LEAVES = "Outlines cut off where they leave the picture by more than 5 %; were they drawn on a larger one?"
MOST_BEYOND = 0.05  # of the picture's side: people draw a bit over its edge
ELSEWHERE = "Annotations whose outline lies mostly elsewhere than their bbox"
RECTANGLES = "Outlines that are rectangles, painted as they are"


def say_contents(pictures: list[Listed], wanted: set[str], crowd_is_object: bool) -> None:
    """Says how many pictures are without annotations, and how many annotations of the object are not judged."""
    empty = sum(not listed.parts for listed in pictures)
    if empty:
        sys.stderr.write(f"Pictures without an annotation, background alone: {empty}.\n")
    crowds = [sum(part["category"] in wanted and is_crowd(part) for part in listed.parts) for listed in pictures]
    if any(crowds) and not crowd_is_object:
        sys.stderr.write(
            f"{sum(crowds)} annotations of {sum(map(bool, crowds))} pictures are crowds (iscrowd) and are not judged; "
            "with --crowd-is-object they are the object.\n"
        )


def is_crowd(part: dict) -> bool:
    """Whether an annotation says that it is a crowd, as CVAT does of every mask painted with the brush."""
    return number(part.get("iscrowd")) == 1 or part.get("iscrowd") is True


def listed_mask(
    listed: Listed, path: Path, wanted: set[str], arguments: argparse.Namespace, notes: Notes
) -> np.ndarray:
    """Paints what is listed of a picture as uint8 (height, width) of 0, 128 and 255.

    Raises:
        BadPair: It is for a picture of another size, or an annotation is broken, or nothing of the object is painted.
    """
    stored, orientation, _ = stored_form(path)
    turned = stored[::-1] if orientation in SIDEWAYS else stored
    size = turned if fits(listed, turned) and not fits(listed, stored) else stored
    check_size(listed, size)
    parts = [in_pixels(part, size) for part in listed.parts] if arguments.fractions else listed.parts
    mask, car, expected = np.zeros(size, np.uint8), np.zeros(size, bool), False
    for part in parts:
        if part["category"] not in wanted and part["category"] not in arguments.not_judged:
            continue
        painted = paint(part, size)
        for note in remarks(part, painted):
            notes[note].append(part["id"])
        if part["category"] in arguments.not_judged or (is_crowd(part) and not arguments.crowd_is_object):
            mask[painted] = NOT_JUDGED
        else:
            car |= painted
            expected = True
    if expected and not car.any():
        raise BadPair("no outline: its annotations paint not one pixel")
    if arguments.parts_of_one_car and car.any():
        mask[wide_hull(car, arguments.margin)] = NOT_JUDGED
    mask[car] = OBJECT
    return mask


def remarks(part: dict, painted: np.ndarray) -> list[str]:
    """What is to be said of an annotation and what it paints, bool (height, width)."""
    found = [MORE_THAN_AREA] if paints_too_much(part, int(painted.sum())) else []
    found += [ELSEWHERE] if lies_elsewhere(part, painted) else []
    if isinstance(part.get("segmentation"), list):
        polygons = polygon_corners(part["segmentation"])
        corners, sides = np.concatenate(polygons), np.array(painted.shape[::-1])
        found += [LEAVES] if (np.maximum(-corners, corners - sides) > 1 + MOST_BEYOND * sides).any() else []
        found += [RECTANGLES] if is_rectangle(polygons) else []
    return found


def fits(listed: Listed, size: Size) -> bool:
    """Whether what the file says of a picture's size, if anything, is `size`."""
    return all(told is None or number(told) == side for told, side in zip(listed.told, size, strict=True))


def check_size(listed: Listed, size: Size) -> None:
    """Raises BadPair unless the annotations are made for a picture of `size`."""
    if not fits(listed, size):
        height, width = (label(told) or "?" for told in listed.told)
        raise BadPair(f"size mismatch: picture {size[1]}×{size[0]}, annotation file {width}×{height}")


def listed_dots(size: Size, listed: Listed, arguments: argparse.Namespace, dot_names: list[str], notes: Notes) -> Dots:
    """The dots of a picture of this size.

    Raises:
        BadPair: They are for another size, or an annotation is broken.
    """
    check_size(listed, size)
    parts = [in_pixels(part, size) for part in listed.parts] if arguments.fractions else listed.parts
    if arguments.dots:
        return part_centres(parts, size, dot_names)
    chosen = [part for part in parts if part["category"] == arguments.keypoints]
    dots, said = keypoints(chosen, size, dot_names)
    for note in said:
        notes[note].append(chosen[0]["id"])
    return dots
