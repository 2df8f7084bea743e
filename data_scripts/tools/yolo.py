"""YOLO polygons: a text file a picture, in each line a class and points as fractions of the picture.

Own reader: the format is a line of numbers. Source: docs.ultralytics.com/datasets/segment; CVAT's "YOLO" and
"Ultralytics YOLO" at docs.cvat.ai/docs/dataset_management/formats. A picture without a text file shows no object.
"""

import codecs
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath

import yaml

from carmask.data.layout import standard_split
from carmask.data.pairs import BadPair, official_split
from carmask.data.picture_index import PictureIndex
from carmask.errors import DataError, shortened
from carmask.files.picture_folders import ENDINGS, files_below
from data_scripts.tools.shapes import Export, Labelled, Shape, box, numbers, polygon

LARGEST_FILE = 2**20  # bytes of data.yaml, and of the first line that is looked at
CLASS = re.compile(r"[0-9]+(\.0*)?")
NUMBER = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")
NAMES = ("obj.names", "classes.txt", "_darknet.labels")
FOLDERS = {"images", "labels"}  # whose place the other takes in the path of a picture's labels
CONFIDENCE = "if the last is a confidence, write the labels without it (save_conf=False)"
POSE = "is for poses: points of a skeleton are no outlines. Export it as segmentation, with polygons."


def is_labels(path: Path) -> bool:
    """Whether a text file looks like labels: a class and at least four numbers in its first line with anything."""
    with path.open("rb") as file:
        parts = next(iter(label_lines(file.read(LARGEST_FILE), "replace")), [])
    return len(parts) >= 5 and bool(CLASS.fullmatch(parts[0])) and all(NUMBER.fullmatch(part) for part in parts)


def label_lines(content: bytes, errors: str = "strict") -> list[list[str]]:
    """The words of each line that has any, of a text in UTF-8, or in UTF-16 with its mark."""
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    lines = content.decode("utf-16" if utf_16 else "utf-8-sig", errors).splitlines()
    return [line.split() for line in lines if line.strip()]


def read(folder: Path, files: list[Path], index: PictureIndex) -> Export:
    """Reads an export; DataError if its data.yaml cannot be read or says that it holds poses."""
    config = read_config(folder)
    export = Export(class_names(folder, config), numbered=True)
    if "kpt_shape" in config:
        raise DataError(f"{folder} {POSE}")
    splits = listed_splits(folder, index)
    pictures = {key(path, index.folder): path for path in index.pictures}
    labels: dict[Path, Path] = {}

    def find(path: Path) -> Labelled | None:
        picture = pictures.get(key(path, folder)) or index.find(key(path, folder))
        if picture in labels:
            raise BadPair(f"name clash: {labels[picture].name} and {path.name} are labels of one picture")
        labels[picture] = path
        return None

    def read_picture(picture: Path) -> Labelled:
        relative = picture.relative_to(index.folder)
        split = splits.get(picture) or official_split(relative) or config_split(relative, config)
        lines = label_lines(labels[picture].read_bytes()) if picture in labels else []
        shapes = [read_line(parts, export.classes) for parts in lines]
        return Labelled(picture, index.name_of(picture), shapes, split=split)

    for path in files:
        export.collect(path, [path], find)
    places = {path.parent for path in files}
    for path in files_below(folder, {".txt"})[0]:  # once the format is known, also those that it cannot be told from
        if path not in files and (path.parent in places or key(path, folder) in pictures):
            with suppress(BadPair):
                find(path)
    for picture in index.pictures:
        export.collect(labels.get(picture, picture), [picture], read_picture)
    return export


def key(path: Path, folder: Path) -> str:
    """What a picture and its labels have in common: their path without the folders images and labels, and ending."""
    relative = path.relative_to(folder)
    return "/".join([*(part for part in relative.parts[:-1] if part.lower() not in FOLDERS), relative.stem])


def read_line(parts: list[str], names: list[str]) -> Shape:
    """Reads a line; BadPair if it is no polygon or box in fractions, ValueError if it holds no numbers."""
    if not CLASS.fullmatch(parts[0]):
        raise BadPair(
            f"undecodable: a line begins with {shortened(parts[0], 30)}, where the number of a class belongs"
        )
    number, values = int(float(parts[0])), numbers(parts[1:], len(parts) - 1)
    label = names[number] if number < len(names) else str(number)
    if len(values) > 6 and len(values) % 3 == 1 and set(values[6::3]) <= {0, 1, 2} and is_box(values[:4]):
        raise BadPair(f"no outline: a line of {len(parts)} numbers {POSE}")
    if len(values) % 2:
        raise BadPair(f"undecodable: {len(values)} numbers behind a class are no pairs of x and y; {CONFIDENCE}")
    if min(values) < -0.05 or max(values) > 1.05:
        raise BadPair("outside: the points are not fractions of the picture")
    if len(values) == 4:
        x, y, width, height = values
        return box(label, [x - width / 2, y - height / 2, x + width / 2, y + height / 2], "box", unit=1)
    return polygon(label, values, unit=1)


def is_box(values: list[float]) -> bool:
    """Whether centre x and y, width and height, as fractions, are those of a box in the picture."""
    x, y, width, height = values
    return max(abs(x - 0.5) + width / 2, abs(y - 0.5) + height / 2) <= 0.55


def read_config(folder: Path) -> dict:
    """Reads the data.yaml of an export, if it has one; DataError if it is none, or there is a choice."""
    configs: dict[Path, dict] = {}
    for path in files_below(folder, {".yaml", ".yml"})[0]:
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise ValueError
            config = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        except (yaml.YAMLError, ValueError, RecursionError, TypeError):
            raise DataError(
                f"{path} is no YAML with the names of classes: save it as UTF-8, or export it again."
            ) from None
        if isinstance(config, dict) and ("names" in config or "kpt_shape" in config):
            configs[path] = config
    chosen = {path: config for path, config in configs.items() if path.stem == "data"} or configs
    first, *others = chosen or [Path()]
    for path in others:
        if chosen[path].get("names") != chosen[first].get("names"):
            raise DataError(f"{first} and {path} name different classes: leave the one that belongs to the labels.")
    return chosen.get(first, {})


def class_names(folder: Path, config: dict) -> list[str]:
    """The names of the classes in order; none where the export has none, and numbers stand for them."""
    names = config.get("names", [])
    if isinstance(names, dict):
        most = max((int(one) for one in names if str(one).isdecimal()), default=-1)
        names = [names.get(one, names.get(str(one), str(one))) for one in range(min(most + 1, LARGEST_FILE))]
    if isinstance(names, list) and names:
        return [one if isinstance(one, str) else str(place) for place, one in enumerate(names)]
    for path in files_below(folder, {".names", ".txt", ".labels"})[0]:
        if path.name.lower() in NAMES:
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            return [line.strip() for line in "\n".join(lines).rstrip().split("\n")]  # a blank line is a number as well
    return []


def config_split(relative: Path, config: dict) -> str | None:
    """The split whose folder, as data.yaml has it, a picture lies in."""
    for name in filter(standard_split, map(str, config)):
        for value in config[name] if isinstance(config[name], list) else [config[name]]:
            parts = [part for part in PurePosixPath(str(value)[:1000]).parts if part not in ("images", "..", "/")]
            if parts and parts[-1] in relative.parts[:-1]:
                return standard_split(name)
    return None


def listed_splits(folder: Path, index: PictureIndex) -> dict[Path, str]:
    """The splits of the pictures that a train.txt, valid.txt or test.txt lists."""
    splits = {}
    for path in files_below(folder, {".txt"})[0]:
        split = standard_split(path.stem)
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines() if split else []:
            if split and Path(line.strip()).suffix.lower() in ENDINGS:
                try:
                    splits[index.find(line.strip())] = split
                except BadPair:
                    continue
    return splits
