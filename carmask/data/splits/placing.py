"""Gives each picture that is imported its group and its split, and says by what."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from carmask.data.layout import SPLITS
from carmask.data.splits.deal import Dealt, Picture, Shares, deal_out
from carmask.data.splits.grouping import Grouping, bare_names, find_groups, group_by_pattern
from carmask.errors import DataError

CUT, TORN = ", cut into stretches", ", though "  # what follows in `grouped_by`
FEWEST = 10  # pictures that are dealt out; fewer all go to train


class Seen(NamedTuple):
    """A row of a data set to be, and what its split depends on."""

    row: dict
    name: str  # of the picture, with its folders in front
    share: float  # of the object in it
    hash: np.ndarray  # its `perceptual_hash`


def grouping_of(seen: Sequence[Seen], pattern: str | None) -> Grouping:
    """Which pictures belong together: by a pattern in their names, or as far as names and looks tell.

    Raises:
        DataError: the pattern does not fit.
    """
    names, splits = [one.name for one in seen], [one.row["split"] for one in seen]
    if pattern:
        return group_by_pattern(names, splits, pattern)
    bare = bare_names(names, splits)
    return find_groups(bare if len({*bare}) == len(bare) else names, np.stack([one.hash for one in seen]))


def choose_splits(
    seen: Sequence[Seen], split: str, shares: Shares, pattern: str | None
) -> tuple[list[dict], str, str]:
    """Gives each row its group and split.

    The split of a folder called train, val or test stays. Other rows go to train where there is such a folder; else
    whole groups of them are dealt out, the shares of the splits that are there counting as train's.

    Returns:
        The rows that are kept; a few sentences that say how; and by what they were grouped, for the card.

    Raises:
        DataError: the pattern does not fit, or leaves a split empty.
    """
    grouping = grouping_of(seen, pattern)
    for one, group in zip(seen, grouping.groups, strict=True):
        one.row["group"] = group
    rows = [one.row for one in seen]
    official = {row["split"] for row in rows if row["split"]}
    rest = [one for one in seen if not one.row["split"]]
    if split != "auto":
        for row in rows:
            row["split"] = split
        return rows, f"All are in {split}. {found(grouping)}", grouping.by
    dealt = "train" not in official and len(rest) >= FEWEST
    cut = deal_rest(rest, without(shares, official), pattern) if dealt else ""
    for one in rest:
        one.row["split"] = one.row["split"] if dealt else "train"
    kept = [row for row in rows if row["split"]]
    by = grouping.by + CUT * bool(cut) + torn_words(kept)
    if official:
        places = " and ".join(split for split in SPLITS if split in {one.row["split"] for one in rest})
        others = f"; {len(rest)} pictures in none of them went to {places}" if rest else ""
        folders = ", ".join(split for split in SPLITS if split in official)
        told = f"The splits are those of the folders for {folders}{others}."
    else:
        how = "whole groups were dealt out" if dealt else f"fewer than {FEWEST} all went to train"
        told = f"No folder is called train, val or test, so {how}; --split puts all into one."
    return kept, " ".join(filter(None, [told, found(grouping), cut])), by


def without(shares: Shares, official: set[str]) -> Shares:
    """The shares when those of the splits that are there already count as train's."""
    validation, test = (0 if name in official else share for name, share in zip(SPLITS[1:], shares[1:], strict=True))
    return 100 - validation - test, validation, test


def deal_rest(seen: Sequence[Seen], shares: Shares, pattern: str | None) -> str:
    """Deals pictures out, and says where groups had to be cut for it; a picture that is left out has no split.

    Raises:
        DataError: the groups of the pattern leave a split empty.
    """
    pictures = [Picture(one.name, one.row["group"], one.row["source"], one.share) for one in seen]
    dealt = deal_out(pictures, shares, cut=not pattern)
    for one, split, group in zip(seen, dealt.splits, dealt.groups, strict=True):
        one.row.update(split=split, group=group)
    if pattern:
        check_filled(dealt, shares, f"--group-pattern {pattern} makes")
    return cut_words(dealt)


def check_filled(dealt: Dealt, shares: Shares, makes: str) -> None:
    """Refuses groups that leave a split empty; `makes` is what made them.

    Raises:
        DataError: they do.
    """
    number = len(set(dealt.groups))
    empty = [split for split, share in zip(SPLITS, shares, strict=True) if share and split not in dealt.splits]
    if empty:
        raise DataError(
            f"{makes} {number} group{'s' * (number > 1)} of {len(dealt.groups)} pictures, which leaves "
            f"{' and '.join(empty)} empty: give a pattern that makes at least {sum(share > 0 for share in shares)}, "
            "or none, and what belongs together is looked for."
        )


def found(grouping: Grouping) -> str:
    """By what pictures were grouped, in a sentence."""
    if not grouping.by:
        return "Nothing tells which belong together, so each counts for itself; --group-pattern would, by the names."
    number = len(set(grouping.groups))
    return f"Grouped by {grouping.by}: {number} group{'s' * (number > 1)}."


def cut_words(dealt: Dealt) -> str:
    """Which groups were cut, in a sentence; nothing where none was."""
    if not dealt.cut:
        return ""
    left_out = dealt.splits.count(None)
    gaps = f" and {left_out} between are left out" * bool(left_out)
    return (
        f"Whole groups cannot fill the splits, so that of {' and of '.join(dealt.cut)} the first pictures are in "
        f"train, the last in test{gaps}: the scores hold for no other film."
    )


def torn_words(rows: Sequence[dict]) -> str:
    """What a card adds, and a sentence says, where folders have put groups into more than one split."""
    places: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        places[row["group"]].add(row["split"])
    torn = [group for group, splits in places.items() if len(splits) > 1]
    if not torn:
        return ""
    sys.stderr.write(f"Groups in more than one split, as the folders have them: {len(torn)}, such as {torn[0]}.\n")
    return f"{TORN}{len(torn)} of these groups are in more than one split, so that scores are too high"
