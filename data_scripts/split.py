"""Deals the pictures of a data set out to train, validation and test, whole groups at a time.

    python data_scripts/split.py my-set my-split --group-pattern '^([^_]+)_'

Each split gets its share of every source, and of pictures without the object, with small and with large ones. A test
split that is there already stays as it is; --new-test deals it out, too. The same names and seed give the same split
on every machine. A picture that is added later moves at most one group across each border between two splits.
"""

import argparse
import functools
import hashlib
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from carmask.command_line import exit_code, natural_number, percent
from carmask.data.card import common_object, count_line
from carmask.data.folder import SHARES, finish_data_set, link_example, mask_shares, staged_folder, stem_of
from carmask.data.importing import group_function
from carmask.data.layout import SPLITS
from carmask.data.pairs import BadPair
from carmask.errors import DataError
from data_scripts.merge import common_dot_names, data_set_rows

CAR_SIZES = (0, 0.05, 0.2, 0.5)  # shares of car in a picture up to which it counts as none, small, middling, large
GOLDEN = 0.618034  # multiples of it are spread evenly over 0 to 1, modulo 1


class Group(NamedTuple):
    """Pictures that stay together: their most frequent source, mean share of car, and number."""

    source: str
    car: float
    pictures: int


def make_groups(rows: list[dict], cars: list[float]) -> dict[str, Group]:
    """Gathers the rows of each group, `cars` being the share of car in each row's picture."""
    members = defaultdict(list)
    for row, car in zip(rows, cars, strict=True):
        members[row["group"]].append((row["source"], car))
    groups = {}
    for name, pictures in members.items():
        counts = Counter(source for source, _ in pictures)
        source = min(counts, key=lambda one: (-counts[one], one))
        groups[name] = Group(source, float(np.mean([car for _, car in pictures])), len(pictures))
    return groups


def deal(groups: dict[str, Group], shares: tuple[int, int, int], seed: int) -> dict[str, str]:
    """Maps each group to a split.

    The groups of a stratum, which is a source and a size of car, lie in a row in the order of a hash of their names,
    each as long as it has pictures. Two borders cut the row by the shares, and a group goes where its middle lies. In
    each stratum the borders are off by a fixed amount below one picture, so that what is rounded evens out.

    Args:
        groups: by name.
        shares: of train, validation and test, whole numbers whose sum is the whole.
        seed: another one gives another split.
    """
    strata = defaultdict(list)
    for name in sorted(groups, key=lambda name: _number(seed, name)):
        strata[groups[name].source, int(np.searchsorted(CAR_SIZES, groups[name].car))].append(name)
    train, validation, _ = np.array(shares) / sum(shares)
    splits = {}
    for (source, size), names in strata.items():
        pictures = np.array([groups[name].pictures for name in names])
        offset = (_number(seed, source) + size * GOLDEN) % 1 - 0.5
        borders = np.array([validation, validation + train]) * pictures.sum() + offset
        for name, middle in zip(names, pictures.cumsum() - pictures / 2, strict=True):
            splits[name] = ("validation", "train", "test")[np.searchsorted(borders, middle)]
    return fill_empty(splits, groups, shares)


def _number(seed: int, name: str) -> float:
    """A number in 0 to 1 that depends on nothing but seed and name."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:6], "big") / 2**48


def fill_empty(splits: dict[str, str], groups: dict[str, Group], shares: tuple[int, int, int]) -> dict[str, str]:
    """Gives a split that is due a share and got none the smallest group of train, if train keeps one."""
    for split, share in zip(SPLITS, shares, strict=True):
        donors = [name for name, place in splits.items() if place == "train"]
        if share and split not in splits.values() and len(donors) > 1:
            splits[min(donors, key=lambda name: (groups[name].pictures, name))] = split
    return splits


def read_groups(data: Path, pattern: str | None) -> list[dict]:
    """Reads the rows of a data set; with a pattern, their groups are what it finds in the names of the pictures.

    Raises:
        DataError: The folder is no data set, or the pattern does not fit.
    """
    rows = data_set_rows(data)
    if pattern is None:
        return rows
    group_of = group_function(pattern)
    try:
        return [{**row, "group": group_of(stem_of(row))} for row in rows]
    except BadPair as error:
        raise DataError(f"{error}; every picture needs a group.") from None


def part_test(rows: list[dict], data: Path) -> tuple[list[dict], list[dict]]:
    """Parts the rows of the test split from those to deal out; rows of its groups that are elsewhere are left out.

    Raises:
        DataError: Nothing is left to deal out.
    """
    test = [row for row in rows if row["split"] == "test"]
    taken = {row["group"] for row in test}
    rest = [row for row in rows if row["group"] not in taken]
    lost = len(rows) - len(test) - len(rest)
    if not rest:
        raise DataError(f"All groups of {data} are in its test split; deal that out as well with --new-test.")
    if lost:
        sys.stderr.write(
            f"Pictures left out: {lost}. Their groups are in the test split, which stays as it is; --new-test deals "
            "all of them out.\n"
        )
    return test, rest


def car_share(data: Path, row: dict) -> float:
    """The share of car in a row's picture; 0 without a mask. DataError if the mask cannot be read."""
    return mask_shares(data, row)[0] if "mask_file_name" in row else 0.0


def split(arguments: argparse.Namespace) -> int:
    """Writes the data set in its new splits; returns the exit code."""
    data, shares = arguments.data, arguments.shares
    if arguments.out.resolve() == data.resolve():
        raise DataError(f"{data} stays as it is: give another name for the data set to write.")
    rows = read_groups(data, arguments.group_pattern)
    test, rest = ([], rows) if arguments.new_test else part_test(rows, data)
    if test:
        shares = (*shares[:2], 0)
    if not sum(shares):
        raise DataError("--shares leave nothing for train and validation: give them more than 0.")
    cars = [car_share(data, row) for row in tqdm(rest, desc="masks", disable=None)]
    splits = deal(make_groups(rest, cars), shares, arguments.seed)
    taken = set()
    with staged_folder(arguments.out, arguments.overwrite) as staged:
        dealt = []
        for row in test + rest:
            placed = {**row, "split": splits.get(row["group"], "test")}
            dealt.append(link_example(placed, data / row["split"], staged, stem_of(row), taken))
        title = arguments.out.resolve().name
        finish_data_set(staged, dealt, title, common_dot_names([data]), common_object([data]))
    kept = " The test split is the old one." if test else ""
    sys.stderr.write(f"{arguments.out}: {count_line(dealt)}, {len({row['group'] for row in dealt})} groups.{kept}\n")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set folder, as the programs of data_scripts/ write it")
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument(
        "--shares", type=percent, default=SHARES, metavar="80,10,10", help="percent for train, validation and test"
    )
    parser.add_argument("--group-pattern", help="regular expression; its first group in a file's name is the group")
    parser.add_argument("--new-test", action="store_true", help="deal the pictures of an old test split out, too")
    parser.add_argument("--seed", type=natural_number, default=0, help="another one gives another split")
    parser.add_argument("--overwrite", action="store_true", help="replace an older data set at OUT")
    return exit_code(functools.partial(split, parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
