"""Reads a table of points, in each of the forms that people export, as one row for each picture.

Wide: a row for each picture and a pair of columns for each dot, NAME_x and NAME_y, perhaps with NAME_visible. Long: a
row for each dot with file, name, x and y, as `carmask predict` writes dots.csv. DeepLabCut: three rows of header.
"""

import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from carmask.errors import DataError, shortened
from carmask.files.picture_folders import ENDINGS
from carmask.files.tables import is_formula
from data_scripts.table_text import read_lines
from data_scripts.tools import deeplabcut

MOST_DOTS = 1000
LONGEST = 200  # letters of a column's name
FILES = ("file", "file_name", "filename", "file_path", "filepath", "image", "image_name", "imagename", "image_file",
         "image_path", "img", "img_name", "img_path", "picture", "photo", "path", "name")  # fmt: skip
DOTS = ("name", "dot", "point", "keypoint", "landmark", "label", "part", "bodypart")
SEEN = ("v", "vis", "visible", "visibility", "score", "confidence", "likelihood")
COLUMN = re.compile(rf"(.+?)[ _.:-]+(?:is[ _])?(x|y|{'|'.join(SEEN)})", re.IGNORECASE)  # nose_x, nose is visible
CAMEL = re.compile(rf"(.*[a-z0-9])([XY]|{'|'.join(map(str.capitalize, SEEN))})")  # noseX, noseVisible
REPEATED = re.compile(r"(.+)\.[0-9]+")  # nose_x.1, which pandas makes of a second nose_x
TURNED = re.compile(rf"(x|y|{'|'.join(SEEN)})[ _.:-]+(.+)", re.IGNORECASE)  # x_nose
THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}([.,][0-9]{3})+")
BOXES = [set(names.split()) for names in (
    "xmin ymin xmax ymax", "minx miny maxx maxy", "left top right bottom", "x1 y1 x2 y2", "x y width height",
    "x y w h", "xcenter ycenter width height",
)]  # fmt: skip

Cells = tuple[str, str, str]  # x, y and visibility of a dot as the table has them, blank where it has none


class Row(NamedTuple):
    """A picture's row: number of its line, name of its file, the cells of each dot; and why it cannot be read."""

    line: int
    file: str
    dots: list[Cells]
    fault: str = ""


def read_table(path: Path) -> tuple[list[str], list[Row]]:
    """Reads a table with commas, semicolons or tabs.

    Returns:
        The names of the dots, and a row for each picture, whose dots are as many and in their order.

    Raises:
        DataError: It is no such table.
    """
    lines, comma = read_lines(path)
    if lines[0][1][0].lower() == "scorer":
        lines = [(lines[0][0], deeplabcut.header(lines, path)), *deeplabcut.rows(lines)]
    header = lines[0][1]
    while len(header) > 1 and not header[-1]:  # what a spreadsheet leaves behind
        header.pop()
    repeated = map(REPEATED.fullmatch, header)
    header[:] = [
        match[1] if match and match[1] in header else cell for cell, match in zip(header, repeated, strict=True)
    ]
    keys = [re.sub(r"[ -]", "_", cell.lower()) for cell in header]
    dot_column = next((keys.index(key) for key in DOTS if key in keys and {"x", "y"} <= {*keys}), None)
    if dot_column is not None:
        names, rows = read_long(lines, keys, dot_column, path)
    else:
        names, rows = read_wide(lines, keys, path)
    if comma:
        check_marks([cell for row in rows for dot in row.dots for cell in dot[:2]], path)
        rows = [row._replace(dots=[tuple(cell.replace(",", ".") for cell in dot) for dot in row.dots]) for row in rows]
    return names, rows


def check_marks(cells: list[str], path: Path) -> None:
    """Raises DataError if points and commas both occur in numbers, and one may be the mark of thousands in all."""
    marked = [[cell for cell in cells if mark in cell] for mark in ".,"]
    for one, other in (marked, marked[::-1]):
        if other and one and all(map(THOUSANDS.fullmatch, one)):
            raise DataError(
                f"{path} has {one[0]} and {other[0]}, and nobody can tell thousands from fractions: save the table "
                "anew without a mark for thousands."
            )


def box_columns(keys: list[str]) -> list[int]:
    """Where the columns stand that are the corners or sides of a box, such as x_min or bbox_width."""
    plain = [re.sub("[^a-z0-9]|b?box|rect", "", key) for key in keys]
    boxes = [names for names in BOXES if names <= {*plain} and not ("x1" in names and "x3" in plain)]
    return [place for place, key in enumerate(plain) if any(key in names for names in boxes)]


def check_no_box(header: list[str], boxes: list[int], path: Path, remedy: str) -> None:
    """Raises DataError with the remedy if a table has the columns of a box, at `boxes`, where dots belong."""
    if boxes:
        columns = ", ".join(header[place] for place in boxes[:4])
        raise DataError(f"{path} has no dots, but the box {columns}: {remedy}.")


def say_aside(columns: list[str]) -> None:
    """Says which columns are not read."""
    if columns:
        sys.stderr.write(f"Columns left aside as they are no dots: {shortened(', '.join(columns))}.\n")


def check_number(dots: int, path: Path) -> None:
    """Raises DataError if a table has no dots, or more than a network has maps for."""
    if not dots:
        raise DataError(f"{path} names no dots: its header should look like file,nose_x,nose_y.")
    if dots > MOST_DOTS:
        raise DataError(f"{path} names {dots} dots, which is more than {MOST_DOTS}: keep those you need.")


def read_wide(lines: list[tuple[int, list[str]]], keys: list[str], path: Path) -> tuple[list[str], list[Row]]:
    """Reads a table with a row for each picture; DataError if its columns are not the file's and pairs."""
    first = next((place for place, key in enumerate(keys) if not is_index(key)), 0)
    file = file_column(lines, keys, None)
    if file is None:
        file = first - (first > 0 and part_of(keys[first])[1] is not None)  # a table may have its names as index
    if keys[file] not in FILES and part_of(lines[0][1][file])[1]:
        raise DataError(f"{path} has no column file: add it, so that each row has the name of its picture.")
    columns = dot_columns(lines[0][1], keys, file, path)
    rows = []
    for number, given in lines[1:]:
        cells, fault = fitted(given, len(keys))
        name = cells[file] if file < len(cells) else ""
        dots = [(cells[x], cells[y], "" if seen is None else cells[seen]) for x, y, seen, _ in columns if not fault]
        rows.append(Row(number, name, dots, fault))
    return [name for *_, name in columns], rows


def dot_columns(header: list[str], keys: list[str], file: int, path: Path) -> list[tuple]:
    """Lists where the x, the y and perhaps the visibility of each dot stand, and its name, in the table's order.

    Raises:
        DataError: There are none, or one of a pair is missing, or there is more of a dot.
    """
    boxes, aside = box_columns(keys), []
    places: dict[str, dict[str, list[int]]] = defaultdict(lambda: {"x": [], "y": [], "seen": []})
    names: dict[str, str] = {}
    for place, cell in enumerate(header):
        if place == file or (place < file and is_index(keys[place])):
            continue
        name, kind = part_of(cell)
        if kind is None or place in boxes:
            aside.append(cell)
            continue
        places[name.casefold()][kind].append(place)
        names.setdefault(name.casefold(), name)
    found = []
    for key, name in list(names.items()):
        across, down, seen = places[key].values()
        if not across and not down:  # such as a score of the picture
            aside += [header[place] for place in seen]
            del names[key]
            continue
        if len(across) != len(down) or len(seen) not in (0, len(across)):
            shown = shortened(name)
            raise DataError(f"{path}: the header has no pair {shown}_x, {shown}_y for each {shown}: mend it.")
        found += list(zip(across, down, seen or [None] * len(across), [name] * len(across), strict=True))
    if not found:
        check_no_box(header, boxes, path, "if these are dots, call them as in nose_x, nose_y, ear_x, ear_y")
    check_number(len(found), path)
    for cell in aside:
        if cell[:LONGEST].casefold().startswith(tuple(f"{key}{mark}" for key in names for mark in " _.:-")):
            raise DataError(f"{path}: {shortened(cell)} in the header is neither x, y nor visible: take it out.")
    say_aside(aside)
    return sorted(found, key=lambda dot: dot[0])


def fitted(cells: list[str], width: int) -> tuple[list[str], str]:
    """The cells of a row without blank ones behind its header's end; and what is wrong where they are not as many."""
    if not any(cells[width:]):
        cells = cells[:width]
    return cells, "" if len(cells) == width else f"{len(cells)} cells where the header has {width}"


def is_index(key: str) -> bool:
    """Whether a column is one that pandas writes in front of a table."""
    return key in ("", "index") or key.startswith("unnamed:")


def file_column(lines: list[tuple[int, list[str]]], keys: list[str], dot_column: int | None) -> int | None:
    """Which column names the picture: the first called so, rather one with the names of files; None if there is none.

    In a table of `id,photo,nose_x,nose_y` it is photo, by what is in it.
    """
    named = [place for place, key in enumerate(keys) if key in FILES and place != dot_column]
    cells = [{cells[place].partition("?")[0].lower() for _, cells in lines[1:] if place < len(cells)}
             for place in range(len(keys))]  # fmt: skip
    files = [place for place, own in enumerate(cells) if any(cell.endswith(tuple(ENDINGS)) for cell in own)]
    return next(iter([*(place for place in named if place in files), *named, *files]), None)


def part_of(cell: str) -> tuple[str, str | None]:
    """Reads "nose_x" or "x nose" as ("nose", "x"), nose_visible as ("nose", "seen"); other columns are of no kind."""
    start = cell[:LONGEST]
    behind, before = COLUMN.fullmatch(start) or CAMEL.fullmatch(start), TURNED.fullmatch(start)
    name, kind = behind.groups() if behind else reversed(before.groups()) if before else (cell, "")
    return name, None if not kind else kind.lower() if kind.lower() in "xy" else "seen"


def read_long(
    lines: list[tuple[int, list[str]]], keys: list[str], dot_column: int, path: Path
) -> tuple[list[str], list[Row]]:
    """Reads a table with a row for each dot; a dot that a picture has no row for is not in it.

    Raises:
        DataError: No column names the file, or one is of no use.
    """
    file = file_column(lines, keys, dot_column)
    if file is None:
        raise DataError(f"{path} has no column file: add it, so that each point has the name of its picture.")
    seen = next((keys.index(key) for key in SEEN if key in keys), None)
    used = {file, dot_column, keys.index("x"), keys.index("y"), seen}
    boxes = box_columns(keys)
    if used & {*boxes}:
        check_no_box(keys, boxes, path, "if x and y are dots, take the other columns out")
    say_aside([key for place, key in enumerate(keys) if place not in used and not (place == 0 and is_index(key))])
    x, y = keys.index("x"), keys.index("y")
    found: dict[str, dict[str, list[Cells]]] = defaultdict(lambda: defaultdict(list))
    first, faults, spelled = {}, {}, dict[str, str]()
    for number, given in lines[1:]:
        cells, fault = fitted(given, len(keys))
        name, dot = (plain(cells[place]) if place < len(cells) else "" for place in (file, dot_column))
        first.setdefault(name, number)
        if fault or not dot:
            faults[name] = fault or "a dot has no name"
        else:
            dot = spelled.setdefault(dot.casefold(), dot)
            found[name][dot].append((cells[x], cells[y], "" if seen is None else cells[seen]))
    most: Counter = Counter()
    for dots in found.values():
        most |= Counter({dot: len(places) for dot, places in dots.items()})
    check_number(most.total(), path)
    rows = []
    for name, number in first.items():
        places = [(found[name][dot] + [("", "", "")] * most[dot])[: most[dot]] for dot in most]
        rows.append(Row(number, name, [place for own in places for place in own], faults.get(name, "")))
    return list(most.elements()), rows


def plain(cell: str) -> str:
    """A text without the apostrophe that `as_csv` writes before what a spreadsheet would run as a formula."""
    return cell[1:] if cell.startswith("'") and is_formula(cell[1:]) else cell
