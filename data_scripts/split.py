"""Deals the pictures of a data set out to train, validation and test, whole groups at a time.

    python data_scripts/split.py my-set my-split --group-pattern '^([^_]+)_'

Each split gets its share of every source, and of pictures without the object, with small and with large ones. A test
split that is there already stays as it is; --new-test deals it out, too. The same names and seed give the same split
on every machine. A picture that is added later moves at most one group across each border between two splits.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from carmask.command_line import exit_code, natural_number, percent
from carmask.data.card import common_object, count_line, grouped_by_of
from carmask.data.folder import SHARES, finish_data_set, link_example, mask_shares, staged_folder, stem_of
from carmask.data.splits.deal import Dealt, Picture, deal_out
from carmask.data.splits.grouping import Grouping, find_groups, group_by_pattern
from carmask.data.splits.look_alikes import perceptual_hash
from carmask.data.splits.placing import CUT, TORN, check_filled, cut_words, found
from carmask.errors import DataError, PictureError
from carmask.files.pictures import open_picture
from carmask.files.progress import progress
from data_scripts.merge import common_dot_names, data_set_rows


def hashes_of(data: Path, rows: list[dict]) -> np.ndarray:
    """The `perceptual_hash` of each row's picture, bool (n, 256); DataError if one cannot be read."""
    hashes = []
    for row in progress(rows, "pictures"):
        file = data / row["split"] / row["file_name"]
        try:
            hashes.append(perceptual_hash(open_picture(file)))
        except PictureError as error:
            raise DataError(f"The picture {file} cannot be read: {error}") from None
    return np.stack(hashes)


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


def deal_rows(
    data: Path, rows: list[dict], shares: tuple[int, int, int], arguments: argparse.Namespace, grouped_by: str
) -> Dealt:
    """Deals rows out; DataError if a mask cannot be read, or groups that a person said leave a split empty."""
    pictures = []
    for row in progress(rows, "masks"):
        share = mask_shares(data, row)[0] if "mask_file_name" in row else 0.0
        pictures.append(Picture(stem_of(row), row["group"], row["source"], share))
    said = grouped_by.startswith(("the pattern", "the column"))  # by a person, whose groups are never cut
    dealt = deal_out(pictures, shares, arguments.seed, cut=not said)
    if said:
        pattern = arguments.group_pattern
        check_filled(dealt, shares, f"--group-pattern {pattern} makes" if pattern else f"T{grouped_by[1:]} makes")
    return dealt


def split(arguments: argparse.Namespace) -> int:
    """Writes the data set in its new splits; returns the exit code."""
    data, shares = arguments.data, arguments.shares
    if arguments.out.resolve() == data.resolve():
        raise DataError(f"{data} stays as it is: give another name for the data set to write.")
    rows, pattern = data_set_rows(data), arguments.group_pattern
    groups = [row["group"] for row in rows]
    grouped_by = grouped_by_of(data).partition(TORN)[0] or "the column group"
    if pattern:
        groups, grouped_by = group_by_pattern([stem_of(row) for row in rows], [row["split"] for row in rows], pattern)
    elif len({*groups}) == len(rows):  # nobody has grouped them yet
        groups, grouped_by = find_groups(groups, hashes_of(data, rows))
    rows = [{**row, "group": group} for row, group in zip(rows, groups, strict=True)]
    test, rest = ([], rows) if arguments.new_test else part_test(rows, data)
    if test:
        shares = (*shares[:2], 0)
    if not sum(shares):
        raise DataError("--shares leave nothing for train and validation: give them more than 0.")
    dealt = deal_rows(data, rest, shares, arguments, grouped_by)
    if dealt.cut and not grouped_by.endswith(CUT):
        grouped_by += CUT
    placed: list[tuple] = [(row, "test", row["group"]) for row in test]
    placed += [place for place in zip(rest, dealt.splits, dealt.groups, strict=True) if place[1]]
    new = write(data, arguments.out, placed, grouped_by, arguments.overwrite)
    told = [found(Grouping([row["group"] for row in new], grouped_by)), cut_words(dealt)]
    told += ["The test split is the old one."] * bool(test)
    sys.stderr.write(f"{arguments.out}: {count_line(new)}. {' '.join(filter(None, told))}\n")
    return 0


def write(data: Path, out: Path, placed: list[tuple], grouped_by: str, overwrite: bool) -> list[dict]:
    """Writes rows of a data set, each with its new split and group, as another one; returns the new rows."""
    with staged_folder(out, overwrite) as staged:
        taken, new = set(), []
        for row, place, group in placed:
            moved = {**row, "split": place, "group": group}
            new.append(link_example(moved, data / row["split"], staged, stem_of(row), taken))
        names, object_name = common_dot_names([data]), common_object([data])
        finish_data_set(staged, new, out.resolve().name, names, object_name, grouped_by)
    return new


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
    return exit_code(split, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
