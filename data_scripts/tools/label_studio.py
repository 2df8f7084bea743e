"""Label Studio's JSON: a list of tasks; polygons and ellipses in percent, brush masks as packed run lengths.

Own reader: the format is a page of JSON. Source: labelstud.io/guide/task_format and labelstud.io/tags/brushlabels; the
run lengths are those of github.com/thi-ng/umbrella, packages/rle-pack. A task without an annotation is not labelled.
"""

import functools
import math
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from carmask.data.pairs import BadPair, official_split
from carmask.data.picture_index import PictureIndex
from carmask.files.json_files import read_json
from carmask.files.picture_folders import ENDINGS
from data_scripts.foreign_names import spellings
from data_scripts.outlines import Size
from data_scripts.tools import shapes
from data_scripts.tools.shapes import UNNAMED, Export, Labelled, Shape, decoded, stated_size

GEOMETRY = {"points", "rle", "imageDataURL", "vertices", "x"}  # what tells a region from a choice or a text
OPAQUE = 128  # alpha from which on a pixel of a brush's soft edge counts


def read(files: list[Path], index: PictureIndex) -> Export:
    """Reads an export; DataError if a file is no JSON."""

    def read_task(task: dict) -> Labelled | None:
        given = task.get("annotations") or task.get("completions") or []
        done = [one for one in given if not one.get("was_cancelled")]
        done = [one for one in done if one.get("ground_truth")] or done
        if not done:
            return None
        name = picture_name(task, {item.get("to_name") for item in done[0]["result"]})
        if len(done) > 1:
            raise BadPair(f"undecided: {name} has {len(done)} annotations; mark one as ground truth and export again")
        try:
            picture = index.find(name)
        except BadPair:
            picture = index.find(spellings(name)[-1])
        results = [item for item in done[0]["result"] if item.get("value")]
        labels_of = {item.get("id"): labels(item["value"]) for item in results if item["type"] == "labels"}
        regions = [item for item in results if item["type"] != "labels" and GEOMETRY & item["value"].keys()]
        sizes = {stated_size(item.get("original_height"), item.get("original_width")) for item in regions}
        if len(sizes) > 1:
            raise BadPair(f"undecided: the regions of {name} state {len(sizes)} sizes of the picture")
        shapes = [
            shape
            for item in regions
            for shape in read_region(item, labels(item["value"]) or labels_of.get(item.get("id"), []))
        ]
        split = official_split(Path(name)) or index.split_of(picture)
        return Labelled(picture, index.name_of(picture), shapes, sizes.pop() if sizes else None, split)

    export = Export()
    for path in files:
        content = read_json(path)
        export.collect(path, content if isinstance(content, list) else [content], read_task)
    return export


def picture_name(task: dict, labelled: set[str]) -> str:
    """What a task calls its picture: a path, an address, or a local file's path behind ?d=.

    Of several it is the one that is `labelled`, by the name of the interface's tag; BadPair if none of them is.
    """
    plain = {
        field: unquote(parse_qs(urlsplit(value).query).get("d", [urlsplit(value).path])[0])
        for field, value in task["data"].items()
        if isinstance(value, str)
    }
    names = {field: name for field, name in plain.items() if Path(name).suffix.lower() in ENDINGS}
    chosen = {name for field, name in names.items() if len({*names.values()}) == 1 or field in labelled}
    chosen = chosen or {names[field] for field in ("image", "img") if field in names}
    if names and len(chosen) != 1:
        raise BadPair(f"undecided: a task has the pictures {' and '.join(names)}; leave the labelled one in its data")
    return next(iter([*chosen, task.get("file_upload")])) or ""


def labels(value: dict) -> list[str]:
    """The classes of a region: its list of texts called polygonlabels, brushlabels, labels or so."""
    return next((list(map(str, found)) for name, found in value.items() if name.endswith("labels")), [])


def read_region(item: dict, known: list[str]) -> list[Shape]:
    """Reads a region, once for each of its classes.

    Raises:
        BadPair: It was drawn on a picture that had been turned.
        ValueError, KeyError, TypeError: It is not as Label Studio writes it.
    """
    if item.get("image_rotation"):
        raise BadPair("turned: the picture was turned in Label Studio; save it upright and label it again")
    return [_shape(label, item["type"].removesuffix("labels"), item) for label in known or [UNNAMED]]


def _shape(label: str, kind: str, item: dict) -> Shape:
    value, size = item["value"], stated_size(item.get("original_height"), item.get("original_width"))
    if kind == "polygon":
        return shapes.polygon(label, value["points"], unit=100)
    if kind == "ellipse":
        numbers = [value[name] for name in ("x", "y", "radiusX", "radiusY")]
        return shapes.ellipse(label, numbers, turn=math.radians(value.get("rotation", 0)), unit=100)
    if kind == "brush" and size:
        return shapes.patch(label, kind, (0, 0), functools.partial(unpack_brush, value["rle"], size))
    if kind == "bitmask":
        return shapes.bitmap(label, kind, (0, 0), decoded(value["imageDataURL"]))
    if kind == "rectangle" and not value.get("rotation"):
        x, y = value["x"], value["y"]
        return shapes.box(label, [x, y, x + value["width"], y + value["height"]], kind, unit=100)
    return shapes.no_outline(label, kind)


def unpack_brush(packed: list[int], size: Size) -> np.ndarray:
    """Unpacks a brush's run lengths to its mask, bool (height, width), by the alpha of its RGBA.

    A stream of bits, high ones first: the number of words in 32 bits, their width less 1 in 5, four widths of lengths
    less 1 in 4 each. Then runs: 1 if a word repeats, 2 bits for which width, the length less 1, and the words.

    Raises:
        ValueError: They are not those of a picture of this size.
    """
    bits = np.unpackbits(np.array(packed, np.uint8))
    text, at = (bits + ord("0")).tobytes().decode(), 0

    def number(width: int) -> int:
        nonlocal at
        at += width
        return int(text[at - width : at], 2)

    total, word, widths = number(32), number(5) + 1, [number(4) + 1 for _ in range(4)]
    if total != size[0] * size[1] * 4 or word != 8:
        raise ValueError("The run lengths are not those of the picture.")
    channels, start = np.zeros(total, np.uint8), 0
    while start < total:
        repeats, length = number(1), number(widths[number(2)]) + 1
        if repeats:
            channels[start : start + length] = number(word)
        else:
            channels[start : start + length] = np.packbits(bits[at : at + length * word])
            at += length * word
        start += length
    return channels.reshape(*size, 4)[..., 3] >= OPAQUE
