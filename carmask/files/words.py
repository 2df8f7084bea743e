"""What stands in sentences: the object's name, which only this place knows how to write, lists, and commands."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

DEFAULT_OBJECT = "car"  # unless a data set or a model says otherwise


def capital(name: str) -> str:
    """The name at the beginning of a sentence: "Leaf" for "leaf"."""
    return name[:1].upper() + name[1:]


def one(name: str) -> str:
    """The name with its article: "a leaf", "an apple"."""
    return f"{'an' if name[:1].lower() in set('aeiou') else 'a'} {name}"


def listed(names: Sequence[str], between: str = ", ") -> str:
    """Names in a sentence: "size, mirror image and threshold"."""
    return " and ".join(filter(None, [between.join(names[:-1]), *names[-1:]]))


def this_python() -> str:
    """The interpreter that runs, as a person types it: .venv/bin/python in the project's folder."""
    path = Path(sys.executable)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def in_file_name(name: str) -> str:
    """The name as a part of a file's name: "maple-leaf" for "maple leaf"."""
    return re.sub(r"\W+", "-", name).strip("-") or "object"
