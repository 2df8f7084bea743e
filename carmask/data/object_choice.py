"""What the object is called, and which of the classes of foreign labels are it: the option `--object`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from carmask.errors import DataError
from carmask.files.words import DEFAULT_OBJECT

LONGEST_NAME = 60
HELP = (
    "what the object is called, and the classes of the labels that are it, by name or number: leaf, 13, leaf=2,3 "
    f"(default: {DEFAULT_OBJECT})"
)


@dataclass(frozen=True)
class ObjectChoice:
    """The object's `name`, which becomes a model's label, and its `classes` in foreign labels, names or numbers."""

    name: str = DEFAULT_OBJECT
    classes: tuple[str, ...] = (DEFAULT_OBJECT,)
    named: bool = False  # by a person, who may give numbers alone

    @property
    def numbers(self) -> frozenset[int]:
        """The classes that are numbers."""
        return frozenset(int(one) for one in self.classes if is_number(one))

    def among(self, labels: Sequence[str], where: str) -> list[str]:
        """Those of `labels` that are the object, whatever their case.

        Raises:
            DataError: one of the classes is not among them; `where` says whose labels they are, such as "The file".
        """
        wanted = [one.strip().casefold() for one in self.classes]
        known = [label.strip().casefold() for label in labels]
        missing = [one for one, plain in zip(self.classes, wanted, strict=True) if plain not in known]
        if missing:
            has = f"{where} has {', '.join(dict.fromkeys(labels))}" if labels else f"{where} has none"
            raise DataError(f"There is no class {missing[0]}; {has}: say which is the object with --object.")
        return [label for label, plain in zip(labels, known, strict=True) if plain in wanted]


def is_number(text: str) -> bool:
    """Whether a class is meant by its number."""
    return text.removeprefix("-").isdecimal()


def chosen_object(text: str, where: str) -> ObjectChoice:
    """As `object_choice` for text that argparse does not read; an empty one chooses no classes.

    Raises:
        DataError: it cannot be read; `where` it stands comes first.
    """
    try:
        return object_choice(text) if text else ObjectChoice(classes=())
    except argparse.ArgumentTypeError as error:
        raise DataError(f"{where} {error}.") from error


def object_choice(text: str) -> ObjectChoice:
    """Reads "leaf", "13", "car,truck" or "leaf=2,3", for argparse.

    A name alone is that of the object and of its class. A number alone is a class of the object "car".
    """
    name, equals, rest = text.partition("=")
    classes = tuple(one.strip() for one in (rest if equals else text).split(",") if one.strip())
    named = name.strip() if equals else next((one for one in classes if not is_number(one)), DEFAULT_OBJECT)
    if "=" in rest:
        raise argparse.ArgumentTypeError(
            f"must name one object, whose classes may be many as in leaf=2,3, not {text!r}"
        )
    if not classes or not named or len(named) > LONGEST_NAME or not named.isprintable():
        raise argparse.ArgumentTypeError(f"must be a name, a number, or both as in leaf=2,3, not {text!r}")
    if named.casefold() == "background":
        raise argparse.ArgumentTypeError("cannot be background: that is what is not the object")
    return ObjectChoice(named, classes, named=bool(equals) or named in classes)


def add_object_labels(parser: argparse.ArgumentParser) -> None:
    """Adds `--object` for models of many labels, as an `ObjectChoice` whose `classes` are those labels."""
    words = "the labels that are the object, by name or number, in a model that has many"
    words, nothing = f"{words} (default: {DEFAULT_OBJECT})", ObjectChoice(classes=())
    parser.add_argument("--object", default=nothing, type=object_choice, metavar="NAME,NAME", help=words)
