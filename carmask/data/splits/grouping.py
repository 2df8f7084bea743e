"""Which pictures belong together and must stay in one split: said by a pattern, or found by names and by looks."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from carmask.data.layout import standard_split
from carmask.data.splits.look_alikes import join, look_alikes
from carmask.data.splits.series import ROBOFLOW, Series, films, long_films, natural_order, numbered_rows, sets_of_views
from carmask.errors import DataError
from carmask.files.words import listed

ANY_NAME = "%~%"  # no pattern is made for it, so what finds it finds any


class Grouping(NamedTuple):
    """The group of each picture, and by what they were found, for people; "" where nothing was."""

    groups: list[str]
    by: str = ""


def bare_names(names: Sequence[str], splits: Sequence[str | None]) -> list[str]:
    """Names, with their folders in front, without the folder that says the split: a film may lie in several."""
    bare = []
    for name, split in zip(names, splits, strict=True):
        parts = name.split("_")
        place = next((k for k, part in enumerate(parts[:-1]) if split and standard_split(part) == split), None)
        bare.append(name if place is None else "_".join(parts[:place] + parts[place + 1 :]))
    return bare


def group_by_pattern(names: Sequence[str], splits: Sequence[str | None], pattern: str) -> Grouping:
    """Groups pictures by what the brackets of a regular expression find in their `bare_names`.

    A pattern that takes any name whole makes each picture a group, whatever is called like it in another split.

    Raises:
        DataError: it is none, has no brackets, or does not fit a name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"--group-pattern {pattern} is no regular expression: {error}.") from None
    if not compiled.groups:
        raise DataError(f"--group-pattern {pattern} needs a group in round brackets, such as ^([^_]+)_.")
    bare = bare_names(names, splits)
    found = [compiled.search(name) for name in bare]
    groups = [match[1] if match and match[1] else "" for match in found]
    if "" in groups:
        name = bare[groups.index("")]
        raise DataError(f"--group-pattern does not fit the name {name}; every picture needs a group.")
    each = compiled.search(ANY_NAME)
    return Grouping(list(names) if each and each[1] == ANY_NAME else groups, f"the pattern {pattern} in their names")


def find_groups(names: Sequence[str], hashes: np.ndarray) -> Grouping:
    """Groups pictures by themselves: frames of a film, views of one thing, copies, and pictures that look alike.

    Args:
        names: of the pictures, which differ, with their folders in front.
        hashes: `perceptual_hash` of each picture, bool (n, 256).
    """
    stems = [ROBOFLOW.sub("", name) for name in names]
    rows = numbered_rows(stems)
    numbers = look_alikes(hashes)
    if Counter(numbers.tolist()).most_common(1)[0][1] > len(names) / 2:
        numbers = look_alikes(hashes, 0)  # before one ground all things look alike, which tells nothing
    long = long_films(rows, hashes, numbers)
    within = {index for one in long for index in one.members}
    series = [one for row in rows for one in row if len(one.members) > 1 and one.members[0] not in within]
    views = sets_of_views(series)
    frames = long + films([one for one in series if one not in views], hashes, numbers)
    by = [f"{len(frames)} film{'s' * (len(frames) > 1)} of numbered names"] * bool(frames)
    by += [f"{len(views)} sets of numbered names"] * bool(views)
    groups = joined(names, [*frames, *views], [("copies of one picture", stems), ("looks", numbers.tolist())], by)
    return Grouping(groups, listed(by))


def joined(names: Sequence[str], series: list[Series], labels: list[tuple[str, list]], by: list[str]) -> list[str]:
    """The group of each picture when whatever has one label or series in common belongs together.

    Args:
        names: of the pictures.
        series: of pictures that belong together.
        labels: what each kind of label is called, and the label of each picture.
        by: the kinds of label that join pictures which nothing before them has joined are added here.

    Returns:
        The name of a group's first series, else of its first picture.
    """
    numbers = np.arange(len(names))
    for one in series:
        join(numbers, one.members)
    for kind, own in labels:
        members: dict = {}
        for index, label in enumerate(own):
            members.setdefault(label, []).append(index)
        if any([join(numbers, together) for together in members.values()]):
            by.append(kind)
    titles: dict[int, str] = {}
    for index in sorted(range(len(names)), key=lambda index: natural_order(names[index])):
        titles.setdefault(int(numbers[index]), names[index])
    for one in reversed(series):
        titles[int(numbers[one.members[0]])] = one.name
    return [titles[number] for number in numbers.tolist()]
