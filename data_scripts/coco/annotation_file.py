"""Reads COCO annotation files of all tools: what they list, with their ids compared as text."""

import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from carmask.data.layout import standard_split
from carmask.data.pairs import official_split
from carmask.errors import DataError
from carmask.files.json_files import read_json
from carmask.files.picture_folders import files_below, link_refusal
from data_scripts.tools.json_formats import format_of_json

LISTS = ("images", "annotations", "categories")
NAMES = ("file_name", "path", "coco_url")  # where files of COCO name a picture
LONGEST_TEXT = 1000  # characters of an id or a name
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # would break a sentence or a file


@dataclass(frozen=True)
class Listed:
    """A picture that a file lists: its names and (height, width) as they stand there, and its annotations.

    Each annotation is the file's, but `category` is the name of its category in lower case (None where the file does
    not list it) and `id` what to call it.
    """

    names: list[str]
    told: tuple[object, object]
    parts: list[dict]


@dataclass(frozen=True)
class CocoFile:
    """What a file lists, and the `split` that its name or folder says.

    `categories` has their names by id; `keypoints` those of the keypoints by category in lower case; `dangling` and
    `unknown` say which annotations name a picture or a category that is not listed.
    """

    path: Path
    split: str | None
    pictures: list[Listed]
    categories: dict[str, str]
    keypoints: dict[str, list[str]]
    dangling: list[str]
    unknown: list[str]


def label(value: object) -> str | None:
    """An id or name as text, whole: 1, 1.0 and "1" are the same; None for what is neither a number nor a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = int(value) if value.is_integer() else value
    text = str(value).strip()
    return text if 0 < len(text) <= LONGEST_TEXT and not CONTROLS.search(text) else None


def number(value: object) -> float:
    """A number, perhaps written as a text; NaN for anything else."""
    try:
        return float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def annotation_files(path: Path, kind: str) -> list[tuple[Path, str | None]]:
    """The annotation files at `path`, a file or the folder of an export, each with the split that its name says.

    Args:
        path: A file alone has no split: whoever names one file says with --split where it belongs.
        kind: how the names of the wanted files begin where a folder has several kinds, such as "instances".

    Raises:
        DataError: The folder holds no JSON file.
    """
    if not path.is_dir():
        return [(path, None)]
    found, outside = files_below(path, {".json"})
    if links := [link for link in outside if not link.is_dir()]:
        raise link_refusal(links[0], path)
    if not found:
        raise DataError(f"{path} holds no JSON file; give a COCO file, or a folder with one for each split.")
    return [
        (file, official_split(file.relative_to(path)) or split_of_name(file.stem))
        for file in [file for file in found if file.stem.startswith(kind)] or found
    ]


def split_of_name(stem: str) -> str | None:
    """The split that a word of a file's name says, such as train of instances_train2017; None where none does."""
    return next(filter(None, map(standard_split, re.split(r"[^A-Za-z]+", stem))), None)


def read_coco(path: Path, split: str | None = None) -> CocoFile:
    """Reads a COCO file.

    Raises:
        DataError: It is no COCO file, or a picture or category of it cannot be told from another.
    """
    content = read_json(path)
    lists = [content.get(key) if isinstance(content, dict) else None for key in LISTS]
    if not all(isinstance(items, list) and all(isinstance(item, dict) for item in items) for items in lists):
        raise DataError(f"{path} {what_it_is(content)}")
    images, annotations, categories = lists
    images = list({json.dumps(item, sort_keys=True): item for item in images}.values())  # files that were joined
    if any("segments_info" in item for item in annotations):
        raise DataError(f"{path} is COCO's panoptic form, without outlines: give its file of instances instead.")
    name_of = {identity: found[0] for identity, found in _by_id(path, categories, "category", ("name",)).items()}
    keypoints = {}
    for item in categories:
        names = item.get("keypoints")
        keypoints[name_of[label(item["id"])].casefold()] = _texts(names) if isinstance(names, list) else []
    listed = {
        identity: Listed(found, (item.get("height"), item.get("width")), [])
        for (identity, found), item in zip(_by_id(path, images, "picture", NAMES).items(), images, strict=True)
    }
    loose = _share_out(annotations, listed, name_of)
    return CocoFile(path, split, list(listed.values()), name_of, keypoints, *loose)


def _by_id(path: Path, items: list[dict], what: str, fields: tuple[str, ...]) -> dict[str, list[str]]:
    """Maps the id of each picture or category to its names, which stand in one or more of the `fields`.

    Raises:
        DataError: One has none, or two have the same id.
    """
    names_of: dict[str, list[str]] = {}
    for place, item in enumerate(items, 1):
        identity, names = label(item.get("id")), [name for name in map(label, map(item.get, fields)) if name]
        if identity is None or not names:
            raise DataError(
                f"{path}: {what} {place} has no {'id' if identity is None else fields[0]} that can be read."
            )
        if identity in names_of:
            raise DataError(
                f"{path}: the {what} id {identity} stands for both {names_of[identity][0]} and {names[0]}; "
                "give each its own, also in the annotations."
            )
        names_of[identity] = names
    return names_of


def _texts(values: list) -> list[str]:
    texts = [label(value) for value in values]
    return [] if None in texts else texts


def _share_out(
    annotations: list[dict], listed: dict[str, Listed], name_of: dict[str, str]
) -> tuple[list[str], list[str]]:
    """Hands the annotations to their pictures; returns those that name no listed picture, and no listed category."""
    loose = defaultdict(list)
    for place, part in enumerate(annotations, 1):
        identity = label(part.get("id")) or f"number {place}"
        picture, category = label(part.get("image_id")), label(part.get("category_id"))
        if category not in name_of:
            loose["category"].append(f"annotation {identity} with {category or 'none'}")
        if picture not in listed:
            loose["picture"].append(f"annotation {identity} with {picture or 'none'}")
            continue
        name = name_of[category].casefold() if category in name_of else None
        listed[picture].parts.append({**part, "id": identity, "category": name})
    return loose["picture"], loose["category"]


def what_it_is(content: object) -> str:
    """The end of the sentence that refuses JSON that is not COCO's, with what it looks like."""
    tool = format_of_json(content)
    if tool not in (None, "COCO"):
        return f"is no COCO file, but looks like one of {tool}: give it to data_scripts/from_tool.py."
    lacks = [key for key in LISTS if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    fault = f"it lacks a list of {' and '.join(lacks)}" if lacks else "its lists hold something else than objects"
    return f"is no COCO file with outlines: {fault}; data_scripts/from_tool.py reads the files of other tools."
