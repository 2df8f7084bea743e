"""Makes a data set from pictures and index label maps (CamVid, Cityscapes, VOC, ADE20K)."""

import argparse
import functools
import re
import sys
from pathlib import Path

import numpy as np

from carmask.command_line import exit_code
from carmask.data.importing import add_options, import_pairs, match_names
from carmask.data.layout import BACKGROUND, CAR, NOT_JUDGED
from carmask.data.pairs import BadPair, Pair, open_mask

PICTURE_ENDING = re.compile(r"_(leftImg8bit|rightImg8bit|image|img|rgb)$")
LABEL_ENDING = re.compile(r"_(gt(Fine|Coarse)_labelIds|labelIds|labels?|mask|seg|gt|L)$")


def label_map_mask(path: Path, car: set[int], car_above: int | None, not_judged: set[int]) -> np.ndarray:
    """Reads an index label map as a mask.

    Returns:
        uint8 (height, width) of 0, 128 and 255.

    Raises:
        BadPair: It cannot be decoded, is a JPEG, or holds colours.
    """
    labels = open_mask(path)
    if labels.mode not in ("1", "L", "P", "I") and not labels.mode.startswith("I;16"):
        raise BadPair(f"{path.name} has colours (mode {labels.mode}) where indices are needed")
    indices = np.asarray(labels).astype(int)
    is_car = np.isin(indices, list(car)) if car_above is None else indices > car_above
    mask = np.where(is_car, CAR, BACKGROUND).astype(np.uint8)
    mask[np.isin(indices, list(not_judged))] = NOT_JUDGED
    return mask


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of pictures, sub-folders included")
    parser.add_argument("labels", type=Path, help="folder of label maps with the same names and sub-folders")
    parser.add_argument("out", type=Path, help="data set folder to write")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--car", type=indices, default=set(), help="indices that are car, such as 8 or 13,14")
    which.add_argument("--car-above", type=int, help="every higher index is car (for numbered parts: 0)")
    parser.add_argument("--not-judged", type=indices, default=set(), help="indices that take no part, such as 11")
    add_options(parser)
    return exit_code(functools.partial(convert, parser.parse_args(argv)))


def indices(text: str) -> set[int]:
    """Reads "13,14" as {13, 14}."""
    return {int(part) for part in text.split(",")}


def convert(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    matched, bad = match_names(arguments.images, arguments.labels, PICTURE_ENDING, LABEL_ENDING)
    read = functools.partial(
        label_map_mask, car=arguments.car, car_above=arguments.car_above, not_judged=arguments.not_judged
    )
    pairs = [Pair(name, picture, functools.partial(read, labels)) for name, picture, labels in matched]
    return import_pairs(pairs, bad, arguments)


if __name__ == "__main__":
    sys.exit(main())
