"""XML of one picture each, root <annotation>: LabelMe's older form, and VOC's, to which Roboflow adds polygons.

Own reader: two pages of XML, read by defusedxml. Source: labelmetoolbox (github.com/CSAILVision/LabelMeToolbox), the
VOC2012 development kit, and exports as they lie. A picture without a file has not been labelled.
"""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from carmask.data.picture_index import PictureIndex
from carmask.errors import DataError
from data_scripts.tools.shapes import UNNAMED, Export, Labelled, Shape, no_outline, polygon, stated_size


def read_xml(path: Path) -> Element:
    """Reads an XML file.

    Raises:
        DataError: It is none, or defines entities, which can blow it up or read other files.
    """
    try:
        return ElementTree.parse(path).getroot()
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise DataError(f"{path} is no XML file, or damaged; export it again.") from None


def read(folder: Path, files: list[Path], index: PictureIndex) -> Export:
    """Reads an export."""

    def read_file(path: Path) -> Labelled:
        root = read_xml(path)
        name = (root.findtext("filename") or path.stem).strip()
        picture = index.find((path.relative_to(folder).parent / name).as_posix())
        size = stated_size(
            root.findtext("size/height") or root.findtext("imagesize/nrows"),
            root.findtext("size/width") or root.findtext("imagesize/ncols"),
        )
        shapes = [read_object(item) for item in root.iter("object") if item.findtext("deleted", "0").strip() != "1"]
        stated = size if size != (0, 0) else None
        return Labelled(picture, index.name_of(picture), shapes, stated, index.split_of(picture))

    export = Export()
    for path in files:
        export.collect(path, [path], read_file)
    return export


def read_object(item: Element) -> Shape:
    """Reads an object: with a polygon it is an outline, with a box alone none."""
    label = (item.findtext("name") or UNNAMED).strip()
    outline = item.find("polygon")
    if outline is None or item.findtext("type") == "bounding_box":
        return no_outline(label, "box")
    points = [[float(point.findtext("x", "")), float(point.findtext("y", ""))] for point in outline.iter("pt")]
    flat = [float(part.text or "") for part in outline if part.tag[:1] in ("x", "y") and part.tag[1:].isdecimal()]
    return polygon(label, points or flat)
