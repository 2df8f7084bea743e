"""Makes a data set from what a labelling tool exports, as it lies.

    python data_scripts/from_tool.py export my-set --object leaf

It reads YOLO polygons, LabelMe (JSON and XML), CVAT ("CVAT for images 1.1" and "Segmentation mask 1.1"), Label Studio
(JSON), VIA, Supervisely, Pascal VOC, and Roboflow's exports in these formats and as semantic masks. COCO's files are
read by from_coco.py.
"""

import argparse
import collections
import functools
import sys
import tempfile
from pathlib import Path

import numpy as np

from carmask.command_line import exit_code
from carmask.data.importing import add_options, import_pairs
from carmask.data.layout import BACKGROUND, NOT_JUDGED, OBJECT
from carmask.data.pairs import BadPair, Pair, stored_form
from carmask.data.picture_index import PictureIndex
from carmask.errors import DataError
from carmask.files.picture_folders import pictures_below
from carmask.files.pictures import SIDEWAYS
from data_scripts.foreign_names import by_number, names
from data_scripts.tools import annotation_xml, cvat, label_studio, labelme, supervisely, via, voc, yolo
from data_scripts.tools.recognise import FORMATS, label_files
from data_scripts.tools.shapes import MALFORMED, Export, Labelled, Shape


def read_export(arguments: argparse.Namespace, scratch: Path) -> tuple[Export, list[Path]]:
    """Reads whatever export it is; `scratch` takes the pictures that lie in its files.

    Returns:
        What is in it, and the pictures that lie there.

    Raises:
        DataError: It is none that can be read.
    """
    found, files, damaged = label_files(arguments.export, arguments.format)
    folder = arguments.export if arguments.export.is_dir() else arguments.export.parent
    place = arguments.pictures or folder
    if not place.is_dir():
        raise DataError(f"{place} is not a folder.")
    index = PictureIndex(place) if pictures_below(place) else None
    if found == "LabelMe":
        export = labelme.read(folder, files, index, scratch)
    elif index is None:
        raise DataError(f"{place} holds no pictures: say where they are with --pictures FOLDER.")
    elif found == "YOLO":
        export = yolo.read(folder, files, index)
    elif found == "CVAT":
        export = cvat.read(files, index)
    elif found == "LabelStudio":
        export = label_studio.read(files, index)
    elif found == "VIA":
        export = via.read(folder, files, index)
    elif found == "Supervisely":
        export = supervisely.read(folder, files, index)
    elif found == "VOC":
        export = voc.read(folder, files, index)
    elif found == "Roboflow":
        export = voc.read_roboflow(folder, files, index)
    else:
        export = annotation_xml.read(folder, files, index)
    export.bad += damaged
    return export, index.pictures if index else []


def object_classes(export: Export, arguments: argparse.Namespace) -> tuple[set[str], set[str]]:
    """The classes that are the object and those that are not judged; DataError if one is not there."""
    known = export.all_classes()
    places = {str(place): name for place, name in enumerate(export.classes)} if export.numbered else {}
    objects = set(by_number(arguments.object, places).among(known, "the export"))
    unknown = {one.casefold() for one in arguments.not_judged} - {one.casefold() for one in known}
    if unknown:
        raise DataError(f"There is no class {min(unknown)} for --not-judged; the export has {', '.join(known)}.")
    unjudged = {one for one in known if one.casefold() in {name.casefold() for name in arguments.not_judged}}
    return objects, (unjudged | set(export.void)) - objects


def painted(
    labelled: Labelled, objects: set[str], not_judged: set[str], hiding: collections.Counter | None
) -> np.ndarray:
    """Paints the shapes of a picture as uint8 (height, width) of 0, 128 and 255.

    The object lies over all else, unless `hiding` is there: then a shape hides what stands before it, and `hiding`
    counts the classes that hide some of the object.

    Raises:
        BadPair: The export states another size, a shape is broken, or an object has no outline.
    """
    (height, width), orientation, _ = stored_form(labelled.picture)
    size = (width, height) if orientation in SIDEWAYS else (height, width)
    if labelled.size not in (None, size):
        raise BadPair("size mismatch: picture {1}×{0}, export {3}×{2}".format(*size, *labelled.size))
    mask, is_object = np.zeros(size, np.uint8), np.zeros(size, bool)
    chosen = [shape for shape in labelled.shapes if shape.label in objects]
    others = [shape for shape in labelled.shapes if shape.label in not_judged]
    for shape in [*others, *chosen] if hiding is None else labelled.shapes:
        if not shape.is_outline:
            continue
        area = paint(shape, size)
        if shape.label in objects:
            is_object |= area
        elif hiding is not None and (mask[area] == OBJECT).any():
            hiding[shape.label] += 1
        mask[area] = OBJECT if shape.label in objects else NOT_JUDGED if shape.label in not_judged else BACKGROUND
    for shape in chosen:
        if not shape.is_outline and not is_object[paint(shape, size)].any():
            raise BadPair(f"no outline: {shape.label} is only a {shape.kind}; draw its outline, or leave it out")
    if not is_object.any() and any(shape.kind != "mask" for shape in chosen):
        raise BadPair(f"no outline: the {chosen[0].kind} of {chosen[0].label} has no area")
    return mask


def paint(shape: Shape, size: tuple[int, int]) -> np.ndarray:
    """Paints one shape as a bool mask (height, width); BadPair if it is broken or of another size."""
    try:
        mask = shape.paint(size)
    except BadPair:
        raise
    except (*MALFORMED, MemoryError):
        raise BadPair(f"undecodable: a {shape.kind} of {shape.label} is broken") from None
    if mask.shape != size:
        raise BadPair("size mismatch: picture {1}×{0}, mask {3}×{2}".format(*size, *mask.shape))
    return mask


def say(export: Export, pictures: list[Path], objects: set[str]) -> None:
    """Says on stderr what is left out of an export, or taken as it need not have been meant.

    Raises:
        DataError: None of the objects has an outline.
    """
    chosen = [shape for labelled in export.pictures for shape in labelled.shapes if shape.label in objects]
    lacking = collections.Counter(shape.kind for shape in chosen if not shape.is_outline)
    if lacking and not any(shape.is_outline for shape in chosen):
        raise DataError(
            f"The export has no outline of {', '.join(sorted(objects))}, only the kind {', '.join(lacking)}: "
            "these are none; draw polygons or brush masks in the tool, and export again."
        )
    for kind, number in lacking.items():
        sys.stderr.write(f"Shapes of the kind {kind}, left aside as they are no outlines: {number}.\n")
    boxes = sum(shape.kind == "rectangle" and shape.is_outline for shape in chosen)
    if boxes:
        sys.stderr.write(f"Rectangles painted as they are: {boxes}; all that is in them counts as the object.\n")
    empty = sum(not labelled.shapes for labelled in export.pictures)
    if empty:
        sys.stderr.write(f"Pictures without a shape, background alone: {empty}.\n")
    used = {labelled.picture for labelled in export.pictures}
    others = [path for path in pictures if path not in used and not voc.NO_PICTURE.search(path.as_posix())]
    if len(others) > len(export.bad):
        sys.stderr.write(f"Pictures that nobody has labelled, left aside: {len(others) - len(export.bad)}.\n")


def convert(arguments: argparse.Namespace) -> int:
    """Writes the data set; returns the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        export, pictures = read_export(arguments, Path(scratch))
        if not export.pictures and export.bad:
            path, reason = export.bad[0]
            remedy = "; --pictures FOLDER says where the pictures are" if reason.startswith("missing partner") else ""
            raise DataError(f"Nothing in the export can be used, {path} first: {reason}{remedy}.")
        if not export.pictures:
            raise DataError(f"Nobody has labelled a picture of {arguments.export} yet: label some, and export again.")
        objects, not_judged = object_classes(export, arguments)
        say(export, pictures, objects)
        hiding: collections.Counter | None = collections.Counter() if export.layered else None
        pairs = [
            Pair(one.name, one.picture, functools.partial(painted, one, objects, not_judged, hiding), split=one.split)
            for one in export.pictures
        ]
        code = import_pairs(pairs, export.bad, arguments)
    if hiding:
        parts = ",".join([*sorted(objects), *hiding])
        sys.stderr.write(
            f"Shapes over the object, which hide what is below them: {hiding.total()}; if they are a part of it, add "
            f'--object "{arguments.object.name}={parts}".\n'
        )
    return code


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="unpacked folder of an export, or its one file of labels")
    parser.add_argument("out", type=Path, help="data set folder to write")
    parser.add_argument("--pictures", type=Path, help="folder of the pictures, where the export has none")
    parser.add_argument("--format", choices=FORMATS, help="which labels to read where there are several kinds")
    parser.add_argument("--not-judged", type=names, default=[], help="classes that take no part, such as bus,truck")
    add_options(parser)
    return exit_code(convert, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
