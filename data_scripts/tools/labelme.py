"""LabelMe's JSON: a file a picture, its points in pixels; the picture may lie in the file itself.

Own reader: the format is a page of JSON, and datumaro's "label_me" is the older XML form. Source:
github.com/wkentaro/labelme (label_file.py writes it). A picture without a file has not been labelled.
"""

import math
from collections import defaultdict
from pathlib import Path

from carmask.data.layout import example_name
from carmask.data.pairs import BadPair, official_split
from carmask.data.picture_index import PictureIndex
from carmask.files.json_files import read_json
from data_scripts.tools import shapes
from data_scripts.tools.shapes import UNNAMED, Export, Labelled, Shape, decoded, stated_size

POLYGONS = ("polygon", "rotation", "oriented_rectangle")


def read(folder: Path, files: list[Path], index: PictureIndex | None, scratch: Path) -> Export:
    """Reads an export; pictures that lie in its files are written to `scratch`."""
    beside = defaultdict(list)
    for picture in index.pictures if index else ():
        beside[picture.with_suffix("")].append(picture)

    def read_file(path: Path) -> Labelled:
        content = read_json(path)
        shapes = [read_shape(item) for item in content["shapes"]]
        size = stated_size(content.get("imageHeight"), content.get("imageWidth"))
        place = path.relative_to(folder)
        try:
            own = beside[index.folder / place.with_suffix("")] if index else []
            picture = find(place, str(content.get("imagePath") or path.stem), content.get("imageData"), own, index)
        except BadPair:
            if not content.get("imageData"):
                raise
            name = example_name(place)
            embedded = scratch / name
            embedded.write_bytes(decoded(content["imageData"]))
            return Labelled(embedded, name, shapes, size, official_split(place))
        return Labelled(picture, index.name_of(picture), shapes, size, index.split_of(picture))

    export = Export()
    for path in files:
        export.collect(path, [path], read_file)
    return export


def find(place: Path, name: str, embedded: str | None, own: list[Path], index: PictureIndex | None) -> Path:
    """The picture that the file at `place` calls `name`, or else its `own`, which lies beside it and is called so.

    Where both are there, whoever has renamed the files has not changed what they hold: the `embedded` one decides.

    Raises:
        BadPair: There is none, or a choice.
    """
    if index is None:
        raise BadPair(f"missing partner: there is no picture {Path(name).name}, and none in the file")
    try:
        named = index.find((place.parent / name).as_posix())
    except BadPair:
        if len(own) != 1:
            raise
        return own[0]
    if not own or named.stem == place.stem:
        return named
    content = decoded(embedded) if embedded else None
    same = [path for path in (named, *own) if path.read_bytes() == content]
    if len(same) != 1:
        raise BadPair(
            f"undecided: it names the picture {named.name}, but {own[0].name} lies beside it; mend imagePath"
        )
    return same[0]


def read_shape(item: dict) -> Shape:
    """Reads a shape; ValueError, KeyError or TypeError if it is not as LabelMe writes it."""
    label, points = str(item["label"] or UNNAMED), item["points"]
    kind = item.get("shape_type") or "polygon"
    if kind in POLYGONS or (kind == "rectangle" and len(points) == 4):
        return shapes.polygon(label, points, kind)
    if kind not in ("rectangle", "circle", "mask"):
        return shapes.no_outline(label, kind)
    (x0, y0), (x1, y1) = points
    if kind == "circle":
        radius = math.dist((x0, y0), (x1, y1))
        return shapes.ellipse(label, [x0, y0, radius, radius], kind)
    if kind == "mask":
        return shapes.bitmap(label, kind, [x0, y0], decoded(item["mask"]))
    return shapes.box(label, [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)], kind, is_outline=True)
