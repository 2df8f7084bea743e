"""Deals pictures out to train, validation and test, whole groups at a time; every program does it by this function."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from carmask.data.layout import SPLITS
from carmask.data.splits.series import natural_order

SIZES = (0, 0.05, 0.2, 0.5)  # shares of the object up to which it counts as none, small, middling, large
GOLDEN = 0.618034  # multiples of it are spread evenly over 0 to 1, modulo 1
GAP = 50  # of so many pictures of a film that is cut, one is left out at each cut

Shares = tuple[int, int, int]  # of train, validation and test: whole numbers, whose sum is the whole


class Picture(NamedTuple):
    """What decides where a picture goes."""

    name: str
    group: str
    source: str
    share: float  # of the object in it


class Group(NamedTuple):
    """Pictures that stay together: their most frequent source, mean share of the object, and number."""

    source: str
    share: float
    pictures: int


class Dealt(NamedTuple):
    """The split and the group of each picture, and the groups that had to be cut; no split: it is left out."""

    splits: list[str | None]
    groups: list[str]
    cut: list[str]


def deal_out(pictures: Sequence[Picture], shares: Shares, seed: int = 0, cut: bool = True) -> Dealt:
    """Gives each picture a split, whole groups at a time.

    Where that cannot fill the splits, such as with one film, its stretches are groups: its first part in the order of
    names is for train, its last for test, and some pictures at the cuts are left out, since they look like both sides.

    Args:
        pictures: to deal out.
        shares: of the splits.
        seed: another one gives another split.
        cut: whether groups may be cut; if not, a split may stay empty.
    """
    splits: list[str | None] = [None] * len(pictures)
    groups = [picture.group for picture in pictures]
    too_large = groups_to_cut(Counter(groups), shares) if cut else []
    for name in too_large:
        members = [index for index, group in enumerate(groups) if group == name]
        members.sort(key=lambda index: natural_order(pictures[index].name))
        for split, stretch in stretches(members, shares):
            for index in stretch:
                splits[index], groups[index] = split, f"{name}, {split}"
    rest = [index for index, picture in enumerate(pictures) if picture.group not in too_large]
    whole = make_groups([pictures[index] for index in rest])
    dealt = deal(whole, shares, seed)
    for index in rest:
        splits[index] = dealt[groups[index]]
    return Dealt(splits, groups, too_large)


def groups_to_cut(counts: Counter[str], shares: Shares) -> list[str]:
    """A group that leaves the other splits less than half of what they are due; all, if they are fewer than splits."""
    due = sum(share > 0 for share in shares)
    if due < 2 or counts.total() < 2 * due:
        return []
    others = (1 - max(shares) / sum(shares)) * counts.total()
    return sorted(name for name, number in counts.items() if len(counts) < due or counts.total() - number < others / 2)


def stretches(members: list[int], shares: Shares) -> list[tuple[str | None, list[int]]]:
    """Cuts a row of pictures into a stretch for each split that is due a share; what is left out has none."""
    borders = np.round(np.cumsum((0, *shares)) / sum(shares) * len(members)).astype(int)
    gap = len(members) // GAP
    found: list[tuple[str | None, list[int]]] = []
    for split, start, end in zip(SPLITS, borders[:-1], borders[1:], strict=True):
        if end > start:
            before = gap if found else 0
            found += [(None, members[start : start + before])] * bool(before)
            found.append((split, members[start + before : end]))
    return found


def make_groups(pictures: Sequence[Picture]) -> dict[str, Group]:
    """Gathers the pictures of each group."""
    members = defaultdict(list)
    for picture in pictures:
        members[picture.group].append(picture)
    groups = {}
    for name, own in members.items():
        counts = Counter(picture.source for picture in own)
        source = min(counts, key=lambda one: (-counts[one], one))
        groups[name] = Group(source, float(np.mean([picture.share for picture in own])), len(own))
    return groups


def deal(groups: dict[str, Group], shares: Shares, seed: int) -> dict[str, str]:
    """Maps each group to a split.

    The groups of a stratum, which is a source and a size of the object, lie in a row in the order of a hash of their
    names, each as long as it has pictures, and those too long for anything but train at its end. Two borders cut the
    row by the shares, and a group goes where its middle lies. In each stratum the borders are off by a fixed amount
    below one picture, so that what is rounded evens out.
    """
    strata = defaultdict(list)
    for name in sorted(groups, key=lambda name: _number(seed, name)):
        strata[groups[name].source, int(np.searchsorted(SIZES, groups[name].share))].append(name)
    train, validation, test = np.array(shares) / sum(shares)
    most = (validation + test) * sum(group.pictures for group in groups.values()) if train else math.inf
    splits = {}
    for (source, size), names in strata.items():
        names.sort(key=lambda name: groups[name].pictures > most)
        pictures = np.array([groups[name].pictures for name in names])
        offset = (_number(seed, source) + size * GOLDEN) % 1 - 0.5
        borders = np.array([validation, validation + test]) * pictures.sum() + offset
        for name, middle in zip(names, pictures.cumsum() - pictures / 2, strict=True):
            splits[name] = ("validation", "test", "train")[np.searchsorted(borders, middle)]
    fill_empty(splits, groups, shares)
    return splits


def _number(seed: int, name: str) -> float:
    """A number in 0 to 1 that depends on nothing but seed and name."""
    return int.from_bytes(hashlib.sha256(f"{seed or ''}{name}".encode()).digest()[:6], "big") / 2**48


def fill_empty(splits: dict[str, str], groups: dict[str, Group], shares: Shares) -> None:
    """Gives a split that is due a share and got none the smallest group of train, if train keeps one."""
    for split, share in zip(SPLITS, shares, strict=True):
        donors = [name for name, place in splits.items() if place == "train"]
        if share and split not in splits.values() and len(donors) > 1:
            splits[min(donors, key=lambda name: (groups[name].pictures, name))] = split
