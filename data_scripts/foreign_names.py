"""What people and files of labels call classes and pictures."""

import dataclasses
import re
from urllib.parse import unquote

from carmask.data.object_choice import ObjectChoice

UPLOAD_PREFIX = re.compile(r"[0-9a-f]{6,8}-(.+)")  # what Label Studio puts in front of the name of an uploaded file


def names(text: str) -> list[str]:
    """Reads "bus,truck" as ["bus", "truck"]."""
    return [part.strip() for part in text.split(",") if part.strip()]


def by_number(choice: ObjectChoice, numbered: dict[str, str]) -> ObjectChoice:
    """The choice with names in place of the numbers that are in `numbered`, unless a class is called so."""
    known = {name.strip().casefold() for name in numbered.values()}
    classes = (one if one.casefold() in known else numbered.get(one, one) for one in choice.classes)
    return dataclasses.replace(choice, classes=tuple(classes))


def spellings(name: str) -> list[str]:
    """What a picture that a file calls `name` may be called: so, as in an address, or as before it was uploaded."""
    plain = unquote(name.partition("?")[0])
    uploaded = UPLOAD_PREFIX.fullmatch(re.split(r"[/\\]", plain)[-1])
    return list(dict.fromkeys([name, unquote(name), plain, *(uploaded.groups() if uploaded else ())]))
