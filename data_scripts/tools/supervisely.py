"""Supervisely: ann/NAME.jpg.json beside img/NAME.jpg; polygons with holes, and bitmaps as packed PNG, in pixels.

Own reader: the format is a page of JSON. Source: docs.supervisely.com, "Supervisely format for images", and
developer.supervisely.com/getting-started/supervisely-annotation-format/objects. A picture without a file is not
labelled; one whose file has no object shows none.
"""

import zlib
from pathlib import Path

from carmask.data.pairs import BadPair, official_split
from carmask.data.picture_index import PictureIndex
from carmask.errors import DataError
from carmask.files.json_files import read_json
from data_scripts.tools.shapes import Export, Labelled, Shape, bitmap, decoded, no_outline, polygon, stated_size

LARGEST_BITMAP = 64 * 2**20  # bytes; a PNG of two colours stays far below that


def read(folder: Path, files: list[Path], index: PictureIndex) -> Export:
    """Reads an export; DataError if its meta.json is no JSON."""

    def read_file(path: Path) -> Labelled:
        content = read_json(path)
        place = path.relative_to(folder)
        picture = index.find((place.parent.parent / "img" / place.stem).as_posix())
        shapes = [read_object(item) for item in content["objects"]]
        size = stated_size(content["size"]["height"], content["size"]["width"])
        return Labelled(picture, index.name_of(picture), shapes, size, official_split(place))

    export = Export(declared(folder))
    for path in files:
        export.collect(path, [path], read_file)
    return export


def declared(folder: Path) -> list[str]:
    """The titles of the classes in meta.json, if it is there; DataError if it is damaged."""
    path = folder / "meta.json"
    try:
        return [str(item["title"]) for item in read_json(path)["classes"]] if path.is_file() else []
    except (KeyError, TypeError):
        raise DataError(f"{path} holds no classes; export it again.") from None


def read_object(item: dict) -> Shape:
    """Reads an object; BadPair, ValueError, KeyError or TypeError if it is not as Supervisely writes it."""
    label = str(item["classTitle"])
    kind = item.get("geometryType") or ("bitmap" if item.get("bitmap") else "polygon")
    if kind == "polygon":
        return polygon(label, item["points"]["exterior"], holes=item["points"].get("interior") or [])
    if kind != "bitmap":
        return no_outline(label, kind)
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(decoded(item["bitmap"]["data"]), LARGEST_BITMAP)
    except zlib.error:
        raise BadPair(f"undecodable: a bitmap of {label} is damaged") from None
    if inflater.unconsumed_tail:
        raise BadPair(f"undecodable: a bitmap of {label} is larger than any picture")
    return bitmap(label, kind, item["bitmap"]["origin"], content)
