"""What a person says of labels that do not say it themselves: the same options for every program that reads them."""

import argparse
from dataclasses import dataclass, replace

from carmask.data.object_choice import HELP, ObjectChoice, object_choice
from carmask.files.masks import MaskOptions


@dataclass(frozen=True)
class LabelOptions:
    """What the object is, what its masks hold, and which columns of a table hold picture and mask ("": the usual)."""

    object: ObjectChoice = ObjectChoice()
    masks: MaskOptions = MaskOptions()
    image_column: str = ""
    mask_column: str = ""


PLAIN = LabelOptions()


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Adds all that `label_options` reads, for programs that read data sets of any make."""
    parser.add_argument("--object", type=object_choice, default=ObjectChoice(), metavar="NAME", help=HELP)
    words = "column of the pictures (default: image, pixel_values)"
    parser.add_argument("--image-column", default="", metavar="NAME", help=words)
    words = "column of the masks (default: mask, label, labels, ...)"
    parser.add_argument("--mask-column", default="", metavar="NAME", help=words)
    add_mask_options(parser)


def add_mask_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what the values of masks mean."""
    group = parser.add_argument_group("what the masks hold, where black and white do not say it")
    words = "values that take no part: 255 or 0,255"
    group.add_argument("--not-judged", type=numbers, default=frozenset(), help=words)
    group.add_argument("--object-above", type=int, metavar="VALUE", help="every higher value is the object")
    colours: dict = {"type": colour, "action": "append", "default": [], "metavar": "R,G,B"}
    group.add_argument("--object-colour", help="colour of the object", **colours)
    group.add_argument("--not-judged-colour", help="colour that takes no part", **colours)
    group.add_argument("--threshold", type=level, help="soft masks: the object from this of 255 on, such as 128")
    group.add_argument("--invert", action="store_true", help="the object is black")


def label_options(arguments: argparse.Namespace, name: str = "") -> LabelOptions:
    """What a person says of labels, from the values of `add_table_options` or `add_mask_options` with `--object`.

    Where they do not name the object it is called `name`, such as by the model that is measured.
    """
    masks = MaskOptions(
        arguments.object.numbers,
        arguments.object_above,
        arguments.not_judged,
        frozenset(arguments.object_colour),
        frozenset(arguments.not_judged_colour),
        threshold=arguments.threshold,
        invert=arguments.invert,
    )
    given, choice = vars(arguments), arguments.object
    choice = choice if choice.named or not name else replace(choice, name=name)
    return LabelOptions(choice, masks, given.get("image_column", ""), given.get("mask_column", ""))


def numbers(text: str) -> frozenset[int]:
    """Reads "13,14", for argparse."""
    return frozenset(int(part) for part in text.split(","))


def colour(text: str) -> int:
    """Reads "250,50,83" as 0xFA3253, for argparse."""
    red, green, blue = (int(part) for part in text.split(","))
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise argparse.ArgumentTypeError(f"must be red, green and blue from 0 to 255, not {text}")
    return red << 16 | green << 8 | blue


def level(text: str) -> int:
    """Reads a threshold from 1 to 255, for argparse."""
    if not text.isdecimal() or not 1 <= int(text) <= 255:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 255, not {text}")
    return int(text)
