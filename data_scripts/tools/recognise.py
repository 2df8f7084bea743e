"""Finds out which labelling tool a folder or file comes from, by what its files hold."""

from pathlib import Path

from carmask.data.pairing import BadFile
from carmask.errors import DataError
from carmask.files.json_files import read_json
from carmask.files.picture_folders import files_below, link_refusal
from data_scripts.tools import voc, yolo
from data_scripts.tools.annotation_xml import read_xml
from data_scripts.tools.json_formats import format_of_json
from data_scripts.tools.shapes import bad_file

FORMATS = ("YOLO", "LabelMe", "CVAT", "LabelStudio", "VIA", "Supervisely", "VOC", "Roboflow", "XML")
ENDINGS = {".json", ".xml", ".txt", ".csv"}
LOOKED_FOR = (
    "YOLO's text files, JSON of LabelMe, Label Studio, VIA or Supervisely, XML of CVAT or LabelMe, a folder "
    "SegmentationClass, and Roboflow's _classes.csv"
)
NOT_READ = {
    "COCO": "{0} is COCO: data_scripts/from_coco.py {0} PICTURES OUT reads it.",
    "JSON_MIN": '{0} is Label Studio\'s short form, without the sizes of the pictures: export it as "JSON".',
    "VIA 3": "{0} is a project of VIA 3: export it from there as COCO, for data_scripts/from_coco.py.",
    "VIA CSV": "{0} is VIA's CSV: export the annotations as JSON.",
    "brush": '{0} is called by its task, which says nothing of the picture: export as "JSON", and give that file.',
}


def label_files(export: Path, wanted: str | None) -> tuple[str, list[Path], list[BadFile]]:
    """Finds the format of an export, and its files of labels (for masks: their folders, or tables of classes).

    Damaged files that have the same ending come last, with the reasons.

    Args:
        export: a folder, or a single file of labels.
        wanted: one of FORMATS that a person chose, or None.

    Raises:
        DataError: There is none that can be read, or more than one and nobody has chosen.
    """
    if export.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z") and export.is_file():
        raise DataError(f"{export} is packed: unpack it first, and give the folder.")
    if not export.exists():
        raise DataError(f"{export} is neither a folder nor a file.")
    files, links = ([export], []) if export.is_file() else files_below(export, ENDINGS)
    found, faults = by_format(files, export)
    if wanted:
        found = {wanted: found[wanted]} if wanted in found else {}
    readable = [name for name in found if name in FORMATS]
    if not readable and found:
        name = next(iter(found))
        raise DataError(NOT_READ[name].format(found[name][0] if len(found[name]) == 1 else export))
    if not readable and faults and not wanted:
        raise DataError(f"{faults[0][0]} {faults[0][1]}.")
    if not readable:
        raise DataError(f"{export} holds no labels{f' of {wanted}' if wanted else ''}. Looked for: {LOOKED_FOR}.")
    if len(readable) > 1:
        raise DataError(f"{export} holds labels of {' and '.join(readable)}: choose one, --format {readable[0]}.")
    files = found[readable[0]]
    endings = {path.suffix.lower() for path in files}
    if outside := [link for link in links if link.suffix.lower() in endings or link.is_dir()]:
        raise link_refusal(outside[0], export)
    return readable[0], files, [fault for fault in faults if fault[0].suffix.lower() in endings]


def by_format(files: list[Path], export: Path) -> tuple[dict[str, list[Path]], list[BadFile]]:
    """Sorts files by the format of the labels they hold; also returns what is wrong with those that cannot be read."""
    found: dict[str, list[Path]] = {}
    faults = []
    for path in files:
        try:
            name = format_of(path)
        except DataError as fault:
            faults.append(bad_file(path, fault))
            continue
        if name:
            found.setdefault(name, []).append(path)
    masks = [path for path in [export, *export.rglob(voc.MASKS)] if path.name == voc.MASKS and path.is_dir()]
    brush = next(export.rglob("task-*-annotation-*"), None)
    if brush:
        found.setdefault("brush", [brush])
    if masks:
        found["VOC"] = [path for path in masks if path.resolve().is_relative_to(export.resolve())]
        found.pop("XML", None)  # VOC's boxes, which its masks make up for
    return found, faults


def format_of(path: Path) -> str | None:
    """The format of a file of labels, one of FORMATS or NOT_READ; None if it is no such file.

    Raises:
        DataError: It is damaged.
    """
    ending = path.suffix.lower()
    if ending == ".json":
        return format_of_json(read_json(path))
    if ending == ".xml":
        root = read_xml(path)
        return {"annotations": "CVAT", "annotation": "XML"}.get(root.tag)
    if ending == ".txt":
        return "YOLO" if yolo.is_labels(path) else None
    if path.name == voc.ROBOFLOW:
        return "Roboflow"
    with path.open("rb") as file:
        return "VIA CSV" if b"region_shape_attributes" in file.readline(1000) else None
