"""What is wrong with one row of a data set: its picture, its mask, and its dots, each decoded once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from carmask.data.layout import BACKGROUND, NOT_JUDGED, OBJECT, SPLITS, file_inside, metadata_rows
from carmask.data.splits.look_alikes import perceptual_hash
from carmask.doctor.findings import Finding
from carmask.errors import DataError, PictureError
from carmask.files.mask_levels import distinct, open_mask
from carmask.files.mask_rule import NATIVE, MaskRule
from carmask.files.pictures import open_picture, opened, orientation

SMALLEST_SIDE = 64
MOST_LABELS = 64  # distinct low values that a label map may have; smoothed masks have more, and higher ones
FULL_BORDER = 0.8  # share of the object on a picture's border from which a mask looks inverted


class Examined(NamedTuple):
    """What later checks need of a row: the object's share of the judged pixels, and its hash; None where unknown."""

    row: dict
    share: float | None
    border: float | None  # the object's share of the judged pixels on the border, if they are at least half of it
    hash: np.ndarray | None  # bool (256,)


def listed_rows(data: Path) -> list[dict]:
    """Reads the rows of a data set as they are, each with its `split`.

    Raises:
        DataError: there is none, or a metadata.jsonl is damaged.
    """
    tables = [data / split / "metadata.jsonl" for split in SPLITS]
    rows = [{**row, "split": table.parent.name} for table in tables if table.is_file() for row in metadata_rows(table)]
    if not rows:
        raise DataError(f"{data} has no train/metadata.jsonl with rows; make a data set with data_scripts/.")
    return rows


def path_of(row: dict, column: str) -> str:
    """What a row calls the file in a column, below the data set; empty where it names none. `file_inside` finds it."""
    return f"{row['split']}/{row[column]}" if row.get(column) else ""


def examine(data: Path, row: dict, dot_names: list[str], rule: MaskRule = NATIVE) -> tuple[Examined, list[Finding]]:
    """Decodes a row's picture and mask once, the mask by the `rule` of the set, and says what is wrong with them."""
    file, mask_file, found = path_of(row, "file_name"), path_of(row, "mask_file_name"), []
    if not mask_file and not row.get("dots"):
        found.append(Finding("missing file", [file], "it has neither a mask nor dots"))
    found += check_dots(file, row.get("dots"), dot_names)
    picture, of_picture = check_file(data, row, "file_name", check_picture)
    mask, of_mask = (
        check_file(data, row, "mask_file_name", partial(check_mask, rule=rule)) if mask_file else (None, [])
    )
    found += of_picture + of_mask
    if picture and mask is not None and mask.shape != (picture.height, picture.width):
        sizes = f"the picture is {picture.width} × {picture.height}, its mask {mask.shape[1]} × {mask.shape[0]}"
        found.append(Finding("size mismatch", [file, mask_file], sizes))
    if mask is not None and not of_mask:
        found += [Finding(kind, [file, mask_file], reason) for kind, reason in implausible(mask)]
    sound = None if of_mask else mask
    border = None if sound is None else border_of(sound)
    half_judged = border is not None and (border != NOT_JUDGED).mean() >= 0.5
    share, along = (None if one is None else object_share(one) for one in (sound, border if half_judged else None))
    return Examined(row, share, along, perceptual_hash(picture) if picture else None), found


def check_file(data: Path, row: dict, column: str, check: Callable) -> tuple[Any, list[Finding]]:
    """What `check_picture` or `check_mask` returns for a file of a row; None where there is none in the data set."""
    file = path_of(row, column)
    path = file_inside(data, row["split"], row.get(column))
    if file and path is None:
        return None, [Finding("file outside", [file], f"this {column} leads out of the data set, or is no name")]
    if path is None or not path.is_file():
        reason = "there is no such picture" if column == "file_name" else f"{path_of(row, 'file_name')} names it"
        return None, [Finding("missing file", [file or f"{row['split']}/metadata.jsonl"], reason)]
    return check(data, file)


def check_picture(data: Path, file: str) -> tuple[Image.Image | None, list[Finding]]:
    """Opens a picture upright; None where it cannot be decoded."""
    try:
        picture = open_picture(data / file)
    except PictureError as error:
        return None, [Finding("undecodable file", [file], str(error))]
    found = []
    with opened(data / file) as stored:
        turn = orientation(stored)
    if turn > 1:
        found.append(Finding("EXIF-turned picture", [file], f"its EXIF orientation is {turn}"))
    if min(picture.size) < SMALLEST_SIDE:
        found.append(Finding("tiny picture", [file], f"it is {picture.width} × {picture.height} pixels"))
    return picture, found


def check_mask(data: Path, file: str, rule: MaskRule = NATIVE) -> tuple[np.ndarray | None, list[Finding]]:
    """Opens a mask, uint8 (height, width), as training reads it by the rule of the set; None where it cannot."""
    try:
        levels = open_mask(data / file)
    except PictureError:
        return None, [Finding("undecodable file", [file], "this mask cannot be read")]
    numbers = rule.numbers(levels)
    strange = sorted(distinct(numbers) - rule.known)
    as_read = np.where(numbers == OBJECT, np.uint8(OBJECT), np.uint8(BACKGROUND))
    if levels.lossy:
        return as_read, [Finding("JPEG mask", [file], f"it has {len(strange)} values between")]
    if not strange:
        return rule.mask(levels), []
    shown = ", ".join(map(str, strange[:5])) + (", …" if len(strange) > 5 else "")
    if strange[-1] >= MOST_LABELS:
        return as_read, [Finding("grey mask", [file], f"it has {len(strange)} values between: {shown}")]
    if as_read.any():
        return as_read, [Finding("255 as not judged", [file], f"it has 255 beside label numbers: {shown}")]
    return as_read, [Finding("label numbers", [file], f"it has the values {shown}, which are not 255")]


def check_dots(file: str, dots: list | dict | None, dot_names: list[str]) -> list[Finding]:
    """Whether the dots of a row are as many as their names and lie inside the picture."""
    if not dots:
        return []
    dots = list(dots.values()) if isinstance(dots, dict) else dots
    if not isinstance(dots, list):
        return [Finding("wrong number of dots", [file], "its dots are no list")]
    found = []
    if dot_names and len(dots) != len(dot_names):
        found.append(Finding("wrong number of dots", [file], f"it has {len(dots)} for {len(dot_names)} names"))
    names = dot_names if len(dots) == len(dot_names) else [f"dot {index}" for index in range(len(dots))]
    outside = [name for name, dot in zip(names, dots, strict=True) if dot and not is_inside(dot)]
    if outside:
        found.append(Finding("dot outside", [file], f"no x and y between 0 and 1: {', '.join(outside)}"))
    return found


def is_inside(dot: list[float]) -> bool:
    """Whether a dot of a row is two numbers from 0 to 1."""
    numbers = isinstance(dot, list) and len(dot) == 2 and all(isinstance(part, int | float) for part in dot)
    return numbers and all(0 <= part <= 1 for part in dot)


def object_share(mask: np.ndarray) -> float | None:
    """The share of the object among the judged pixels of a mask; None where none is judged."""
    judged = np.count_nonzero(mask != NOT_JUDGED)
    return np.count_nonzero(mask == OBJECT) / judged if judged else None


def border_of(mask: np.ndarray) -> np.ndarray:
    """The pixels on the border of a mask (height, width), in a row; those in its corners twice."""
    return np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])


def implausible(mask: np.ndarray) -> list[tuple[str, str]]:
    """The kinds of finding, with the reason, that a mask of 0, 128 and 255 itself gives rise to."""
    share = object_share(mask)
    if share is None:
        return [("nothing judged", "every pixel is marked as not judged")]
    if share == 1:
        return [("all object", "every judged pixel is the object")]
    border = border_of(mask)
    if share > 0.5 and (border == OBJECT).mean() >= FULL_BORDER:
        return [
            ("inverted mask", f"{(border == OBJECT).mean():.0%} of its border and {share:.0%} of it is the object")
        ]
    return []
