"""The column dots of a data set, in whatever shape it comes, and the names of its points."""

import math
from pathlib import Path

import datasets

from carmask.data.label_options import PLAIN, LabelOptions
from carmask.data.layout import read_dot_names
from carmask.data.sources import open_data
from carmask.errors import DataError
from carmask.tasks.dots_task import left_right_pairs

NOWHERE = [math.nan, math.nan]
NO_NAMES = (
    'The dots of {data} have no names; write a dot_names.json such as ["nose", "left_eye"] into the folder, or make '
    "each row's dots an object of names and points."
)


def open_dots(
    data: str, wanted: list[str] | None = None, options: LabelOptions = PLAIN
) -> tuple[datasets.DatasetDict, list[str]]:
    """Opens a data set with dots, as `open_data` does.

    Args:
        data: what `open_data` takes.
        wanted: the names of the points to read, for a model that is there already; default: all of them.
        options: may name the column of the pictures; what they say of masks is for masks.

    Returns:
        The splits, each with a column dots of [x, y] as fractions of width and height, NaN where a dot is not in the
        picture; and the name of each point. A name may stand there several times in a row, for several dots.

    Raises:
        DataError: as `open_data`, or the points have no names, a wanted one is missing, a row cannot be used, or the
            options say something of masks.
    """
    if options.masks != PLAIN.masks or options.mask_column or options.object.named:
        raise DataError("What is said of masks and their object is for masks: leave it out with dots.")
    splits = open_data(data, "dots", options=options)
    stored = stored_names(data, next(iter(splits.values())))
    wanted = wanted or [name for name in dict.fromkeys(stored) for _ in range(stored.count(name))]
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise DataError(
            f"The data set {data} has no dot named {missing[0]}; it has {', '.join(dict.fromkeys(stored))}."
        )
    places = {name: [place for place, one in enumerate(stored) if one == name] for name in wanted}
    order = [places[name].pop(0) if places[name] else None for name in wanted]
    for key, split in splits.items():
        points = [row_points(row, stored, f"Row {k} of the split {key}") for k, row in enumerate(split["dots"])]
        ordered = [[NOWHERE if place is None else row[place] for place in order] for row in points]
        splits[key] = split.remove_columns("dots").add_column("dots", ordered)
    return splits, wanted


def stored_names(data: str, split: datasets.Dataset) -> list[str]:
    """The names of the points, from the column's own fields or from the dot_names.json beside the splits.

    Raises:
        DataError: there are none, or that list is damaged.
    """
    if isinstance(split.features["dots"], dict):
        return list(split.features["dots"])
    names = read_dot_names(Path(data))
    if not names:
        raise DataError(NO_NAMES.format(data=data))
    return names


def swapped_pairs(entries: list[str], given: str = "") -> tuple[tuple[str, str], ...]:
    """The pairs of names that change places in a mirrored picture: `given` as "a:b,c:d", else left and right names.

    Raises:
        DataError: a pair is not two names, the two have not as many dots, or a name is in two pairs.
    """
    pairs = [tuple(pair.split(":")) for pair in given.split(",")] if given else left_right_pairs(entries)
    pairs = list(dict.fromkeys(pairs))
    for pair in pairs:
        if len(pair) != 2 or not all(name in entries for name in pair) or len({*map(entries.count, pair)}) > 1:
            names = ", ".join(dict.fromkeys(entries))
            raise DataError(f"{':'.join(pair)} cannot be swapped; give a:b,c:d of names with as many dots: {names}.")
    paired = [name for pair in pairs for name in pair]
    twice = [name for name in paired if paired.count(name) > 1]
    if twice:
        raise DataError(f"{twice[0]} cannot be swapped with two names; give a:b,c:d in which each name is once.")
    return tuple((one, other) for one, other in pairs)


def row_points(row: list | dict | None, names: list[str], where: str) -> list[list[float]]:
    """The points of one row, [x, y] for each of `names`, NaN for null.

    Raises:
        DataError: they are not as many, or no fractions.
    """
    points: list | None = [row.get(name) for name in names] if isinstance(row, dict) else row
    if points is None or len(points) != len(names):
        raise DataError(
            f"{where} has {len(points or [])} dots, but there are {len(names)} names; write null where none is."
        )
    points = [NOWHERE if point is None else point for point in points]
    for point in points:
        numbers = isinstance(point, list) and all(isinstance(value, float | int) for value in point)
        if not numbers or len(point) != 2 or not all(math.isnan(value) or 0 <= value <= 1 for value in point):
            raise DataError(f"{where} has the dot {point}; give fractions of width and height, between 0 and 1.")
    return points
