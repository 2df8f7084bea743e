"""Pairs of a picture and its truth, a mask or dots: found by name, checked, and imported as a data set."""

import argparse
import shutil
import sys
from collections import Counter
from pathlib import Path

from carmask.command_line import percent
from carmask.data.card import count_line
from carmask.data.folder import SHARES, finish_data_set, save_example, staged_folder
from carmask.data.layout import OBJECT, SPLITS, example_name
from carmask.data.object_choice import HELP, ObjectChoice, object_choice
from carmask.data.pairing import BadFile, unique_keys
from carmask.data.pairs import BadPair, Pair, official_split, read_pair, stored_form
from carmask.data.splits.grouping import group_by_pattern
from carmask.data.splits.look_alikes import perceptual_hash
from carmask.data.splits.placing import Seen, choose_splits
from carmask.errors import DataError
from carmask.files.picture_folders import find_pictures
from carmask.files.progress import progress

MOST_LISTED = 20  # bad files of a kind


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that all importing programs share."""
    words = "all into one split (default: auto, by folders called train, val, test, else dealt out)"
    parser.add_argument("--split", choices=[*SPLITS, "auto"], default="auto", help=words)
    words = "percent for train, validation and test where no folder of such a name says it"
    parser.add_argument("--shares", type=percent, default=SHARES, metavar="80,10,10", help=words)
    parser.add_argument("--object", type=object_choice, default=ObjectChoice(), metavar="NAME", help=HELP)
    parser.add_argument("--source", help="what to write into the column source (default: the name of OUT)")
    words = "regular expression; what its first brackets find in a name is the picture's group, '(.+)' makes each "
    words += "picture one (default: films and sets of numbered names, and look-alikes, are found)"
    parser.add_argument("--group-pattern", help=words)
    parser.add_argument("--skip-bad", action="store_true", help="leave bad pairs out instead of refusing all")
    parser.add_argument("--overwrite", action="store_true", help="replace an older data set at OUT")


def pictures_without_object(images: Path) -> tuple[list[Pair], list[BadFile]]:
    """Lists the pictures of a folder as pairs of pure background; and those with clashing names, with reasons."""
    bad: list[BadFile] = []
    paths = unique_keys(find_pictures(images), images, bad)
    return [
        Pair(example_name(path.relative_to(images)), path, None, split=official_split(path.relative_to(images)))
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
    pattern = arguments.group_pattern
    if pattern:  # refused before anything is written
        group_by_pattern([pair.name for pair in pairs], [pair.split for pair in pairs], pattern)
    with staged_folder(arguments.out, arguments.overwrite) as folder:
        seen, bad = _write_pairs(pairs, bad, folder, arguments)
        say_bad(bad)
        if bad and not arguments.skip_bad:
            raise DataError(f"Nothing written, {len(bad)} bad: mend the above, or leave them out with --skip-bad.")
        if not seen:
            raise DataError("Nothing written: no good pair is left.")
        rows, told, by = choose_splits(seen, arguments.split, arguments.shares, pattern)
        _move_to_splits(folder, rows)
        with_object = finish_data_set(folder, rows, arguments.out.resolve().name, dot_names, arguments.object.name, by)
    if not with_object and any(pair.read_mask and pair.has_mask for pair in pairs):
        sys.stderr.write("No mask has a single pixel of the object: check which value or class it is.\n")
    left_out = f"; {len(bad)} bad left out" if bad else ""
    sys.stderr.write(f"{arguments.out}: {count_line(rows)}{left_out}. {told}\n")
    return 0


def _write_pairs(
    pairs: list[Pair], bad: list[BadFile], folder: Path, arguments: argparse.Namespace
) -> tuple[list[Seen], list[BadFile]]:
    """Writes each good pair under `folder`; returns their rows and all bad files with their reasons."""
    names = Counter(pair.name for pair in pairs)
    source = arguments.source or arguments.out.resolve().name
    seen, bad = [], list(bad)
    for pair in progress(pairs, "pictures"):
        try:
            if names[pair.name] > 1:
                raise BadPair(f"name clash: {names[pair.name]} pictures are called {pair.name}")
            if pair.name != pair.name.encode(errors="ignore").decode():
                raise BadPair("name: its letters are not those of UTF-8, so no table can hold it; rename the file")
            picture, mask = read_pair(pair)
            dots = {"dots": pair.read_dots((picture.height, picture.width))} if pair.read_dots else {}
        except BadPair as error:
            bad.append((pair.picture, str(error)))
            continue
        row = save_example(folder, pair.name, picture, mask, lossless=not stored_form(pair.picture)[2])
        share = 0.0 if mask is None else float((mask == OBJECT).mean())
        row |= {"source": source, "group": pair.name, "split": pair.split, **dots}
        seen.append(Seen(row, pair.name, share, perceptual_hash(picture)))
    return seen, bad


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


def _move_to_splits(folder: Path, rows: list[dict]) -> None:
    """Moves the files of rows to their splits, and deletes those that no row names."""
    for row in rows:
        for column in {"file_name", "mask_file_name"} & row.keys():
            target = folder / row["split"] / row[column]
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / row[column]).rename(target)
    for kind in ("images", "masks"):
        shutil.rmtree(folder / kind, ignore_errors=True)
