"""Makes a data set of dots from a table with a row for each picture: its file, then x and y of each dot in pixels.

The header names the dots, for example `file,nose_x,nose_y,left_eye_x,left_eye_y`. Pixels are counted from the left and
the top edge of the upright picture; a blank pair means that the dot is not in the picture. A name that repeats,
such as two wheels, stands for dots of one kind.
"""

import argparse
import csv
import functools
import math
import sys
from pathlib import Path

from carmask.command_line import exit_code
from carmask.data.importing import BadFile, add_options, import_pairs
from carmask.data.pairs import BadPair, Dots, Pair
from carmask.errors import DataError
from carmask.files.picture_folders import find_pictures

Point = tuple[float, float] | None  # x and y in pixels; None: not in the picture


def read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Reads a table with commas, semicolons or tabs.

    Returns:
        The names of the dots; number and cells of each line that is not blank.

    Raises:
        DataError: It is no such table.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8: save the table as CSV in UTF-8.") from None
    header = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(), delimiter=max(",;\t", key=header.count))
    lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        raise DataError(f"{path} is empty: give it a header and a row for each picture.")
    return dot_names(lines[0][1], path), lines[1:]


def dot_names(header: list[str], path: Path) -> list[str]:
    """Reads ["file", "nose_x", "nose_y"] as ["nose"].

    Raises:
        DataError: The columns after the first are no pairs NAME_x, NAME_y.
    """
    names = []
    for across, down in zip(header[1::2], [*header[2::2], ""], strict=False):
        name = across[:-2]
        if not name or (across.lower(), down.lower()) != (f"{name}_x".lower(), f"{name}_y".lower()):
            raise DataError(f"{path}: the header has {across or 'nothing'} where a pair NAME_x, NAME_y belongs.")
        names.append(name)
    if not names:
        raise DataError(f"{path} names no dots: its header should look like file,nose_x,nose_y.")
    return names


def read_point(name: str, x: str, y: str) -> Point:
    """Reads a pair of cells.

    Raises:
        BadPair: One of the two is blank or no number.
    """
    if not x and not y:
        return None
    if not x or not y:
        raise BadPair(f"{name} has only one of x and y")
    try:
        point = float(x.replace(",", ".")), float(y.replace(",", "."))
    except ValueError:
        raise BadPair(f"{name} is at ({x}, {y}), which are no numbers") from None
    if not all(map(math.isfinite, point)):
        raise BadPair(f"{name} is at ({x}, {y}), which are no numbers")
    return point


def fractions(size: tuple[int, int], points: list[Point], names: list[str]) -> Dots:
    """Returns points in pixels as fractions of a picture's size (height, width).

    Raises:
        BadPair: One lies outside the picture.
    """
    height, width = size
    for name, point in zip(names, points, strict=True):
        if point and not (0 <= point[0] <= width and 0 <= point[1] <= height):
            raise BadPair(f"{name} is at ({point[0]:g}, {point[1]:g}), outside the picture of {width}×{height} pixels")
    return [point and [round(point[0] / width, 6), round(point[1] / height, 6)] for point in points]


def pairs_of_table(table: Path, images: Path) -> tuple[list[Pair], list[BadFile], list[str]]:
    """Finds the picture and the points of each row.

    Returns:
        The good rows as pairs; the bad rows, and pictures that no row names, with reasons; the names of the dots.
    """
    names, lines = read_table(table)
    pictures = {path.relative_to(images).as_posix(): path for path in find_pictures(images)}
    by_stem = {Path(name).with_suffix("").as_posix(): path for name, path in pictures.items()}
    pairs, bad, named = [], [], set()
    for number, cells in lines:
        path = pictures.get(cells[0]) or by_stem.get(cells[0])
        try:
            if path is None:
                raise BadPair(f"missing partner: there is no picture {cells[0] or 'without a name'}")
            if path in named:
                raise BadPair(f"{cells[0]} has a row already")
            named.add(path)
            if len(cells) != 1 + 2 * len(names):
                raise BadPair(f"{len(cells)} cells where the header has {1 + 2 * len(names)}")
            points = [read_point(*cell) for cell in zip(names, cells[1::2], cells[2::2], strict=True)]
        except BadPair as error:
            bad.append((table, f"line {number}: {error}"))
            continue
        name = path.relative_to(images).with_suffix("").as_posix().replace("/", "_")
        pairs.append(Pair(name, path, None, functools.partial(fractions, points=points, names=names), has_mask=False))
    bad += [(path, "missing partner: no row names it") for path in pictures.values() if path not in named]
    return pairs, bad, names


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="CSV file")
    parser.add_argument("images", type=Path, help="folder that holds the pictures it names")
    parser.add_argument("out", type=Path, help="data set folder to write")
    add_options(parser)
    return exit_code(functools.partial(convert, parser.parse_args(argv)))


def convert(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    pairs, bad, names = pairs_of_table(arguments.table, arguments.images)
    return import_pairs(pairs, bad, arguments, names)


if __name__ == "__main__":
    sys.exit(main())
