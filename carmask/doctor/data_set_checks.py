"""The data doctor: what is wrong with a data set, found by decoding every pair once."""

import shlex
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from datasets import Dataset

from carmask.data.card import object_name_of
from carmask.data.layout import SPLITS, file_inside, read_dot_names
from carmask.data.rows import read_numbered, spread
from carmask.doctor.findings import KINDS, Finding
from carmask.doctor.near_duplicates import near_duplicates
from carmask.doctor.row_checks import Examined, examine, implausible, listed_rows, path_of
from carmask.errors import DataError, PictureError, shortened
from carmask.files.mask_levels import open_mask, values_of
from carmask.files.mask_rule import NATIVE, MaskRule
from carmask.files.masks import MaskOptions, decide
from carmask.files.picture_folders import pictures_below
from carmask.files.progress import progress
from carmask.files.words import DEFAULT_OBJECT, this_python

MOST_AT_ONCE = 20_000  # pictures, before a training
FEWEST_MASKS = 8  # with the object, of a source, to say what its masks are like
MOST_MASKS = 50  # of a data set in another layout, on which it is seen whether they are inverted


def find_faults(data: Path, rows: list[dict]) -> list[Finding]:
    """Examines all rows of a data set; returns what was found, by kind."""
    dot_names = read_dot_names(data)
    rule = mask_rule(data, rows)
    results = [examine(data, row, dot_names, rule) for row in progress(rows, "Examining")]
    examined = [one for one, _ in results]
    found = [finding for _, findings in results for finding in findings]
    known = {finding.files[0] for finding in found if finding.kind == "inverted mask"}
    found += [finding for finding in inverted_masks(examined) if finding.files[0] not in known]
    found += unlisted_files(data, rows) + duplicates(examined) + groups_in_two_splits(rows) + object_counts(examined)
    return sorted(found, key=lambda finding: list(KINDS).index(finding.kind))


def mask_rule(data: Path, rows: list[dict]) -> MaskRule:
    """What the masks of a set mean: of one that was not written here, what training would take them for."""
    files = [file_inside(data, row["split"], row.get("mask_file_name")) for row in rows]
    values = []
    for file in progress(files if object_name_of(data) is None else [], "Reading masks"):
        try:
            values += [values_of(open_mask(file), file.name)] if file else []
        except PictureError:  # which has a finding of its own
            continue
    try:
        return decide(values, MaskOptions(), DEFAULT_OBJECT, native=True) if values else NATIVE
    except DataError:  # nobody can tell: what is not 0, 128 or 255 becomes a finding
        return NATIVE


def unlisted_files(data: Path, rows: list[dict]) -> list[Finding]:
    """The picture files in the folders of the splits that no row names."""
    named = {path_of(row, column) for row in rows for column in ("file_name", "mask_file_name")}
    files = [path.relative_to(data).as_posix() for split in SPLITS for path in pictures_below(data / split)]
    return [Finding("unlisted file", [file], "no row names it") for file in files if file not in named]


def duplicates(examined: list[Examined]) -> list[Finding]:
    """Pictures that look alike, each with the one it resembles most."""
    known = [one for one in examined if one.hash is not None]
    hashes = [one.hash for one in examined if one.hash is not None]
    if not known:
        return []
    splits = [one.row["split"] for one in known]
    groups = [str(one.row.get("group") or path_of(one.row, "file_name")) for one in known]
    found = []
    for later, earlier, bits in near_duplicates(hashes, splits, groups):
        kind = "duplicate" if splits[later] == splits[earlier] else "duplicate across splits"
        files = [path_of(known[index].row, "file_name") for index in (later, earlier)]
        found.append(Finding(kind, files, f"{bits} of {len(hashes[later])} bits of their hashes differ"))
    return found


def groups_in_two_splits(rows: list[dict]) -> list[Finding]:
    """The groups with pictures in more than one split, each with its first picture there."""
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        if row.get("group"):
            places[row["group"]].setdefault(row["split"], path_of(row, "file_name"))
    return [
        Finding("group in two splits", list(files.values()), f"the group {group} is in {' and '.join(files)}")
        for group, files in places.items()
        if len(files) > 1
    ]


def object_counts(examined: list[Examined]) -> list[Finding]:
    """The splits of masks without the object in any mask, and the empty masks of sources whose others show it."""
    masked = [one for one in examined if one.share is not None]
    shown = {(key, one.row.get(key)) for one in masked for key in ("split", "source") if one.share}
    found = [
        Finding("split without object", [f"{split}/metadata.jsonl"], f"none of its {number} masks shows the object")
        for split, number in Counter(one.row["split"] for one in masked).items()
        if ("split", split) not in shown
    ]
    empty = [one.row for one in masked if not one.share and ("source", one.row.get("source")) in shown]
    return found + [Finding("empty mask", [path_of(row, "file_name")], "no pixel is the object") for row in empty]


def inverted_masks(examined: list[Examined]) -> list[Finding]:
    """The masks whose object surrounds the rest, and which turned inside out are more like those of their source.

    Half the border must be object, a larger share than of the whole mask, and share and border of the inverted mask
    less than half as far from the medians of the source. Details of a car, which fill a picture to its border, are
    denser in their middle: of 2917 random details of the masks of three sources, 5 were taken for inverted.
    """
    by_source = defaultdict(list)
    for one in examined:
        if one.share and one.border is not None:
            by_source[one.row.get("source")].append(one)
    found = []
    for source, masks in by_source.items():
        shares = np.array([(one.share, one.border) for one in masks])  # (masks, 2)
        usual = np.median(shares, axis=0)
        apart, apart_inverted = (np.abs(these - usual).sum(axis=1) for these in (shares, 1 - shares))
        surrounds = (shares[:, 1] > 0.5) & (shares[:, 0] < shares[:, 1])
        for index in np.flatnonzero(surrounds & (apart_inverted < apart / 2) & (len(masks) >= FEWEST_MASKS)):
            files = [path_of(masks[index].row, column) for column in ("file_name", "mask_file_name")]
            reason = "{:.0%} of it and {:.0%} of its border is the object".format(*shares[index])
            usually = "{:.0%} and {:.0%}".format(*usual)
            found.append(Finding("inverted mask", files, f"{reason}, usually {usually} in the source {source}"))
    return found


def fault_summary(data: str, train: Dataset) -> str:
    """The faults of a data set in the project's layout, a line for each kind, and how to see them all.

    Of a data set in another layout it is seen on some masks of the split `train` whether they are inverted.

    Returns:
        Nothing where there is no fault.

    Raises:
        DataError: a row of another layout cannot be used.
    """
    folder = Path(data)
    if not any((folder / split / "metadata.jsonl").is_file() for split in SPLITS):
        return inversion_warning(train) if "mask" in train.column_names else ""
    command = shlex.join([this_python(), "data_scripts/doctor.py", data, "--out", "findings"])
    try:
        rows = listed_rows(folder)
        if len(rows) > MOST_AT_ONCE:
            return f"The data doctor would take minutes for {len(rows)} pictures. To ask it: {command}"
        findings = find_faults(folder, rows)
    except DataError as error:
        return f"Warning: {error}"
    files = defaultdict(list)
    for finding in findings:
        if KINDS[finding.kind].fault:
            files[finding.kind].append(finding.files[0])
    lines = [
        f"Warning: {kind}, {len(own)} found, the first in {shortened(own[0], 200)}. {KINDS[kind].remedy}"
        for kind, own in files.items()
    ]
    return "\n".join([*lines, f"To see them all: {command}"]) if lines else ""


def inversion_warning(train: Dataset) -> str:
    """A warning if most masks of a split look inverted, as where the object is black; nothing otherwise.

    Raises:
        DataError: a row cannot be used.
    """
    some = spread(train, MOST_MASKS)
    found = [implausible(read_numbered(some, index)[1]) for index in range(len(some))]
    inverted = sum(kind == "inverted mask" for kinds in found for kind, _ in kinds)
    if inverted <= len(some) / 2:
        return ""
    return (
        f"Warning: in {inverted} of {len(some)} masks most of the picture and nearly all of its border is the object; "
        "--invert exchanges object and background."
    )
