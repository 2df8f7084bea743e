"""Makes a data set from pictures and a COCO annotation file (polygons and run lengths)."""

import argparse
import functools
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from carmask.dataset_folder import CAR, NOT_JUDGED, DataError, exit_code
from carmask.pairs import BadPair, Pair, add_options, find_pictures, import_pairs

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
        mask = np.zeros(size, bool)
        for polygon in segmentation:
            mask |= paint_polygon(np.asarray(polygon, float).reshape(-1, 2), size)
    except (KeyError, IndexError, TypeError, ValueError):
        raise BadPair(f"undecodable: annotation {annotation.get('id')} has a broken segmentation") from None
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


def part_centres(parts: list[dict], size: Size, names: list[str]) -> list[list[float] | None]:
    """Returns the centre [x, y] of each named part as fractions of the size, of its largest piece if it has many."""
    centres = []
    for name in names:
        painted = [paint(part, size) for part in parts if part["category"] == name]
        largest = max(painted, key=np.sum, default=np.zeros(size, bool))
        rows, columns = np.nonzero(largest)
        height, width = size
        centre = ((columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height) if len(rows) else None
        centres.append(centre and [round(float(value), 6) for value in centre])
    return centres


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
    parser.add_argument("--only-with-car", action="store_true", help="leave out pictures without the category")
    parser.add_argument("--dots", type=names, default=[], help="categories whose centres become the column dots")
    add_options(parser)
    return exit_code(functools.partial(convert, parser.parse_args(argv)))


def names(text: str) -> list[str]:
    """Reads "bus,truck" as ["bus", "truck"]."""
    return [part.strip() for part in text.split(",") if part.strip()]


def read_annotations(path: Path) -> tuple[list[tuple[int, str, Size]], dict[int, list[dict]], list[str]]:
    """Reads a COCO file.

    Returns:
        id, file name and (height, width) of each picture; the annotations of each id, with the name of their
        `category`; all category names.

    Raises:
        DataError: It is no COCO file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        category = {item["id"]: item["name"] for item in content["categories"]}
        parts = defaultdict(list)
        for part in content["annotations"]:
            parts[part["image_id"]].append({**part, "category": category[part["category_id"]]})
        pictures = [
            (item["id"], item["file_name"], (int(item["height"]), int(item["width"]))) for item in content["images"]
        ]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is no COCO file with images, annotations and categories.") from None
    return pictures, parts, list(category.values())


def convert(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    pictures, parts_of, known = read_annotations(arguments.annotations)
    wanted = arguments.car or (known if arguments.parts_of_one_car else ["car"])
    for name in [*wanted, *arguments.not_judged, *arguments.dots]:
        if name not in known:
            raise DataError(f"There is no category {name}; the file knows {', '.join(known)}.")
    unlisted = set(find_pictures(arguments.images)) - {arguments.images / file_name for _, file_name, _ in pictures}
    bad = [(path, "missing partner: the annotation file does not list it") for path in sorted(unlisted)]
    pairs = []
    for identity, file_name, size in pictures:
        parts = [part for part in parts_of[identity] if part["category"] in {*wanted, *arguments.not_judged}]
        if arguments.only_with_car and not any(part["category"] in wanted for part in parts):
            continue
        path = arguments.images / file_name
        try:
            dots = part_centres(parts_of[identity], size, arguments.dots)
        except BadPair as error:
            bad.append((path, str(error)))
            continue
        if not path.is_file():
            bad.append((path, "missing partner: the annotation file lists it, but it is not there"))
            continue
        name = Path(file_name).with_suffix("").as_posix().replace("/", "_")
        read_mask = functools.partial(annotation_mask, parts, size, arguments)
        pairs.append(Pair(name, path, read_mask, {"dots": dots} if arguments.dots else {}))
    return import_pairs(pairs, bad, arguments, arguments.dots)


if __name__ == "__main__":
    sys.exit(main())
