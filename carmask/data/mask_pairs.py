"""Pictures and their masks as files → pairs to import: which value is the object is decided over all masks first."""

import functools
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from carmask.data.layout import BACKGROUND
from carmask.data.object_choice import ObjectChoice, is_number
from carmask.data.pairing import BadFile, Match
from carmask.data.pairs import BadPair, Pair
from carmask.errors import DataError, PictureError
from carmask.files.mask_levels import Levels, Values, open_mask, values_of
from carmask.files.mask_rule import MaskRule
from carmask.files.masks import MaskOptions, decide, soft_reason
from carmask.files.progress import progress

COLOUR_LISTS = ("labelmap.txt", "label_colors.txt", "class_dict.csv")  # of CVAT, CamVid and Kaggle


def listed_colours(choice: ObjectChoice, masks: Path) -> tuple[frozenset[int], frozenset[int]]:
    """The colours of the object in the list of classes that lies in the folder of masks or beside it, and all of them.

    Raises:
        DataError: numbers and names are to be the object, and no list says what the names mean.
    """
    listed = [folder / name for folder in (masks, masks.parent) for name in COLOUR_LISTS]
    listed = [path for path in listed if path.is_file()]
    names = colour_names(listed[0]) if listed else {}
    wanted = {one.casefold() for one in choice.classes if not is_number(one)}
    missing = sorted(wanted - names.keys())
    if missing and choice.numbers and not names:
        raise DataError(
            f"No list beside the masks says which of their values is {missing[0]}: give numbers alone, as in --object "
            f"{choice.name}={min(choice.numbers)}."
        )
    if missing and names:
        sys.stderr.write(f"{listed[0]} has no {' or '.join(missing)}; it has {', '.join(names)}.\n")
    return frozenset(number for name, number in names.items() if name in wanted), frozenset(names.values())


def colour_names(path: Path) -> dict[str, int]:
    """Reads a list of classes and their colours, 0xRRGGBB by name in lower case.

    The lines are `leaf:250,50,83::` (CVAT), `64 0 128 Leaf` (CamVid), or a table with the columns name, r, g and b.

    Raises:
        DataError: two classes have one name or colour, so that nobody can tell them apart.
    """
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    header = [cell.strip().lower() for cell in lines[0].split(",")] if lines else []
    found: dict[str, int] = {}
    for line in lines:
        name, colour, *_ = [*line.split(":"), ""]
        if {"name", "r", "g", "b"} <= {*header}:
            cells = dict(zip(header, line.split(","), strict=False))
            name, colour = cells["name"], ",".join(cells.get(channel, "") for channel in "rgb")
        elif match := re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\d+)\s+(.+)", line):
            name, colour = match[4], ",".join(match.group(1, 2, 3))
        channels = [int(part) for part in colour.split(",") if part.strip().isdecimal()]
        if len(channels) == 3 and max(channels) <= 255 and not line.startswith("#"):
            name, number = name.strip().casefold(), channels[0] << 16 | channels[1] << 8 | channels[2]
            if name in found or number in found.values():
                raise DataError(f"{path} gives two classes one name or colour, {name}: change it and export again.")
            found[name] = number
    return found


def mask_pairs(
    matches: list[Match], options: MaskOptions, name: str, resize: bool = False
) -> tuple[list[Pair], list[BadFile]]:
    """Reads all masks once, decides what in them is the object, and says it; then each mask is read by that rule.

    Returns:
        Pairs to import; and the masks that cannot be used, with reasons.

    Raises:
        DataError: nobody can tell what is the object.
    """
    good, values, bad = list[Match](), list[Values](), list[BadFile]()
    for match in progress(matches, "masks"):
        try:
            levels = list(map(read_levels, match.masks))
            for path, one in zip(match.masks, levels, strict=True):
                if reason := soft_reason(one, options):
                    raise BadPair(reason if len(match.masks) == 1 else f"{path.name}: {reason}")
        except BadPair as error:
            bad.append((match.masks[0], str(error)))
            continue
        good.append(match)
        values += map(values_of, levels, (path.name for path in match.masks))
    if not matches:
        return [], []
    if not good:
        raise DataError(f"None of the masks can be used; the first is {bad[0][0]}: {bad[0][1].rstrip('.')}.")
    rule = decide(values, options, name)
    if rule.words:
        sys.stderr.write(f"{rule.words}\n")
    pairs = []
    for match in good:
        read_mask = functools.partial(joined_mask, match.masks, rule)
        pairs.append(Pair(match.name, match.picture, read_mask, split=match.split, resize=resize))
    return pairs, bad


def read_levels(path: Path) -> Levels:
    """Opens a mask; BadPair if it cannot be decoded."""
    try:
        return open_mask(path)
    except PictureError as error:
        raise BadPair(f"undecodable: the mask {path.name}: {error}".rstrip(".")) from None


def joined_mask(paths: Iterable[Path], rule: MaskRule) -> np.ndarray:
    """Reads the masks of one picture as one: the object is where any of them has it.

    Raises:
        BadPair: one cannot be decoded, or their sizes differ.
    """
    mask = np.full((1, 1), BACKGROUND, np.uint8)
    for path in paths:
        levels = read_levels(path)
        try:
            one = rule.mask(levels)
        except PictureError as error:
            raise BadPair(f"strange value: the mask {path.name}: {error}".rstrip(".")) from None
        if mask.shape not in ((1, 1), one.shape):
            raise BadPair(f"size mismatch: the masks of one picture have the sizes {mask.shape} and {one.shape}")
        mask = np.maximum(mask, one)
    return mask
