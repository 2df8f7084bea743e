"""The data set layout that every data script writes: its splits, labels and values in a mask, its rows and files."""

import json
import re
from pathlib import Path

from carmask.errors import DataError

BACKGROUND = 0
SPLITS = ("train", "validation", "test")
NOT_JUDGED, OBJECT = 128, 255

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation", "eval": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


KINDS = r"(images?|imgs?|photos?|pictures?|jpegimages|masks?|labels?|annotations?|annot|gt|segmentationclass)"
KIND_OF_FILES = re.compile(rf"^{KINDS}([-_ ]|$)|[-_ ]?{KINDS}$")


def without_kind(folder: str) -> str:
    """A folder's name in lower case without what says only which kind of files it holds: train for "train_images"."""
    return KIND_OF_FILES.sub("", folder.lower())


def standard_split(name: str) -> str | None:
    """The split that a folder or split of this name is, such as validation for "val" and "train2017"; None if none."""
    return SPLIT_NAMES.get(without_kind(name).rstrip("0123456789_-"))


def example_name(path: Path) -> str:
    """What a picture is called in a data set: its path below a folder, in one word and without suffix."""
    return path.with_suffix("").as_posix().replace("/", "_")


def file_inside(data_set: Path, folder: str, name: object) -> Path | None:
    """The file, links followed, that a row of a data set names; it need not exist.

    Args:
        data_set: the folder that it must not lead out of.
        folder: in the data set, such as train, that the name is relative to.
        name: what the row says.

    Returns:
        None where the name is no text, is blank, or leads out of the data set by `..`, as a whole path or by a link.
    """
    if not isinstance(name, str) or not name.strip():
        return None
    try:
        path = (data_set / folder / name).resolve()
        if not path.is_file():  # also a name that no disk can hold is none
            path = (data_set / folder / name.replace("\\", "/")).resolve()  # written on Windows
    except (OSError, RuntimeError, ValueError):  # too long, links in a circle, or a NUL in it
        return None
    return path if path.is_relative_to(data_set.resolve()) else None


def metadata_rows(table: Path) -> list[dict]:
    """Reads the rows of a metadata.jsonl; blank lines and a byte order mark do not count.

    The columns source and group become text where they are numbers.

    Raises:
        DataError: It is no list of objects in JSON, or a source or group is neither text nor number.
    """
    try:
        lines = table.read_text(encoding="utf-8-sig").split("\n")
        rows = [json.loads(line) for line in lines if line.strip()]
        json.dumps(rows, ensure_ascii=False).encode()  # half a letter, such as \ud800, could not be written
    except (ValueError, RecursionError):
        rows = [None]
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{table} is no list of rows in JSON; make the data set anew.")
    for number, row in enumerate(rows, 1):
        for column in {"source", "group"} & row.keys():
            if not isinstance(row[column], str | int | float | None):
                raise DataError(f"{table}: the {column} of row {number} is no text; write it in quotes.")
            row[column] = row[column] if row[column] is None else str(row[column])
    return rows


def read_dot_names(data: Path) -> list[str]:
    """Reads the names of a data set's dots; none if it has none.

    Raises:
        DataError: the list is damaged.
    """
    path = data / "dot_names.json"
    if not path.is_file():
        return []
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"))
        json.dumps(names, ensure_ascii=False).encode()  # half a letter, such as \ud800, could not be written
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise DataError(f'{path} is no list of names in JSON, such as ["nose", "left_eye"]; mend it.')
    return names
