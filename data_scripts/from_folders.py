"""Makes a data set from a folder of pictures and a folder of black and white masks with the same names."""

import argparse
import functools
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from carmask.command_line import exit_code
from carmask.data.importing import add_options, import_pairs, match_names, pictures_without_car
from carmask.data.layout import BACKGROUND, CAR, NOT_JUDGED
from carmask.data.pairs import BadPair, Pair, open_mask
from carmask.errors import DataError

NO_ENDING = re.compile(r"(?!)")
ALL_CAR = (1, 255, 65535)


def binary_mask(path: Path, not_judged: int | None = None) -> np.ndarray:
    """Reads a mask of two values in any encoding; the darker is background.

    Args:
        path: grey, palette, colour or 1-bit picture, with or without alpha.
        not_judged: grey value that stands for not judged.

    Returns:
        uint8 (height, width) of 0, 128 and 255.

    Raises:
        BadPair: The file cannot be decoded, is lossy, or does not have two values.
    """
    levels = grey_levels(open_mask(path))
    unjudged = levels == (-1 if not_judged is None else not_judged)
    values = np.unique(levels[~unjudged]).tolist()
    if len(values) > 2:
        raise BadPair(f"more than two values: {path.name} has {len(values)}")
    if len(values) == 1 and values[0] not in (0, *ALL_CAR):
        raise BadPair(f"only one value: {path.name} is all {values[0]:g}, which may be car or background")
    is_car = levels == values[-1] if values and values[-1] else np.zeros(levels.shape, bool)
    return np.where(unjudged, NOT_JUDGED, np.where(is_car, CAR, BACKGROUND)).astype(np.uint8)


def grey_levels(mask: Image.Image) -> np.ndarray:
    """Turns a mask of any mode into numbers (height, width): one number for each colour, brighter colours higher."""
    if mask.mode == "1":
        return np.asarray(mask.convert("L")).astype(float)
    if mask.mode == "P":
        indices = np.asarray(mask).astype(float)
        shades = grey_levels(mask.convert("RGBA"))
        told_apart = len(np.unique(shades)) >= len(np.unique(indices))  # some palettes give all indices one colour
        return shades if told_apart else indices
    if not mask.has_transparency_data:
        return luminance(mask)
    colour, alpha = np.asarray(mask.convert("RGB")), np.asarray(mask.convert("RGBA").getchannel("A"))
    if (alpha == 255).all():
        return luminance(mask.convert("RGB"))
    if (colour == colour[0, 0]).all():
        return alpha.astype(float)
    return luminance(Image.fromarray((colour * (alpha[..., None] / 255)).round().astype(np.uint8)))


def luminance(mask: Image.Image) -> np.ndarray:
    """Returns grey values as they are, and the exact luminance of colours, so that no two colours fall together."""
    if mask.mode in ("L", "I", "F") or mask.mode.startswith("I;16"):
        return np.asarray(mask).astype(float)
    return np.asarray(mask.convert("RGB")) @ np.array([299, 587, 114]) / 1000


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of pictures, sub-folders included")
    parser.add_argument(
        "masks",
        help="folder of masks called NAME or NAME_mask (or --mask-ending), or the word none: no picture has a car",
    )
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument(
        "--mask-ending", default="_mask", help="what the masks are called beyond NAME (default: %(default)s)"
    )
    parser.add_argument("--not-judged", type=int, metavar="GREY", help="this grey takes no part, such as 128")
    add_options(parser)
    return exit_code(functools.partial(convert, parser.parse_args(argv)))


def convert(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    if arguments.masks == "none":
        return import_pairs(*pictures_without_car(arguments.images), arguments)
    ending = re.compile(f"{re.escape(arguments.mask_ending)}$")
    matched, bad = match_names(arguments.images, Path(arguments.masks), NO_ENDING, ending)
    if not matched:
        names = " and ".join(path.name for path, _ in (bad[0], bad[-1]))
        raise DataError(f"No mask has the name of a picture, see {names}; --mask-ending takes what they end on.")
    read = functools.partial(binary_mask, not_judged=arguments.not_judged)
    pairs = [Pair(name, picture, functools.partial(read, mask)) for name, picture, mask in matched]
    return import_pairs(pairs, bad, arguments)


if __name__ == "__main__":
    sys.exit(main())
