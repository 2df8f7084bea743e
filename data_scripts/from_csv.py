"""Makes a data set of dots from a table with a row for each picture: its file, then x and y of each dot in pixels.

The header names the dots, for example `file,nose_x,nose_y,left_eye_x,left_eye_y`. Pixels are counted from the left and
the top edge of the upright picture; a blank pair, or NaN, means that the dot is not in the picture, and so does a 0 in
a column nose_visible. A name that repeats, such as two wheels, stands for dots of one kind. The table may also be the
dots.csv of `carmask predict`, with a row for each dot, or one of DeepLabCut.
"""

import argparse
import functools
import math
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from carmask.command_line import exit_code
from carmask.data.importing import BadFile, add_options, import_pairs
from carmask.data.pairs import BadPair, Dots, Pair
from carmask.data.picture_index import PictureIndex
from carmask.errors import DataError, shortened
from data_scripts.foreign_names import spellings
from data_scripts.points_table import Cells, Row, read_table

NOTHING = ("", "nan", "na", "n/a", "#n/a", "none", "null")  # how tables write that a dot is not in the picture
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
COMMA = re.compile(r"[-+]?\d+,(\d{1,2}|\d{4,})", re.ASCII)  # three digits behind it may also be thousands
SEEN = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
OUTSIDE = 1.0  # pixels by which a dot may miss the picture: some programs count pixels from 1, or round

NOTES = {
    "corner": "Points at (0, 0), the corner of their picture, which are missing if you add --missing 0: {}.",
    "hidden": "Points marked as not visible, which count as missing: {}.",
    "scored": "Points with a score or visibility other than 0, 1 and 2, taken as they are: {}.",
    "unnamed": "Pictures without a row in the table, left out: {}.",
    "percent": "Points that all lie within 0 to 100, in larger pictures: {}; if they are percent, divide them by 100 "
    "and add --fractions.",
    "moved": "Points up to a pixel outside their picture, moved to its edge: {}.",
}

Point = tuple[float, float] | None  # x and y in pixels, or as fractions; None: not in the picture


def read_point(name: str, cells: Cells, counts: Counter) -> Point:
    """Reads the cells of a dot, and counts what is to be said of them.

    Raises:
        BadPair: Only one of x and y is there, or something is no number.
    """
    x, y, seen = (None if cell.lower() in NOTHING else number_in(name, cell) for cell in cells)
    if (x is None) != (y is None):
        raise BadPair(f"{name} has only one of x and y")
    if x is None or y is None:
        return None
    if seen is not None and seen <= 0:
        counts["hidden"] += (x, y) != (0, 0)
        return None
    counts["scored"] += seen not in (None, 1, 2)
    return x, y


def number_in(name: str, cell: str) -> float:
    """Reads a cell of the dot `name`; BadPair if it is no number."""
    cell = cell.replace(",", ".") if COMMA.fullmatch(cell) else cell
    number = SEEN.get(cell.lower()) if not NUMBER.fullmatch(cell) else float(cell)
    if number is None or not math.isfinite(number):
        raise BadPair(f"{name} has {shortened(cell, 30)}, which is no number")
    return number


def check_points(points: list[tuple[float, float]], fractions: bool, counts: Counter) -> None:
    """Looks for points of a whole table that surely are no pixels, and counts one that may be none.

    Raises:
        DataError: There are such; the sentence names the options with which the table is read.
    """
    alike = Counter(x for x, y in points if x == y and x <= 0)
    marks = sorted(value for value, number in alike.items() if value < 0 or number > 1)
    causes = [f"{alike[value]} lie at ({value:g}, {value:g})" for value in marks]
    options = [f"--missing {value:g}" for value in marks]
    meaning = ["so that these points are missing"] if marks else []
    real = [(x, y) for x, y in points if x != y or x not in alike]
    if real and not fractions and all(-0.05 <= part <= 1.05 for point in real for part in point):
        causes.append(f"{len(real)} lie between 0 and 1")
        options.append("--fractions")
        meaning.append("so that x and y are fractions of width and height")
    if causes:
        said = f"Nothing written: of {len(points)} points {' and '.join(causes)}, which hardly are pixels"
        raise DataError(f"{said}: add {' '.join(options)}, {' and '.join(meaning)}.")
    counts["corner"] = alike[0]


def as_fractions(size: tuple[int, int], points: list[Point], names: list[str], scale: bool, counts: Counter) -> Dots:
    """Returns a picture's points as fractions of its size (height, width), those just outside moved to its edge.

    Args:
        size: of the picture.
        points: in pixels, or with `scale` as fractions already.
        names: of the points.
        scale: whether they are fractions.
        counts: counts the points that were moved.

    Raises:
        BadPair: One lies outside the picture, or all seem to be fractions.
    """
    height, width = size
    dots: Dots = []
    parts = [part for point in points if point and any(point) for part in point]
    if parts and not scale and min(parts) >= 0 and max(parts) <= 1:
        raise BadPair("all points lie between 0 and 1, unlike those of other pictures: write them in pixels")
    counts["percent"] += 0 if scale else len(parts) // 2
    counts["no percent"] += bool(parts) and (min(size) <= 100 or min(parts) < 0 or max(parts) > 100)
    for name, point in zip(names, points, strict=True):
        if point is None:
            dots.append(None)
            continue
        x, y = (point[0] * width, point[1] * height) if scale else point
        if not (-OUTSIDE <= x <= width + OUTSIDE and -OUTSIDE <= y <= height + OUTSIDE):
            raise BadPair(f"{name} is at ({x:g}, {y:g}), outside the picture of {width}×{height} pixels")
        edge = min(max(x, 0), width), min(max(y, 0), height)
        counts["moved"] += edge != (x, y)
        dots.append([round(edge[0] / width, 6), round(edge[1] / height, 6)])
    return dots


def find(file: str, index: PictureIndex, numbered: dict[str, list[Path]]) -> Path:
    """The picture of a row, or else the only one of those `numbered` whose number it is but for zeros before it.

    Raises:
        BadPair: There is none, or more than one.
    """
    try:
        return index.find(file)
    except BadPair:
        plain = spellings(file)[-1]
        if plain != file:
            return index.find(plain)
        padded = numbered.get(file.lstrip("0"), []) if file.isdecimal() else []
        if len(padded) != 1:
            raise
        return padded[0]


def match_rows(
    rows: list[Row], names: list[str], index: PictureIndex, table: Path, counts: Counter
) -> tuple[dict[Path, list[Point]], list[BadFile]]:
    """Finds the picture and reads the points of each row.

    Returns:
        The points by picture; the bad rows with reasons.

    Raises:
        DataError: No row names a picture of the folder.
    """
    found: dict[Path, list[Point]] = {}
    bad, named, numbered = [], set(), defaultdict(list)
    for path in index.pictures:
        if path.stem.isdecimal():
            numbered[path.stem.lstrip("0")].append(path)
    for row in rows:
        try:
            path = find(row.file, index, numbered)
            if path in named:
                raise BadPair(f"{shortened(row.file)} has a row already")
            named.add(path)
            if row.fault:
                raise BadPair(row.fault)
            found[path] = [read_point(*dot, counts) for dot in zip(names, row.dots, strict=True)]
        except BadPair as error:
            bad.append((table, f"line {row.line}: {error}"))
    if not named:
        first = f"the first names {shortened(rows[0].file) or 'none'}" if rows else "it has a header only"
        raise DataError(f"No row of {table} names a picture in {index.folder}: {first}; give the folder they are in.")
    counts["unnamed"] = len(index.pictures) - len(named)
    return found, bad


def pairs_of_table(arguments: argparse.Namespace, counts: Counter) -> tuple[list[Pair], list[BadFile], list[str]]:
    """Makes a pair of each good row; counts what is to be said of them.

    Returns:
        The pairs; the bad rows with reasons; the names of the dots.

    Raises:
        DataError: The table or the folder cannot be used, or they do not belong together.
    """
    names, rows = read_table(arguments.table)
    index = PictureIndex(arguments.images)
    found, bad = match_rows(rows, names, index, arguments.table, counts)
    found = {path: [None if one in arguments.missing else one for one in points] for path, points in found.items()}
    check_points([point for points in found.values() for point in points if point], arguments.fractions, counts)
    pairs = []
    for path, points in found.items():
        read_dots = functools.partial(
            as_fractions, points=points, names=names, scale=arguments.fractions, counts=counts
        )
        pairs.append(Pair(index.name_of(path), path, None, read_dots, has_mask=False, split=index.split_of(path)))
    if arguments.no_dots:
        others, nowhere = PictureIndex(arguments.no_dots), [None] * len(names)
        for path in others.pictures:
            name = f"no_dots_{others.name_of(path)}"
            pairs.append(Pair(name, path, None, lambda _: nowhere, has_mask=False, split=others.split_of(path)))
    return pairs, bad, names


def missing_value(text: str) -> Point:
    """Reads -1 as the point (-1, -1), for argparse."""
    value = float(text)
    return value, value


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="CSV file")
    parser.add_argument("images", type=Path, help="folder that holds the pictures it names")
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument(
        "--missing", type=missing_value, action="append", default=[], metavar="VALUE",
        help="what x and y are where a dot is not in the picture, such as 0 or -1; may be given twice",
    )  # fmt: skip
    parser.add_argument("--fractions", action="store_true", help="x and y are fractions of width and height")
    no_dots = "folder of more pictures, which show none of the dots: a model learns there when to place none"
    parser.add_argument("--no-dots", type=Path, metavar="FOLDER", help=no_dots)
    add_options(parser)
    return exit_code(convert, parser.parse_args(argv))


def convert(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    counts: Counter = Counter()
    pairs, bad, names = pairs_of_table(arguments, counts)
    code = import_pairs(pairs, bad, arguments, names)
    counts["percent"] *= not counts["no percent"]
    for kind, words in NOTES.items():
        if counts[kind]:
            sys.stderr.write(words.format(counts[kind]) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
