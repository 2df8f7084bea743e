"""Pictures whose names are numbered, and whether they are the frames of a film."""

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

ROBOFLOW = re.compile(r"[._](jpe?g|png)\.rf\.\w+$", re.IGNORECASE)  # behind the name of each copy of a picture
NUMBER = re.compile(r"(\d+)")
MOST_IN_A_SET = 10  # pictures called like one thing, as in leaf17_3, which belong together whatever they look like
FEWEST_SETS = 6  # of that size; fewer may be two cameras
FEWEST_NEIGHBOURS = 8
RANDOM_PAIRS = 4000
ALONE = 0.95, 4  # `share` and `errors` of `is_film`
WITH_OTHERS = 0.97, 0  # the same where all series of a data set together leave no doubt


class Series(NamedTuple):
    """Pictures whose names differ in one number, in its order; `name` has # in its place."""

    name: str
    members: list[int]


def natural_order(name: str) -> list[tuple[int, str]]:
    """What to sort names by so that a2 comes before a10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in NUMBER.split(name)]


def numbered_rows(names: Sequence[str]) -> list[list[Series]]:
    """Finds the series among names, some of one picture; those that differ in numbers alone are a row, in order.

    Of the numbers in a name, the last one that varies counts the pictures of a series. So
    `aachen_000003_000019_leftImg8bit`, of a set whose names all end on `000019_leftImg8bit`, is number 3 of the series
    `aachen_#_000019_leftImg8bit`.
    """
    alike = defaultdict(list)
    for index, name in enumerate(names):
        alike[tuple(NUMBER.split(name)[::2])].append(index)
    rows = []
    for indices in alike.values():
        parts = [NUMBER.split(names[index]) for index in indices]
        varying = [place for place in range(1, len(parts[0]), 2) if len({part[place] for part in parts}) > 1]
        series = defaultdict(list)
        for index, part in zip(indices, parts, strict=True) if varying else ():
            last = varying[-1]
            series["".join([*part[:last], "#", *part[last + 1 :]])].append((int(part[last]), index))
        order = sorted(series, key=natural_order)
        rows.append([Series(name, [index for _, index in sorted(series[name])]) for name in order])
    return rows


def sets_of_views(series: list[Series]) -> list[Series]:
    """The short series, such as `leaf17_#`, of a data set that has many of them: each is of one thing."""
    short = [one for one in series if len(one.members) <= MOST_IN_A_SET]
    return short if len(short) >= FEWEST_SETS else []


def films(series: list[Series], hashes: np.ndarray, numbers: np.ndarray) -> list[Series]:
    """The series whose pictures look more like the next one than pictures do by chance: the frames of a film.

    A number alone says nothing: most photos are numbered. Of 7 series of CamVid's films neighbours differ in 0.20 to
    0.84 of the bits in which two pictures of the film differ on average; of 7 series of numbered photos, in 0.97 to 1.

    Args:
        series: what may be films.
        hashes: `perceptual_hash` of each picture, bool (n, 256).
        numbers: `look_alikes` of them; the same picture twice does not make a film.
    """
    by_chance = random_differences(hashes, numbers)
    found = []
    for one in series:
        pairs = np.array(list(pairwise(one.members))).T
        found.append(differences(hashes, pairs[:, numbers[pairs[0]] != numbers[pairs[1]]]))
    long = [bits for bits in found if len(bits) >= FEWEST_NEIGHBOURS]
    limits = WITH_OTHERS if long and is_film(np.concatenate(long), by_chance, *ALONE) else ALONE
    return [one for one, bits in zip(series, found, strict=True) if is_film(bits, by_chance, *limits)]


def long_films(rows: list[list[Series]], hashes: np.ndarray, numbers: np.ndarray) -> list[Series]:
    """The rows that are one film, as with the time in names: a series' last picture looks like the next one's first.

    Args:
        rows: as `numbered_rows` gives them.
        hashes: as for `films`.
        numbers: as for `films`.
    """
    by_chance = random_differences(hashes, numbers)
    found = []
    for row in rows:
        joints = np.array([(one.members[-1], other.members[0]) for one, other in pairwise(row)], int).reshape(-1, 2).T
        if is_film(differences(hashes, joints[:, numbers[joints[0]] != numbers[joints[1]]]), by_chance, *ALONE):
            name = NUMBER.sub("#", row[0].name)
            found.append(Series(name, [index for one in row for index in one.members]))
    return found


def random_differences(hashes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """In how many bits the hashes of random pairs differ, of those that do not look alike."""
    random = np.random.default_rng(0).integers(len(hashes), size=(2, RANDOM_PAIRS))
    return differences(hashes, random[:, numbers[random[0]] != numbers[random[1]]])


def differences(hashes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """In how many bits the hashes of pairs (2, n) differ: (n,)."""
    return np.count_nonzero(hashes[pairs[0]] != hashes[pairs[1]], axis=1)


def is_film(neighbours: np.ndarray, by_chance: np.ndarray, share: float, errors: float) -> bool:
    """Whether neighbours differ in less than a share of the bits in which pairs do by chance.

    Args:
        neighbours: the bits in which neighbours differ.
        by_chance: those in which random pairs do.
        share: of their mean.
        errors: by how many standard errors the mean of neighbours must be lower.
    """
    if min(len(neighbours), len(by_chance)) < FEWEST_NEIGHBOURS:
        return False
    mean, error = by_chance.mean(), by_chance.std() / np.sqrt(len(neighbours))
    return bool(neighbours.mean() < min(share * mean, mean - errors * error))
