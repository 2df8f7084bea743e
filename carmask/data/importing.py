"""Pairs of a picture and its truth, a mask or dots: found by name, checked, and imported as a data set."""

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from carmask.command_line import percent
from carmask.data.card import count_line
from carmask.data.folder import SHARES, finish_data_set, save_example, split_groups, staged_folder
from carmask.data.layout import SPLITS
from carmask.data.object_choice import HELP, ObjectChoice, object_choice
from carmask.data.pairing import BadFile, unique_keys
from carmask.data.pairs import BadPair, Pair, official_split, read_pair, stored_form
from carmask.errors import DataError
from carmask.files.picture_folders import find_pictures

MOST_LISTED = 20  # bad files of a kind


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that all importing programs share."""
    parser.add_argument(
        "--split",
        choices=[*SPLITS, "auto"],
        default="auto",
        help="all into one split (default: auto, by folders called train, val, test, else dealt out)",
    )
    parser.add_argument(
        "--shares",
        type=percent,
        default=SHARES,
        metavar="80,10,10",
        help="percent for train, validation and test where no folder of such a name says it",
    )
    parser.add_argument("--object", type=object_choice, default=ObjectChoice(), metavar="NAME", help=HELP)
    parser.add_argument("--source", help="what to write into the column source (default: the name of OUT)")
    parser.add_argument(
        "--group-pattern", help="regular expression; its first group in the name is the picture's group"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave bad pairs out instead of refusing all")
    parser.add_argument("--overwrite", action="store_true", help="replace an older data set at OUT")


def pictures_without_car(images: Path) -> tuple[list[Pair], list[BadFile]]:
    """Lists the pictures of a folder as pairs of pure background; and those with clashing names, with reasons."""
    bad: list[BadFile] = []
    paths = unique_keys(find_pictures(images), images, bad)
    return [
        Pair(
            path.relative_to(images).with_suffix("").as_posix().replace("/", "_"),
            path,
            None,
            split=official_split(path.relative_to(images)),
        )
        for path in paths
    ], bad


def import_pairs(
    pairs: list[Pair], bad: list[BadFile], arguments: argparse.Namespace, dot_names: list[str] | None = None
) -> int:
    """Writes all good pairs as a data set at `arguments.out`; returns exit code 0.

    Args:
        pairs: what to import.
        bad: files found bad so far.
        arguments: `out`, and the values of `add_options`.
        dot_names: what the column `dots` of the pairs holds, in order.

    Raises:
        DataError: OUT may not be written, or some files are bad and may not be skipped, or none is good.
    """
    with staged_folder(arguments.out, arguments.overwrite) as folder:
        rows, bad = _write_pairs(pairs, bad, folder, arguments)
        say_bad(bad)
        if bad and not arguments.skip_bad:
            raise DataError(f"Nothing written, {len(bad)} bad: mend the above, or leave them out with --skip-bad.")
        if not rows:
            raise DataError("Nothing written: no good pair is left.")
        told = choose_splits(rows, arguments.split, arguments.shares)
        say_groups(rows)
        _move_to_splits(folder, rows)
        with_car = finish_data_set(folder, rows, arguments.out.resolve().name, dot_names, arguments.object.name)
    if not with_car and any(pair.read_mask and pair.has_mask for pair in pairs):
        sys.stderr.write("No mask has a single pixel of the object: check which value or class it is.\n")
    left_out = f"; {len(bad)} bad left out" if bad else ""
    sys.stderr.write(f"{arguments.out}: {count_line(rows)}{left_out}. {told}\n")
    return 0


def _write_pairs(
    pairs: list[Pair], bad: list[BadFile], folder: Path, arguments: argparse.Namespace
) -> tuple[list[dict], list[BadFile]]:
    """Writes each good pair under `folder`; returns their rows and all bad files with their reasons."""
    group_of = group_function(arguments.group_pattern)
    names = Counter(pair.name for pair in pairs)
    source = arguments.source or arguments.out.resolve().name
    rows, bad = [], list(bad)
    for pair in tqdm(pairs, desc="pictures", disable=None):
        try:
            if names[pair.name] > 1:
                raise BadPair(f"name clash: {names[pair.name]} pictures are called {pair.name}")
            group = group_of(pair.name)
            picture, mask = read_pair(pair)
            dots = {"dots": pair.read_dots((picture.height, picture.width))} if pair.read_dots else {}
        except BadPair as error:
            bad.append((pair.picture, str(error)))
            continue
        row = save_example(folder, pair.name, picture, mask, lossless=not stored_form(pair.picture)[2])
        rows.append({**row, "source": source, "group": group, "split": pair.split, **dots})
    return rows, bad


def say_bad(bad: list[BadFile]) -> None:
    """Lists what is bad, of each kind of fault the first ones."""
    said = Counter[str]()
    for path, reason in bad:
        kind = reason.partition(":")[0]
        said[kind] += 1
        if said[kind] <= MOST_LISTED:
            sys.stderr.write(f"{path}: {reason}\n")
    for kind, number in said.items():
        if number > MOST_LISTED:
            sys.stderr.write(f"… and {number - MOST_LISTED} more: {kind}\n")


def say_groups(rows: list[dict]) -> None:
    """Says how many groups lie in more than one split, where folders have put them."""
    places: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        places[row["group"]].add(row["split"])
    torn = [group for group, splits in places.items() if len(splits) > 1]
    if torn:
        sys.stderr.write(f"Groups in more than one split, as the folders have them: {len(torn)}, such as {torn[0]}.\n")


def choose_splits(rows: list[dict], split: str, shares: tuple[int, int, int]) -> str:
    """Gives each row its split; returns one sentence that says how.

    The split of a folder called train, val or test stays. Other rows go to train where there is such a folder; else
    whole groups of them are dealt out, the shares of the splits that are there counting as train's.
    """
    official = {row["split"] for row in rows if row["split"]}
    rest = [row for row in rows if not row["split"]]
    if split != "auto":
        for row in rows:
            row["split"] = split
        return f"All are in {split}."
    if "train" in official:
        dealt = {}
    else:
        validation, test = (
            0 if name in official else share for name, share in zip(SPLITS[1:], shares[1:], strict=True)
        )
        dealt = split_groups({row["group"] for row in rest}, (100 - validation - test, validation, test))
    for row in rest:
        row["split"] = dealt.get(row["group"], "train")
    if official:
        places = " and ".join(split for split in SPLITS if split in {row["split"] for row in rest})
        others = f"; {len(rest)} pictures in none of them went to {places}" if rest else ""
        kept = ", ".join(split for split in SPLITS if split in official)
        return f"The splits are those of the folders for {kept}{others}."
    return "No folder is called train, val or test, so they were dealt out; --split puts all into one."


def _move_to_splits(folder: Path, rows: list[dict]) -> None:
    for row in rows:
        for column in {"file_name", "mask_file_name"} & row.keys():
            target = folder / row["split"] / row[column]
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / row[column]).rename(target)
    (folder / "images").rmdir()
    if (folder / "masks").exists():
        (folder / "masks").rmdir()


def group_function(pattern: str | None) -> Callable[[str], str]:
    """The function from a picture's name to its group: what the pattern's brackets hold, without one the name itself.

    It raises BadPair for a name that the pattern does not fit.

    Raises:
        DataError: The pattern is no regular expression, or has no brackets.
    """
    if pattern is None:
        return str
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"--group-pattern {pattern} is no regular expression: {error}.") from None
    if not compiled.groups:
        raise DataError(f"--group-pattern {pattern} needs a group in round brackets, such as ^([^_]+)_.")

    def group_of(name: str) -> str:
        match = compiled.search(name)
        if not match or not match[1]:
            raise BadPair(f"--group-pattern does not fit the name {name}")
        return match[1]

    return group_of
