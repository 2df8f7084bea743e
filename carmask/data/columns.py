"""The splits and columns of any data set → train, validation and test with the columns image and mask, or dots."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import datasets
import numpy as np
from huggingface_hub.errors import HTTPError
from PIL import Image

from carmask.data.card import data_set_file
from carmask.data.label_options import LabelOptions
from carmask.data.layout import SPLITS, standard_split
from carmask.data.object_choice import ObjectChoice
from carmask.data.streams import is_stream
from carmask.errors import DataError, PictureError
from carmask.files.mask_levels import Levels, array_levels, distinct, open_mask, values_of
from carmask.files.mask_rule import MaskRule
from carmask.files.masks import decide, soft_reason
from carmask.files.pictures import SIDEWAYS, opened, orientation
from carmask.files.progress import is_first, progress

IMAGE_COLUMNS = ("image", "pixel_values")
MASK_COLUMNS = ("mask", "label", "labels", "annotation", "segmentation_map", "segmentation", "masks")
SCANNED_ROWS = 64  # of a stream, in which the values of masks are looked for

RAW = datasets.Image(decode=False)

Split: TypeAlias = datasets.Dataset | datasets.IterableDataset


def standard_splits(splits: dict[str, Split], data: str) -> datasets.DatasetDict:
    """The splits under the names train, validation and test, whatever they are called; others keep their names.

    Raises:
        DataError: two of them are the same one.
    """
    named: dict[str, Split] = {}
    for name, split in splits.items():
        standard = standard_split(name) or name
        if standard in named:
            raise DataError(f"{data} has two splits that may be {standard}: {', '.join(splits)}; rename one.")
        named[standard] = split
    order = [*(name for name in SPLITS if name in named), *(name for name in named if name not in SPLITS)]
    return datasets.DatasetDict({name: named[name] for name in order})


def standard_columns(splits: datasets.DatasetDict, data: str, truth: str, options: LabelOptions) -> None:
    """Renames the columns of pictures and masks in all splits to image and `truth`, and drops the other truth.

    Raises:
        DataError: there is none, or a choice.
    """
    for name, split in splits.items():
        where = f"The split {name} of {data}"
        aloud = name == next(iter(splits))
        given, lack = options.image_column, f"{where} has no pictures"
        image = find_column(split, IMAGE_COLUMNS, given, lack, "--image-column", aloud)
        found = "dots"
        if truth == "mask":
            given, lack = options.mask_column, f"{where} has no masks"
            found = find_column(split, MASK_COLUMNS, given, lack, "--mask-column", aloud)
        elif "dots" not in split.column_names:
            raise DataError(f"{where} has no column dots; add it, as docs/dots.md says.")
        dropped = ({"image", "mask", "dots"} & set(split.column_names)) - {image, found}
        renamed = {old: new for old, new in ((image, "image"), (found, truth)) if old != new}
        split = split.remove_columns(sorted(dropped)) if dropped else split
        for column in (image, *([found] if truth == "mask" else [])):
            split = split.cast_column(column, datasets.Image()) if is_file(split, column) else split
        splits[name] = split.rename_columns(renamed) if renamed else split


def find_column(split: Split, usual: tuple[str, ...], given: str, lack: str, option: str, aloud: bool = False) -> str:
    """The column that a person names, or the one of the `usual` names that holds pictures; `aloud` a choice is said.

    Raises:
        DataError: there is none, or more than one besides the first of the usual ones.
    """
    columns = split.column_names or []
    if given and given not in columns:
        raise DataError(f"{lack} in a column {given}; it has {', '.join(columns)}.")
    arrays = usual == MASK_COLUMNS
    named = [name for name in ([given] if given else usual) if name in columns]
    found = [name for name in named if holds_pictures(split, name, arrays)]
    found = found or [name for name in named if is_file(split, name)]
    if given and not found:
        remedy = f"store them as datasets.Image; a column of a metadata.csv has to be called {given}_file_name"
        raise DataError(f"{lack} in the column {given}, but something else: {remedy}.")
    if not found:
        raise DataError(
            f"{lack} in a column {' or '.join(usual)}; it has {', '.join(columns)}: name one with {option}."
        )
    if len(found) > 1 and found[0] != usual[0]:
        raise DataError(f"{lack} that are plain: {' and '.join(found)} may hold them; name one with {option}.")
    if len(found) > 1 and aloud:
        say(f"Of the columns {' and '.join(found)} the first is taken; another is named with {option}.")
    return found[0]


def holds_pictures(split: Split, column: str, arrays: bool) -> bool:
    """Whether a column holds pictures, or `arrays`; not numbers or words."""
    feature = split.features[column] if split.features else datasets.Image()
    rows = feature.feature if isinstance(feature, datasets.List) else None
    is_array = isinstance(feature, datasets.Array2D | datasets.Array3D) or isinstance(rows, datasets.List)
    return (is_array and arrays) or isinstance(feature, datasets.Image)


def is_file(split: Split, column: str) -> bool:
    """Whether a column holds the contents of files, as pandas writes pictures, or paths of files that are here."""
    feature = (split.features or {}).get(column)
    kind = feature.dtype if isinstance(feature, datasets.Value) else ""
    if "string" in kind and not is_stream(split) and len(split):
        return os.path.isfile(str(split.select_columns(column)[0][column]))  # also of a name that no disk can hold
    return "binary" in kind or (isinstance(feature, dict) and "bytes" in feature)


def native_masks(splits: datasets.DatasetDict, data: str, options: LabelOptions) -> None:
    """Brings the masks of all splits to 0, 128 (not judged) and 255 (object), by one rule for the whole set.

    Raises:
        DataError: nobody can tell which value is the object; the sentence says what to do.
    """
    say_turned(splits)
    names, objects = class_names(data), options.masks.objects
    choice = options.object if options.object.named else ObjectChoice(options.object.name, (options.object.name,))
    if names and not objects and (choice.named or choice.name.casefold() in map(str.casefold, names)):
        objects = frozenset(names[label] for label in choice.among(list(names), "id2label.json"))
    values = []
    for name, split in splits.items():
        for levels in mask_cells(split):
            blurred = levels.lossy and options.masks.above is None and not distinct(levels.numbers) <= {0, 255}
            if blurred and (reason := soft_reason(levels, options.masks)):
                raise DataError(f"The masks of {data} cannot be used: {reason}.")
            values.append(values_of(levels, name))
    rule = decide(values, replace(options.masks, objects=objects), options.object.name, native=True)
    say(rule.words)
    for name, split in splits.items():
        if not (rule.is_native and has_files(split)):
            splits[name] = with_native_masks(split, rule)


def say_turned(splits: datasets.DatasetDict) -> None:
    """Says how many pictures EXIF turns so that nobody can see by the size whether their masks are turned as well.

    The first process alone looks.
    """
    if not is_first():
        return
    for name, split in splits.items():
        pictures = split.select_columns("image")
        if is_stream(pictures) or not isinstance(pictures.features["image"], datasets.Image):
            continue
        cells = progress(pictures.cast_column("image", RAW)["image"], "Looking for EXIF", leave=False)
        turned = [row for row, cell in enumerate(cells) if may_be_turned(cell)]
        if turned:
            say(
                f"Pictures of {name} that EXIF turns to the shape that they had before: {len(turned)}, the first in "
                f"row {turned[0]}. Their masks are taken as drawn on the upright picture: look at some."
            )


def may_be_turned(cell: dict | None) -> bool:
    """Whether a stored picture is turned by its EXIF orientation, and as large before as after."""
    try:
        with opened((cell or {})["bytes"] or Path((cell or {})["path"])) as picture:
            if picture.format == "PNG" and not {"exif", "XML:com.adobe.xmp"} & picture.info.keys():
                return False  # where Pillow would decode all pixels to look behind them
            turn = orientation(picture)
            return turn > 1 and (turn not in SIDEWAYS or picture.width == picture.height)
    except (PictureError, TypeError, KeyError):
        return False


def say(sentence: str) -> None:
    """Says a sentence, if it is not empty, once for all processes."""
    if sentence and is_first():
        sys.stderr.write(f"{sentence}\n")


def class_names(data: str) -> dict[str, int]:
    """The class of each name in the id2label.json of a data set, here or on the Hub; none where there is none."""
    try:
        stored = json.loads(data_set_file(data, "id2label.json").read_text(encoding="utf-8-sig"))
        return {str(name): int(number) for number, name in stored.items()}
    except (OSError, ValueError, AttributeError, HTTPError):
        return {}


def mask_cells(split: Split) -> Iterator[Levels]:
    """The numbers of each mask of a split, of a stream those of its first rows; what cannot be read is left out."""
    rows = split.select_columns("mask")
    rows = islice(rows.decode(False), SCANNED_ROWS) if is_stream(rows) else stored(rows)
    for row in rows:
        levels = levels_of(row["mask"])
        if levels is not None:
            yield levels


def stored(masks: datasets.Dataset) -> datasets.Dataset:
    """A column of masks, its pictures not decoded."""
    return masks.cast_column("mask", RAW) if has_files(masks) else masks


def has_files(masks: Split) -> bool:
    """Whether the masks of a split are stored as files, not as nested lists of numbers."""
    return not masks.features or isinstance(masks.features["mask"], datasets.Image)


def levels_of(cell: dict | list | None) -> Levels | None:
    """The numbers of a mask that is stored as a picture or as nested lists; None if it cannot be read."""
    try:
        if isinstance(cell, dict):
            return open_mask(cell["bytes"] or Path(cell["path"]))
        return None if cell is None else array_levels(np.asarray(cell))
    except (PictureError, ValueError, TypeError, KeyError):
        return None


def with_native_masks(split: Split, rule: MaskRule) -> Split:
    """A split whose masks are those that `rule` makes of them."""
    if is_stream(split):
        files = split.decode(False)
        return files.map(native_row, fn_kwargs={"rule": rule}, features=files.features)
    features = datasets.Features({"mask": RAW})
    masks = stored(split.select_columns("mask")).map(
        native_row, fn_kwargs={"rule": rule}, features=features, keep_in_memory=True, desc="Masks"
    )
    masks = masks.cast_column("mask", datasets.Image())
    rest = split.remove_columns("mask")
    return datasets.concatenate_datasets([rest, masks], split=split.split, axis=1)


def native_row(row: dict, rule: MaskRule) -> dict:
    """A row's mask as the PNG that `rule` makes of it; one that cannot be read stays, and is refused with its row."""
    levels, file = levels_of(row["mask"]), row["mask"] if isinstance(row["mask"], dict) else None
    with suppress(PictureError):
        if levels is not None:
            store = BytesIO()
            Image.fromarray(rule.mask(levels)).save(store, "PNG", compress_level=1)
            file = {"bytes": store.getvalue(), "path": file and file.get("path")}
    return {"mask": file}
