"""Makes a data set from a folder of pictures and a folder of masks with the same names.

The masks may be pictures of any kind, label maps, or arrays of numpy. Which of their values is the object is decided
once for all of them; where that is not plain, nothing is written, and a sentence names the option that says it.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from carmask.command_line import exit_code
from carmask.data.importing import add_options, import_pairs, pictures_without_object
from carmask.data.label_options import add_mask_options, label_options
from carmask.data.mask_pairs import listed_colours, mask_pairs
from carmask.data.pairing import match_names


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of pictures, sub-folders included")
    parser.add_argument("masks", help="folder of masks, or the word none: no picture shows the object")
    parser.add_argument("out", type=Path, help="data set folder to write")
    words = "what the mask of a picture NAME is called: 'mask_{name}' (default: NAME)"
    parser.add_argument("--mask-name", metavar="TEMPLATE", help=words)
    parser.add_argument("--resize-masks", action="store_true", help="bring masks of another size to the picture's")
    add_mask_options(parser)
    add_options(parser)
    return exit_code(convert, parser.parse_args(argv))


def convert(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    if arguments.masks == "none":
        return import_pairs(*pictures_without_object(arguments.images), arguments)
    masks = Path(arguments.masks)
    matches, bad = match_names(arguments.images, masks, arguments.mask_name)
    listed, classes = listed_colours(arguments.object, masks)
    options = replace(label_options(arguments).masks, listed_colours=listed, class_colours=classes)
    pairs, more = mask_pairs(matches, options, arguments.object.name, arguments.resize_masks)
    return import_pairs(pairs, bad + more, arguments)


if __name__ == "__main__":
    sys.exit(main())
