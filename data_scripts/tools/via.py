"""VIA's JSON, versions 1 and 2, annotations or a whole project: polygons, circles, ellipses and rectangles in pixels.

Own reader: the format is a page of JSON. Source: gitlab.com/vgg/via, via-2.x.y/CodeDoc.md. Every value of a region's
attributes is a class of its. A picture listed without a region shows no object.
"""

from functools import partial
from pathlib import Path

from carmask.data.pairs import official_split
from carmask.data.picture_index import PictureIndex
from carmask.files.json_files import read_json
from data_scripts.tools.shapes import UNNAMED, Export, Labelled, Shape, box, ellipse, no_outline, polygon


def read(folder: Path, files: list[Path], index: PictureIndex) -> Export:
    """Reads an export; DataError if a file is no JSON."""

    def read_entry(entry: dict, place: Path) -> Labelled:
        picture = index.find((place / entry["filename"]).as_posix())
        regions = entry["regions"]
        regions = regions.values() if isinstance(regions, dict) else regions
        shapes = [read_shape(label, item["shape_attributes"]) for item in regions for label in classes(item)]
        split = official_split(Path(entry["filename"])) or index.split_of(picture)
        return Labelled(picture, index.name_of(picture), shapes, split=split)

    export = Export()
    for path in files:
        content = read_json(path)
        entries = content.get("_via_img_metadata", content)
        export.collect(path, entries.values(), partial(read_entry, place=path.parent.relative_to(folder)))
    return export


def classes(region: dict) -> list[str]:
    """The values of a region's attributes; of check boxes, those that are set."""
    found = []
    for value in region.get("region_attributes", {}).values():
        found += [name for name, is_set in value.items() if is_set] if isinstance(value, dict) else [str(value)]
    return [name.strip() for name in found if name.strip()] or [UNNAMED]


def read_shape(label: str, shape: dict) -> Shape:
    """Reads a shape; ValueError, KeyError or TypeError if it is not as VIA writes it."""
    kind = shape["name"]
    if kind == "polygon":
        points = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
        return polygon(label, [list(point) for point in points])
    if kind == "rect":
        left, top = shape["x"], shape["y"]
        return box(label, [left, top, left + shape["width"], top + shape["height"]], "rectangle", is_outline=True)
    if kind == "circle":
        return ellipse(label, [shape["cx"], shape["cy"], shape["r"], shape["r"]], kind)
    if kind == "ellipse":
        return ellipse(label, [shape[name] for name in ("cx", "cy", "rx", "ry")], turn=shape.get("theta", 0))
    return no_outline(label, kind)
