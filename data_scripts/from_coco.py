"""Makes a data set from pictures and a COCO annotation file (polygons, run lengths and keypoints)."""

import argparse
import functools
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from carmask.command_line import exit_code
from carmask.data.importing import add_options, import_pairs
from carmask.data.layout import CAR, NOT_JUDGED
from carmask.data.pairs import BadPair, Dots, Pair
from carmask.errors import DataError
from carmask.files.picture_folders import find_pictures
from data_scripts.outlines import Size, paint, wide_hull


def annotation_mask(parts: list[dict], size: Size, arguments: argparse.Namespace) -> np.ndarray:
    """Paints the annotations of one picture as uint8 (height, width) of 0, 128 and 255."""
    mask, car = np.zeros(size, np.uint8), np.zeros(size, bool)
    for part in parts:
        painted = paint(part, size)
        if part["category"] in arguments.not_judged or part.get("iscrowd"):
            mask[painted] = NOT_JUDGED
        else:
            car |= painted
    if arguments.parts_of_one_car and car.any():
        mask[wide_hull(car, arguments.margin)] = NOT_JUDGED
    mask[car] = CAR
    return mask


def part_centres(parts: list[dict], size: Size, names: list[str]) -> Dots:
    """Returns the centre [x, y] of each named part, or None, as fractions of the size.

    A name that occurs once stands for the largest annotation of its category; one that repeats, such as wheel, for as
    many of the category's largest pieces, from left to right.
    """
    centres = {name: iter(_centres(parts, size, name, names.count(name))) for name in names}
    return [next(centres[name], None) for name in names]


def _centres(parts: list[dict], size: Size, name: str, number: int) -> list[list[float]]:
    found = [part for part in parts if part["category"] == name]
    if number > 1:
        found = [piece for part in found for piece in pieces(part)]
    painted = sorted((paint(part, size) for part in found), key=np.sum, reverse=True)[:number]
    height, width = size
    centres = [np.argwhere(piece).mean(axis=0) + 0.5 for piece in painted if piece.any()]
    return sorted([round(float(x / width), 6), round(float(y / height), 6)] for y, x in centres)


def pieces(part: dict) -> list[dict]:
    """Takes an annotation apart: a polygon each; run lengths stay whole."""
    outlines = part.get("segmentation")
    return [{**part, "segmentation": [outline]} for outline in outlines] if isinstance(outlines, list) else [part]


def keypoints(parts: list[dict], size: Size, names: list[str]) -> Dots:
    """Returns the keypoints of the largest annotation as fractions of the size, None where visibility is 0.

    COCO counts pixels, so that their centres lie half a pixel further on.

    Raises:
        BadPair: They are not as many as the names, or one lies outside the picture.
    """
    if not parts:
        return [None] * len(names)
    largest = max(parts, key=lambda part: part.get("area", 0))
    where = f"the keypoints of annotation {largest.get('id')}"
    try:
        points = np.asarray(largest["keypoints"], float).reshape(len(names), 3)
    except (ValueError, TypeError):
        raise BadPair(f"undecodable: {where} are not x, y and visibility of {len(names)} names") from None
    height, width = size
    labelled = points[:, 2] > 0
    if not ((points[labelled, :2] >= 0) & (points[labelled, :2] <= (width, height))).all():
        raise BadPair(f"outside: {where} do not all lie in the picture")
    fractions = np.minimum((points[:, :2] + 0.5) / (width, height), 1).round(6).tolist()
    return [point if seen else None for point, seen in zip(fractions, labelled, strict=True)]


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", type=Path, help="COCO JSON file")
    parser.add_argument("images", type=Path, help="folder that holds the pictures it names")
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument(
        "--car", type=names, help="categories that are car (default: car; all with --parts-of-one-car)"
    )
    parser.add_argument("--not-judged", type=names, default=[], help="categories that take no part, such as bus,truck")
    parser.add_argument(
        "--parts-of-one-car", action="store_true", help="categories are parts that do not cover the car"
    )
    parser.add_argument("--margin", type=float, default=0.12, help="of the not-judged hull, share of the car's length")
    parser.add_argument("--only-with-car", action="store_true", help="leave out pictures without the car categories")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--dots",
        type=names,
        default=[],
        help="categories whose centres become the column dots; wheel,wheel gives up to two wheels",
    )
    which.add_argument(
        "--keypoints", metavar="CATEGORY", help="category whose keypoints (of its largest annotation) become dots"
    )
    add_options(parser)
    return exit_code(functools.partial(convert, parser.parse_args(argv)))


def names(text: str) -> list[str]:
    """Reads "bus,truck" as ["bus", "truck"]."""
    return [part.strip() for part in text.split(",") if part.strip()]


def read_annotations(path: Path) -> tuple[list[tuple[int, str, Size]], dict[int, list[dict]], dict[str, list[str]]]:
    """Reads a COCO file.

    Returns:
        id, file name and (height, width) of each picture; the annotations of each id, with the name of their
        `category`; the names of each category's keypoints.

    Raises:
        DataError: It is no COCO file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        category = {item["id"]: item["name"] for item in content["categories"]}
        known = {item["name"]: item.get("keypoints", []) for item in content["categories"]}
        parts = defaultdict(list)
        for part in content["annotations"]:
            parts[part["image_id"]].append({**part, "category": category[part["category_id"]]})
        pictures = [
            (item["id"], item["file_name"], (int(item["height"]), int(item["width"]))) for item in content["images"]
        ]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is no COCO file with images, annotations and categories.") from None
    return pictures, parts, known


def car_categories(arguments: argparse.Namespace, known: list[str]) -> list[str]:
    """Returns the categories that are car; none where the file knows no car and dots are all that is wanted."""
    wanted = arguments.car or (known if arguments.parts_of_one_car else ["car"])
    dots_only = (arguments.dots or arguments.keypoints) and not arguments.car and "car" not in known
    if dots_only and not arguments.parts_of_one_car:
        wanted = []
    given = [arguments.keypoints] if arguments.keypoints else []
    for name in [*wanted, *arguments.not_judged, *arguments.dots, *given]:
        if name not in known:
            raise DataError(f"There is no category {name}; the file knows {', '.join(known)}.")
    return wanted


def picture_dots(actual: Size, parts: list[dict], size: Size, arguments: argparse.Namespace, names: list[str]) -> Dots:
    """Returns the dots of a picture whose file has the `actual` size and whose annotations are made for `size`.

    Raises:
        BadPair: The two sizes differ, or an annotation is broken.
    """
    if actual != size:
        raise BadPair("size mismatch: picture {1}×{0}, annotation file {3}×{2}".format(*actual, *size))
    if arguments.dots:
        return part_centres(parts, size, names)
    return keypoints([part for part in parts if part["category"] == arguments.keypoints], size, names)


def convert(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    pictures, parts_of, known = read_annotations(arguments.annotations)
    wanted = car_categories(arguments, list(known))
    dot_names = arguments.dots or known.get(arguments.keypoints, [])
    if arguments.keypoints and not dot_names:
        raise DataError(f"The category {arguments.keypoints} has no keypoints; choose another.")
    unlisted = set(find_pictures(arguments.images)) - {arguments.images / file_name for _, file_name, _ in pictures}
    bad = [(path, "missing partner: the annotation file does not list it") for path in sorted(unlisted)]
    pairs = []
    for identity, file_name, size in pictures:
        parts = [part for part in parts_of[identity] if part["category"] in {*wanted, *arguments.not_judged}]
        path = arguments.images / file_name
        if arguments.only_with_car and not any(part["category"] in wanted for part in parts):
            continue
        if not path.is_file():
            bad.append((path, "missing partner: the annotation file lists it, but it is not there"))
            continue
        name = Path(file_name).with_suffix("").as_posix().replace("/", "_")
        mask = functools.partial(annotation_mask, parts, size, arguments)
        dots = functools.partial(
            picture_dots, parts=parts_of[identity], size=size, arguments=arguments, names=dot_names
        )
        pairs.append(Pair(name, path, mask, dots if dot_names else None, has_mask=bool(wanted)))
    return import_pairs(pairs, bad, arguments, dot_names)


if __name__ == "__main__":
    sys.exit(main())
