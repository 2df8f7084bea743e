"""How the object's name stands in sentences and in the names of files; the only place that knows."""

import re
from collections.abc import Sequence

DEFAULT_OBJECT = "car"  # unless a data set or a model says otherwise


def capital(name: str) -> str:
    """The name at the beginning of a sentence: "Leaf" for "leaf"."""
    return name[:1].upper() + name[1:]


def one(name: str) -> str:
    """The name with its article: "a leaf", "an apple"."""
    return f"{'an' if name[:1].lower() in set('aeiou') else 'a'} {name}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "size, mirror image and threshold"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def in_file_name(name: str) -> str:
    """The name as a part of a file's name: "maple-leaf" for "maple leaf"."""
    return re.sub(r"\W+", "-", name).strip("-") or "object"
