"""CVAT's XML 1.1 "for images": polygons, ellipses and masks in pixels.

Own reader: the format is a page of XML, read by defusedxml. Source: docs.cvat.ai/docs/dataset_management/formats and
docs.cvat.ai/docs/other/xml_format. A picture listed without a shape shows no object.
"""

import functools
import math
from pathlib import Path
from xml.etree.ElementTree import Element

from carmask.data.layout import standard_split
from carmask.data.pairs import official_split
from carmask.data.picture_index import PictureIndex
from carmask.errors import DataError
from data_scripts.tools import shapes
from data_scripts.tools.annotation_xml import read_xml
from data_scripts.tools.shapes import Export, Labelled, Shape, stated_size


def read(files: list[Path], index: PictureIndex) -> Export:
    """Reads an export; DataError if a file is no XML, or that of a video."""
    export = Export(layered=True)

    def read_image(image: Element) -> Labelled:
        picture = index.find(image.attrib["name"])
        upwards = sorted(image, key=lambda item: int(item.get("z_order", 0)))
        shapes = [read_shape(item) for item in upwards if item.tag != "tag"]
        size = stated_size(image.get("height"), image.get("width"))
        split = standard_split(image.get("subset", "")) or official_split(Path(image.attrib["name"]))
        split = split or index.split_of(picture)
        return Labelled(picture, index.name_of(picture), shapes, size, split)

    for path in files:
        root = read_xml(path)
        if root.find("track") is not None:
            raise DataError(f'{path} is made for a video: export it again as "CVAT for images 1.1".')
        export.classes += [name.text.strip() for name in root.iterfind(".//labels/label/name") if name.text]
        export.collect(path, root.iter("image"), read_image)
    return export


def read_shape(item: Element) -> Shape:
    """Reads a shape; ValueError or KeyError if it is not as CVAT writes it."""
    label, kind = item.attrib["label"], item.tag
    if kind == "polygon":
        return shapes.polygon(label, [point.split(",") for point in item.attrib["points"].split(";")])
    if kind == "ellipse":
        turn = math.radians(float(item.get("rotation", 0)))
        return shapes.ellipse(label, [item.attrib[name] for name in ("cx", "cy", "rx", "ry")], turn=turn)
    if kind == "mask":
        left, top, width, height = (int(item.attrib[name]) for name in ("left", "top", "width", "height"))
        counts = [int(count) for count in item.attrib["rle"].split(",")]
        return shapes.patch(label, kind, [left, top], functools.partial(shapes.runs, counts, (height, width)))
    if kind == "box" and not float(item.get("rotation", 0)):
        return shapes.box(label, [item.attrib[name] for name in ("xtl", "ytl", "xbr", "ybr")], kind)
    return shapes.no_outline(label, kind)
